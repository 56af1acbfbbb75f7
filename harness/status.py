"""The life of a training job: statuses, the legal moves between them, and the record they leave.

One rule: whatever changes a job's status goes through `History.move`; a move that is not in the table raises
and changes nothing. Messages are those real jobs show (API reference, DescribeTrainingJob; transcripts of jobs).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

STARTING = "Starting"
DOWNLOADING = "Downloading"
TRAINING = "Training"
UPLOADING = "Uploading"
STOPPING = "Stopping"
COMPLETED = "Completed"
FAILED = "Failed"
STOPPED = "Stopped"
MAX_RUNTIME_EXCEEDED = "MaxRuntimeExceeded"

# SecondaryStatus → those that may follow. A failed or stopped job uploads what it has first.
MOVES: dict[str | None, frozenset[str]] = {
    None: frozenset({STARTING}),
    STARTING: frozenset({DOWNLOADING, STOPPING, FAILED}),
    DOWNLOADING: frozenset({TRAINING, STOPPING, FAILED}),
    TRAINING: frozenset({UPLOADING, STOPPING, FAILED}),
    STOPPING: frozenset({UPLOADING, STOPPED, MAX_RUNTIME_EXCEEDED, FAILED}),
    UPLOADING: frozenset({COMPLETED, FAILED, STOPPED, MAX_RUNTIME_EXCEEDED, STOPPING}),
}
MESSAGES = {
    STARTING: "Preparing the instances for training",
    DOWNLOADING: "Downloading input data",
    TRAINING: "Training image download completed. Training in progress.",
    UPLOADING: "Uploading generated training model",
    STOPPING: "Stopping the training job",
    COMPLETED: "Training job completed",
    FAILED: "Training job failed",
    STOPPED: "Training job stopped",
    MAX_RUNTIME_EXCEEDED: "Training job runtime exceeded MaxRuntimeInSeconds provided",
}
_ENDINGS = {COMPLETED: COMPLETED, FAILED: FAILED, STOPPED: STOPPED, MAX_RUNTIME_EXCEEDED: STOPPED}


class IllegalMove(RuntimeError):
    """A bug of ours: the story asked for a status that cannot follow."""


@dataclass(frozen=True)
class Transition:
    """One entry of ``SecondaryStatusTransitions``; a running one has no end, a final one ends as it starts."""

    status: str
    start: datetime
    message: str
    end: datetime | None = None


@dataclass(frozen=True)
class History:
    """All transitions so far, oldest first."""

    transitions: tuple[Transition, ...] = ()

    @property
    def secondary_status(self) -> str | None:
        return self.transitions[-1].status if self.transitions else None

    @property
    def training_job_status(self) -> str:
        """``TrainingJobStatus``: InProgress, Stopping, Completed, Failed or Stopped."""
        secondary = self.secondary_status or STARTING
        return _ENDINGS.get(secondary, STOPPING if secondary == STOPPING else "InProgress")

    def move(self, status: str, at: datetime) -> History:
        """The history with ``status`` entered at ``at``. Raises `IllegalMove`."""
        if status not in MOVES.get(self.secondary_status, frozenset()):
            raise IllegalMove(f"{self.secondary_status!r} cannot be followed by {status!r}")
        closed = tuple(t if t.end else replace(t, end=at) for t in self.transitions)
        end = at if status in _ENDINGS else None
        return History((*closed, Transition(status, at, MESSAGES[status], end)))

    def started(self, status: str) -> datetime | None:
        """When ``status`` was first entered."""
        return next((t.start for t in self.transitions if t.status == status), None)

    def ended(self, status: str) -> datetime | None:
        """When ``status`` was last left."""
        return next((t.end for t in reversed(self.transitions) if t.status == status), None)

    def described(self) -> list[dict[str, Any]]:
        """In the API's own shape."""
        return [
            {
                "Status": t.status,
                "StartTime": t.start,
                **({"EndTime": t.end} if t.end else {}),
                "StatusMessage": t.message,
            }
            for t in self.transitions
        ]
