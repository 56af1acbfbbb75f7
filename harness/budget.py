"""Hosts that may run at once on this machine, over all processes that test: more than that queue.

A slot is a locked file that says who has it; the kernel lets a lock go when its process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_HOSTS_PER_CORE = 2  # what starts waits, on the network or for its turn, about half of the time
_SAY_AFTER = 1.0
_PAUSE = 0.1


def host_budget(cores: int | None = None) -> int:
    """How many hosts may run at once on a machine with so many ``cores``; at least those of one usual job."""
    return max(4, _HOSTS_PER_CORE * (cores or os.cpu_count() or 1))


class GivenUp(Exception):
    """Who waited for hosts no longer does."""


@contextmanager
def hold(
    hosts: int,
    say: Callable[[str], object],
    *,
    budget: int | None = None,
    folder: Path | None = None,
    wanted_no_more: Callable[[], bool] = lambda: False,
    by: str = "",
) -> Iterator[None]:
    """Wait for ``hosts`` free slots and hold them; a job of more hosts than the budget takes all there is.

    One waits at a time, and the others behind it, so that a large job is not overtaken for ever by small ones. Who
    says its name (``by``) and has hosts already does not wait for more: whoever is before it may be waiting for the
    very hosts that it has, and both would wait for ever. Raises `GivenUp` once they are ``wanted_no_more``.
    """
    budget = budget or host_budget()
    wanted = min(hosts, budget)
    folder = folder or Path(tempfile.gettempdir()) / f"sagemaker-harness-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    slots = _Slots(folder, budget)
    with ExitStack() as held:
        if by and slots.some_are_of(by):
            taken = slots.take(wanted, held)
            if missing := wanted - len(taken):
                say(
                    f"this test has hosts already: no waiting, though with {missing} more there are over {budget} on "
                    "this machine"
                )
        else:
            taken = _wait_for(slots, wanted, held, say, wanted_no_more)
        for slot in taken:
            slot.write(by)
            slot.flush()
        yield


@dataclass(frozen=True)
class _Slots:
    folder: Path
    budget: int

    def take(self, most: int, held: ExitStack) -> list[IO[str]]:
        """Lock as many free slots as there are, at most ``most``."""
        taken: list[IO[str]] = []
        for number in range(self.budget):
            if len(taken) == most:
                break
            slot = self._open(number)
            if _try_lock(slot):
                slot.truncate(0)  # it is no longer who had it before
                taken.append(held.enter_context(slot))
            else:
                slot.close()
        return taken

    def some_are_of(self, by: str) -> bool:
        for number in range(self.budget):
            with self._open(number) as slot:
                if not _try_lock(slot):
                    slot.seek(0)
                    if slot.read() == by:
                        return True
        return False

    def _open(self, number: int) -> IO[str]:
        return (self.folder / f"slot-{number}").open("a+")


def _wait_for(
    slots: _Slots, wanted: int, held: ExitStack, say: Callable[[str], object], wanted_no_more: Callable[[], bool]
) -> list[IO[str]]:
    began, said = time.monotonic(), False
    taken: list[IO[str]] = []
    with (slots.folder / "turnstile").open("a") as turnstile:
        our_turn = False
        while True:
            if wanted_no_more():
                raise GivenUp
            our_turn = our_turn or _try_lock(turnstile)
            taken += slots.take(wanted - len(taken), held) if our_turn else []
            if len(taken) == wanted:
                return taken
            if not said and time.monotonic() - began > _SAY_AFTER:
                said = True
                say(f"waiting for {wanted} of the {slots.budget} hosts that may run at once on this machine")
            time.sleep(_PAUSE)


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
