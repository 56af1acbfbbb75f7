"""What each host of a job may use of the one machine that they all share. Pure.

Memory is the type's, scaled down by one factor where the hosts together would not fit; never up. CPUs are not scaled
by it: each script is held to cores of its own (`shares`), as many as the type's vCPUs, fewer where there are not
enough. A quota on top is set only where the type has fewer vCPUs than an equal share of the cores: at the share itself
it changes nothing for the script, and slows what launches it (a one-allreduce job took 2.1 s with it, 1.9 s without).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from harness.instance_types import InstanceType

MODES = ("type", "off")
GIB = 2**30
_FOR_HOSTS = 0.9  # of the machine's memory; the rest is the engine's and the system's


@dataclass(frozen=True)
class Machine:
    """What the engine runs on."""

    cpus: int
    memory_bytes: int
    gpus: int = 0


@dataclass(frozen=True)
class HostLimits:
    """``cores`` are the script's own, as numbers from 0; ``gpus`` the machine's that the host is given.

    ``cpus`` (a quota), ``memory_bytes`` and ``shm_bytes`` are None where nothing is said about them.
    """

    cores: tuple[int, ...]
    cpus: int | None = None
    memory_bytes: int | None = None
    shm_bytes: int | None = None
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True)
class Limits:
    """Of all hosts. ``notes`` are for whoever reads the screen or the receipt; ``factor`` is that of the memory."""

    hosts: Mapping[str, HostLimits]
    factor: float = 1.0
    notes: tuple[str, ...] = ()


def decide(
    hosts: Mapping[str, str], types: Mapping[str, InstanceType], machine: Machine, *, enforce: bool = True
) -> Limits:
    """The limits of ``hosts`` (name to instance type). Without ``enforce`` no CPU or memory is withheld from any.

    A type that is not in ``types`` may be newer than they are: its hosts run without limits, and a note says so.
    """
    known = {host: types[name] for host, name in hosts.items() if name in types}
    wanted = sum(facts.memory_gib for facts in known.values()) * GIB
    factor = min(1.0, _FOR_HOSTS * machine.memory_bytes / wanted) if wanted else 1.0
    vcpus = [known[host].vcpu if enforce and host in known else machine.cpus for host in hosts]
    cores = dict(zip(hosts, shares(machine.cpus, vcpus), strict=True))
    gpus = assigned_gpus({host: facts.gpus for host, facts in known.items()}, machine.gpus)
    limits = {host: HostLimits(cores[host]) for host in hosts}
    for host, facts in known.items():
        limits[host] = HostLimits(
            cores=cores[host],
            cpus=facts.vcpu if enforce and facts.vcpu < machine.cpus // len(hosts) else None,
            memory_bytes=int(facts.memory_gib * GIB * factor) if enforce else None,
            shm_bytes=int(facts.shared_memory_gib * GIB * factor),
            gpus=gpus[host],
        )
    notes = [
        *([_summary({host: hosts[host] for host in known}, limits, factor)] if enforce and known else []),
        *_unknown(hosts, known),
        *_gpu_notes(hosts, known, machine),
    ]
    return Limits(limits, factor, tuple(notes))


def shares(cores: int, vcpus: Sequence[int]) -> list[tuple[int, ...]]:
    """Which of ``cores`` (from 0) each host gets that would like ``vcpus``: its own, and never none.

    With more hosts than cores some share one. Horovod's waiting threads spin: on shared cores they take the time of
    the ranks they wait for.
    """
    hosts = len(vcpus)
    if hosts > cores:
        return [(index % cores,) for index in range(hosts)]
    if sum(vcpus) <= cores:
        sizes = list(vcpus)
    else:  # one each, and of the others in proportion to what is still missing: no host gets more than it wants
        missing = list(accumulate((vcpu - 1 for vcpu in vcpus), initial=0))
        edges = [part * (cores - hosts) // missing[-1] for part in missing]
        sizes = [1 + after - before for before, after in pairwise(edges)]
    ends = list(accumulate(sizes))
    return [tuple(range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


def assigned_gpus(wanted: Mapping[str, int], there: int) -> dict[str, tuple[int, ...]]:
    """Which of the machine's GPUs each host gets: its own as far as they go, then others' once more."""
    starts = accumulate(wanted.values(), initial=0)
    return {
        host: tuple(sorted({(start + number) % there for number in range(count)})) if there else ()
        for start, (host, count) in zip(starts, wanted.items(), strict=False)
    }


def memory_advice(host: str, limits: Limits) -> str:
    """What to think of a ``host`` that ran out of its memory."""
    memory = limits.hosts[host].memory_bytes
    if memory is None:
        return f"{host} had no limit: this machine itself ran out of memory"
    share = f", {limits.factor:.2g} of its instance type's" if limits.factor < 1 else ", as its instance type has"
    return f"{host} had {memory / GIB:.3g} GiB{share}; --limits off lets it take all of this machine's"


def _summary(hosts: Mapping[str, str], limits: Mapping[str, HostLimits], factor: float) -> str:
    parts = []
    for name in dict.fromkeys(hosts.values()):
        those = [limits[host] for host in hosts if hosts[host] == name]
        least, most = (choose(len(host.cores) for host in those) for choose in (min, max))
        cpus = f"{least} cpu{'s' if least > 1 else ''}" if least == most else f"{least} to {most} cpus"
        memory = f"{(those[0].memory_bytes or 0) / GIB:.3g} GiB"
        count = len(those)
        parts.append(f"{name} x {count} host{'s' if count > 1 else ''}: {cpus}, {memory}{' each' if count > 1 else ''}")
    scaled = f" (memory scaled by {factor:.2g} to this machine)" if factor < 1 else ""
    return f"limits: {'; '.join(parts)}{scaled}"


def _unknown(hosts: Mapping[str, str], known: Mapping[str, InstanceType]) -> list[str]:
    names = dict.fromkeys(name for host, name in hosts.items() if host not in known)
    return [
        f"{name} is not in the catalogue of instance types: its hosts run without limits; a table "
        f'[instance_types."{name}"] with vcpu and memory_gib in the job file sets them'
        for name in names
    ]


def _gpu_notes(hosts: Mapping[str, str], known: Mapping[str, InstanceType], machine: Machine) -> list[str]:
    if machine.gpus:
        wanted = sum(facts.gpus for facts in known.values())
        if wanted <= machine.gpus:
            return []
        return [f"the hosts' instance types have {wanted} GPUs in all, this machine {machine.gpus}: hosts share them"]
    counts = {hosts[host]: facts.gpus for host, facts in known.items() if facts.gpus}
    return [
        f"{name} has {count} GPU{'s' if count > 1 else ''}, this machine none: the script finds no GPU here"
        for name, count in counts.items()
    ]
