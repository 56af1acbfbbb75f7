"""Durations as people write them."""

from __future__ import annotations

import pytest

from harness.duration import parse_duration
from harness.errors import BadInput


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500ms", 0.5), ("5s", 5.0), ("2m", 120.0), ("1.5h", 5400.0), ("7", 7.0), (" 3s ", 3.0), ("0s", 0.0)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, expected: float) -> None:
    assert parse_duration(text, "--grace") == expected


@pytest.mark.parametrize("text", ["", "s", "5 s", "-5s", "5x", "1e3", "five", "5s5s", "nan", "inf", "1.s"])
def test_anything_else_is_told_with_where_it_stands(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_duration(text, "--stop-after")

    assert refused.value.problems == (f"--stop-after: {text!r} is no duration, such as 500ms, 5s or 2m",)
