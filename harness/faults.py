"""What can be done to the hosts of a running job, and when: plain values, and the words they are written in. Pure.

    kill algo-2 after 5s                     pause algo-2 for 10s after "epoch 1"
    kill rank 1 at Training                  partition algo-1,algo-2 from algo-3,algo-4 after 2s
    delay algo-2 by 200ms                    lose 5% of algo-2
    fill algo-1 after "saving"               slow disk of algo-2 to 512KiB/s
    limit algo-2 to 64MiB                    corrupt training of algo-2
    interrupt after 3s                       stall engine for 2s

Without a moment a fault fires as soon as the hosts run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.duration import format_duration, parse_duration
from harness.errors import BadInput

EVERY_HOST = "every host"
_KIBI = 1024


@dataclass(frozen=True)
class KillHost:
    """The host is gone at once, as when an instance fails."""

    host: str

    def __str__(self) -> str:
        return f"kill {self.host}"


@dataclass(frozen=True)
class KillRank:
    """SIGKILL to the processes of one rank; its host lives on."""

    rank: int

    def __str__(self) -> str:
        return f"kill rank {self.rank}"


@dataclass(frozen=True)
class Pause:
    """Every process of the host stands still for ``seconds``, then goes on."""

    host: str
    seconds: float

    def __str__(self) -> str:
        return f"pause {self.host} for {format_duration(self.seconds)}"


@dataclass(frozen=True)
class Partition:
    """Nothing passes between ``hosts`` and ``others``, in either direction; empty ``others`` are all the rest."""

    hosts: tuple[str, ...]
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"partition {','.join(self.hosts)}" + (f" from {','.join(self.others)}" if self.others else "")


@dataclass(frozen=True)
class Delay:
    """Each packet that the host sends to a peer is ``seconds`` late."""

    host: str
    seconds: float

    def __str__(self) -> str:
        return f"delay {self.host} by {format_duration(self.seconds)}"


@dataclass(frozen=True)
class Loss:
    """``percent`` of the packets that the host sends to its peers are lost."""

    host: str
    percent: float

    def __str__(self) -> str:
        return f"lose {self.percent:g}% of {self.host}"


@dataclass(frozen=True)
class FullDisk:
    """The host can write nothing more to /opt/ml and /tmp: no space left on device."""

    host: str

    def __str__(self) -> str:
        return f"fill {self.host}"


@dataclass(frozen=True)
class SlowDisk:
    """What the host reads from disk, and what it writes, goes no faster than ``kibibytes`` a second."""

    host: str
    kibibytes: int

    def __str__(self) -> str:
        whole = self.kibibytes % _KIBI == 0
        rate = f"{self.kibibytes // _KIBI}MiB/s" if whole else f"{self.kibibytes}KiB/s"
        return f"slow disk of {self.host} to {rate}"


@dataclass(frozen=True)
class MemoryLimit:
    """From now on the host has ``mebibytes`` of memory."""

    host: str
    mebibytes: int

    def __str__(self) -> str:
        return f"limit {self.host} to {self.mebibytes}MiB"


@dataclass(frozen=True)
class Corrupt:
    """The first file of a channel, as the host sees it, has its bytes inverted; the user's own is untouched."""

    channel: str
    host: str

    def __str__(self) -> str:
        return f"corrupt {self.channel} of {self.host}"


@dataclass(frozen=True)
class Interrupt:
    """The spot instances are taken away: a job with use_spot_instances starts again on new hosts."""

    def __str__(self) -> str:
        return "interrupt"


@dataclass(frozen=True)
class StallEngine:
    """The docker engine answers nobody for ``seconds``; containers run on."""

    seconds: float

    def __str__(self) -> str:
        return f"stall engine for {format_duration(self.seconds)}"


Fault = (
    KillHost
    | KillRank
    | Pause
    | Partition
    | Delay
    | Loss
    | FullDisk
    | SlowDisk
    | MemoryLimit
    | Corrupt
    | Interrupt
    | StallEngine
)


@dataclass(frozen=True)
class AfterSeconds:
    """``seconds`` after the hosts have started."""

    seconds: float

    def __str__(self) -> str:
        return f"after {format_duration(self.seconds)}"


@dataclass(frozen=True)
class AfterLog:
    """When ``text`` has been printed, by ``host`` or, without one, by any."""

    text: str
    host: str | None = None

    def __str__(self) -> str:
        return f"after {shlex.quote(self.text)}" + (f" on {self.host}" if self.host else "")

    def matches(self, host: str, line: str) -> bool:
        return self.text in line and self.host in (None, host)


@dataclass(frozen=True)
class AtStatus:
    """When the job enters this SecondaryStatus."""

    status: str

    def __str__(self) -> str:
        return f"at {self.status}"


Moment = AfterSeconds | AfterLog | AtStatus
HOST_STATUSES = ("Training", "Uploading")  # in which there are hosts to do something to


@dataclass(frozen=True)
class Timed:
    """A fault and the moment it fires at."""

    fault: Fault
    moment: Moment = AfterSeconds(0.0)

    def __str__(self) -> str:
        return f"{self.fault} {self.moment}"


