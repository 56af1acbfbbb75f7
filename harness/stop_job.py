"""`harness stop JOB`: end a training job that another process runs, or that lost its process."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import BadInput, DeadlineExpired
from harness.job import MetricDefinition
from harness.metrics import MetricReader
from harness.owner import Owner, start_time, this_process
from harness.record import RunRecord, read_description, write_json
from harness.run import Reporter, Run
from harness.status import read_history
from harness.training import end_training

if TYPE_CHECKING:
    from docker import DockerClient

_OWNER_FILE = "owner.json"
_NOTICE = 0.1  # seconds between two looks at a process that is ending


@dataclass(frozen=True)
class Ownership:
    """Who runs a job, and what its hosts in the engine are labelled with. ``grace`` is the run's own, in seconds."""

    owner: Owner
    run: str
    grace: float


def note_ownership(folder: Path, run: str, grace: float) -> None:
    """This process runs the job in ``folder`` and can be told by SIGTERM to stop it."""
    write_json(folder / _OWNER_FILE, asdict(Ownership(this_process(), run, grace)))


def read_ownership(folder: Path) -> Ownership:
    """Raises `BadInput` where nobody has noted it."""
    try:
        found = json.loads((folder / _OWNER_FILE).read_text())
        return Ownership(Owner(**found["owner"]), found["run"], found["grace"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder}: no harness command runs this job; stop it where it runs") from error


def job_called(name: str, runs: Path) -> Path | None:
    """The run folder of the job ``name``, or of the newest one for 'latest'."""
    folder = runs / name
    return folder.resolve() if name and name == Path(name).name != ".." and folder.is_dir() else None


def job_that_begins(name: str, runs: Path) -> Path | None:
    """The run folder of the only job whose name begins with ``name``. Raises `BadInput` where there are several."""
    found = sorted(path for path in runs.glob(f"{_literal(name)}*") if path.is_dir() and not path.is_symlink())
    if len(found) > 1:
        raise BadInput(f"{name!r} begins the names of {len(found)} runs: {', '.join(path.name for path in found[-5:])}")
    return found[0] if found else None


def stop_training_job(folder: Path, client: DockerClient, reporter: Reporter, grace: float | None) -> dict[str, Any]:
    """End the job in ``folder`` as StopTrainingJob does, wait until it is over, and return its description.

    ``grace`` None is the run's own; another one counts only where the process that ran the job is gone. A job that is
    over is left as it is.
    """
    described = read_description(folder)
    if _is_over(described):
        return described
    found = read_ownership(folder)
    if found.owner.machine != this_process().machine or found.owner.namespace != this_process().namespace:
        raise BadInput(f"{folder.name} is run on another machine or in another container; stop it there")
    if _lives(found.owner):
        with reporter.step(f"stopping {folder.name}"):
            os.kill(found.owner.pid, signal.SIGTERM)
            _wait_for_its_end(found.owner, found.grace)
        described = read_description(folder)
    if not _is_over(described):  # it was killed, then or now
        described = _end_abandoned(folder, found, client, reporter, found.grace if grace is None else grace)
    return described


def _is_over(described: Mapping[str, Any]) -> bool:
    return read_history(described["SecondaryStatusTransitions"]).is_over


def _lives(owner: Owner) -> bool:
    me = this_process()
    if owner.boot != me.boot:
        return False
    if owner.started == "-":  # a system without /proc: its number is all that is known
        try:
            os.kill(owner.pid, 0)
        except ProcessLookupError:
            return False
        return True
    return start_time(owner.pid) == owner.started and not _has_ended(owner.pid)


def _has_ended(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether a process is there only until whoever started it asks how it ended."""
    try:
        return (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _wait_for_its_end(owner: Owner, grace: float) -> None:
    end = time.monotonic() + grace + 600  # archives of large models take their time
    while _lives(owner):
        if time.monotonic() > end:
            raise DeadlineExpired(f"process {owner.pid} was told to stop its job {grace + 600:g} s ago and still runs")
        time.sleep(_NOTICE)


def _end_abandoned(
    folder: Path, found: Ownership, client: DockerClient, reporter: Reporter, grace: float
) -> dict[str, Any]:
    from harness.cluster import MadeHosts, hosts_of
    from harness.compose import Project

    reporter.note(f"the process that ran {folder.name} is gone; stopping its hosts")
    record = RunRecord.reopen(folder)
    cluster = MadeHosts(client, Project(found.run, folder.name))
    run = Run(hosts_of(client, found.run), cluster, record, MetricReader(_definitions(record.request)), reporter)
    end_training(run, grace=grace)
    return record.description


def _definitions(request: Mapping[str, Any]) -> list[MetricDefinition]:
    given = request.get("AlgorithmSpecification", {}).get("MetricDefinitions", [])
    return [MetricDefinition(item["Name"], item["Regex"]) for item in given]


def _literal(name: str) -> str:
    """``name`` without a meaning to `glob`."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
