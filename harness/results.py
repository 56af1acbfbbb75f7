"""What became of a training job, read from its run folder; the repr is the whole evidence."""

from __future__ import annotations

import csv
import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.ranks import WORLD, World, rank_lines, worlds

_LAST_LINES = 12


@dataclass(frozen=True)
class Log:
    """Everything a host printed."""

    text: str

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def contains(self, text: str) -> bool:
        """Whether ``text`` was printed, anywhere in a line."""
        return text in self.text

    def search(self, pattern: str) -> re.Match[str] | None:
        """The first match of a regular expression."""
        return re.search(pattern, self.text)

    def __repr__(self) -> str:
        return "\n".join(self.lines[-_LAST_LINES:])


@dataclass(frozen=True)
class HostResult:
    """One host: ``exit_code`` is its container's, None where it never ended by itself."""

    name: str
    log: Log
    exit_code: int | None
    wrote: tuple[str, ...] = ()
    """What it left in /opt/ml/model, relative paths."""

    def __repr__(self) -> str:
        return f"--- {self.name}, exit code {self.exit_code}\n{self.log!r}"


@dataclass(frozen=True)
class ModelArchive:
    """The model.tar.gz of a job; without one it has no members."""

    path: Path

    @cached_property
    def members(self) -> dict[str, bytes]:
        """Content of every file, by its path in the archive."""
        if not self.path.exists():
            return {}
        with tarfile.open(self.path) as archive:
            files = [entry for entry in archive if entry.isfile()]
            return {entry.name: content.read() for entry in files if (content := archive.extractfile(entry))}

    def __repr__(self) -> str:
        return f"{self.path}: {', '.join(self.members) or 'no members'}"


@dataclass(frozen=True)
class JobResult:
    """How a training job ended. ``folder`` is its run folder; ``faults`` are those that did not fire as asked."""

    folder: Path
    faults: tuple[str, ...] = field(default=())

    @cached_property
    def description(self) -> Mapping[str, Any]:
        """describe.json: the shape of DescribeTrainingJob."""
        answer: dict[str, Any] = json.loads((self.folder / "describe.json").read_text())
        return answer

    @cached_property
    def receipt(self) -> Mapping[str, Any]:
        """receipt.json: what was emulated, and what each host was given."""
        answer: dict[str, Any] = json.loads((self.folder / "receipt.json").read_text())
        return answer

    @property
    def name(self) -> str:
        return str(self.description["TrainingJobName"])

    @property
    def status(self) -> str:
        """``TrainingJobStatus``: Completed, Failed or Stopped."""
        return str(self.description["TrainingJobStatus"])

    @property
    def secondary_status(self) -> str:
        """``SecondaryStatus``, which tells endings apart: MaxRuntimeExceeded, MaxWaitTimeExceeded, …"""
        return str(self.description["SecondaryStatus"])

    @property
    def completed(self) -> bool:
        return self.status == "Completed"

    @property
    def failed(self) -> bool:
        return self.status == "Failed"

    @property
    def stopped(self) -> bool:
        return self.status == "Stopped"

    @property
    def failure_reason(self) -> str:
        """``FailureReason``, empty where the job did not fail."""
        return str(self.description.get("FailureReason", ""))

    @property
    def statuses(self) -> list[str]:
        """Every SecondaryStatus the job went through, in order."""
        return [entry["Status"] for entry in self.description["SecondaryStatusTransitions"]]

    @cached_property
    def hosts(self) -> tuple[HostResult, ...]:
        """All hosts, by name."""
        exits = {entry["Host"]: entry["ExitCode"] for entry in self.description.get("HostExits", ())}
        wrote: Mapping[str, Sequence[str]] = self.receipt.get("ModelFiles", {})
        return tuple(
            HostResult(
                path.stem,
                Log(path.read_text(errors="replace")),
                exits.get(path.stem),
                tuple(wrote.get(path.stem, ())),
            )
            for path in sorted((self.folder / "logs").glob("algo-*.log"))
        )

    def host(self, name: str) -> HostResult:
        """The host ``name``. Raises LookupError, naming those there are."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise LookupError(f"no host {name!r}; there are {', '.join(host.name for host in self.hosts)}")

    @property
    def exit_codes(self) -> dict[str, int | None]:
        return {host.name: host.exit_code for host in self.hosts}

    @property
    def model(self) -> ModelArchive:
        return ModelArchive(self.folder / "model.tar.gz")

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric (``FinalMetricDataList``)."""
        return {entry["MetricName"]: entry["Value"] for entry in self.description["FinalMetricDataList"]}

    def metric_series(self, name: str) -> list[float]:
        """Every value of the metric ``name``, in the order it was printed (metrics.csv)."""
        with (self.folder / "metrics.csv").open(newline="") as file:
            return [float(row["Value"]) for row in csv.DictReader(file) if row["MetricName"] == name]

    @property
    def world(self) -> World:
        """The one world in which all ranks trained. Raises AssertionError where they trained apart, or told of none."""
        found = self.worlds()
        assert len(found) == 1, f"ranks told of {len(found)} worlds, not of one: {found}\n{self!r}"  # noqa: S101
        return found[0]

    def worlds(self, pattern: str = WORLD) -> list[World]:
        """The worlds that ranks introduced themselves in, as 'rank 0 of 2 on algo-1' or as ``pattern`` says."""
        return worlds((line for host in self.hosts for line in host.log.lines), pattern)

    def values_by_rank(self, pattern: str) -> dict[int, list[str]]:
        """For each rank, what the first group of ``pattern`` matched in its lines, in order."""
        return {
            rank: [found[1] for line in lines if (found := re.search(pattern, line))]
            for rank, lines in rank_lines(line for host in self.hosts for line in host.log.lines).items()
        }

    def __repr__(self) -> str:
        head = f"{self.name}: {self.status}" + (f" ({self.secondary_status})" if self.stopped else "")
        parts = [head, f"FailureReason: {self.failure_reason}"] if self.failure_reason else [head]
        parts += [f"statuses: {', '.join(self.statuses)}", f"exit codes: {self.exit_codes}"]
        parts += [f"metrics: {self.metrics}"] if self.metrics else []
        parts += [f"not as asked: {line}" for line in self.faults]
        return "\n".join([*parts, *map(repr, self.hosts), f"model: {self.model!r}", f"run folder: {self.folder}"])
