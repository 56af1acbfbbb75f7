"""Measured numbers, their ratios, and the table of them. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

HEADINGS = ("what", "harness", "against", "its number", "ratio", "aim", "met")


@dataclass(frozen=True)
class Measured:
    """The repetitions of one number, or why there are none."""

    values: tuple[float, ...] = ()
    failure: str = ""

    @property
    def median(self) -> float | None:
        return statistics.median(self.values) if self.values else None

    def shown(self, unit: str) -> str:
        """``14.2 s (13.9 to 14.8)``: the median, and between what the repetitions were."""
        if self.median is None:
            return "failed" if self.failure else "-"
        spread = f" ({_number(min(self.values))} to {_number(max(self.values))})" if len(self.values) > 1 else ""
        return f"{_number(self.median)} {unit}{spread}" + (", then failed" if self.failure else "")


@dataclass(frozen=True)
class Aim:
    """What the ratio is to be: at most ``limit``, or at least."""

    limit: float
    at_least: bool = False

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"

    def met(self, ratio: float) -> bool:
        return ratio >= self.limit if self.at_least else ratio <= self.limit


@dataclass(frozen=True)
class Line:
    """One line of the table: our number against a peer's."""

    what: str
    unit: str
    ours: Measured
    against: str = ""
    peer: Measured = Measured()
    aim: Aim | None = None

    @property
    def ratio(self) -> float | None:
        ours, peer = self.ours.median, self.peer.median
        return None if ours is None or not peer else ours / peer

    def cells(self) -> tuple[str, ...]:
        verdict = "" if self.aim is None else "-" if self.ratio is None else "yes" if self.aim.met(self.ratio) else "no"
        return (
            self.what,
            self.ours.shown(self.unit),
            self.against or "-",
            self.peer.shown(self.unit),
            "-" if self.ratio is None else f"{self.ratio:.2f}",
            "" if self.aim is None else str(self.aim),
            verdict,
        )


def plain_table(lines: Iterable[Line]) -> str:
    """The table in columns, for a terminal."""
    rows = [HEADINGS, *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def markdown_table(lines: Iterable[Line]) -> str:
    rows = [HEADINGS, tuple("---" for _ in HEADINGS), *(line.cells() for line in lines)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def failures(lines: Iterable[Line]) -> list[tuple[str, str]]:
    """Who failed and with what last words, each once."""
    found: dict[tuple[str, str], None] = {}
    for line in lines:
        for who, measured in (("harness", line.ours), (line.against, line.peer)):
            if measured.failure:
                found[who, measured.failure] = None
    return list(found)


def document(lines: Sequence[Line], machine: Mapping[str, str], explanation: str) -> str:
    """The markdown page: when, how and on what it was measured, the table, and what failed."""
    parts = ["# Benchmarks", explanation.strip(), "\n".join(f"- {key}: {value}" for key, value in machine.items())]
    parts.append(markdown_table(lines))
    parts += [f"## {who} failed\n\n```\n{words.strip()}\n```" for who, words in failures(lines)]
    return "\n\n".join(parts) + "\n"


def _number(value: float) -> str:
    """Three digits that mean something: 0.25, 6.53, 14.2, 145, 7126."""
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"
