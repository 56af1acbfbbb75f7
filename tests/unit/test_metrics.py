"""Metric definitions over log lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from harness.engine_log import Line
from harness.job import MetricDefinition
from harness.metrics import MetricReader, MetricValue

NOW = datetime(2026, 1, 2, microsecond=123456, tzinfo=UTC)
LOSS = MetricDefinition("loss", r"loss=(\S+)")


def said(text: str, seconds: int = 0) -> Line:
    return Line(f"2026-01-02T00:00:{seconds:02d}.123456789Z".encode(), text.encode() + b"\n")


def read(definition: MetricDefinition, *lines: str) -> dict[str, float]:
    reader = MetricReader([definition])
    reader.read("algo-1", [said(line) for line in lines])
    return {name: value.value for name, value in reader.latest.items()}


def test_the_last_value_counts_with_its_time() -> None:
    reader = MetricReader([LOSS])

    reader.read("algo-1", [said("loss=0.5"), said("loss=0.25", 1)])

    assert reader.latest == {"loss": MetricValue("loss", 0.25, NOW + timedelta(seconds=1), "algo-1")}


def test_the_last_is_the_last_that_was_printed_whatever_host_is_read_first() -> None:
    reader = MetricReader([LOSS])

    reader.read("algo-2", [said("loss=2", 2)])
    reader.read("algo-1", [said("loss=1", 1)])

    assert (reader.latest["loss"].value, reader.latest["loss"].host) == (2.0, "algo-2")


def test_every_value_is_found_with_its_host_and_time() -> None:
    found = MetricReader([LOSS]).read("algo-2", [said("loss=3 loss=2"), said("no"), said("loss=1", 9)])

    assert [(item.value, item.host, item.timestamp.second) for item in found] == [
        (3.0, "algo-2", 0),
        (2.0, "algo-2", 0),
        (1.0, "algo-2", 9),
    ]


@pytest.mark.parametrize("text", ["nan", "-inf", "Infinity", "1e999"])
def test_what_is_not_finite_is_found_and_is_nobodys_last(text: str) -> None:
    reader = MetricReader([LOSS])

    found = reader.read("algo-1", [said("loss=0.5"), said(f"loss={text}", 1)])

    assert len(found) == 2
    assert reader.matched == {"loss"}
    assert reader.latest["loss"].value == 0.5


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

    reader.read("algo-1", [said("loss=0.5 accuracy 97 %")])

    assert [(item.name, item.value) for item in reader.latest.values()] == [("loss", 0.5), ("accuracy", 97.0)]
