"""`python -m benchmarks.reliability`: every fault at every moment, and what became of the job; docs/reliability.md.

Each cell is a job of its own on real hosts. The matrix can be run in parts: rows of the page that are not run anew stay
as they are, each with its own time. What is held of every cell: no job is Completed that has lost something,
none hangs, the reason names the host, nothing is left in the engine, and the user's files are as they were.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.jobs import toml
from harness import faults, labels
from harness.faults import AfterLog, AfterSeconds, AtStatus, Fault, Moment, Timed
from harness.results import JobResult
from harness.running_job import JobsOfTest
from harness.steps import Steps

if TYPE_CHECKING:
    from docker import DockerClient

HOSTS, CONTROLLERS = (2, 4), ("gloo", "mpi")
MOMENTS: dict[str, Moment] = {
    "start-up": AfterSeconds(0.0),
    "mid-epoch": AfterLog("epoch 1 of rank 0"),
    "last upload": AtStatus("Uploading"),
}
FAULTS: dict[str, Fault] = {
    "kill leader": faults.KillHost("algo-1"),
    "kill follower": faults.KillHost("algo-2"),
    "partition": faults.Partition(("algo-2",)),
    "200 ms latency": faults.Delay("algo-2", 0.2),
    "5 % loss": faults.Loss("algo-2", 5),
    "pause 10 s": faults.Pause("algo-2", 10),
    "full disk": faults.FullDisk("algo-2"),
    "slow disk": faults.SlowDisk("algo-2", 256),
    "memory kill": faults.MemoryLimit("algo-2", 64),
}
FATAL = ("kill leader", "kill follower", "partition", "full disk", "memory kill")
VERDICT_SECONDS = 60.0
_PATIENCE = 240.0
_HEADINGS = (
    "hosts",
    "over",
    "at",
    "fault",
    "status",
    "reason",
    "s until the verdict",
    "wrong",
    "run at (UTC)",
    "load",
)
_KEY, _WRONG, _WHEN, _LOAD = slice(0, 4), 7, 8, 9  # columns
_REASON = 120  # letters of it that are shown
Row = tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """One job and what is done to it."""

    hosts: int
    controller: str
    moment: str
    fault: str

    @property
    def key(self) -> Row:
        """What tells its row from others."""
        return str(self.hosts), self.controller, self.moment, self.fault

    @property
    def is_fatal(self) -> bool:
        """Whether the job cannot end well: once its hosts have ended, nothing that happens to them matters."""
        return self.fault in FATAL and self.moment != "last upload"

    @property
    def culprit(self) -> str:
        return "algo-1" if self.fault == "kill leader" else "algo-2"


@dataclass(frozen=True)
class Seen:
    """What became of a cell's job; ``seconds`` are from the fault to the verdict.

    ``load`` is the machine's load average of the minute before the verdict, which the job's own part of is about 2.
    """

    cell: Cell
    status: str
    reason: str
    seconds: float
    wrong: tuple[str, ...]
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    def row(self) -> Row:
        """As a row of the page's table."""
        reason = " ".join(self.reason.split()).replace("|", "\\|")
        return (
            *self.cell.key,
            self.status,
            reason if len(reason) <= _REASON else f"{reason[: _REASON - 1]}…",
            f"{self.seconds:.0f}",
            "; ".join(self.wrong) or "nothing",
            f"{self.at:%Y-%m-%d %H:%M}",
            f"{self.load:.0f}",
        )


def cells(
    hosts: Sequence[int] = HOSTS, controllers: Sequence[str] = CONTROLLERS, chosen: Sequence[str] = tuple(FAULTS)
) -> Iterator[Cell]:
    for count, controller, moment, fault in product(hosts, controllers, MOMENTS, chosen):
        yield Cell(count, controller, moment, fault)


class Lab:
    """A folder with the job, and the engine to look for left-overs in."""

    def __init__(self, folder: Path, client: DockerClient) -> None:
        self._folder = folder
        self._client = client
        self._job = folder / "job.toml"
        (folder / "code").mkdir()
        (folder / "data").mkdir()
        shutil.copy(Path(__file__).with_name("reliability_job.py"), folder / "code")
        (folder / "data" / "numbers").write_text("1 2 3")
        training = {
            "base_job_name": f"reliability-{folder.name[-6:].lower().strip('_')}",
            "entry_point": "reliability_job.py",
            "source_dir": "code",
            "instance_type": "ml.m5.large",
            "instance_count": 2,
            "inputs": {"training": "data"},
            "distribution": {"mpi": {"enabled": True, "processes_per_host": 1}},
        }
        self._job.write_text(toml({"training": training}))

    def run(self, cell: Cell) -> Seen:
        """Run the job of ``cell`` and judge what became of it."""
        before = self._digest()
        with JobsOfTest(runs=self._folder / "runs", launcher=cell.controller, retain=False, hosts=cell.hosts) as jobs:
            job = jobs.start(self._job)
            job.add(Timed(FAULTS[cell.fault], MOMENTS[cell.moment]))
            try:
                result = job.wait(_PATIENCE)
            except AssertionError:
                return Seen(cell, "none", "", _PATIENCE, ("it hangs",))
            except Exception as error:  # the matrix goes on, and shows it
                return Seen(cell, "none", "", 0.0, (f"the harness failed: {error}",))
            seconds = time.monotonic() - job.fired[0][1] if job.fired else 0.0
        undone = () if cell.moment == "last upload" else job.close()
        wrong = (*judge(cell, result, seconds), *undone, *self._left_over(job.name), *self._touched(before))
        return Seen(cell, result.status, result.failure_reason, seconds, wrong)

    def _left_over(self, name: str) -> Iterator[str]:
        chosen = {"label": f"{labels.JOB}={name}"}
        found = [
            *self._client.containers.list(all=True, filters=chosen, ignore_removed=True),
            *self._client.networks.list(filters=chosen),
            *self._client.volumes.list(filters=chosen),
        ]
        if found:
            yield f"left in the engine: {', '.join(str(item.name) for item in found)}"

    def _touched(self, before: str) -> Iterator[str]:
        if self._digest() != before:
            yield "the user's files have changed"

    def _digest(self) -> str:
        files = sorted(path for part in ("code", "data") for path in (self._folder / part).rglob("*") if path.is_file())
        return hashlib.sha256(b"".join(str(path).encode() + path.read_bytes() for path in files)).hexdigest()


