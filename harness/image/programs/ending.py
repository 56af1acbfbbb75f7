"""How a host comes to its end: its script is seen through, and what it died of is left for the platform."""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from harness import contract
from harness.image.programs.rendezvous import HostLost
from harness.image.programs.script import Script

FAILED = 1  # the exit code of a host whose script failed, whatever the script's own (toolkit, trainer.py)
_CUT_OFF = 255  # ssh's own exit code: it was told none, as of a process that a signal ended
# That a host gives the one that caused its failure to be the first to end: the platform takes that one for the cause.
CAUSE_SECONDS = 10.0


class Peers(Protocol):
    """The other hosts that the script depends on."""

    def watch(self, lost: Callable[[str], None]) -> None: ...


def see_through(
    script: Script, hosts: Sequence[str], per_host: int = 1, *, peers: Peers | None = None, elsewhere: bool = False
) -> int:
    """See ``script`` through to its end; 0, or 1 with the failure file written.

    ``hosts`` are those of its ranks, in their order; ``elsewhere`` says that others of them have scripts of their own.
    Raises `HostLost` when one of ``peers`` goes away meanwhile.
    """
    stopped = threading.Event()
    lost: list[str] = []

    def stop(*_: object) -> None:
        stopped.set()
        script.signal(signal.SIGTERM)

    def end(what: str) -> None:
        lost.append(what)
        script.signal(signal.SIGKILL)

    before = signal.signal(signal.SIGTERM, stop)
    if peers:
        peers.watch(end)
    code = script.wait()
    told = stopped.is_set()
    if code and not told and not lost and elsewhere and script.evidence.is_consequence():
        stopped.wait(CAUSE_SECONDS)
    signal.signal(signal.SIGTERM, before)
    if lost and not stopped.is_set():
        raise HostLost(f"{lost[0]} (while the script was running)")
    if code == 0 or told:
        return code  # a script that was told to end has not failed
    return fail(failure(script, code, hosts, per_host))


def failure(script: Script, code: int, hosts: Sequence[str], per_host: int) -> str:
    """The text of a script that failed with ``code``: of its own code, where the launcher tells that of the rank."""
    rank, lines = script.evidence.cause()
    told = [f"rank {rank} on {hosts[rank // per_host]}"] if rank is not None and len(hosts) > 1 else []
    if script.evidence.exit_code == _CUT_OFF:
        told.append("killed, perhaps for lack of memory, or cut off: ssh says no more")
    return contract.script_failure(
        script.evidence.exit_code or code,
        script.evidence.error_message()[:400],
        shlex.join(script.command),
        "\n".join([*told, *lines[-6:]]),
    )


def fail(message: str) -> int:
    """Leave ``message`` where the platform looks for it, unless the script has left its own (toolkit, files.py)."""
    text = Path(contract.FAILURE_FILE)
    if not text.exists():
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(message)
    return FAILED
