"""`python -m benchmarks.reliability`: every fault at every moment, and what became of the job; docs/reliability.md.

Each cell is a job of its own on real hosts. What is held of every cell: no job is Completed that has lost something,
none hangs, the reason names the host, nothing is left in the engine, and the user's files are as they were.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
    "memory kill": faults.MemoryLimit("algo-2", 64),
}
FATAL = ("kill leader", "kill follower", "partition", "full disk", "memory kill")
VERDICT_SECONDS = 60.0
_PATIENCE = 240.0


@dataclass(frozen=True)
class Cell:
    """One job and what is done to it."""

    hosts: int
    controller: str
    moment: str
    fault: str

    @property
    def is_fatal(self) -> bool:
        """Whether the job cannot end well: once its hosts have ended, nothing that happens to them matters."""
        return self.fault in FATAL and self.moment != "last upload"

    @property
    def culprit(self) -> str:
        return "algo-1" if self.fault == "kill leader" else "algo-2"


@dataclass(frozen=True)
class Seen:
    """What became of a cell's job; ``seconds`` are from the fault to the verdict."""

    cell: Cell
    status: str
    reason: str
    seconds: float
    wrong: tuple[str, ...]


def cells(hosts: Sequence[int] = HOSTS, controllers: Sequence[str] = CONTROLLERS) -> Iterator[Cell]:
    for count, controller, moment, fault in product(hosts, controllers, MOMENTS, FAULTS):
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
        wrong = (*judge(cell, result, seconds), *self._left_over(job.name), *self._touched(before))
        return Seen(cell, result.status, result.failure_reason, seconds, wrong)

    def _left_over(self, name: str) -> Iterator[str]:
        found = self._client.containers.list(all=True, filters={"label": f"{labels.JOB}={name}"}, ignore_removed=True)
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


def table(seen: Sequence[Seen]) -> str:
    lines = [
        "| hosts | over | at | fault | status | reason | s until the verdict | wrong |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in seen:
        cell = each.cell
        reason = " ".join(each.reason.split()).replace("|", "\\|")
        short = reason if len(reason) <= 120 else f"{reason[:119]}…"
        lines.append(
            f"| {cell.hosts} | {cell.controller} | {cell.moment} | {cell.fault} | {each.status} | {short} | "
            f"{each.seconds:.0f} | {'; '.join(each.wrong) or 'nothing'} |"
        )
    return "\n".join(lines)


def page(seen: Sequence[Seen], command: str) -> str:
    good = sum(not each.wrong for each in seen)
    return f"""# Reliability

What becomes of a two-host and a four-host job when something happens to a host. Each row is a job of its own, on real
hosts, with a real fault. What must hold: never a false Completed, never a hang (a verdict within
{VERDICT_SECONDS:.0f} s of a fatal fault), the reason names the host, nothing is left in the engine, the user's files
are untouched. Once all hosts have ended ('last upload'), nothing that happens to them matters any more.

- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC
- command: `{command}`
- as it must be: {good} of {len(seen)}

{table(seen)}
"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--hosts", type=int, multiple=True, default=HOSTS, show_default=True)
@click.option("--controller", type=click.Choice(CONTROLLERS), multiple=True, default=CONTROLLERS, show_default=True)
@click.option("--write", type=click.Path(path_type=Path), help="Also write the table as this markdown page.")
def main(hosts: tuple[int, ...], controller: tuple[str, ...], write: Path | None) -> None:
    """Run the whole matrix, 20 to 40 minutes; exit code 1 when a cell is not as it must be."""
    from harness.engine import ensure_engine

    seen: list[Seen] = []
    chosen = [f"--hosts={count}" for count in hosts] + [f"--controller={name}" for name in controller]
    command = shlex.join(["python", "-m", "benchmarks.reliability", *chosen])
    with tempfile.TemporaryDirectory(prefix="harness-reliability-", ignore_cleanup_errors=True) as temporary:
        lab = Lab(Path(temporary), ensure_engine(Steps()))
        for cell in cells(hosts, controller):
            seen.append(lab.run(cell))
            click.echo(table(seen[-1:]).splitlines()[-1])
            if write:
                write.write_text(page(seen, command))
    sys.exit(1 if any(each.wrong for each in seen) else 0)


if __name__ == "__main__":
    main()
