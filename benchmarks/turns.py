"""Several ways to do one thing, measured in turns, so that all of them see the same machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.results import Measured
from harness.errors import HarnessError


@dataclass(frozen=True)
class Way:
    """``measure`` returns its numbers, always as many, or raises `HarnessError` or ValueError when it failed."""

    name: str
    measure: Callable[[], tuple[float, ...]]
    repetitions: int


@dataclass
class Taken:
    """The numbers of each repetition, and the failure that ended them."""

    repetitions: list[tuple[float, ...]] = field(default_factory=list)
    failure: str = ""

    def measured(self, index: int = 0) -> Measured:
        """The number at ``index`` of every repetition."""
        return Measured(tuple(numbers[index] for numbers in self.repetitions), self.failure)


def take_turns(ways: Sequence[Way], announce: Callable[[str], object] = lambda _: None) -> dict[str, Taken]:
    """A, B, A, B, … until each has had its repetitions; one that fails is not tried again, the others go on."""
    taken = {way.name: Taken() for way in ways}
    for turn in range(max(way.repetitions for way in ways)):
        for way in ways:
            mine = taken[way.name]
            if turn >= way.repetitions or mine.failure:
                continue
            announce(f"{way.name}, {turn + 1} of {way.repetitions}")
            try:
                mine.repetitions.append(way.measure())
            except (HarnessError, ValueError) as error:
                mine.failure = str(error) or repr(error)
    return taken
