"""What the lines of mnist.py's log say about its speed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_EPOCH = re.compile(r"epoch (\d+): trained (\d+) images in (\d+(?:\.\d+)?) s ")
_WORLD = re.compile(r"Horovod world: rank \d+ of (\d+) ")
_PRINTED = re.compile(r"printed \d+ lines in (\d+(?:\.\d+)?) s")
_ACCURACY = re.compile(r"test accuracy (\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Epoch:
    """One pass of one rank over its share of the images."""

    number: int
    images: int
    seconds: float


def epochs(log: str) -> list[Epoch]:
    """The epochs that a host's log tells of; launchers put their tags before the words, and that is fine."""
    return [Epoch(int(found[1]), int(found[2]), float(found[3])) for found in _EPOCH.finditer(log)]


def steady(found: Sequence[Epoch]) -> list[Epoch]:
    """The epochs without the first, in which memory and caches are new; a single epoch is kept."""
    return list(found[1:] or found)


def epoch_seconds(log: str) -> float:
    """Mean seconds of a steady epoch. Raises ValueError when the log tells of none."""
    found = steady(epochs(log))
    if not found:
        raise ValueError("the log tells of no epoch")
    return sum(epoch.seconds for epoch in found) / len(found)


def images_per_second(logs: Iterable[str]) -> float:
    """Images that all ranks of all hosts trained in a second of their steady epochs.

    Only rank 0 of a world writes about speed, so its rate counts for every rank of that world: they step together.
    Raises ValueError when no log tells of an epoch.
    """
    total = 0.0
    for log in logs:
        found = steady(epochs(log))
        if found:
            size = world_size(log)
            total += size * sum(epoch.images for epoch in found) / sum(epoch.seconds for epoch in found)
    if not total:
        raise ValueError("no log tells of an epoch")
    return total


def world_size(log: str) -> int:
    """How many ranks train together; 1 where the log says nothing about a world."""
    found = _WORLD.search(log)
    return int(found[1]) if found else 1


def printing_seconds(logs: Iterable[str]) -> float:
    """What many_lines.py took to print, on the slowest host. Raises ValueError when no log tells."""
    found = [float(each) for log in logs for each in _PRINTED.findall(log)]
    if not found:
        raise ValueError("no log tells of lines printed")
    return max(found)


def accuracy(log: str) -> float:
    """The last test accuracy, in percent. Raises ValueError when there is none."""
    found = _ACCURACY.findall(log)
    if not found:
        raise ValueError("the log tells of no test accuracy")
    return float(found[-1])
