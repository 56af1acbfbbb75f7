"""Writes docs/fidelity.md out of what the harness itself goes by: ``python -m docs.fidelity``, or ``make docs``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from harness.differences import OF_THE_TOOLKITS
from harness.not_played import NOT_PLAYED
from harness.request_fields import FIELDS
from harness.unverified import CHOICES

DOCS = Path(__file__).parent
PAGE = DOCS / "fidelity.md"

INTRODUCTION = """\
# What is emulated, and how

Made by `make docs` out of what the receipt of every run goes by (`request_fields.py`, `not_played.py`, `unverified.py`
and `differences.py` of `harness/`), of `docs/differences.toml` and of `docs/departures.toml`: change those, not this
page.
"""


def page() -> str:
    return "\n".join(
        [INTRODUCTION, *_fields(), *_arguments(), *_choices(), *_differences(), *_of_the_toolkits(), *_departures()]
    )


def departures() -> list[dict[str, Any]]:
    """Groups of ``title`` and ``departure``, each of ``what`` and ``tests`` (``path::name``)."""
    groups: list[dict[str, Any]] = tomllib.loads((DOCS / "departures.toml").read_text(encoding="utf-8"))["group"]
    return groups


def _fields() -> Iterator[str]:
    yield "## The request, field by field\n"
    yield (
        "Every member of CreateTrainingJob, as dotted paths; lists are left out of them. `receipt.json` says the same "
        "of the\nfields that a run's own request has.\n"
    )
    rows = ((f"`{name}`", entry.status, entry.here, entry.cloud) for name, entry in FIELDS.items())
    yield table(("field", "status", "here", "in the cloud"), rows)


def _arguments() -> Iterator[str]:
    yield "## Arguments of the SDK that are refused\n"
    yield "A job file with one of them does not run, unless `--lenient` goes on without it; the receipt tells.\n"
    yield table(("argument", "why"), ((f"`{name}`", argument.why) for name, argument in NOT_PLAYED.items()))


def _choices() -> Iterator[str]:
    yield "## What AWS's documents leave open\n"
    yield "Each receipt names those that its run depends on, as `NotVerified`.\n"
    yield table(("about", "left open", "chosen"), ((choice.key, choice.left_open, choice.chosen) for choice in CHOICES))


def _differences() -> Iterator[str]:
    yield "## Other differences that are known\n"
    found = tomllib.loads((DOCS / "differences.toml").read_text(encoding="utf-8"))["difference"]
    yield table(("topic", "the cloud", "here"), ((item["topic"], item["cloud"], item["here"]) for item in found))


def _of_the_toolkits() -> Iterator[str]:
    yield "## What the script finds\n"
    yield (
        "The variables, arguments and folder of a script that runs alone on its host are those that AWS's released "
        "toolkits\ngive it: the same jobs, some six hundred of them generated, are put to both "
        "(`tests/docker/test_toolkit_parity.py`). A\njob that ends the toolkit itself, such as one with a "
        "hyperparameter called `a=b`, fails here too. Known to differ:\n"
    )
    rows = ((item.topic, item.cloud, f"{item.here}: {item.why}") for item in OF_THE_TOOLKITS)
    yield table(("topic", "the cloud", "here"), rows)


def _departures() -> Iterator[str]:
    yield "## What the SDK's local mode does otherwise than the platform, and the tests that the harness does not\n"
    yield "Observed of SageMaker SDK 2.257 and 3.27.\n"
    for group in departures():
        yield f"### {group['title']}\n"
        yield table(
            ("local mode", "test"),
            ((item["what"], _tests(item)) for item in group["departure"]),
        )


def _tests(departure: dict[str, Any]) -> str:
    links = [link(test) for test in departure["tests"]]
    if departure.get("pending"):
        links.append(f"to come: {len(departure['pending'])}")
    return "<br>".join(links)


def link(test: str) -> str:
    path, _, name = test.partition("::")
    return f"[{name.removeprefix('test_').replace('_', ' ')}](../{path})"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
