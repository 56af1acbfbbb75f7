"""Results of jobs, and what is asserted of them, over run folders as a run leaves them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from harness import expectations
from harness.results import JobResult

TOGETHER = "[{0}]<stdout>:Horovod world: rank {0} of 2 on algo-{1}"
DIGEST = r"parameters ([0-9a-f]+)"


class Folder:
    """A run folder; whatever a test does not say is as a good two-host run has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "logs").mkdir(parents=True)

    def result(
        self,
        *lines: str,
        status: str = "Completed",
        reason: str = "",
        model: dict[str, bytes] | None = None,
        wrote: dict[str, list[str]] | None = None,
    ) -> JobResult:
        description: dict[str, Any] = {
            "TrainingJobName": "mnist-1",
            "TrainingJobStatus": status,
            "SecondaryStatus": status,
            "SecondaryStatusTransitions": [{"Status": "Starting"}, {"Status": status}],
            "FinalMetricDataList": [{"MetricName": "accuracy", "Value": 97.5}],
            "HostExits": [{"Host": "algo-1", "ExitCode": 0}, {"Host": "algo-2", "ExitCode": int(status == "Failed")}],
        } | ({"FailureReason": reason} if reason else {})
        (self.path / "describe.json").write_text(json.dumps(description))
        (self.path / "receipt.json").write_text(json.dumps({"ModelFiles": wrote or {}}))
        (self.path / "logs/algo-1.log").write_text("\n".join(lines) + "\n")
        (self.path / "logs/algo-2.log").write_text("")
        with tarfile.open(self.path / "model.tar.gz", "w:gz") as archive:
            for name, content in (model or {}).items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return JobResult(self.path)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "run")


def test_a_result_is_its_run_folder_in_the_words_of_the_api(folder: Folder) -> None:
    result = folder.result("hello", status="Failed", reason="AlgorithmError: no (algo-2)")

    assert (result.status, result.failed, result.completed, result.stopped) == ("Failed", True, False, False)
    assert result.failure_reason == "AlgorithmError: no (algo-2)"
    assert result.exit_codes == {"algo-1": 0, "algo-2": 1}
    assert result.metrics == {"accuracy": 97.5}
    assert result.host("algo-1").log.contains("hello")
    with pytest.raises(LookupError, match="no host 'algo-3'; there are algo-1, algo-2"):
        result.host("algo-3")


def test_the_repr_is_the_whole_evidence(folder: Folder) -> None:
    text = repr(folder.result(*(f"line {n}" for n in range(99)), status="Failed", reason="AlgorithmError: no"))

    for part in ("mnist-1: Failed", "AlgorithmError: no", "'algo-2': 1", "line 98", str(folder.path), "Starting"):
        assert part in text
    assert "line 80" not in text


def test_a_failed_expectation_says_what_was_seen_and_ends_with_the_evidence(folder: Folder) -> None:
    result = folder.result("hello", status="Failed", reason="AlgorithmError: no")

    with pytest.raises(AssertionError) as raised:
        expectations.assert_completed(result)

    assert str(raised.value).startswith("expected Completed, the job is Failed\n")
    assert repr(result) in str(raised.value)


def test_one_world_is_told_from_two(folder: Folder) -> None:
    expectations.assert_world(
        folder.result(TOGETHER.format(0, 1), TOGETHER.format(1, 2)), 2, {0: "algo-1", 1: "algo-2"}
    )
    apart = folder.result("rank 0 of 1 on algo-1", "rank 0 of 1 on algo-2")
    with pytest.raises(AssertionError, match="ranks told of 2 worlds, not of one"):
        expectations.assert_world(apart, 2)
    with pytest.raises(AssertionError, match="of 2 ranks only"):
        expectations.assert_world(folder.result(TOGETHER.format(0, 1)), 2)
    with pytest.raises(AssertionError, match="told of 0 worlds"):
        expectations.assert_world(folder.result("nothing"), 2)


def test_metrics_are_held_to_their_bounds(folder: Folder) -> None:
    result = folder.result()

    expectations.assert_metric(result, "accuracy", at_least=97, at_most=98)
    with pytest.raises(AssertionError, match=r"accuracy is 97.5, not from 98 to inf"):
        expectations.assert_metric(result, "accuracy", at_least=98)
    with pytest.raises(AssertionError, match="'loss' was never printed"):
        expectations.assert_metric(result, "loss")


def test_what_ranks_print_is_compared(folder: Folder) -> None:
    same = folder.result("[0]<stdout>:parameters aa", "[0]<stdout>:parameters bb", "[1]<stdout>:parameters bb")
    expectations.assert_same_on_all_ranks(same, DIGEST)
    with pytest.raises(AssertionError, match="ranks 0 and 1 both have"):
        expectations.assert_different_on_all_ranks(same, DIGEST)

    different = folder.result("[0]<stdout>:parameters aa", "[1]<stdout>:parameters bb")
    expectations.assert_different_on_all_ranks(different, DIGEST)
    with pytest.raises(AssertionError, match="differs between ranks"):
        expectations.assert_same_on_all_ranks(different, DIGEST)

    with pytest.raises(AssertionError, match="not by several"):
        expectations.assert_same_on_all_ranks(folder.result("[0]<stdout>:parameters aa"), DIGEST)


def test_models_are_compared_by_their_members(folder: Folder, tmp_path: Path) -> None:
    result = folder.result(model={"model.pth": b"x"}, wrote={"algo-1": ["model.pth"]})

    expectations.assert_model_has(result, "model.pth")
    expectations.assert_wrote_model(result, "algo-1")
    expectations.assert_same_model(result, result)
    with pytest.raises(AssertionError, match=r"has no code/inference.py"):
        expectations.assert_model_has(result, "code/inference.py")
    with pytest.raises(AssertionError, match="expected files of"):
        expectations.assert_wrote_model(result, "algo-1", "algo-2")
    with pytest.raises(AssertionError, match=r"model.pth differ from those of"):
        expectations.assert_same_model(result, Folder(tmp_path / "other").result(model={"model.pth": b"y"}))
