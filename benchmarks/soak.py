"""`python -m benchmarks.soak`: the docker tier again and again, for what only now and then goes wrong.

Each run is a row: what came of it, how long it took, how many hosts it started. With `--cold` no job gets the hosts
of an earlier one, to compare.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import click

from benchmarks.jobs import ROOT

TIER = ("-n", "2", "tests/docker", "examples")
_LAST = re.compile(r"^=*\s*(\d+ (?:passed|failed|error)[^=\n]*?) in [\d.]+s", re.MULTILINE)
_HOSTS = re.compile(r"^harness: (\d+) hosts? started(?:, (\d+) jobs? on warm hosts)?$", re.MULTILINE)
_RED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Summary:
    """What pytest said at its end: counts as it words them, hosts started, jobs on warm hosts, and red tests."""

    outcome: str
    hosts: int
    warm: int
    red: tuple[str, ...]


def summary(output: str) -> Summary:
    """The end of a run of pytest with the plugin; an outcome of "" where it did not come to its end."""
    ends, hosts = _LAST.findall(output), _HOSTS.search(output)
    started, warm = (int(number or 0) for number in hosts.groups()) if hosts else (0, 0)
    return Summary(ends[-1] if ends else "", started, warm, tuple(_RED.findall(output)))


def _row(number: int, *, cold: bool) -> tuple[str, bool]:
    """One run of the tier as a row of the table, and whether it was green. Its output is kept where it was not."""
    began, load, clock = datetime.now(UTC), os.getloadavg()[0], time.monotonic()
    argv = [sys.executable, "-m", "pytest", *TIER, *(("--harness-cold",) if cold else ())]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    minutes, seconds = divmod(round(time.monotonic() - clock), 60)
    found = summary(done.stdout)
    if done.returncode:
        path = ROOT / "runs" / f"soak-{began:%m-%d-%H-%M}.log"
        path.parent.mkdir(exist_ok=True)
        path.write_text(done.stdout)
        click.echo(
            f"run {number} was red, its output is {str(path)!r}: {', '.join(found.red) or 'see there'}", err=True
        )
    cells = (
        str(number),
        "cold" if cold else "warm",
        f"{began:%m-%d %H:%M}",
        f"{load:.1f}",
        found.outcome or f"ended with {done.returncode}",
        f"{minutes} min {seconds:02} s",
        str(found.hosts),
        str(found.warm),
    )
    return f"| {' | '.join(cells)} |", done.returncode == 0


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--times", type=click.IntRange(1), default=10, show_default=True)
@click.option("--cold", is_flag=True, help="With --harness-cold: hosts of its own for every job.")
def main(times: int, *, cold: bool) -> None:
    """Run `pytest -n 2 tests/docker examples` so many times. Exit code 1 where one run was red; it goes on after it."""
    click.echo("| run | hosts | began (UTC) | load before | outcome | wall time | hosts started | jobs on warm hosts |")
    click.echo("| --- | --- | --- | --- | --- | --- | --- | --- |")
    green = 0
    for number in range(1, times + 1):
        row, was_green = _row(number, cold=cold)
        green += was_green
        click.echo(row)
    sys.exit(0 if green == times else 1)


if __name__ == "__main__":
    main()