def parse_fault(text: str) -> Timed:
    """``'kill algo-2 after 5s'`` as a value. Raises `BadInput` that names the words there are."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BadInput(f"--fault {text!r}: {error}") from error
    for at, word in enumerate(words):
        if word in ("after", "at") and at:
            return Timed(_fault(text, words[:at]), _moment(text, words[at:]))
    return Timed(_fault(text, words))


def hosts_of(fault: Fault, hosts: Sequence[str]) -> tuple[str, ...]:
    """The hosts that ``fault`` is done to, of those there are; a rank's is found when the fault fires."""
    match fault:
        case Partition():
            return fault.hosts + (fault.others or tuple(host for host in hosts if host not in fault.hosts))
        case KillRank() | Interrupt() | StallEngine():
            return ()
        case _:
            return tuple(hosts) if fault.host == EVERY_HOST else (fault.host,)


def problems(faults: Iterable[Timed], hosts: Sequence[str], channels: Sequence[str], *, spot: bool) -> Iterator[str]:
    """What cannot be done to a job with these ``hosts`` and ``channels``, a line each."""
    for timed in faults:
        fault = timed.fault
        for host in hosts_of(fault, hosts):
            if host not in hosts:
                yield f"fault {str(timed)!r}: there is no host {host!r}; there are {', '.join(hosts)}"
        if isinstance(fault, Partition) and not set(hosts) - set(fault.hosts):
            yield f"fault {str(timed)!r}: there is nobody to be parted from"
        if isinstance(fault, Corrupt) and fault.channel not in channels:
            yield f"fault {str(timed)!r}: there is no channel {fault.channel!r}"
        if isinstance(fault, Interrupt) and not spot:
            yield f"fault {str(timed)!r}: only jobs with use_spot_instances = true are interrupted"


def _fault(text: str, words: Sequence[str]) -> Fault:
    if words and words[0] == "skew":
        # Containers share the kernel's clock, and time namespaces hold monotonic clocks only (man 7 time_namespaces).
        raise BadInput(f"--fault {text!r}: the clock of one host cannot be set: all hosts share this machine's")
    for pattern, make in _FORMS:
        found = re.fullmatch(pattern, " ".join(words))
        if found:
            return make(text, *found.groups())
    raise BadInput(f"--fault {text!r}: not of the form {'; '.join(_HELP)}; then 'after 5s', 'after TEXT', 'at STATUS'")


def _moment(text: str, words: Sequence[str]) -> Moment:
    match list(words):
        case ["after", what] if re.fullmatch(r"[\d.]+(ms|s|m)?", what):
            return AfterSeconds(parse_duration(what, f"--fault {text!r}"))
        case ["after", what]:
            return AfterLog(what)
        case ["after", what, "on", host]:
            return AfterLog(what, host)
        case ["at", status] if status in HOST_STATUSES:
            return AtStatus(status)
        case ["at", status]:
            raise BadInput(f"--fault {text!r}: {status!r} is not one of {', '.join(HOST_STATUSES)}")
    raise BadInput(
        f"--fault {text!r}: {' '.join(words)!r} is no moment: 'after 5s', 'after TEXT [on HOST]', 'at STATUS'"
    )


def _seconds(text: str, value: str) -> float:
    return parse_duration(value, f"--fault {text!r}")


def _percent(text: str, value: str) -> float:
    if not 0 < float(value) <= 100:
        raise BadInput(f"--fault {text!r}: {value}% is not more than 0 and 100 at most")
    return float(value)


def _rate(text: str, value: str, unit: str) -> int:
    if not int(value):
        raise BadInput(f"--fault {text!r}: {value}{unit}iB/s is not more than 0")
    return int(value) * (_KIBI if unit == "M" else 1)


_HOST = r"(algo-\d+|every host)"
_HOSTS = r"(algo-\d+(?:,algo-\d+)*)"
_FORMS: tuple[tuple[str, Callable[..., Fault]], ...] = (
    (rf"kill {_HOST}", lambda _, host: KillHost(host)),
    (r"kill rank (\d+)", lambda _, rank: KillRank(int(rank))),
    (rf"pause {_HOST} for (\S+)", lambda text, host, value: Pause(host, _seconds(text, value))),
    (rf"partition {_HOSTS}", lambda _, hosts: Partition(tuple(hosts.split(",")))),
    (rf"partition {_HOSTS} from {_HOSTS}", lambda _, a, b: Partition(tuple(a.split(",")), tuple(b.split(",")))),
    (rf"delay {_HOST} by (\S+)", lambda text, host, value: Delay(host, _seconds(text, value))),
    (rf"lose ([\d.]+)% of {_HOST}", lambda text, value, host: Loss(host, _percent(text, value))),
    (rf"fill {_HOST}", lambda _, host: FullDisk(host)),
    (rf"slow disk of {_HOST} to (\d+)([KM])iB/s", lambda text, host, *rate: SlowDisk(host, _rate(text, *rate))),
    (rf"limit {_HOST} to (\d+)MiB", lambda _, host, value: MemoryLimit(host, int(value))),
    (rf"corrupt (\S+) of {_HOST}", lambda _, channel, host: Corrupt(channel, host)),
    (r"interrupt", lambda _: Interrupt()),
    (r"stall engine for (\S+)", lambda text, value: StallEngine(_seconds(text, value))),
)
_HELP = (
    "'kill HOST'",
    "'kill rank N'",
    "'pause HOST for 10s'",
    "'partition HOSTS [from HOSTS]'",
    "'delay HOST by 200ms'",
    "'lose 5% of HOST'",
    "'fill HOST'",
    "'slow disk of HOST to 512KiB/s'",
    "'limit HOST to 64MiB'",
    "'corrupt CHANNEL of HOST'",
    "'interrupt'",
    "'stall engine for 2s'",
)
