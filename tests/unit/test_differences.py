"""The documents tell every known difference to AWS's toolkits, and only those."""

from __future__ import annotations

from pathlib import Path

from harness.differences import OF_THE_TOOLKITS

PAGE = Path(__file__).parents[2] / "docs" / "differences.md"


def test_the_page_of_differences_has_a_row_for_each() -> None:
    table = PAGE.read_text().partition("## What the script finds")[2]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| topic")]

    assert rows == [f"| {each.topic} | {each.cloud} | {each.here}: {each.why} |" for each in OF_THE_TOOLKITS]
