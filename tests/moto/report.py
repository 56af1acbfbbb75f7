"""What came of moto's tests: against what was expected, and as a page. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch
from typing import Any

INTRODUCTION = """\
# moto's own tests against the door

What the door answers itself of SageMaker, and S3 whose contents it keeps itself, are held to the tests of
[moto](https://github.com/getmoto/moto) as well. They are fetched with its source in the locked version, run in moto's
server mode, and are no part of this repository. Instances and jobs are stand-ins here that are ready at once; that real
ones are, other tests say.
"""


@dataclass(frozen=True)
class Outcome:
    """Of one test, all its parameters alike: ``status`` is passed, failed or skipped (by moto, in its server mode)."""

    file: str
    test: str
    status: str


def surprises(outcomes: Sequence[Outcome], not_applicable: Sequence[Mapping[str, Any]]) -> list[str]:
    """What came otherwise than it is written down."""
    known = {name for each in not_applicable for name in each["tests"]}
    failed = {f"{each.file}::{each.test}" for each in outcomes if each.status == "failed"}
    there = {f"{each.file}::{each.test}" for each in outcomes}
    wrong = [f"{name} failed" for name in sorted(failed) if not any(fnmatch(name, each) for each in known)]
    ran = [each for each in known if any(fnmatch(name, each) for name in there)]
    return wrong + [f"{each} is said not to apply, and passes" for each in sorted(ran) if not _any(failed, each)]


def page(outcomes: Sequence[Outcome], applicability: Mapping[str, Any], version: str, at: datetime) -> str:
    lines = [INTRODUCTION]
    lines += [f"`make moto-tests` on {at:%Y-%m-%d} with {version}:\n"]
    lines += ["| tests of | passed | do not apply | skipped by moto |", "|---|---|---|---|"]
    for each in applicability["files"]:
        mine = [outcome for outcome in outcomes if f"tests/{outcome.file}" in each["paths"]]
        counts = [str(sum(one.status == status for one in mine)) for status in ("passed", "failed", "skipped")]
        lines.append(f"| {each['about']} | {' | '.join(counts)} |")
    lines += ["", "In the fetched tests, before they run:\n"]
    lines += [f"- {each['why']}" for each in applicability["substitutions"]]
    lines += ["", "What does not apply, and why:\n"]
    for each in applicability["not_applicable"]:
        names = ", ".join(f"`{name.partition('::')[2]}`" for name in each["tests"])
        lines.append(f"- {each['why']}: {names}")
    return "\n".join(lines) + "\n"


def _any(names: set[str], pattern: str) -> bool:
    return any(fnmatch(name, pattern) for name in names)
