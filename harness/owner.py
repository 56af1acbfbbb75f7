"""Who made something in the engine: the process that must be alive for it to be wanted.

A process is told by its number, the time it started, the boot it runs in and the namespace its number counts in:
numbers are used again after a boot, after an end, and in every container.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import labels

# Of the fields after the command's name (man 5 proc): the state, the kernel's flags, and the start in clock ticks.
_STAT_STATE, _STAT_FLAGS, _STAT_START = 0, 6, 19
_EXITING = 0x4  # PF_EXITING (linux, include/linux/sched.h): its locks may be free already, and its number still taken


@dataclass(frozen=True)
class Owner:
    """A process of one machine. Empty texts where a system has no such thing."""

    pid: int
    started: str
    namespace: str
    boot: str
    machine: str

    def labels(self) -> dict[str, str]:
        return {labels.OWNER: " ".join((str(self.pid), self.started, self.namespace, self.boot, self.machine))}


def marks(*, retain: bool) -> dict[str, str]:
    """Labels for what this process makes: it is left over when the process ends, unless it is to be retained."""
    return {labels.RETAINED: "yes"} if retain else this_process().labels()


def owner_of(found: Mapping[str, str]) -> Owner | None:
    """The owner that labels tell of, None where they tell of none."""
    parts = found.get(labels.OWNER, "").split(" ")
    return Owner(int(parts[0]), *parts[1:]) if len(parts) == 5 and parts[0].isdigit() else None


def this_process(proc: Path = Path("/proc"), machine_id: Path = Path("/etc/machine-id")) -> Owner:
    namespace = proc / "self/ns/pid"
    return Owner(
        os.getpid(),
        start_time(os.getpid(), proc) or "-",
        str(namespace.readlink()) if namespace.is_symlink() else "-",
        _text(proc / "sys/kernel/random/boot_id"),
        _text(machine_id),
    )


def is_gone(owner: Owner, me: Owner, started: str | None) -> bool:
    """Whether ``owner`` has certainly ended; ``started`` is when the process with its number began, if there is one.

    What was made on another machine, or counts its processes elsewhere (in another container), is not ours to judge.
    """
    if owner.machine != me.machine or owner.machine == "-":
        return False
    if owner.boot != me.boot:
        return True
    return owner.namespace == me.namespace and started != owner.started


def start_time(pid: int, proc: Path = Path("/proc")) -> str | None:
    """When process ``pid`` began, in clock ticks since boot; None when there is none, or it is at its end."""
    try:
        stat = (proc / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    over = fields[_STAT_STATE] in "ZX" or int(fields[_STAT_FLAGS]) & _EXITING
    return None if over else fields[_STAT_START]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip() or "-"
    except OSError:
        return "-"
