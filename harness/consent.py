"""Whether somebody agrees to what costs money."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.errors import BadInput


@dataclass(frozen=True)
class Terminal:
    """``ask`` puts a question to the person at the terminal; None where there is no person."""

    ask: Callable[[str], str] | None
    yes: bool = False

    def consent(self, question: str) -> None:
        """Raises `BadInput` unless somebody says yes, or has said so before."""
        if self.yes:
            return
        if self.ask is None:
            raise BadInput("this costs money, and there is no terminal to ask at: say YES=1 (--yes) to go on")
        if self.ask(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise BadInput("nothing was sent")

    def choose(self, question: str, otherwise: str) -> str:
        """The first letter of the answer, in lower case; ``otherwise`` where nobody gives one, or is interrupted."""
        if self.ask is None:
            return otherwise
        try:
            answer = self.ask(question)
        except (KeyboardInterrupt, EOFError):
            return otherwise
        return answer.strip().lower()[:1] or otherwise
