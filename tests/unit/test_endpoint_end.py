"""The end of endpoints, which each take their time for it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from harness import hosting
from harness.endpoint_container import STOP_SECONDS, Route

if TYPE_CHECKING:
    from docker.models.containers import Container


class LingeringContainer:
    """It ends when all of them have been asked to."""

    def __init__(self, all_asked: threading.Barrier) -> None:
        self._all_asked, self.told = all_asked, list[str]()

    def stop(self, timeout: int) -> None:
        self._all_asked.wait(20)
        self.told.append(f"stop in {timeout} s")

    def remove(self, **_options: bool) -> None:
        self.told.append("remove")


def test_endpoints_that_are_deleted_end_at_the_same_time() -> None:
    all_asked = threading.Barrier(3)
    containers = [LingeringContainer(all_asked) for _ in range(3)]
    endpoints = [
        hosting.Endpoint(f"e-{number}", "image", datetime.now(UTC), Route("127.0.0.1", 1), cast("Container", container))
        for number, container in enumerate(containers)
    ]

    hosting.delete(*endpoints)

    assert [each.told for each in containers] == [[f"stop in {STOP_SECONDS} s", "remove"]] * 3
