"""What a job on AWS leaves in its run folder: the same files as a local run, and cloud.json, which says where it is."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.engine_log import Line
from harness.errors import BadInput
from harness.host_log import HostLog
from harness.metrics import MetricReader
from harness.record import MetricsFile, write_json

CLOUD = "cloud.json"
SENDING, SENT, REFUSED = "sending", "sent", "refused"
FINAL = ("Completed", "Failed", "Stopped")


@dataclass(frozen=True)
class CloudRun:
    """Where a run is, and what it costs; ``state`` is 'sending' until it is known whether AWS has taken the job.

    ``endpoint_name``, ``model_name`` are of what was deployed from it and is not removed.
    """

    training_job_name: str
    region: str
    job_file: str
    state: str = SENDING
    per_hour: float | None = None
    endpoint_name: str | None = None
    model_name: str | None = None
    endpoint_per_hour: float | None = None
    error: str | None = None


def write_run(folder: Path, run: CloudRun) -> None:
    write_json(folder / CLOUD, asdict(run))


def read_run(folder: Path) -> CloudRun | None:
    """None for a folder that is no run on AWS."""
    try:
        return CloudRun(**json.loads((folder / CLOUD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def change_run(folder: Path, **changes: Any) -> CloudRun:
    run = read_run(folder)
    if run is None:
        raise BadInput(f"{folder}: no run that went to AWS")
    changed = replace(run, **changes)
    write_run(folder, changed)
    return changed


def cloud_runs(runs: Path) -> Iterator[tuple[Path, CloudRun]]:
    """The newest first."""
    for path in sorted(runs.glob(f"*/{CLOUD}"), key=lambda path: path.parent.name, reverse=True):
        run = None if path.parent.is_symlink() else read_run(path.parent)
        if run:
            yield path.parent, run


def find_run(runs: Path, name: str | None) -> tuple[Path, CloudRun]:
    """The run ``name``, or the newest that went to AWS. Raises `BadInput`."""
    for folder, run in cloud_runs(runs):
        if name in (None, run.training_job_name):
            return folder, run
    raise BadInput(
        f"no run {name!r} in {str(runs)!r} went to AWS" if name else f"no run in {str(runs)!r} went to AWS yet"
    )


def read_status(folder: Path) -> str:
    try:
        return str(json.loads((folder / "describe.json").read_text(encoding="utf-8"))["TrainingJobStatus"])
    except (OSError, ValueError, KeyError):
        return "InProgress"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Say, for as long as the block and this process last, that the run in ``folder`` is on its way to AWS."""
    place = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def is_held(folder: Path) -> bool:
    place = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(place, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(place)
    return False


class CloudRecord:
    """Writes a run folder while its job is watched; a context manager. Logs are written anew, from their beginning.

    While it is open, request.json is held: `harness logs --follow` goes on for as long.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._logs: dict[str, HostLog] = {}
        self._stack = ExitStack()

    def __enter__(self) -> CloudRecord:
        held = os.open(self.folder / "request.json", os.O_RDWR | os.O_CLOEXEC)
        self._stack.callback(os.close, held)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._stack.close()
            raise BadInput(
                f"{self.folder.name} is being watched by another command; harness logs --follow looks on"
            ) from error
        (self.folder / "logs").mkdir(exist_ok=True)
        for stale in (self.folder / "logs").glob("algo-*"):
            stale.unlink()
        self._metrics = MetricsFile(self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def lines(self, host: str, lines: Sequence[Line], metrics: MetricReader) -> None:
        if host not in self._logs:
            self._logs[host] = self._stack.enter_context(HostLog(self.folder / "logs", host))
        self._logs[host].write(lines)
        self._metrics.add(metrics.read(host, lines))

    def describe(self, description: Mapping[str, Any]) -> None:
        write_json(self.folder / "describe.json", description)
