"""The engine's log, frame by frame, becomes lines."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from harness.engine_log import EngineLog, Line

OUT, ERR = 1, 2


def time(second: int) -> bytes:
    return f"2026-01-02T03:04:{second:02d}.123456789Z".encode()


def frame(content: bytes, second: int = 0, stream: int = OUT) -> bytes:
    """One entry as the API sends it."""
    entry = time(second) + b" " + content
    return bytes([stream, 0, 0, 0]) + len(entry).to_bytes(4, "big") + entry


def lines(*frames: bytes) -> list[bytes]:
    log = EngineLog()
    return [line.data for line in log.feed(b"".join(frames)) + log.rest()]


@pytest.mark.parametrize("size", [1, 7, 8, 39, 50, 1000])
def test_lines_are_the_same_in_whatever_portions_their_bytes_arrive(size: int) -> None:
    data = frame(b"one\n", 1) + frame(b"\n", 2) + frame(b"\xff\x00\r\n", 3)
    log = EngineLog()

    found = [line for at in range(0, len(data), size) for line in log.feed(data[at : at + size])]

    assert found == [Line(time(1), b"one\n"), Line(time(2), b"\n"), Line(time(3), b"\xff\x00\r\n")]


def test_a_line_that_the_engine_has_cut_is_whole_again_with_the_time_of_its_beginning() -> None:
    log = EngineLog()

    assert log.feed(frame(b"x" * 16384, 1) + frame(b"y" * 16384, 1)) == []
    assert log.feed(frame(b"z\n", 1)) == [Line(time(1), b"x" * 16384 + b"y" * 16384 + b"z\n")]


def test_a_line_of_the_other_stream_does_not_cut_a_long_one() -> None:
    assert lines(frame(b"x" * 16384), frame(b"in between\n", 0, ERR), frame(b"y\n")) == [
        b"in between\n",
        b"x" * 16384 + b"y\n",
    ]


def test_two_long_lines_at_once_are_kept_apart() -> None:
    assert lines(frame(b"a"), frame(b"b", 0, ERR), frame(b"A\n"), frame(b"B\n", 0, ERR)) == [b"aA\n", b"bB\n"]


def test_a_cut_line_whose_newline_the_engine_has_lost_ends_where_a_later_one_begins() -> None:
    assert lines(frame(b"x" * 16384, 1), frame(b"y", 1), frame(b"next\n", 2)) == [b"x" * 16384 + b"y\n", b"next\n"]


def test_the_last_line_may_lack_its_newline() -> None:
    assert lines(frame(b"one\n"), frame(b"no end", 1)) == [b"one\n", b"no end"]


def test_what_was_not_followed_to_its_end_is_read_again_without_what_is_known() -> None:
    entries = [frame(b"one\n", 1), frame(b"x" * 16384, 2), frame(b"y\n", 2), frame(b"three\n", 3)]
    log = EngineLog()
    found = log.feed(b"".join(entries[:2]) + entries[2][:20])

    assert not log.ends_with(entries[-1])
    log.again()
    found += log.feed(b"".join(entries))

    assert [line.data for line in found] == [b"one\n", b"x" * 16384 + b"y\n", b"three\n"]
    assert log.ends_with(entries[-1])


def test_an_end_that_looks_like_an_earlier_piece_of_the_same_line_proves_nothing() -> None:
    log = EngineLog()
    log.feed(frame(b"x" * 16384, 1))

    assert not log.ends_with(frame(b"x" * 16384, 1))


def test_a_log_without_entries_ends_with_none() -> None:
    assert EngineLog().ends_with(b"")


def test_a_line_has_a_text_and_a_moment() -> None:
    line = Line(time(5), b"\xff loss\r\n")

    assert line.text == "\ufffd loss"
    assert line.at == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)
