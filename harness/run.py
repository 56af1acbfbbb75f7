"""What a run is made of, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.checkpoints import CheckpointSync
from harness.cluster import Cluster
from harness.engine_log import Line
from harness.metrics import MetricReader
from harness.record import RunRecord


class Step(Protocol):
    """A running activity; ``ok`` is set to False where it ends badly without raising."""

    ok: bool


class Reporter(Protocol):
    """What someone watching a run is told."""

    def step(self, title: str) -> AbstractContextManager[Step]: ...

    def note(self, text: str) -> None: ...

    def lines(self, host: str, texts: Sequence[str]) -> None:
        """Lines that ``host`` printed, as they came; it returns at once, however slow the one who reads."""


@dataclass(frozen=True)
class Run:
    """A job under way: its hosts, its record, what reads its metrics, who is told, and what keeps its checkpoints.

    ``heard`` is told of every line of a host, in that host's thread. ``upload``, if any, brings what the
    run folder has of artifacts to where the job wants them, and says where its model is then, '' where it has none. It
    raises `ArtifactUploadFailed`.
    """

    hosts: tuple[str, ...]
    cluster: Cluster
    record: RunRecord
    metrics: MetricReader
    reporter: Reporter
    checkpoints: CheckpointSync | None = None
    heard: Callable[[str, Sequence[Line]], object] = lambda *_: None
    upload: Callable[[Path], str] | None = None
