"""Metric definitions over log lines: the last value of each becomes FinalMetricDataList."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from harness.job import MetricDefinition


@dataclass(frozen=True)
class MetricValue:
    name: str
    value: float
    timestamp: datetime


class MetricReader:
    """Feeds on log lines; ``latest`` holds the last value of each metric seen so far, by name.

    The first group of a definition's regex is the value (developer guide, 'Define training metrics'); what is
    not a number is passed over.
    """

    def __init__(self, definitions: Iterable[MetricDefinition]) -> None:
        self._patterns = [(item.name, re.compile(item.regex)) for item in definitions]
        self.latest: dict[str, MetricValue] = {}

    def read(self, line: str, at: datetime) -> None:
        for name, pattern in self._patterns:
            for match in pattern.finditer(line):
                try:
                    value = float(match.group(1))
                except (TypeError, ValueError):
                    continue
                self.latest[name] = MetricValue(name, value, at)
