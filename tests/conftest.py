"""What holds for all tiers."""

from __future__ import annotations

import hypothesis

pytest_plugins = ["pytester"]

# The machine may be busy, so no example has a deadline; the same examples everywhere, so what is red is red for all.
hypothesis.settings.register_profile(
    "harness",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("harness")
