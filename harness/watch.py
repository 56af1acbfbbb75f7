"""Watching over the hosts of a job: everything that happens to it arrives here, and is answered in order.

Hosts that end, requests, and times that are over come out of one queue; nothing is polled.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from harness import status
from harness.control import Control, Interrupt, Request, Stop
from harness.follow import followers
from harness.outcome import HostExit
from harness.run import Run

STOP_GRACE = 120.0  # seconds between SIGTERM and SIGKILL when a job is stopped (API reference, StopTrainingJob)
FAILURE_GRACE = 5.0  # for the other hosts once one has failed; the platform's own is not documented


@dataclass(frozen=True)
class TimeOver:
    """A limit of the job's is reached: ``ending`` is the SecondaryStatus that it leads to."""

    ending: str
    why: str


@dataclass(frozen=True)
class Times:
    """Limits of a job, in seconds.

    ``max_run`` is of training, all attempts together: whether the platform counts each attempt of a spot job by
    itself is not verified. ``max_wait`` is of everything since the job began (API reference, StoppingCondition).
    ``grace`` lies between SIGTERM and SIGKILL when a job is stopped.
    """

    max_run: float
    max_wait: float | None
    grace: float


class StopAsked(Exception):
    """The job was asked to end before it trained."""


Event = HostExit | Request | TimeOver


class Watch:
    """Watches one job through all of its attempts. Statuses of an attempt that has yet to train go through `enter`."""

    def __init__(self, run: Run, control: Control, times: Times) -> None:
        self._run = run
        self._control = control
        self._times = times
        self._began = time.monotonic()
        self._trained = 0.0  # seconds, in attempts that are over
        self._stop_at: float | None = None
        self._interruptions = list(control.interrupt_after)
        self._events: queue.Queue[Event] = queue.Queue()
        self._lock = threading.Lock()
        self._training = False
        self._stopped_early = False
        self._released = threading.Event()
        control.listen(self._hear)

    def follow(self) -> None:
        """Get ready to follow the hosts of the next attempt, from the moment that they are `started`."""
        self._released = threading.Event()
        followers(self._run, self._released, self._events.put)

    def enter(self, secondary_status: str) -> None:
        """Move to ``secondary_status`` on the way to training. Raises `StopAsked`."""
        with self._lock:
            self._go_on()
            self._run.record.move(secondary_status)

    def progress(self) -> None:
        """Show the next message of this status. Raises `StopAsked`."""
        with self._lock:
            self._go_on()
            self._run.record.progress()

    def started(self) -> None:
        """All hosts run: the job trains. Raises `StopAsked`."""
        self.enter(status.TRAINING)
        self.resume()

    def resume(self) -> None:
        """Follow hosts that run already."""
        with self._lock:
            self._training = True
        if self._stop_at is None and self._control.stop_after is not None:
            self._stop_at = time.monotonic() + self._control.stop_after
        self._released.set()

    def let_go(self) -> None:
        """Whatever follows hosts that never ran may end."""
        self._released.set()

    def wait_is_over(self) -> bool:
        return self._times.max_wait is not None and time.monotonic() - self._began >= self._times.max_wait

    def until_all_ended(self) -> tuple[list[HostExit], str | None]:
        """Every host's exit, in order, and the ending that was asked for, if any: a final status, or Interrupted.

        An attempt is over when *all* hosts are; the first to fail takes the others with it.
        """
        began = time.monotonic()
        attempt = _Attempt(self._run, self._times, self._alarms(began))
        while attempt.running:
            try:
                event = attempt.next_event(self._events)
            except KeyboardInterrupt:
                try:
                    attempt.ctrl_c()
                except KeyboardInterrupt:  # the second came before the first was dealt with
                    attempt.ctrl_c()
            else:
                attempt.hear(event)
        if attempt.asked == status.INTERRUPTED:
            attempt.join()  # or what still takes hosts away might find the new ones
        with self._lock:
            self._training = False
        self._trained += time.monotonic() - began
        return attempt.exits, attempt.asked

    def _alarms(self, now: float) -> list[tuple[float, Event]]:
        """When something happens to this attempt by itself, soonest first."""
        times = self._times
        alarms: list[tuple[float, Event]] = [
            (
                now + times.max_run - self._trained,
                TimeOver(status.MAX_RUNTIME_EXCEEDED, f"max_run of {times.max_run:g} s is over"),
            )
        ]
        if times.max_wait is not None:
            over = TimeOver(status.MAX_WAIT_TIME_EXCEEDED, f"max_wait of {times.max_wait:g} s is over")
            alarms.append((self._began + times.max_wait, over))
        if self._stop_at is not None:
            alarms.append((self._stop_at, Stop()))
        if self._interruptions:
            alarms.append((now + self._interruptions.pop(0), Interrupt()))
        return sorted(alarms, key=lambda alarm: alarm[0])

    def _hear(self, request: Request) -> None:
        """In the thread of whoever asks: a job that has yet to train is Stopping at once, as the API answers."""
        with self._lock:
            self._events.put(request)
            if isinstance(request, Stop) and not self._training:
                self._stopped_early = True
                if self._run.record.history.secondary_status in (status.STARTING, status.DOWNLOADING):
                    self._run.record.move(status.STOPPING)

    def _go_on(self) -> None:
        if self._stopped_early:
            raise StopAsked


