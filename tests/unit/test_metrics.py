"""Metric definitions over log lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from harness.job import MetricDefinition
from harness.metrics import MetricReader, MetricValue

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LOSS = MetricDefinition("loss", r"loss=(\S+)")


def read(definition: MetricDefinition, *lines: str) -> dict[str, float]:
    reader = MetricReader([definition])
    for line in lines:
        reader.read(line, NOW)
    return {name: value.value for name, value in reader.latest.items()}


def test_the_last_value_counts_with_its_time() -> None:
    reader = MetricReader([LOSS])

    reader.read("loss=0.5", NOW)
    reader.read("loss=0.25", NOW + timedelta(seconds=1))

    assert reader.latest == {"loss": MetricValue("loss", 0.25, NOW + timedelta(seconds=1))}


def test_the_last_of_several_in_one_line_counts() -> None:
    assert read(LOSS, "loss=3 loss=2 loss=1") == {"loss": 1.0}


def test_the_first_group_is_the_value() -> None:
    assert read(MetricDefinition("a", r"a=(\d+) of (\d+)"), "a=1 of 9") == {"a": 1.0}


@pytest.mark.parametrize("text", ["loss=none", "loss=1.2.3", "nothing", "loss="])
def test_what_is_no_number_is_passed_over(text: str) -> None:
    assert read(LOSS, "loss=7", text) == {"loss": 7.0}


def test_a_group_that_took_no_part_is_passed_over() -> None:
    assert read(MetricDefinition("a", r"a=(\d+)?"), "a=") == {}


@pytest.mark.parametrize(("text", "value"), [("1e-3", 0.001), ("-2", -2.0), ("+.5", 0.5)])
def test_numbers_are_read_in_every_notation(text: str, value: float) -> None:
    assert read(LOSS, f"loss={text}") == {"loss": value}


def test_each_definition_has_its_own_value() -> None:
    reader = MetricReader([LOSS, MetricDefinition("accuracy", r"accuracy (\d+)")])

    reader.read("loss=0.5 accuracy 97 %", NOW)

    assert [(item.name, item.value) for item in reader.latest.values()] == [("loss", 0.5), ("accuracy", 97.0)]
