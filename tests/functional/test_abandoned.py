"""The record of a job whose process was killed is finished by the next start, where nobody else can go on with it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.abandoned import finish_abandoned
from harness.record import read_description
from tests.functional.test_training import REQUEST

RUN = """
import json, sys, time
from pathlib import Path
from harness.record import RunRecord
from harness.stop_job import note_ownership
folder = Path(sys.argv[1])
folder.mkdir(parents=True)
record = RunRecord(folder, json.loads(sys.argv[2]))
note_ownership(folder, "run-1", 5)
for status in sys.argv[3:]:
    record.move(status)
print("there", flush=True)
time.sleep(60)
"""
Begin = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts a process that holds the record of a job, in these statuses."""
    begun: list[subprocess.Popen[str]] = []

    def start(name: str, *statuses: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", RUN, str(tmp_path / name), json.dumps(REQUEST), *statuses]
        begun.append(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True))
        assert begun[-1].stdout
        assert begun[-1].stdout.readline() == "there\n"
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    assert process.wait() == -signal.SIGKILL


def no_hosts(_: str) -> bool:
    return False


@pytest.mark.parametrize(
    "statuses",
    [
        ("Starting",),
        ("Starting", "Downloading", "Training"),
        ("Starting", "Downloading", "Training", "Interrupted"),
        ("Starting", "Downloading", "Training", "Stopping"),
        ("Starting", "Downloading", "Training", "Uploading"),
    ],
    ids=" ".join,
)
def test_a_job_whose_process_was_killed_is_failed_and_says_why(
    tmp_path: Path, begin: Begin, statuses: tuple[str, ...]
) -> None:
    killed(begin("mnist-1", *statuses))

    assert list(finish_abandoned(tmp_path, no_hosts)) == ["mnist-1"]

    described = read_description(tmp_path / "mnist-1")
    assert described["TrainingJobStatus"] == "Failed"
    assert [entry["Status"] for entry in described["SecondaryStatusTransitions"]] == [*statuses, "Failed"]
    assert described["FailureReason"].startswith("InternalServerError: the process that ran this job ended before")
    assert list(finish_abandoned(tmp_path, no_hosts)) == []


def test_a_job_that_somebody_runs_is_left_alone(tmp_path: Path, begin: Begin) -> None:
    begin("mnist-1", "Starting")

    assert list(finish_abandoned(tmp_path, no_hosts)) == []
    assert read_description(tmp_path / "mnist-1")["TrainingJobStatus"] == "InProgress"


def test_a_job_that_still_has_hosts_is_left_to_harness_stop(tmp_path: Path, begin: Begin) -> None:
    killed(begin("mnist-1", "Starting"))

    assert list(finish_abandoned(tmp_path, lambda name: name == "mnist-1")) == []
    assert read_description(tmp_path / "mnist-1")["TrainingJobStatus"] == "InProgress"


def test_a_job_that_may_run_on_another_machine_is_left_alone(tmp_path: Path, begin: Begin) -> None:
    killed(begin("mnist-1", "Starting"))
    owner = tmp_path / "mnist-1/owner.json"
    found = json.loads(owner.read_text())
    found["owner"]["machine"] = "another"
    owner.write_text(json.dumps(found))

    assert list(finish_abandoned(tmp_path, no_hosts)) == []


def test_what_is_no_run_or_has_not_begun_is_no_trouble(tmp_path: Path, begin: Begin) -> None:
    killed(begin("mnist-1"))
    (tmp_path / "notes").mkdir()
    (tmp_path / "latest").symlink_to("mnist-1")

    assert list(finish_abandoned(tmp_path, no_hosts)) == []
    assert list(finish_abandoned(tmp_path / "no-such", no_hosts)) == []
