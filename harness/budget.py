"""Hosts that may run at once on this machine, over all processes that test: more than that queue.

A slot is a locked file; the kernel lets a lock go when its process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
) -> Iterator[None]:
    """Wait for ``hosts`` free slots and hold them; a job of more hosts than the budget takes all there is.

    One waits at a time, and the others behind it, so that a large job is not overtaken for ever by small ones. Raises
    `GivenUp` once they are ``wanted_no_more``.
    """
    budget = budget or host_budget()
    wanted = min(hosts, budget)
    folder = folder or Path(tempfile.gettempdir()) / f"sagemaker-harness-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    began, said = time.monotonic(), False
    with ExitStack() as held:
        with (folder / "turnstile").open("w") as turnstile:
            our_turn, missing = False, wanted
            while missing:
                if wanted_no_more():
                    raise GivenUp
                our_turn = our_turn or _try_lock(turnstile)
                missing -= _take(folder, budget, missing, held) if our_turn else 0
                if missing and not said and time.monotonic() - began > _SAY_AFTER:
                    said = True
                    say(f"waiting for {wanted} of the {budget} hosts that may run at once on this machine")
                if missing:
                    time.sleep(_PAUSE)
        yield


def _take(folder: Path, budget: int, most: int, held: ExitStack) -> int:
    """Lock as many free slots as there are, at most ``most``."""
    taken = 0
    for number in range(budget):
        if taken == most:
            break
        slot = (folder / f"slot-{number}").open("w")
        if _try_lock(slot):
            held.enter_context(slot)
            taken += 1
        else:
            slot.close()
    return taken


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
