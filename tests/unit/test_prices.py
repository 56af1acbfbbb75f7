"""What a job would cost."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from harness.cloud_facts import read_prices
from harness.job import Hosting, InstanceGroup
from harness.machine import read_catalogue
from harness.prices import Prices, estimate
from tests.jobs import training_job

PRICES = Prices({"ml.p2.xlarge": 1.125, "ml.m5.large": 0.115}, ("us-east-1",), "a page", "2026-11-24")
HOSTING = Hosting("inference.py", Path("code"), "ml.m5.large", initial_instance_count=2)


def test_the_ceiling_is_price_times_count_times_max_run() -> None:
    made = estimate(training_job(max_run=1800), None, PRICES, None)

    assert made.per_hour == 2.25
    assert made.ceiling == 1.125
    assert (made.measured, made.endpoint_per_hour, made.missing) == (None, None, ())


def test_at_the_local_time_it_costs_that_much_of_an_hour() -> None:
    assert estimate(training_job(), None, PRICES, 36.0).measured == pytest.approx(0.0225)


def test_groups_and_endpoints_are_counted_by_their_own_types() -> None:
    groups = (InstanceGroup("a", "ml.p2.xlarge", 1), InstanceGroup("b", "ml.m5.large", 2))

    made = estimate(training_job(instance_groups=groups), HOSTING, PRICES, None)

    assert made.per_hour == pytest.approx(1.125 + 2 * 0.115)
    assert made.endpoint_per_hour == pytest.approx(0.23)


def test_a_type_without_a_price_is_named_and_nothing_is_made_up() -> None:
    made = estimate(training_job(instance_type="ml.x9.large"), HOSTING, PRICES, 10.0)

    assert (made.per_hour, made.ceiling, made.measured) == (None, None, None)
    assert made.missing == ("ml.x9.large",)


def test_the_table_is_dated_sourced_and_of_types_that_the_catalogue_has() -> None:
    prices = read_prices()

    assert date.fromisoformat(prices.date)
    assert prices.source
    assert set(prices.per_hour) <= set(read_catalogue())
    assert all(price > 0 for price in prices.per_hour.values())
