"""The life of a training job: statuses, the legal moves between them, and the record they leave.

One rule: whatever changes a job's status goes through `History.move`; a move that is not in the table raises
and changes nothing. Messages are those real jobs show (API reference, DescribeTrainingJob; transcripts of jobs).

    Starting ─▶ Downloading ─▶ Training ─▶ Uploading ─▶ Completed | Failed
       ▲                          │  └▶ Stopping ─▶ Uploading ─▶ Stopped | MaxRuntimeExceeded | MaxWaitTimeExceeded
       └────── Interrupted ◀──────┘
                    └▶ Stopped | MaxWaitTimeExceeded

The API knows more words than these: LaunchingMLInstances, PreparingTrainingStack and DownloadingTrainingImage are no
longer used by it; Restarting, Updating and Pending belong to retries, warm pools and training plans.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

STARTING = "Starting"
DOWNLOADING = "Downloading"
TRAINING = "Training"
INTERRUPTED = "Interrupted"
UPLOADING = "Uploading"
STOPPING = "Stopping"
COMPLETED = "Completed"
FAILED = "Failed"
STOPPED = "Stopped"
MAX_RUNTIME_EXCEEDED = "MaxRuntimeExceeded"
MAX_WAIT_TIME_EXCEEDED = "MaxWaitTimeExceeded"

_STOPPED_ENDINGS = frozenset({STOPPED, MAX_RUNTIME_EXCEEDED, MAX_WAIT_TIME_EXCEEDED})
# SecondaryStatus → those that may follow. A failed or stopped job uploads what it has first; one that is interrupted
# has nothing left to upload (developer guide, 'Managed Spot Training').
MOVES: dict[str | None, frozenset[str]] = {
    None: frozenset({STARTING}),
    STARTING: frozenset({DOWNLOADING, STOPPING, FAILED}),
    DOWNLOADING: frozenset({TRAINING, STOPPING, FAILED}),
    TRAINING: frozenset({UPLOADING, STOPPING, INTERRUPTED, FAILED}),
    INTERRUPTED: frozenset({STARTING, STOPPED, MAX_WAIT_TIME_EXCEEDED, FAILED}),
    STOPPING: frozenset({UPLOADING, FAILED, *_STOPPED_ENDINGS}),
    UPLOADING: frozenset({COMPLETED, FAILED, STOPPING, *_STOPPED_ENDINGS}),
}
# The messages of a status in the order that they are shown in, one replacing the other in place.
MESSAGES: dict[str, tuple[str, ...]] = {
    STARTING: ("Starting the training job", "Preparing the instances for training"),
    DOWNLOADING: ("Downloading input data", "Downloading the training image"),
    TRAINING: ("Training image download completed. Training in progress.",),
    INTERRUPTED: ("Training job interrupted",),  # the words of real jobs are not known
    UPLOADING: ("Uploading generated training model",),
    STOPPING: ("Stopping the training job",),
    COMPLETED: ("Training job completed",),
    FAILED: ("Training job failed",),
    STOPPED: ("Training job stopped",),
    MAX_RUNTIME_EXCEEDED: ("Training job runtime exceeded MaxRuntimeInSeconds provided",),
    MAX_WAIT_TIME_EXCEEDED: ("Training job wait time exceeded MaxWaitTimeInSeconds provided",),
}
_ENDINGS = {COMPLETED: COMPLETED, FAILED: FAILED} | dict.fromkeys(_STOPPED_ENDINGS, STOPPED)


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
    """All transitions so far, oldest first; ``modified`` is when anything of them last changed."""

    transitions: tuple[Transition, ...] = ()
    modified: datetime | None = None

    @property
    def secondary_status(self) -> str | None:
        return self.transitions[-1].status if self.transitions else None

    @property
    def training_job_status(self) -> str:
        """``TrainingJobStatus``: InProgress, Stopping, Completed, Failed or Stopped."""
        secondary = self.secondary_status or STARTING
        return _ENDINGS.get(secondary, STOPPING if secondary == STOPPING else "InProgress")

    @property
    def is_over(self) -> bool:
        return self.secondary_status in _ENDINGS

    def move(self, status: str, at: datetime) -> History:
        """The history with ``status`` entered at ``at``. Raises `IllegalMove`."""
        if status not in MOVES.get(self.secondary_status, frozenset()):
            raise IllegalMove(f"{self.secondary_status!r} cannot be followed by {status!r}")
        closed = tuple(t if t.end else replace(t, end=at) for t in self.transitions)
        end = at if status in _ENDINGS else None
        return History((*closed, Transition(status, at, MESSAGES[status][0], end)), at)

    def progress(self, at: datetime) -> History:
        """The history with the next message of its last status, under the same entry. Raises `IllegalMove`."""
        last = self.transitions[-1] if self.transitions else None
        following = MESSAGES[last.status][MESSAGES[last.status].index(last.message) + 1 :] if last else ()
        if not last or not following:
            raise IllegalMove(f"{self.secondary_status!r} has no further message")
        return History((*self.transitions[:-1], replace(last, message=following[0])), at)

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


def read_history(described: list[dict[str, Any]]) -> History:
    """The history that `History.described` gave, also where its times have become texts in ISO 8601 since."""

    def time(value: Any) -> datetime:
        return value if isinstance(value, datetime) else datetime.fromisoformat(value)

    transitions = tuple(
        Transition(
            item["Status"],
            time(item["StartTime"]),
            item["StatusMessage"],
            time(item["EndTime"]) if "EndTime" in item else None,
        )
        for item in described
    )
    return History(transitions, transitions[-1].start if transitions else None)
