"""--hp on the command line."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cli_options import parse_hyperparameters
from harness.errors import BadInput


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), {}),
        (("epochs=1 lr=0.02",), {"epochs": 1, "lr": 0.02}),
        (("epochs=1", "backend=gloo"), {"epochs": 1, "backend": "gloo"}),
        (("flag=true", "none=null"), {"flag": True, "none": None}),
        (("name=a=b",), {"name": "a=b"}),
        (("name=",), {"name": ""}),
        (("'name=a b' batch-size=64",), {"name": "a b", "batch-size": 64}),
        (("""layers='[1, 2]'""",), {"layers": [1, 2]}),
        (("text='\"7\"'",), {"text": "7"}),
        (("a=1 a=2",), {"a": 2}),
        (("",), {}),
    ],
)
def test_values_are_json_where_they_can_be_and_text_where_not(given: tuple[str, ...], expected: dict[str, Any]) -> None:
    assert parse_hyperparameters(given) == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("epochs", "--hp 'epochs': not of the form key=value"),
        ("=1", "--hp '=1': not of the form key=value"),
        ("epochs = 1", "--hp 'epochs': not of the form key=value"),
        ("a='b", '--hp "a=\'b": No closing quotation'),
    ],
)
def test_what_is_no_hyperparameter_is_refused_by_name(text: str, line: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_hyperparameters((text,))

    assert caught.value.problems == (line,)