class _Attempt:
    """The hosts of one attempt while they run, and what is to become of them."""

    def __init__(self, run: Run, times: Times, alarms: list[tuple[float, Event]]) -> None:
        self.running = list(run.hosts)
        self.exits: list[HostExit] = []
        self.asked: str | None = None
        self._run = run
        self._times = times
        self._alarms = alarms
        self._ending: list[threading.Thread] = []
        self._presses = 0  # of Ctrl-C

    @property
    def failed(self) -> bool:
        return any(item.exit_code for item in self.exits)

    def next_event(self, events: queue.Queue[Event]) -> Event:
        """The next thing to happen; once the job is decided, its times no longer matter."""
        if self.asked or self.failed or not self._alarms:
            return events.get()
        moment, alarm = self._alarms[0]
        try:
            return events.get(timeout=max(0.0, moment - time.monotonic()))
        except queue.Empty:
            del self._alarms[0]
            return alarm

    def hear(self, event: Event) -> None:
        match event:
            case HostExit():
                self._ended(event)
            case Stop(grace):
                self._stop_asked(self._times.grace if grace is None else grace)
            case TimeOver(ending, why) if not self.asked:
                self.asked = ending
                self._stop(self._times.grace, f"{why}; stopping all hosts")
            case Interrupt() if not (self.asked or self.failed):
                self.asked = status.INTERRUPTED
                if self._run.checkpoints:
                    self._run.checkpoints.stop()
                # Whether containers get a SIGTERM first is not verified: here hosts are gone without notice, so that
                # only what was checkpointed by then can be counted on.
                self._end(0.0, f"interrupted: taking {', '.join(self.running)} away")

    def ctrl_c(self) -> None:
        """The first stops the job, the next one kills what is left of it."""
        self._presses += 1
        at_once = self.asked or self.failed or self._presses > 1
        self._stop_asked(0.0 if at_once else self._times.grace, more="; Ctrl-C again kills them")

    def join(self) -> None:
        """Return once nothing is taking hosts away any more."""
        for thread in self._ending:
            thread.join()

    def _ended(self, ended: HostExit) -> None:
        first_to_fail = ended.exit_code and not self.failed
        self.running.remove(ended.host)
        self.exits.append(ended)
        if first_to_fail and self.running and not self.asked:
            self._end(FAILURE_GRACE, f"{ended.host} failed; stopping {', '.join(self.running)}")

    def _stop_asked(self, grace: float, more: str = "") -> None:
        ending = self.failed or self.asked not in (None, status.INTERRUPTED)
        if ending and grace:
            return
        why = f"stopping all hosts, {grace:g} s at most{more}" if grace else "killing all hosts"
        if self.failed:
            self._end(grace, why)  # the verdict stands
            return
        self.asked = self.asked if ending else status.STOPPED
        self._stop(grace, why)

    def _stop(self, grace: float, why: str) -> None:
        if self._run.record.history.secondary_status != status.STOPPING:
            self._run.record.move(status.STOPPING)
        self._end(grace, why)

    def _end(self, grace: float, why: str) -> None:
        """Ask the hosts that still run to end, without waiting for them."""
        self._run.reporter.note(why)
        thread = threading.Thread(target=_stop_or_remove, args=(self._run, tuple(self.running), grace), daemon=True)
        thread.start()
        self._ending.append(thread)


def _stop_or_remove(run: Run, hosts: Iterable[str], grace: float) -> None:
    try:
        run.cluster.stop(hosts, grace)
    except Exception as error:  # whatever it was: hosts that cannot be stopped must not be waited for
        run.reporter.note(f"could not stop {', '.join(hosts)}: {error}; removing them")
        run.cluster.remove()
