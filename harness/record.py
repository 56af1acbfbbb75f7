"""The record of one run: the folder runs/<TrainingJobName> with its logs and metrics and, on every change of status,
its describe.json.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.artifacts import Merge
from harness.describe import describe_training_job
from harness.errors import BadInput
from harness.host_log import HostLog
from harness.metrics import MetricReader, MetricValue
from harness.outcome import HostExit, Outcome
from harness.status import History, read_history

_HELD = "request.json"
_METRIC_COLUMNS = ("MetricName", "Timestamp", "Value", "Host")


class MetricsFile:
    """metrics.csv in ``folder``: complete at any moment, and gone on with where another process began it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "metrics.csv"
        self._lock = threading.Lock()
        self._there = self._read()
        if not self._there:
            self._append([_METRIC_COLUMNS])

    def add(self, values: Iterable[MetricValue]) -> None:
        """Append at once what is not there: who goes on with a record reads logs again from their beginning."""
        rows = [(v.name, v.timestamp.isoformat(timespec="microseconds"), v.value, v.host) for v in values]
        new = [row for row in rows if tuple(map(str, row)) not in self._there]
        if new:
            self._append(new)

    def _read(self) -> frozenset[tuple[str, ...]]:
        try:
            with self._path.open(newline="") as file:
                return frozenset(tuple(row) for row in csv.reader(file))
        except FileNotFoundError:
            return frozenset()

    def _append(self, rows: Iterable[tuple[object, ...]]) -> None:
        with self._lock, self._path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


