"""docs/testing-reference.md says what the docstrings say."""

from __future__ import annotations

from docs.testing_reference import PAGE, page


def test_the_page_is_what_the_docstrings_make() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_everything_on_the_page_is_documented() -> None:
    undocumented = [line for line in page().splitlines() if line.startswith("| `") and line.endswith("|  |")]

    assert undocumented == []
