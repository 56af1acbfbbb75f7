"""Fires faults at their moments while a job runs, says so in its log, and undoes them at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.fault_effects import Effects, Undo
from harness.faults import AfterLog, AfterSeconds, AtStatus, Interrupt, Timed
from harness.run import Reporter, Step
from harness.status import TRAINING


@dataclass
class _Pending:
    timed: Timed
    fired: bool = False
    failure: str = ""


@dataclass(frozen=True)
class Scene:
    """Where faults are done: ``note`` tells people, ``interrupt`` takes the job's hosts away."""

    effects: Effects
    note: Callable[[str], object]
    interrupt: Callable[[], object]


class FaultInjector:
    """Told of every line and status of one job. Faults may be added from any thread, before it starts or later."""

    def __init__(self, faults: Iterable[Timed] = ()) -> None:
        self._lock = threading.Lock()
        self._scene: Scene | None = None
        self._pending = [_Pending(timed) for timed in faults]
        self._statuses: set[str] = set()
        self._lines: list[tuple[str, str]] = []  # all so far, for faults that are added late
        self._undo: list[Undo] = []
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()
        self.fired: list[tuple[Timed, float]] = []  # what has been done, and when (`time.monotonic`)

    @property
    def faults(self) -> list[Timed]:
        return [pending.timed for pending in self._pending]

    def attach(self, scene: Scene) -> None:
        """The job has hosts from now on; to be called before the first line or status."""
        self._scene = scene

    def add(self, timed: Timed) -> None:
        """One more; it fires at once where its moment has already been."""
        pending = _Pending(timed)
        moment = timed.moment
        with self._lock:
            self._pending.append(pending)
            statuses, lines = set(self._statuses), list(self._lines)
        if isinstance(moment, AtStatus) and moment.status in statuses:
            self._fire(pending)
        elif isinstance(moment, AfterSeconds) and TRAINING in statuses:
            self._fire(pending, moment.seconds)
        elif isinstance(moment, AfterLog) and any(moment.matches(host, line) for host, line in lines):
            self._fire(pending)

    def status(self, name: str) -> None:
        """The job has entered this SecondaryStatus."""
        with self._lock:
            self._statuses.add(name)
            pending = list(self._pending)
        for each in pending:
            moment = each.timed.moment
            if isinstance(moment, AtStatus) and moment.status == name:
                self._fire(each)
            elif isinstance(moment, AfterSeconds) and name == TRAINING:
                self._fire(each, moment.seconds)

    def lines(self, host: str, texts: Sequence[str]) -> None:
        """``host`` has printed these lines."""
        with self._lock:
            self._lines += [(host, text) for text in texts]
            waiting = [each for each in self._pending if not each.fired and isinstance(each.timed.moment, AfterLog)]
        for each in waiting:
            moment = each.timed.moment
            if isinstance(moment, AfterLog) and any(moment.matches(host, text) for text in texts):
                self._fire(each)

    def close(self) -> tuple[str, ...]:
        """Undo everything; a line for each fault that never fired or could not be done."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        while self._undo:
            self._undo.pop()()
        return tuple(
            f"fault {str(each.timed)!r}: {each.failure or 'its moment never came'}"
            for each in self._pending
            if each.failure or not each.fired
        )

    def _fire(self, pending: _Pending, seconds: float = 0.0) -> None:
        with self._lock:
            if pending.fired:
                return
            pending.fired = True
            # In a thread of its own: whoever reads the log must go on reading it.
            thread = threading.Thread(target=self._do, args=(pending, seconds), daemon=True)
            self._threads.append(thread)
        thread.start()

    def _do(self, pending: _Pending, seconds: float) -> None:
        if self._over.wait(seconds) or self._scene is None:
            pending.fired = False  # the job was over before
            return
        self._scene.note(f"fault: {pending.timed}")
        self.fired.append((pending.timed, time.monotonic()))
        try:
            if isinstance(pending.timed.fault, Interrupt):
                self._scene.interrupt()
            else:
                self._undo.append(self._scene.effects.apply(pending.timed.fault))
        except HarnessError as error:
            pending.failure = str(error)
            self._scene.note(f"fault {str(pending.timed)!r} could not be done: {error}")


class Watched:
    """A reporter whose lines the injector hears as well."""

    def __init__(self, reporter: Reporter, injector: FaultInjector) -> None:
        self._reporter = reporter
        self._injector = injector

    def step(self, title: str) -> AbstractContextManager[Step]:
        return self._reporter.step(title)

    def note(self, text: str) -> None:
        self._reporter.note(text)

    def lines(self, host: str, texts: Sequence[str]) -> None:
        self._reporter.lines(host, texts)
        self._injector.lines(host, texts)
