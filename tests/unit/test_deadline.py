"""One deadline per activity."""

from __future__ import annotations

import pytest

from harness.deadline import Deadline
from harness.errors import BadInput, CommandFailed, DeadlineExpired, EngineUnavailable, HarnessError


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_the_time_that_is_left_runs_out_and_is_never_negative() -> None:
    clock = Clock()
    deadline = Deadline(10, "waiting", clock)

    clock.seconds += 4
    assert deadline.remaining() == 6
    assert not deadline.expired()

    clock.seconds += 100
    assert deadline.remaining() == 0
    assert deadline.expired()


def test_an_expired_deadline_names_what_it_was_for_and_what_was_last_seen() -> None:
    clock = Clock()
    deadline = Deadline(1.5, "waiting for the endpoint", clock)
    deadline.check("nothing yet")
    clock.seconds += 2

    with pytest.raises(DeadlineExpired, match=r"^ran out of time after 1\.5 s while waiting for the endpoint$"):
        deadline.check()
    with pytest.raises(DeadlineExpired, match=r"; last seen: HTTP 503$"):
        deadline.check("HTTP 503")


def test_bad_input_is_exit_code_2_with_a_line_per_problem_and_other_errors_are_1() -> None:
    assert BadInput("one").problems == ("one",)
    assert str(BadInput(["one", "two"])) == "one\ntwo"
    assert (BadInput("x").exit_code, EngineUnavailable("x").exit_code, HarnessError("x").exit_code) == (2, 2, 1)


def test_a_failed_command_can_be_pasted_and_shows_the_end_of_what_it_said() -> None:
    error = CommandFailed(["docker", "run", "a b"], "exit code 3", "\n".join(f"line {n}" for n in range(40)))

    assert str(error).splitlines()[0] == "exit code 3: docker run 'a b'"
    assert str(error).splitlines()[1:] == [f"line {n}" for n in range(25, 40)]
