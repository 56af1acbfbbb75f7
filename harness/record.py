"""The record of one run: the folder runs/<TrainingJobName> with its logs and metrics and, on every change of status,
its describe.json.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.describe import describe_training_job
from harness.errors import BadInput
from harness.host_log import HostLog
from harness.metrics import MetricReader, MetricValue
from harness.outcome import Outcome
from harness.status import History

_HELD = "request.json"
_METRIC_COLUMNS = ("MetricName", "Timestamp", "Value", "Host")


class RunRecord:
    """Writes what a run leaves. ``folder`` must exist; ``request`` is the CreateTrainingJob request of the run."""

    def __init__(
        self, folder: Path, request: Mapping[str, Any], now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.folder = folder
        self.history = History()
        self.description: dict[str, Any] = {}
        self.clashes: dict[str, list[str]] = {}  # by archive, the names that several hosts wrote
        self._request = request
        self._now = now
        self._created = now()
        self._metrics_file = threading.Lock()
        (folder / "logs").mkdir(exist_ok=True)
        write_json(folder / _HELD, request)
        # Let go by the kernel when this process ends, however it does: `is_held` tells others.
        self._held = os.open(folder / _HELD, os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(self._held, fcntl.LOCK_EX)
        self._append_metrics([_METRIC_COLUMNS])

    def host_log(self, host: str) -> HostLog:
        return HostLog(self.folder / "logs", host)

    def add_metrics(self, values: Iterable[MetricValue]) -> None:
        """Append to metrics.csv, at once: it is complete at any moment."""
        rows = [(v.name, v.timestamp.isoformat(timespec="microseconds"), v.value, v.host) for v in values]
        if rows:
            self._append_metrics(rows)

    def _append_metrics(self, rows: Iterable[tuple[object, ...]]) -> None:
        with self._metrics_file, (self.folder / "metrics.csv").open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    def move(self, secondary_status: str) -> None:
        """Enter ``secondary_status``. Raises `status.IllegalMove`."""
        self.history = self.history.move(secondary_status, self._now())
        self._describe(None, None)

    def finish(self, outcome: Outcome, metrics: MetricReader) -> None:
        """Enter the final status with all that is known at the end."""
        self.history = self.history.move(outcome.ending, self._now())
        self._describe(outcome.failure_reason, metrics)
        os.close(self._held)

    def _describe(self, failure_reason: str | None, metrics: MetricReader | None) -> None:
        model = self.folder / "model.tar.gz"
        self.description = describe_training_job(
            self._request,
            self.history,
            self._created,
            failure_reason=failure_reason,
            metrics=metrics.latest.values() if metrics else (),
            model_artifacts=model.absolute().as_uri() if model.exists() else None,
        )
        write_json(self.folder / "describe.json", self.description)


def is_held(folder: Path) -> bool:
    """Whether the process that records the run in ``folder`` is there, and the run not over."""
    with (folder / _HELD).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


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
