"""Fires faults at their moments while a job runs, says so in its log, and undoes them at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.fault_effects import Effects, Undo
from harness.faults import AfterLog, AfterSeconds, AtStatus, Interrupt, Timed
from harness.status import TRAINING


@dataclass
class _Pending:
    timed: Timed
    fired: bool = False
    failure: str = ""


class FaultInjector:
    """Told of every line and status of a job; ``note`` tells people, ``interrupt`` takes the job's hosts away.

    Faults may be added from any thread, also while the job runs. ``printed`` answers whether a line has been said
    already, for those that are added late.
    """

    def __init__(
        self,
        effects: Effects,
        faults: Iterable[Timed],
        *,
        note: Callable[[str], object],
        interrupt: Callable[[], object],
        printed: Callable[[AfterLog], bool],
    ) -> None:
        self._effects = effects
        self._note = note
        self._interrupt = interrupt
        self._printed = printed
        self._lock = threading.Lock()
        self._statuses: set[str] = set()
        self._pending = [_Pending(timed) for timed in faults]
        self._undo: list[Undo] = []
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()

    def add(self, timed: Timed) -> None:
        """One more; it fires at once where its moment has already been."""
        pending = _Pending(timed)
        with self._lock:
            self._pending.append(pending)
            statuses = set(self._statuses)
        match timed.moment:
            case AtStatus(status) if status in statuses:
                self._fire(pending)
            case AfterSeconds(seconds) if TRAINING in statuses:
                self._fire(pending, seconds)
            case AfterLog() if self._printed(timed.moment):
                self._fire(pending)

    def status(self, name: str) -> None:
        """The job has entered this SecondaryStatus."""
        with self._lock:
            self._statuses.add(name)
            waiting = [each for each in self._pending if not each.fired]
        for pending in waiting:
            moment = pending.timed.moment
            if isinstance(moment, AtStatus) and moment.status == name:
                self._fire(pending)
            elif isinstance(moment, AfterSeconds) and name == TRAINING:
                self._fire(pending, moment.seconds)

    def line(self, host: str, text: str) -> None:
        """``host`` has printed this line."""
        for pending in self._pending:
            moment = pending.timed.moment
            if not pending.fired and isinstance(moment, AfterLog) and moment.matches(host, text):
                self._fire(pending)

    def close(self) -> tuple[str, ...]:
        """Undo everything; a line for each fault that never fired or could not be done."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        for undo in reversed(self._undo):
            undo()
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
        if self._over.wait(seconds):
            pending.fired = False  # the job was over before
            return
        self._note(f"fault: {pending.timed}")
        try:
            if isinstance(pending.timed.fault, Interrupt):
                self._interrupt()
            else:
                self._undo.append(self._effects.apply(pending.timed.fault))
        except HarnessError as error:
            pending.failure = str(error)
            self._note(f"fault {str(pending.timed)!r} could not be done: {error}")
