"""The last lines of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.contract import script_failure
from harness.engine_log import Line
from harness.job import MetricDefinition
from harness.metrics import MetricReader
from harness.report import exit_lines, metrics_text, outcome_lines

FOLDER = Path("runs/mnist-1")


def lines(status: str, reason: str = "", failed_host: str | None = None, said: str = "") -> list[str]:
    reader = MetricReader(
        [MetricDefinition("test:accuracy", r"accuracy (\S+)"), MetricDefinition("loss", r"loss (\S+)")]
    )
    reader.read("algo-1", [Line(b"2026-01-02T00:00:00.000000000Z", said.encode())])
    description = {"TrainingJobName": "mnist-1", "SecondaryStatus": status, "FailureReason": reason}
    return outcome_lines(description, FOLDER, failed_host, reader)


def test_a_completed_job_shows_its_metrics_its_model_and_what_to_do_next() -> None:
    shown = lines("Completed", said="accuracy 97.85 loss 0.0673")

    assert shown[0] == "Completed: mnist-1 — test:accuracy 97.85, loss 0.0673"
    assert "runs/mnist-1/model.tar.gz" in shown[1]
    assert "make local-serve" in shown[2]


def test_a_completed_job_without_metrics_has_no_empty_end() -> None:
    assert lines("Completed")[0] == "Completed: mnist-1"


def test_a_failed_job_shows_the_users_own_exception_and_the_rank_s_host_first() -> None:
    text = script_failure(1, "ValueError: no such digit", "horovodrun -H algo-1:1,algo-2:1", "rank 1 on algo-2\nTrace")

    shown = lines("Failed", f"AlgorithmError: {text}, exit code: 1", "algo-1")

    assert shown[0] == "Failed: algo-2: ValueError: no such digit"
    assert shown[1].startswith("  FailureReason: AlgorithmError: ExecuteUserScriptError: ExitCode 1")
    assert "\n" not in "".join(shown)


def test_an_error_message_with_quotes_in_it_is_shown_whole() -> None:
    text = script_failure(1, 'KeyError: "a"', "python3 mnist.py")

    assert lines("Failed", text, "algo-2")[0] == 'Failed: algo-2: KeyError: "a"'


def test_a_failure_in_other_words_is_shown_as_it_is() -> None:
    shown = lines("Failed", "AlgorithmError: my own words, exit code: 1 (algo-2)", "algo-2")

    assert shown[0] == "Failed: algo-2: AlgorithmError: my own words, exit code: 1 (algo-2)"
    assert any("runs/mnist-1/logs/algo-2.log" in line for line in shown)
    assert any(line.endswith("runs/mnist-1") for line in shown)


def test_a_stopped_job_says_why_and_where_its_files_are() -> None:
    assert lines("Stopped") == ["Stopped: mnist-1", "  kept: runs/mnist-1"]
    assert lines("MaxRuntimeExceeded")[0] == "MaxRuntimeExceeded: mnist-1"


def test_metrics_are_short_numbers() -> None:
    reader = MetricReader([MetricDefinition("a", "a=(.*)")])
    reader.read("algo-1", [Line(b"2026-01-02T00:00:00.000000000Z", b"a=0.12345678")])

    assert metrics_text(reader) == "a 0.123457"


def host_exit(host: str, code: int, out_of_memory: bool = False) -> dict[str, Any]:
    return {"Host": host, "ExitCode": code, "OutOfMemory": out_of_memory}


def test_how_every_host_of_a_failed_job_ended_is_a_short_table() -> None:
    exits = [host_exit("algo-2", 1), host_exit("algo-10", 137), host_exit("algo-1", 137, True), host_exit("algo-3", 0)]

    assert exit_lines(exits, "algo-2") == [
        "  algo-2   exit code   1  (decided)",
        "  algo-10  exit code 137  (signal 9)",
        "  algo-1   exit code 137  (ran out of memory)",
        "  algo-3   exit code   0",
    ]


def test_a_single_host_has_no_table() -> None:
    assert exit_lines([host_exit("algo-1", 1)], "algo-1") == []


def test_a_failure_of_no_host_names_none() -> None:
    shown = lines("Failed", "ClientError: Data download failed: s3://b/p")

    assert shown[0] == "Failed: ClientError: Data download failed: s3://b/p"
    assert not any("None" in line for line in shown)
