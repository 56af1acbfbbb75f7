"""Hyperparameters as the toolkit reads them and hands them to the script."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.hyperparameters import command_line_arguments, read_hyperparameters, user_hyperparameters
from tests.generated_jobs import FINITE_VALUES, TEXTS


@pytest.mark.parametrize(
    ("value", "argument"),
    [
        ("gloo", "gloo"),
        (True, "True"),
        (None, ""),
        ([1, 2], "[1, 2]"),
        ({"b": [1, 2], "a": 1}, "a=1,b=[1, 2]"),
        (0.5, "0.5"),
    ],
)
def test_an_argument_is_the_python_text_of_its_value(value: object, argument: str) -> None:
    assert command_line_arguments({"key": value}) == ["--key", argument]


def test_arguments_are_sorted_by_key_and_a_single_letter_gets_one_hyphen() -> None:
    assert command_line_arguments({"lr": 0.1, "e": 3, "batch-size": 64}) == [
        "--batch-size",
        "64",
        "-e",
        "3",
        "--lr",
        "0.1",
    ]


@pytest.mark.parametrize(
    ("raw", "value"), [('"gloo"', "gloo"), ("gloo", "gloo"), ("6", 6), ("true", True), ("null", None), ("", ""), (7, 7)]
)
def test_a_hyperparameter_is_read_as_json_where_it_is_json(raw: object, value: object) -> None:
    assert read_hyperparameters({"x": raw}) == {"x": value}


@given(st.dictionaries(TEXTS, FINITE_VALUES, max_size=5))
def test_hyperparameters_come_back_from_their_encoding_as_they_were(values: dict[str, Any]) -> None:
    encoded = {key: json.dumps(value) for key, value in values.items()}

    assert read_hyperparameters(encoded) == values


@given(st.dictionaries(st.text(min_size=1), FINITE_VALUES, max_size=5))
def test_every_user_hyperparameter_is_one_flag_and_one_argument(values: dict[str, Any]) -> None:
    user = user_hyperparameters(values)

    arguments = command_line_arguments(values)

    assert [flag.lstrip("-") for flag in arguments[::2]] == [key.lstrip("-") for key in sorted(user)]
    assert len(arguments) == 2 * len(user)
    assert all(isinstance(argument, str) for argument in arguments)