def judge(cell: Cell, result: JobResult, seconds: float) -> Iterator[str]:
    """What is not as it must be, a line each."""
    if cell.is_fatal and result.completed:
        yield "falsely Completed"
    if not cell.is_fatal and not result.completed:
        yield f"{result.status}, though nothing fatal happened"
    if cell.is_fatal and not result.completed and cell.culprit not in result.failure_reason:
        yield f"the reason does not name {cell.culprit}"
    if cell.is_fatal and seconds > VERDICT_SECONDS:
        yield f"the verdict took {seconds:.0f} s"


def line(row: Row) -> str:
    return f"| {' | '.join(row)} |"


def rows_of(text: str) -> dict[Row, Row]:
    """The rows of a page's table, each under what tells it from others."""
    lines = (line.strip("|\n ") for line in text.splitlines() if line.startswith("| "))
    rows = (tuple(part.strip() for part in re.split(r"(?<!\\)\|", line)) for line in lines)
    known = {cell.key for cell in cells()}
    return {row[_KEY]: row for row in rows if len(row) == len(_HEADINGS) and row[_KEY] in known}


def page(rows: Mapping[Row, Row]) -> str:
    """docs/reliability.md, with ``rows`` in the order of the matrix."""
    shown = [rows[cell.key] for cell in cells() if cell.key in rows]
    times, loads = sorted(row[_WHEN] for row in shown), sorted(int(row[_LOAD]) for row in shown)
    good = sum(row[_WRONG] == "nothing" for row in shown)
    return f"""# Reliability

What becomes of a two-host and a four-host job when something happens to a host. Each row is a job of its own, on real
hosts, with a real fault. What must hold: never a false Completed, never a hang (a verdict within
{VERDICT_SECONDS:.0f} s of a fatal fault), the reason names the host, nothing is left in the engine, the user's files
are untouched. Once all hosts have ended ('last upload'), nothing that happens to them matters any more, and most of it
cannot be done: the run says so, and goes on.

- command: `make reliability`; some of the rows, with the others left as they are:
  `python -m benchmarks.reliability --write docs/reliability.md --hosts 2 --fault partition`
- run: {times[0]} to {times[-1]} UTC; each row says when
- machine: {os.cpu_count()} cores, not for this alone; the last column is the load average at the verdict,
  {loads[0]} to {loads[-1]}
- as it must be: {good} of {len(shown)}, of {len(list(cells()))} in all

{line(_HEADINGS)}
|{"---|" * len(_HEADINGS)}
""" + "".join(f"{line(row)}\n" for row in shown)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--hosts", type=int, multiple=True, default=HOSTS, show_default=True)
@click.option("--controller", type=click.Choice(CONTROLLERS), multiple=True, default=CONTROLLERS, show_default=True)
@click.option("--fault", type=click.Choice(list(FAULTS)), multiple=True, default=list(FAULTS), help="default: all")
@click.option("--write", type=click.Path(path_type=Path), help="Also put the rows into the table of this page.")
def main(hosts: tuple[int, ...], controller: tuple[str, ...], fault: tuple[str, ...], write: Path | None) -> None:
    """Run the matrix or a part of it, about 20 s a row; exit code 1 when a row is not as it must be."""
    from harness.engine import ensure_engine

    all_good = True
    with tempfile.TemporaryDirectory(prefix="harness-reliability-", ignore_cleanup_errors=True) as temporary:
        lab = Lab(Path(temporary), ensure_engine(Steps()))
        for cell in cells(hosts, controller, fault):
            seen = lab.run(cell)
            all_good = all_good and not seen.wrong
            click.echo(line(seen.row()))
            if write:
                kept = rows_of(write.read_text()) if write.exists() else {}
                write.write_text(page({**kept, cell.key: seen.row()}))
    sys.exit(0 if all_good else 1)


if __name__ == "__main__":
    main()
