"""What a job and its endpoint cost, out of the dated table in prices.toml. Pure; the text is read elsewhere."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from harness.job import Hosting, TrainingJob

HOUR = 3600


@dataclass(frozen=True)
class Prices:
    """On-demand prices in US dollars per hour of one instance, in ``regions`` alike.

    ``endpoint_per_hour`` are those of endpoints, where they are told apart from those of training.
    """

    per_hour: Mapping[str, float]
    regions: tuple[str, ...]
    source: str
    date: str
    endpoint_per_hour: Mapping[str, float] | None = None

    def of_endpoint(self, instance_type: str) -> float | None:
        known = self.per_hour if self.endpoint_per_hour is None else self.endpoint_per_hour
        return known.get(instance_type)


@dataclass(frozen=True)
class Estimate:
    """Dollars; None where the table has no price of the type, or nothing was measured.

    ``ceiling`` is what the job costs if it runs until max_run; ``measured`` at ``measured_seconds`` of training.
    """

    per_hour: float | None
    ceiling: float | None
    measured: float | None
    measured_seconds: float | None
    endpoint_per_hour: float | None
    missing: tuple[str, ...]


def parse_prices(text: str) -> Prices:
    table = tomllib.loads(text)
    return Prices(table["per_hour"], tuple(table["regions"]), " ".join(table["source"].split()), table["date"])


def cost_per_hour(job: TrainingJob, prices: Prices) -> float | None:
    """All instances of ``job`` together; None where the price of one is not known."""
    known = [prices.per_hour.get(group.instance_type) for group in job.instance_groups]
    if any(price is None for price in known):
        return None
    return sum(price * group.instance_count for price, group in zip(known, job.instance_groups, strict=True) if price)


def estimate(job: TrainingJob, hosting: Hosting | None, prices: Prices, measured_seconds: float | None) -> Estimate:
    """Training time is what is billed; neither storage, nor requests, nor a discount for spot is in it."""
    per_hour = cost_per_hour(job, prices)
    endpoint = prices.of_endpoint(hosting.instance_type) if hosting else None
    missing = {name for name in job.instance_types if name not in prices.per_hour}
    if hosting and endpoint is None:
        missing.add(hosting.instance_type)
    return Estimate(
        per_hour=per_hour,
        ceiling=None if per_hour is None else per_hour * job.max_run / HOUR,
        measured=None if per_hour is None or measured_seconds is None else per_hour * measured_seconds / HOUR,
        measured_seconds=measured_seconds,
        endpoint_per_hour=None if endpoint is None or hosting is None else endpoint * hosting.initial_instance_count,
        missing=tuple(sorted(missing)),
    )
