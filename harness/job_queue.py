"""Jobs in the order that they were asked for, each once the machine has room for its hosts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Protocol

from harness.budget import GivenUp


class Hold(Protocol):
    """Has room for so many hosts while the block runs (`budget.hold`)."""

    def __call__(
        self, hosts: int, say: Callable[[str], object], *, wanted_no_more: Callable[[], bool]
    ) -> AbstractContextManager[None]: ...


@dataclass(frozen=True, eq=False)
class _Waiting:
    name: str
    hosts: int
    run: Callable[[], None]


class JobQueue:
    """Every job runs in a thread of its own; none is begun before those that were added earlier."""

    def __init__(self, hold: Hold, say: Callable[[str], object]) -> None:
        self._hold, self._say = hold, say
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._running: list[threading.Thread] = []
        self._closed = False
        threading.Thread(target=self._serve, name="job queue", daemon=True).start()

    def add(self, name: str, hosts: int, run: Callable[[], None]) -> None:
        with self._changed:
            self._waiting.append(_Waiting(name, hosts, run))
            self._changed.notify_all()

    def take_out(self, name: str) -> bool:
        """Let a job go that still waits; whether it did."""
        with self._changed:
            found = [job for job in self._waiting if job.name == name]
            for job in found:
                self._waiting.remove(job)
            return bool(found)

    def close(self, seconds: float) -> bool:
        """Begin nothing more, and wait so long for what runs; whether that is over."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._running, seconds)

    def _serve(self) -> None:
        while job := self._next():
            with ExitStack() as room:
                try:
                    room.enter_context(self._hold(job.hosts, self._say, wanted_no_more=lambda: not self._wants(job)))
                except GivenUp:
                    continue
                with self._changed:
                    if job in self._waiting and not self._closed:
                        self._waiting.remove(job)
                        self._begin(job, room.pop_all())

    def _next(self) -> _Waiting | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return None if self._closed else self._waiting[0]

    def _wants(self, job: _Waiting) -> bool:
        with self._changed:
            return job in self._waiting and not self._closed

    def _begin(self, job: _Waiting, room: ExitStack) -> None:
        def run() -> None:
            try:
                with room:
                    job.run()
            finally:
                with self._changed:
                    self._running.remove(threading.current_thread())
                    self._changed.notify_all()

        thread = threading.Thread(target=run, name=job.name, daemon=True)
        self._running.append(thread)
        thread.start()
