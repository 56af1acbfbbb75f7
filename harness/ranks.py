"""What each rank of a job said: launchers tag the lines they pass on. Pure.

[1]<stdout>:text             horovodrun over gloo
[1,0]<stdout>:text           horovodrun over mpi: job and rank
[1,mpirank:0,algo-1]<stdout>:text   AWS's toolkit

mpirun tags each write, not each line: `print`, unbuffered, writes its text and the end of the line one after the other,
so that a line may hold several tags, of several ranks.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_TAG = re.compile(r"\[(?:\d+,)?(?:mpirank:)?(?P<rank>\d+)(?:,[\w-]+)?\]<std(?:out|err)>:")
# How the scripts of this project, and many others, introduce themselves.
WORLD = r"rank (?P<rank>\d+) of (?P<size>\d+) on (?P<host>\S+)"


@dataclass(frozen=True)
class World:
    """Ranks that said they train together: how many there are, and which host each is on."""

    size: int
    hosts: Mapping[int, str]


def rank_lines(lines: Iterable[str]) -> dict[int, list[str]]:
    """Lines without their tags, by rank; lines of no rank are left out, and empty ones."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for line in lines:
        for rank, text in _parts(line):
            if rank is not None and text:
                found[rank].append(text)
    return dict(found)


def _parts(line: str) -> list[tuple[int | None, str]]:
    """What ``line`` has of each rank, in its order; of none what stands before all tags."""
    before, *tagged = _TAG.split(line)
    ranks, texts = map(int, tagged[::2]), tagged[1::2]
    return [(None, before), *zip(ranks, texts, strict=True)]


def worlds(lines: Iterable[str], pattern: str = WORLD) -> list[World]:
    """The worlds that ranks told of: one where they train together, one for each where they train apart.

    ``pattern`` has the groups rank, size and host. A rank that introduces itself again is in a new world: the job was
    interrupted and went on, or hosts train apart.
    """
    found: list[dict[int, str]] = []
    sizes: list[int] = []
    for text in (text for line in lines for _, text in _parts(line)):
        told = re.search(pattern, text)
        if not told:
            continue
        rank, size, host = int(told["rank"]), int(told["size"]), told["host"]
        for at, ranks in enumerate(found):
            if sizes[at] == size and rank not in ranks and len(ranks) < size:
                ranks[rank] = host
                break
        else:
            found.append({rank: host})
            sizes.append(size)
    return [World(size, ranks) for size, ranks in zip(sizes, found, strict=True)]
