"""What `harness logs` prints: logs of a run's hosts, at rest or as they grow."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import BadInput, HarnessError
from harness.host_log import HostLogReader
from harness.record import is_held

_HOST = re.compile(r"algo-[1-9]\d*")
_EVERY = 0.1  # seconds between looks at files that grow
_OF_THE_DOOR = Path("door", "runs")  # where the door keeps its runs, unless it was told to keep them elsewhere
_FINAL = ("Completed", "Failed", "Stopped")


@dataclass(frozen=True)
class Wanted:
    """Which logs: of ``hosts``, or all of them, of the run or endpoint ``name``; ``tail`` lines of each, or all."""

    name: str
    hosts: tuple[str, ...] = ()
    follow: bool = False
    timestamps: bool = False
    tail: int | None = None


def split_words(words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The name of a run and the hosts among ``words``: what looks like algo-N is a host. Raises `BadInput`."""
    names = [word for word in words if not _HOST.fullmatch(word)]
    if len(names) > 1:
        raise BadInput(f"{', '.join(map(repr, names))}: the logs of one run at a time; hosts are named algo-1 … algo-N")
    return names[0] if names else "latest", tuple(word for word in words if _HOST.fullmatch(word))


def log_lines(wanted: Wanted, runs: Path) -> Iterator[bytes]:
    """The lines, with their ends. Several hosts' have the host before them; one that was named has its bare lines.

    Raises `BadInput` where there is no such run, host or endpoint, and `HarnessError` where a followed run was
    abandoned.
    """
    # Resolved, so that the newest run remains the one to follow when a newer begins.
    folders = [(place / wanted.name).resolve() for place in (runs, runs / _OF_THE_DOOR)]
    folder = next((each for each in folders if (each / "logs").is_dir()), None)
    if folder is None:
        return _endpoint_lines(wanted, runs)
    _refuse_unknown_hosts(folder, wanted)
    return _follow(folder, wanted) if wanted.follow else _at_rest(folder, wanted)


def _refuse_unknown_hosts(folder: Path, wanted: Wanted) -> None:
    there = _hosts(folder)
    unknown = [host for host in wanted.hosts if host not in there]
    if unknown:
        raise BadInput([f"{folder.name} has no host {host}: its hosts are {', '.join(there)}" for host in unknown])
    bare = [host for host in _logged(folder, wanted) if not (folder / "logs" / f"{host}.times").exists()]
    if wanted.timestamps and bare:
        raise BadInput(f"{folder / 'logs'}: no times of {', '.join(bare)}; leave --timestamps out")


def _hosts(folder: Path) -> list[str]:
    resources = json.loads((folder / "request.json").read_text())["ResourceConfig"]
    groups = resources.get("InstanceGroups", [resources])
    return [f"algo-{number + 1}" for number in range(sum(group["InstanceCount"] for group in groups))]


def _logged(folder: Path, wanted: Wanted) -> list[str]:
    """The hosts that are wanted and have a log by now, in order."""
    found = {path.stem for path in (folder / "logs").glob("algo-*.log")}
    return [host for host in (wanted.hosts or sorted(found, key=lambda host: int(host[5:]))) if host in found]


def _reader(folder: Path, wanted: Wanted, host: str) -> HostLogReader:
    prefix = b"" if len(wanted.hosts) == 1 else f"{host} │ ".encode()
    return HostLogReader(folder / "logs", host, prefix=prefix, timestamps=wanted.timestamps)


def _at_rest(folder: Path, wanted: Wanted) -> Iterator[bytes]:
    hosts = _logged(folder, wanted)
    if not hosts:
        raise BadInput(f"{folder.name}: no log of {', '.join(wanted.hosts) or 'any host'} yet; --follow waits for it")
    for host in hosts:
        yield from _reader(folder, wanted, host).read(whole=True, tail=wanted.tail)


def _follow(folder: Path, wanted: Wanted) -> Iterator[bytes]:
    readers: dict[str, HostLogReader] = {}
    while True:
        alive = is_held(folder)  # asked first: what was written before the end is read below
        for host in _logged(folder, wanted):
            tail = None if host in readers else wanted.tail
            reader = readers.setdefault(host, _reader(folder, wanted, host))
            yield from reader.read(whole=not alive, tail=tail)
        if not alive:
            break
        time.sleep(_EVERY)
    status = _status(folder)
    if status not in _FINAL:
        raise HarnessError(
            f"{folder.name} is {status} for ever: the command that ran it is gone, and with it what its hosts said "
            "since; harness clean removes them"
        )


def _status(folder: Path) -> str:
    described = folder / "describe.json"
    answer: dict[str, Any] = json.loads(described.read_text()) if described.exists() else {}
    return str(answer.get("TrainingJobStatus", "InProgress"))


def _endpoint_lines(wanted: Wanted, runs: Path) -> Iterator[bytes]:
    from harness import engine, hosting

    endpoints = hosting.list_endpoints(engine.connect(), wanted.name)
    if not endpoints:
        raise BadInput(f"{wanted.name!r} is neither a run in {str(runs)!r} nor an endpoint")
    if wanted.hosts or wanted.follow or wanted.timestamps:
        raise BadInput(f"{wanted.name!r} is an endpoint: hosts, --follow and --timestamps are for training jobs")
    lines = hosting.logs(endpoints[0]).encode().splitlines(keepends=True)
    yield from lines[-wanted.tail :] if wanted.tail else lines
