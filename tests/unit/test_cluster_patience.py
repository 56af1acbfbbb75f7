"""A signal is not sent to a host that cannot hear it yet."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.cluster import seconds_until_it_listens

INFO = {"SystemTime": "2026-11-23T04:00:10.500000000Z"}


def container(started: str, *, running: bool = True) -> Any:
    return SimpleNamespace(attrs={"State": {"Running": running, "StartedAt": started}})


@pytest.mark.parametrize(
    ("started", "seconds"),
    [
        ("2026-11-23T04:00:10.100000000Z", 1.6),
        ("2026-11-23T04:00:08.500000000Z", 0.0),
        ("2026-11-22T04:00:00Z", 0.0),
        ("2026-11-23T05:00:10.100000000+01:00", 1.6),
        ("2026-11-23T04:00:59Z", 2.0),  # never more than the whole wait, whatever clocks say
    ],
)
def test_a_host_that_has_just_started_is_given_a_moment(started: str, seconds: float) -> None:
    assert seconds_until_it_listens(container(started), INFO) == pytest.approx(seconds)


def test_a_host_that_does_not_run_is_not_waited_for() -> None:
    assert seconds_until_it_listens(container("2026-11-23T04:00:10.4Z", running=False), INFO) == 0.0
