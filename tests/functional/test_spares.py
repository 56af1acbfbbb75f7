"""Spares are made while others go on, claimed once, and all gone at the end."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from harness.errors import HarnessError
from harness.spares import Spares


@dataclass
class Thing:
    name: str
    place: Place

    def discard(self) -> None:
        self.place.there.remove(self.name)


@dataclass
class Place:
    """Where things are. What is made under the name ``held`` is not ready before ``go``."""

    there: list[str] = field(default_factory=list)
    begun: dict[str, threading.Event] = field(default_factory=lambda: defaultdict(threading.Event))
    go: threading.Event = field(default_factory=threading.Event)

    def maker(self, name: str) -> Callable[[], Thing]:
        def make() -> Thing:
            self.begun[name].set()
            if name == "held":
                assert self.go.wait(30)
            self.there.append(name)
            return Thing(name, self)

        return make

    def make(self, spares: Spares[Thing], key: str, name: str) -> None:
        """Have the spare of ``key`` begun; whoever claims it waits for it."""
        spares.provide(key, self.maker(name))
        assert self.begun[name].wait(30)


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def spares(said: list[str], place: Place) -> Iterator[Spares[Thing]]:
    with Spares[Thing](said.append) as spares:
        yield spares
        place.go.set()


def claimed(spares: Spares[Thing], key: str) -> str | None:
    found = spares.claim(key)
    return found.name if found else None


def test_what_is_made_is_claimed_once_and_by_its_key_only(spares: Spares[Thing], place: Place) -> None:
    assert claimed(spares, "two hosts") is None

    place.make(spares, "two hosts", "a")
    spares.provide("two hosts", place.maker("never made: there is one"))

    assert claimed(spares, "four hosts") is None
    assert claimed(spares, "two hosts") == "a"
    assert claimed(spares, "two hosts") is None
    assert place.there == ["a"]


def test_one_that_is_being_made_is_waited_for_and_one_that_has_not_begun_is_not(
    spares: Spares[Thing], place: Place
) -> None:
    place.make(spares, "key", "held")
    spares.provide("other", place.maker("behind it"))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(claimed, spares, "key")

        assert claimed(spares, "other") is None
        assert not waiting.done()
        place.go.set()

        assert waiting.result(30) == "held"
    assert place.there == ["held"]


def test_the_third_key_displaces_the_one_that_was_asked_for_longest_ago(spares: Spares[Thing], place: Place) -> None:
    place.make(spares, "one", "held")
    spares.provide("two", place.maker("2"))
    spares.provide("one", place.maker("asked for again"))
    spares.provide("three", place.maker("3"))
    place.go.set()

    assert claimed(spares, "two") is None
    assert claimed(spares, "one") == "held"
    assert place.begun["3"].wait(30)
    assert claimed(spares, "three") == "3"
    assert place.there == ["held", "3"]


def test_after_one_that_nobody_took_only_what_was_asked_for_before_is_made(spares: Spares[Thing], place: Place) -> None:
    for key in ("one", "two", "three"):
        place.make(spares, key, key)
    assert claimed(spares, "three") == "three"

    spares.provide("four", place.maker("on a guess"))
    place.make(spares, "four", "4")

    assert claimed(spares, "four") == "4"
    assert "on a guess" not in place.there


def test_one_that_cannot_be_made_is_said_and_its_claimer_makes_its_own(
    spares: Spares[Thing], said: list[str], place: Place
) -> None:
    def refuse() -> Thing:
        place.begun["refused"].set()
        raise HarnessError("no more subnets")

    spares.provide("key", refuse)
    assert place.begun["refused"].wait(30)

    assert claimed(spares, "key") is None
    assert said == ["no hosts could be made ready beforehand: no more subnets"]


def test_at_the_end_nothing_is_left_neither_displaced_nor_half_made(place: Place, said: list[str]) -> None:
    removed = threading.Event()
    with Spares[Thing](said.append) as spares:
        for key in ("one", "two", "three"):
            place.make(spares, key, key)
        place.make(spares, "one", "held")
        spares.in_background(removed.set)
        place.go.set()

    assert place.there == []
    assert removed.is_set()


def test_a_removal_that_fails_is_no_secret(said: list[str]) -> None:
    def fail() -> None:
        raise HarnessError("the engine is gone")

    spares = Spares[Thing](said.append)
    spares.in_background(fail)

    with pytest.raises(HarnessError, match="the engine is gone"):
        spares.close()
