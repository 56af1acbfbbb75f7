"""Many small pieces become few large ones, and none is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from harness.batches import batches


def test_all_pieces_come_in_their_order_and_many_at_once() -> None:
    pieces = [f"{number} ".encode() for number in range(10_000)]

    found = list(batches(pieces))

    assert b"".join(found) == b"".join(pieces)
    assert len(found) < len(pieces)


def test_nothing_comes_of_nothing() -> None:
    assert list(batches([])) == []


def test_a_piece_does_not_wait_for_the_next() -> None:
    used = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"one"
        assert used.wait(10)
        yield b"two"

    found = batches(pieces())

    assert next(found) == b"one"
    used.set()
    assert list(found) == [b"two"]


def test_pieces_are_taken_while_a_batch_is_dealt_with() -> None:
    taken = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"one"
        time.sleep(0.1)
        yield b"two"
        taken.set()

    assert next(batches(pieces())) == b"one"
    assert taken.wait(10)


def test_an_error_comes_after_what_came_before_it() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise ConnectionResetError("gone")

    found = batches(pieces())

    assert next(found) == b"one"
    with pytest.raises(ConnectionResetError, match="gone"):
        next(found)
