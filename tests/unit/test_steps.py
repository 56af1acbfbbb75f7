from __future__ import annotations

import io

import pytest

from harness.steps import Steps


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class AsciiLog(io.StringIO):
    encoding = "ascii"  # type: ignore[assignment]  # StringIO says None


def test_a_finished_step_is_one_line_with_its_duration() -> None:
    out, clock = io.StringIO(), Clock()

    with Steps(out, clock).step("building the image"):
        clock.seconds += 12.34

    assert out.getvalue() == " ✓ building the image (12.3 s)\n"


def test_a_step_left_by_an_exception_is_marked_failed_and_the_exception_goes_on() -> None:
    out, clock = io.StringIO(), Clock()

    with pytest.raises(ZeroDivisionError), Steps(out, clock).step("dividing"):
        raise ZeroDivisionError

    assert out.getvalue() == " ✗ dividing (0.0 s)\n"


def test_a_log_shows_details_only_now_and_then() -> None:
    out, clock = io.StringIO(), Clock()

    with Steps(out, clock).step("building") as step:
        step.detail("one")
        clock.seconds += 11
        step.detail("two\n")
        step.detail("three")

    assert out.getvalue() == "   two\n ✓ building (11.0 s)\n"


def test_a_terminal_shows_the_title_at_once_and_ends_with_the_same_line() -> None:
    out, clock = Terminal(), Clock()

    with Steps(out, clock, width=lambda: 40).step("building") as step:
        step.detail("a detail that is much longer than the terminal is wide")

    *_, last = out.getvalue().split("\r\x1b[K")
    assert last == " ✓ building (0.0 s)\n"
    assert all(len(drawn) < 40 for drawn in out.getvalue().split("\r\x1b[K"))


def test_marks_are_words_where_the_log_cannot_show_them() -> None:
    out, clock = AsciiLog(), Clock()

    with Steps(out, clock).step("building"):
        pass

    assert out.getvalue() == " ok building (0.0 s)\n"


def test_a_note_is_a_line_of_its_own() -> None:
    out = io.StringIO()

    Steps(out).note("no MNIST files were found")

    assert out.getvalue() == " • no MNIST files were found\n"
