"""Nothing that costs money is started unless somebody said yes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.consent import Terminal
from harness.errors import BadInput


def answering(text: str) -> Callable[[str], str]:
    return lambda _: text


@pytest.mark.parametrize("answer", ["y\n", "Yes\n", " YES "])
def test_a_yes_at_the_terminal_is_consent(answer: str) -> None:
    Terminal(answering(answer)).consent("Start?")


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "yeah, no\n"])
def test_anything_else_is_not(answer: str) -> None:
    with pytest.raises(BadInput, match="nothing was sent"):
        Terminal(answering(answer)).consent("Start?")


def test_who_said_yes_before_is_not_asked() -> None:
    asked: list[str] = []

    Terminal(lambda question: asked.append(question) or "n", yes=True).consent("Start?")

    assert asked == []


def test_without_a_terminal_it_must_be_said_before() -> None:
    with pytest.raises(BadInput, match=r"YES=1 \(--yes\)"):
        Terminal(None).consent("Start?")
