"""Metric definitions over log lines: every value, and the last of each for FinalMetricDataList."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from harness.engine_log import Line
from harness.job import MetricDefinition


@dataclass(frozen=True)
class MetricValue:
    """What ``host`` said a metric to be; ``value`` may be nan or infinite."""

    name: str
    value: float
    timestamp: datetime
    host: str


class MetricReader:
    """Feeds on the lines of all hosts; ``latest`` holds the last finite value of each metric so far, by name, and
    ``matched`` the names of all that had any value.

    The first group of a definition's regex is the value (developer guide, 'Define training metrics'); what is
    not a number is passed over. Values that are not finite are found, and are nobody's last: CloudWatch, where the
    platform keeps metrics, takes none (its API reference, MetricDatum), and JSON has no word for them.
    """

    def __init__(self, definitions: Iterable[MetricDefinition]) -> None:
        self._patterns = [(item.name, re.compile(item.regex)) for item in definitions]
        self._lock = threading.Lock()
        self.latest: dict[str, MetricValue] = {}
        self.matched: set[str] = set()

    def read(self, host: str, lines: Iterable[Line]) -> list[MetricValue]:
        """The values in ``lines``, in their order."""
        if not self._patterns:
            return []
        found = [value for line in lines for value in self._values(host, line)]
        with self._lock:
            for value in found:
                self.matched.add(value.name)
                last = self.latest.get(value.name)
                # Hosts are read each at its own pace: by time, not by turn.
                if math.isfinite(value.value) and (last is None or last.timestamp <= value.timestamp):
                    self.latest[value.name] = value
        return found

    def _values(self, host: str, line: Line) -> Iterable[MetricValue]:
        text = line.text
        for name, pattern in self._patterns:
            for match in pattern.finditer(text):
                try:
                    value = float(match.group(1))
                except (TypeError, ValueError):
                    continue
                yield MetricValue(name, value, line.at, host)
