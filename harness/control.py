"""What may be asked of a job that is under way, by whoever runs it: the command line, a signal, a test, a server.

Requests may come from any thread and at any moment, also before there is anything to stop: each is kept until the
job listens, and then dealt with in the order they came in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Stop:
    """End the job, as StopTrainingJob does. ``grace`` None is the job's own; 0 kills hosts, also while they end."""

    grace: float | None = None


@dataclass(frozen=True)
class Interrupt:
    """Take the hosts of the job away, as managed spot training does; it starts again on new ones."""


Request = Stop | Interrupt


class Control:
    """The handle of one job. ``stop_after`` and ``interrupt_after`` are in seconds of training.

    ``stop_after`` counts from the first time that the job trains, each of ``interrupt_after`` from the beginning of
    its attempt: the first one of the first attempt, and so on.
    """

    def __init__(self, *, stop_after: float | None = None, interrupt_after: tuple[float, ...] = ()) -> None:
        self.stop_after = stop_after
        self.interrupt_after = interrupt_after
        self._lock = threading.Lock()
        self._waiting: list[Request] = []
        self._listener: Callable[[Request], object] | None = None

    def stop(self, grace: float | None = None) -> None:
        """End the job; asking again changes nothing, unless with a ``grace`` of 0."""
        self._ask(Stop(grace))

    def interrupt(self) -> None:
        """Take its hosts away; where it is not training yet, as soon as it does."""
        self._ask(Interrupt())

    def listen(self, listener: Callable[[Request], object]) -> None:
        """From now on requests go to ``listener``, in the thread that makes them; first those that have waited."""
        with self._lock:
            self._listener = listener
            waiting, self._waiting = self._waiting, []
            for request in waiting:
                listener(request)

    def _ask(self, request: Request) -> None:
        with self._lock:
            if self._listener:
                self._listener(request)
            else:
                self._waiting.append(request)
