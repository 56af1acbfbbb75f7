"""The verdict on a job, from all of its hosts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.outcome import HostExit, Outcome, judge


def reason(*exits: HostExit) -> str:
    found = judge(exits, None).failure_reason
    assert found
    return found


def test_a_job_whose_hosts_all_exit_with_0_is_completed() -> None:
    assert judge([HostExit("algo-2", 0), HostExit("algo-1", 0)], None) == Outcome("Completed")


def test_one_host_that_fails_fails_the_job_and_is_named() -> None:
    exits = [HostExit("algo-1", 0), HostExit("algo-2", 1, "ValueError: no\n"), HostExit("algo-3", 0)]

    assert judge(exits, None) == Outcome(
        "Failed", "AlgorithmError: ValueError: no, exit code: 1 (algo-2)", failed_host="algo-2"
    )


def test_the_first_to_fail_decides_and_not_those_it_took_along() -> None:
    outcome = judge([HostExit("algo-2", 1, "mine"), HostExit("algo-1", 143, "theirs")], None)

    assert outcome.failed_host == "algo-2"
    assert outcome.failure_reason == "AlgorithmError: mine, exit code: 1 (algo-2)"


def test_a_single_host_needs_no_name() -> None:
    assert reason(HostExit("algo-1", 1, "x")) == "AlgorithmError: x, exit code: 1"


def test_a_failure_that_says_where_it_was_is_not_given_another_host() -> None:
    text = 'ExecuteUserScriptError:\nExtraInfo "rank 1 on algo-2\nValueError: no"'

    assert reason(HostExit("algo-1", 1, text), HostExit("algo-2", 0)) == f"AlgorithmError: {text}, exit code: 1"


def test_a_failure_without_words_has_the_platforms_empty_text() -> None:
    assert reason(HostExit("algo-1", 1)) == "AlgorithmError: , exit code: 1"


def test_running_out_of_memory_is_told_with_its_host() -> None:
    text = reason(HostExit("algo-2", 137, out_of_memory=True), HostExit("algo-1", 143))

    assert text.startswith(
        "AlgorithmError: OutOfMemoryError: a process on algo-2 was killed because the host ran out of memory"
    )
    assert text.endswith("exit code: 137")


def test_a_rank_killed_for_memory_on_a_host_that_itself_ends_well_is_the_reason() -> None:
    exits = [HostExit("algo-1", 1, "ExecuteUserScriptError:\nrank 1"), HostExit("algo-2", 0, out_of_memory=True)]
    outcome = judge(exits, None)

    assert outcome.failed_host == outcome.starved_host == "algo-2"
    assert outcome.failure_reason == (
        "AlgorithmError: OutOfMemoryError: a process on algo-2 was killed because the host ran out of memory. "
        "ExecuteUserScriptError:\nrank 1, exit code: 1"
    )


def test_a_script_that_survives_a_killed_helper_has_not_failed() -> None:
    assert judge([HostExit("algo-1", 0, out_of_memory=True)], None) == Outcome("Completed")


def test_a_signal_is_told_where_nothing_else_was_said() -> None:
    assert "killed by signal 9, exit code: 137" in reason(HostExit("algo-1", 137))
    assert "signal" not in reason(HostExit("algo-1", 137, "I said something"))


@pytest.mark.parametrize("asked", ["Stopped", "MaxRuntimeExceeded"])
@pytest.mark.parametrize("code", [0, 1, 137, 143])
def test_a_job_that_was_asked_to_end_has_not_failed(asked: str, code: int) -> None:
    assert judge([HostExit("algo-1", code, "late words", out_of_memory=True)], asked) == Outcome(asked)


@given(st.text(max_size=3000), st.integers(1, 255), st.booleans(), st.integers(1, 3))
def test_a_failure_reason_is_never_too_long_and_keeps_code_and_host(
    text: str, code: int, out_of_memory: bool, hosts: int
) -> None:
    failed = HostExit("algo-1", code, text, out_of_memory)

    found = reason(failed, *(HostExit(f"algo-{number}", 0) for number in range(2, hosts + 1)))

    assert len(found) <= 1024
    assert found.startswith("AlgorithmError: ")
    assert f", exit code: {code}" in found
    assert hosts == 1 or "algo-1" in found or "algo-" in text


def test_the_host_is_named_where_the_text_that_names_one_is_cut_off() -> None:
    found = reason(HostExit("algo-2", 1, "x" * 1010 + " algo-1"), HostExit("algo-1", 0))

    assert len(found) == 1024
    assert found.endswith(", exit code: 1 (algo-2)")


def test_a_host_that_nobody_saw_the_end_of_is_no_fault_of_the_algorithm() -> None:
    lost = HostExit("algo-2", 255, "the docker engine went away while algo-2 ran", lost=True)

    outcome = judge([lost, HostExit("algo-1", 137, out_of_memory=True)], None)

    assert outcome.failed_host == "algo-2"
    assert outcome.failure_reason == "InternalServerError: the docker engine went away while algo-2 ran"