class RunRecord:
    """Writes what a run leaves. ``folder`` must exist; ``request`` is the CreateTrainingJob request of the run.

    ``entered`` is told of each SecondaryStatus that the job enters, ``told`` of the description at every change.
    ``created`` is when the job was asked for, now unless given.
    """

    def __init__(
        self,
        folder: Path,
        request: Mapping[str, Any],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        entered: Callable[[str], object] = lambda _: None,
        told: Callable[[Mapping[str, Any]], object] = lambda _: None,
        created: datetime | None = None,
    ) -> None:
        self.folder = folder
        self.history = History()
        self.description: dict[str, Any] = {}
        self.merges: Mapping[str, Merge] = {}  # what was collected, by the name of the artifact
        self.model_artifacts: str | None = None  # where the model is, None while it is wherever it is in the folder
        self.request = request
        self._now = now
        self._entered = entered
        self._told = told
        self._created = created or now()
        (folder / "logs").mkdir(exist_ok=True)
        write_json(folder / _HELD, request)
        # Let go by the kernel when this process ends, however it does: `is_held` tells others.
        self._held: int | None = os.open(folder / _HELD, os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(self._held, fcntl.LOCK_EX)
        self._metrics = MetricsFile(folder)

    def host_log(self, host: str) -> HostLog:
        return HostLog(self.folder / "logs", host)

    def add_metrics(self, values: Iterable[MetricValue]) -> None:
        self._metrics.add(values)

    @property
    def compressed(self) -> bool:
        """Whether artifacts are archives, or plain folders (``OutputDataConfig.CompressionType`` NONE)."""
        return bool(self.request["OutputDataConfig"].get("CompressionType") != "NONE")

    @classmethod
    def reopen(cls, folder: Path) -> RunRecord:
        """Go on with the record that another process, which is gone, began in ``folder``. Raises `BadInput`."""
        described = read_description(folder)
        record = cls(folder, _read_json(folder / _HELD))
        record.history = read_history(described["SecondaryStatusTransitions"])
        record.description = described
        record._created = datetime.fromisoformat(described["CreationTime"])
        return record

    def move(self, secondary_status: str) -> None:
        """Enter ``secondary_status``. Raises `status.IllegalMove`."""
        # A job is Starting from the moment that it was asked for, also where it has waited for its turn.
        at = self._now() if self.history.transitions else self._created
        self.history = self.history.move(secondary_status, at)
        self._describe()
        self._entered(secondary_status)

    def progress(self) -> None:
        """Show the next message of this status. Raises `status.IllegalMove`."""
        self.history = self.history.progress(self._now())
        self._describe()

    def keep_attempt(self) -> None:
        """Move the logs of an attempt that was interrupted to ``logs/attempt-N``: new hosts write new ones.

        The platform does likewise: a log stream is named after its host and the time that it began at.
        """
        logs = self.folder / "logs"
        attempt = logs / f"attempt-{1 + sum(1 for _ in logs.glob('attempt-*'))}"
        attempt.mkdir()
        for path in [path for path in logs.iterdir() if not path.is_dir()]:
            path.rename(attempt / path.name)

    def finish(self, outcome: Outcome, metrics: MetricReader, exits: Sequence[HostExit] = ()) -> None:
        """Enter the final status with all that is known at the end; safe to repeat where it was disturbed."""
        if not self.history.is_over:
            self.history = self.history.move(outcome.ending, self._now())
        self._describe(outcome.failure_reason, metrics, exits)
        held, self._held = self._held, None
        if held is not None:
            os.close(held)

    def _describe(
        self,
        failure_reason: str | None = None,
        metrics: MetricReader | None = None,
        exits: Sequence[HostExit] = (),
    ) -> None:
        self.description = describe_training_job(
            self.request,
            self.history,
            self._created,
            failure_reason=failure_reason,
            metrics=metrics.latest.values() if metrics else (),
            model_artifacts=_local_model(self.folder) if self.model_artifacts is None else self.model_artifacts,
            exits=exits,
        )
        write_json(self.folder / "describe.json", self.description)
        self._told(self.description)


def is_held(folder: Path) -> bool:
    """Whether the process that records the run in ``folder`` is there, and the run not over."""
    with (folder / _HELD).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def read_description(folder: Path) -> dict[str, Any]:
    """describe.json of the run in ``folder``, as it is at this moment. Raises `BadInput` where there is none."""
    return _read_json(folder / "describe.json")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read, so this is not the folder of a run: {error}") from error
    return answer


def _local_model(folder: Path) -> str | None:
    """The URI of the model that a run has left in its own folder, None where it left none."""
    models = (folder / "model.tar.gz", folder / "model")
    return next((path.absolute().as_uri() for path in models if path.exists()), None)


def named_run_folder(runs: Path, training_job_name: str) -> Path:
    """A new folder for the run of a job that has its name; that of a job of this name before, now deleted, goes."""
    folder = runs / training_job_name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def make_run_folder(runs: Path, base_job_name: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Path:
    """A new folder ``runs/<TrainingJobName>``, and ``runs/latest`` pointing at it.

    The name is ``base_job_name`` with the time to the millisecond, as the SDK makes it (utils.py name_from_base).
    Two runs that start in the same millisecond get two names. Raises `BadInput` where the folder cannot be made.
    """
    while True:
        at = now()
        folder = runs / f"{base_job_name}-{at:%Y-%m-%d-%H-%M-%S}-{at.microsecond // 1000:03d}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise BadInput(f"{runs}: run folders cannot be made here: {error.strerror}") from error
        break
    try:
        point_at(runs / "latest", folder.name)
    except OSError as error:
        raise BadInput(f"{runs / 'latest'}: cannot be made a link to the newest run: {error.strerror}") from error
    return folder


def point_at(link: Path, target: str) -> None:
    """Make ``link`` point at ``target`` in one move, so that nobody ever finds it missing."""
    fresh = link.with_name(f".{link.name}-{target}")
    fresh.symlink_to(target)
    fresh.replace(link)


def json_text(document: Any) -> str:
    """JSON as the run's files and --json have it; times in ISO 8601."""
    return json.dumps(document, indent=2, default=lambda value: value.isoformat())


def write_json(path: Path, document: Any) -> None:
    """Write ``document`` in one move, so that no reader ever finds half of it."""
    part = path.with_name(path.name + ".part")
    part.write_text(json_text(document) + "\n")
    part.replace(path)
