"""docs/fidelity.md says what the harness goes by, and names tests that there are."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from docs.fidelity import PAGE, departures, page

REPOSITORY = Path(__file__).parents[2]
DEPARTURES = [item for group in departures() for item in group["departure"]]
NAMED = sorted({test for item in DEPARTURES for test in item["tests"]})


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_page_is_the_one_that_is_generated() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


@pytest.mark.parametrize("test", NAMED)
def test_a_test_that_is_named_exists(test: str) -> None:
    path, _, name = test.partition("::")

    assert name.startswith("test_")
    assert name in functions_of(REPOSITORY / path)


def test_every_departure_is_held_by_a_test() -> None:
    assert [item["what"] for item in DEPARTURES if not item["tests"]] == []
