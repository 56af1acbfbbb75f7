"""What a person sees of a run: steps with durations, log lines with their host, and the outcome in the end."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.metrics import MetricReader
from harness.steps import Printer, Step, Steps

_ERROR = re.compile(r'ErrorMessage "(.*?)"\n(?:ExtraInfo|Command) "', re.DOTALL)
_SIGNALLED = 128  # exit codes above it are this and the number of a signal
_CULPRIT = re.compile(r'ExtraInfo "rank \d+ on (algo-\d+)')


class Screen:
    """A `training.Reporter` on standard error; on a terminal the running step shows the latest metrics.

    Without ``shows_logs`` what hosts print is not shown.
    """

    def __init__(self, steps: Steps, metrics: MetricReader, *, shows_logs: bool = True) -> None:
        self._shows_logs = shows_logs
        self._steps = steps
        self._metrics = metrics
        self._printer = Printer(None, lambda: 80)
        self._step: Step | None = None
        self._unprinted: queue.Queue[tuple[str, Sequence[str]]] = queue.Queue()
        if shows_logs:
            threading.Thread(target=self._print, daemon=True).start()

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        with self._steps.step(title) as step:
            self._step = step
            try:
                yield step
            finally:
                self._unprinted.join()
                self._step = None

    def note(self, text: str) -> None:
        self._unprinted.join()
        self._steps.note(text)

    def lines(self, host: str, texts: Sequence[str]) -> None:
        # A terminal that is slow, or held with Ctrl-S, holds up neither what is kept on disk nor the job.
        if texts and self._shows_logs:
            self._unprinted.put((host, texts))

    def _print(self) -> None:
        while True:
            host, texts = self._unprinted.get()
            try:
                self._printer.line("\n".join(f"{host} │ {text}" for text in texts))
                if self._printer.live and self._step and self._metrics.latest:
                    self._step.detail(metrics_text(self._metrics))
            except OSError:
                pass  # nobody reads any more: the job goes on, and its logs are kept
            finally:
                self._unprinted.task_done()


def metrics_text(metrics: MetricReader) -> str:
    return ", ".join(f"{item.name} {item.value:g}" for item in metrics.latest.values())


def outcome_lines(
    description: dict[str, Any], folder: Path, failed_host: str | None, metrics: MetricReader
) -> list[str]:
    """The last lines of a run: how it ended, what of, where everything is, and what to do next."""
    name, status = description["TrainingJobName"], description["SecondaryStatus"]
    if status == "Completed":
        numbers = metrics_text(metrics)
        return [
            f"Completed: {name}" + (f" — {numbers}" if numbers else ""),
            f"  model: {folder / 'model.tar.gz'}",
            "  next: make local-serve hosts it (harness serve)",
        ]
    if status != "Failed":
        return [f"{status}: {name}", f"  kept: {folder}"]
    reason = description["FailureReason"]
    error, culprit = _ERROR.search(reason), _CULPRIT.search(reason)
    where = culprit[1] if culprit else failed_host
    return [
        f"Failed: {f'{where}: ' if where else ''}{error[1] if error else ' '.join(reason.split())}",
        f"  FailureReason: {' '.join(reason.split())}",
        *exit_lines(description.get("HostExits", ()), failed_host),
        *([f"  logs: {folder / 'logs' / f'{failed_host}.log'}"] if failed_host else []),
        f"  kept: {folder}",
    ]


def exit_lines(exits: Sequence[Mapping[str, Any]], failed_host: str | None) -> list[str]:
    """How the hosts of a failed job ended, a line each and in the order that they did; nothing for a single one."""
    if len(exits) < 2:
        return []
    width = max(len(item["Host"]) for item in exits)
    return [
        f"  {item['Host']:<{width}}  exit code {item['ExitCode']:>3}{_remark(item, failed_host)}".rstrip()
        for item in exits
    ]


def _remark(item: Mapping[str, Any], failed_host: str | None) -> str:
    remarks = []
    if item["Host"] == failed_host:
        remarks.append("decided")
    if item["OutOfMemory"]:
        remarks.append("ran out of memory")
    elif item["ExitCode"] > _SIGNALLED:
        remarks.append(f"signal {item['ExitCode'] - _SIGNALLED}")
    return f"  ({', '.join(remarks)})" if remarks else ""
