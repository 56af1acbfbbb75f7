"""Bodies, answers and probabilities."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness.errors import BadInput
from harness.payload import JSON, NPY, as_body, as_probabilities, read_answer

MATRIX = np.array([[0.5, -1.0], [2.0, 0.25]])


def test_npy_bodies_are_float32_whatever_the_values_are() -> None:
    sent = np.load(io.BytesIO(as_body(MATRIX, NPY)), allow_pickle=False)

    assert sent.dtype == np.float32
    np.testing.assert_array_equal(sent, MATRIX)


def test_json_bodies_are_nested_lists() -> None:
    assert json.loads(as_body(MATRIX, JSON)) == [[0.5, -1.0], [2.0, 0.25]]


@given(arrays.arrays(np.float32, arrays.array_shapes(), elements=st.floats(-1e6, 1e6, width=32)))
def test_what_was_sent_comes_back_the_same_both_ways(values: Any) -> None:
    np.testing.assert_array_equal(read_answer(as_body(values, NPY), NPY), values)
    np.testing.assert_array_equal(
        np.asarray(read_answer(as_body(values, JSON), "application/json; charset=utf-8"), np.float32), values
    )


@pytest.mark.parametrize("content_type", [NPY, JSON, "text/html"])
def test_an_answer_of_another_kind_is_said_to_be_one(content_type: str) -> None:
    with pytest.raises(BadInput, match="endpoint"):
        read_answer(b"<html>", content_type)


def test_an_answer_is_never_unpickled() -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object))

    with pytest.raises(BadInput, match="x-npy"):
        read_answer(buffer.getvalue(), NPY)


def test_another_content_type_cannot_be_sent() -> None:
    with pytest.raises(BadInput, match="'text/csv' is none of application/x-npy, application/json"):
        as_body(MATRIX, "text/csv")


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=20))
def test_logarithms_and_probabilities_give_the_same(logits: list[float]) -> None:
    shifted = np.exp(np.array(logits) - max(logits))
    wanted = shifted / shifted.sum()

    from_logarithms = as_probabilities([np.log(wanted).tolist()])
    from_probabilities = as_probabilities(wanted)

    assert from_logarithms is not None
    np.testing.assert_allclose(from_logarithms, wanted)
    assert from_probabilities is not None
    np.testing.assert_allclose(from_probabilities, wanted)


def test_a_certain_class_has_logarithm_zero_and_the_others_minus_infinity() -> None:
    np.testing.assert_array_equal(as_probabilities([[0.0, -np.inf]]), [1.0, 0.0])


@pytest.mark.parametrize(
    "scores",
    [
        [2.0, -1.0],
        [0.2, 0.2],
        [-1.0, -1.0],
        [[0.5, 0.5], [0.5, 0.5]],
        [1.0],
        0.5,
        [np.nan, 1.0],
        [np.inf, 0],
        "a",
        {},
    ],
    ids=str,
)
def test_anything_else_is_no_probability(scores: Any) -> None:
    assert as_probabilities(scores) is None
