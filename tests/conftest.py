"""What holds for all tiers."""

from __future__ import annotations

import signal

import hypothesis

# A script that runs the tests in its background has them ignore Ctrl-C, which some tests press.
signal.signal(signal.SIGINT, signal.default_int_handler)

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
