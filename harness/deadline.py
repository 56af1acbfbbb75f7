"""One deadline, made at the top of an activity and passed down."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.errors import DeadlineExpired


class Deadline:
    """A moment by which an activity must be over.

    ``seconds`` is counted from construction on the monotonic clock; ``activity`` completes
    the sentence 'ran out of time while …'.
    """

    def __init__(self, seconds: float, activity: str, now: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self.activity = activity
        self._now = now
        self._end = now() + seconds

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - self._now())

    def expired(self) -> bool:
        return self.remaining() == 0.0

    def check(self, last_seen: str = "") -> None:
        """Raise `DeadlineExpired` when the time is over, saying what was last seen."""
        if self.expired():
            seen = f"; last seen: {last_seen}" if last_seen else ""
            raise DeadlineExpired(f"ran out of time after {self.seconds:g} s while {self.activity}{seen}")
