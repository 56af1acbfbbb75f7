"""What a failed script is said to have died of, from nothing but what it and its launcher printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.image.programs.script import Evidence

HEAD = "Traceback (most recent call last):"
FRAME = '  File "/opt/ml/code/mnist.py", line 7, in <module>'
GLOO, MPI = "[{rank}]<{stream}>:{text}", "[1,{rank}]<{stream}>:{text}"
LOST = "horovod.common.exceptions.HorovodInternalError: [/tmp/gloo/transport/tcp/pair.cc:589] Connection closed by peer"
SHUT_DOWN = "RuntimeError: Horovod has been shut down. This was caused by an exception on one of the ranks"


def evidence(*lines: str) -> Evidence:
    found = Evidence()
    for line in lines:
        found.read(line + "\n")
    return found


def traceback(error: str, rank: int | None = None, form: str = GLOO) -> list[str]:
    texts = [HEAD, FRAME, "    main()", error]
    return texts if rank is None else [form.format(rank=rank, stream="stderr", text=text) for text in texts]


def test_a_plain_traceback_is_the_cause() -> None:
    found = evidence("epoch 1", *traceback("ValueError: no such digit"))

    assert found.cause() == (None, [HEAD, FRAME, "    main()", "ValueError: no such digit"])
    assert found.error_message() == "ValueError: no such digit"


@pytest.mark.parametrize("form", [GLOO, MPI], ids=["gloo", "mpi"])
@pytest.mark.parametrize("consequence", [LOST, SHUT_DOWN, "HorovodInternalError"])
@pytest.mark.parametrize("first", ["cause", "consequence"])
def test_the_rank_whose_own_exception_it_was_comes_before_those_it_took_along(
    form: str, consequence: str, first: str
) -> None:
    cause = traceback("ValueError: mine", 1, form)
    others = [*traceback(consequence, 0, form), *traceback(consequence, 2, form)]

    found = evidence(*(cause + others if first == "cause" else others + cause))

    assert found.cause()[0] == 1
    assert found.error_message() == "ValueError: mine"


def test_lines_of_several_ranks_may_mix() -> None:
    ours, theirs = traceback("ValueError: mine", 1), traceback(LOST, 0)

    found = evidence(*(line for pair in zip(theirs, ours, strict=True) for line in pair))

    assert found.cause() == (1, [HEAD, FRAME, "    main()", "ValueError: mine"])


def test_a_rank_comes_before_the_launchers_own_traceback() -> None:
    found = evidence(*traceback("ValueError: mine", 1), *traceback("RuntimeError: Horovod detected that 1 failed"))

    assert found.cause()[0] == 1


def test_where_all_ranks_died_of_each_other_one_of_them_is_shown() -> None:
    assert evidence(*traceback(LOST, 0), *traceback(LOST, 1)).error_message() == LOST


def test_the_last_of_a_chain_of_exceptions_is_the_one() -> None:
    between = ["", "During handling of the above exception, another exception occurred:", ""]

    found = evidence(*traceback("KeyError: 'a'"), *between, *traceback("ValueError: b"))

    assert found.error_message() == "ValueError: b"


def test_a_message_of_several_lines_is_told_by_its_first() -> None:
    found = evidence(*traceback("RuntimeError: sizes differ:"), "  weight: 3 and 4", "bias: 1 and 2")

    assert found.error_message() == "RuntimeError: sizes differ:"


def test_a_deep_traceback_keeps_its_exception_and_its_innermost_calls() -> None:
    frames = [f'  File "deep.py", line {number}, in call' for number in range(200)]

    rank, lines = evidence(HEAD, *frames, "RecursionError: too deep").cause()

    assert rank is None
    assert len(lines) <= 40
    assert lines[0] == HEAD
    assert lines[-2:] == [frames[-1], "RecursionError: too deep"]


def test_what_is_printed_on_the_other_stream_meanwhile_is_no_part_of_the_traceback() -> None:
    found = Evidence()
    for text, stream in ((HEAD, "stderr"), ("epoch 1: done", "stdout"), (FRAME, "stderr"), ("OSError: x", "stderr")):
        found.read(text + "\n", stream)

    assert found.cause() == (None, [HEAD, FRAME, "OSError: x"])


def test_without_a_traceback_the_last_lines_are_the_message() -> None:
    found = evidence(*(f"line {number}" for number in range(20)), "")

    assert found.cause() == (None, [])
    assert found.error_message().splitlines() == [f"line {number}" for number in range(12, 20)]


def test_the_last_lines_are_told_without_the_launchers_tags() -> None:
    assert evidence("[1,0]<stdout>:loading", "[1]<stderr>:Killed").error_message() == "loading\nKilled"


def test_nothing_printed_is_an_empty_message() -> None:
    assert evidence().error_message() == ""


@pytest.mark.parametrize("blame", ["Process name: 1", "  Process name: [[48567,1],1]"])
def test_a_rank_that_ends_without_a_traceback_is_the_one_the_launcher_blames(blame: str) -> None:
    evidence = Evidence()
    for line in (
        "[0]<stdout>:all is well here",
        "[1]<stderr>:no labels in the data",
        "Traceback (most recent call last):",
        '  File "horovodrun", line 8, in <module>',
        "RuntimeError: Horovod detected that one or more processes exited with non-zero status",
        blame,
        "Exit code: 3",
    ):
        evidence.read(line)

    assert evidence.cause()[0] == 1
    assert evidence.error_message() == "no labels in the data"


GLOO_LOST = "RuntimeError: [./gloo/transport/tcp/pair.cc:598] Connection closed by peer [172.19.0.3]:48287"
TORCHRUN = [
    "ERROR:torch.distributed.elastic.multiprocessing.api:failed (exitcode: {code}) local_rank: 0 (pid: 9) of binary: x",
    *traceback("torch.distributed.elastic.multiprocessing.errors.ChildFailedError: "),
    "============================================================",
    "train.py FAILED",
    "------------------------------------------------------------",
    "Failures:",
    "[1]:",
    "  rank      : 3 (local_rank: 1)",
    "  exitcode  : 1 (pid: 10)",
    "  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html",
    "------------------------------------------------------------",
    "Root Cause (first observed failure):",
    "[0]:",
    "  rank      : 2 (local_rank: 0)",
    "  exitcode  : {code} (pid: 9)",
    "  error_file: <N/A>",
    "  traceback : {why}",
    "============================================================",
]


def torchrun(code: int, why: str = "To enable traceback see: …") -> list[str]:
    """What torchrun says when a rank has failed."""
    return [line.format(code=code, why=why) for line in TORCHRUN]


def test_under_torchrun_the_cause_is_the_ranks_own_traceback_and_the_rank_the_one_it_blames() -> None:
    found = evidence("epoch 1", *traceback("ValueError: mine"), *torchrun(1))

    assert found.cause() == (2, [HEAD, FRAME, "    main()", "ValueError: mine"])
    assert not found.is_consequence()


def test_under_torchrun_a_rank_that_was_taken_along_does_not_hide_the_cause() -> None:
    found = evidence(*traceback("ValueError: mine"), *traceback(GLOO_LOST), *torchrun(1))

    assert found.error_message() == "ValueError: mine"


@pytest.mark.parametrize("error", [GLOO_LOST, "RuntimeError: Broken pipe", "RuntimeError: Socket Timeout"])
def test_a_host_that_was_only_taken_along_knows(error: str) -> None:
    found = evidence(*traceback(error), *torchrun(1))

    assert found.is_consequence()
    assert found.error_message() == error


def test_a_rank_of_torchrun_that_was_killed_is_told_by_its_signal() -> None:
    found = evidence("epoch 1", *torchrun(-9, "Signal 9 (SIGKILL) received by PID 9"))

    assert found.cause() == (2, ["Signal 9 (SIGKILL) received by PID 9"])
    assert not found.is_consequence()


def test_a_rank_of_torchrun_that_exits_with_words_is_told_by_them_and_not_by_torchruns() -> None:
    found = evidence("no labels in the data", *torchrun(1))

    assert found.cause() == (2, [])
    assert found.error_message() == "no labels in the data"


def test_a_rank_without_a_traceback_comes_before_those_it_took_along() -> None:
    found = evidence("[1]<stderr>:no labels", *traceback(LOST, 0), "Process name: 1", "Exit code: 3")

    assert found.cause() == (1, ["no labels"])
    assert found.exit_code == 3


def test_a_traceback_that_pip_quotes_is_read_without_its_indentation() -> None:
    quoted = [f"      {line}" for line in traceback("ValueError: no version")]

    found = evidence("error: subprocess-exited-with-error", *quoted, "      [end of output]", "note: not pip's error")

    assert found.cause() == (None, [HEAD, FRAME, "    main()", "ValueError: no version"])


def test_a_rank_that_mpirun_saw_killed_is_told_by_its_signal() -> None:
    found = evidence(
        "[1,0]<stdout>:epoch 1",
        "a non-zero exit code. Per user-direction, the job has been aborted.",
        "mpirun noticed that process rank 1 with PID 14 on node algo-2 exited on signal 9 (Killed).",
    )

    assert found.cause() == (1, ["exited on signal 9 (Killed)"])


def test_a_rank_that_said_nothing_is_not_given_the_words_of_its_launcher() -> None:
    found = evidence(
        *traceback(LOST, 0), *traceback("RuntimeError: Horovod detected"), "Process name: 1", "Exit code: 255"
    )

    assert found.error_message() == "rank 1 ended without a word"


def told(evidence: Evidence) -> object:
    return evidence.tracebacks, dict(evidence.last_lines), evidence.recent, evidence.blamed, evidence.cause()


@given(
    st.lists(
        st.lists(
            st.sampled_from(
                [
                    "",
                    "words",
                    "more words",
                    "  indented",
                    "Traceback (most recent call last):",
                    "ValueError: no such digit",
                    "[1]<stderr>:Traceback (most recent call last):",
                    "[1]<stderr>:KeyError: 'a'",
                    "[1,0]<stdout>:words",
                    "Process name: 1",
                    "  Exit code:    3",
                    "ERROR:torch.distributed.elastic.multiprocessing.api:failed (exitcode: 1) local_rank: 0",
                    "  rank      : 1 (local_rank: 0)",
                    "  traceback : Signal 9 (SIGKILL) received by PID 36",
                    "mpirun noticed that process rank 1 with PID 0 on node algo-2 exited on signal 9 (Killed).",
                ]
            ),
            min_size=1,
            max_size=30,
        )
    )
)
def test_what_is_printed_together_tells_as_much_as_line_by_line(chunks: list[list[str]]) -> None:
    one_by_one, together = Evidence(), Evidence()

    for chunk in chunks:
        for line in chunk:
            one_by_one.read(line, "stdout")
        together.feed([line.encode() for line in chunk], "stdout")

    assert told(together) == told(one_by_one)
