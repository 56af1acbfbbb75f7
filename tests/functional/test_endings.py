"""Every ending of a training job, on hosts that are processes of this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.checkpoint_place import FolderPlace
from harness.checkpoints import CheckpointSync
from harness.control import Control
from harness.errors import CannotStartContainer, DataDownloadFailed
from harness.outcome import Outcome
from harness.record import RunRecord
from harness.run import Run
from harness.training import end_training
from tests.cluster_contract import until_said
from tests.fake_cluster import FakeCluster
from tests.functional.test_training import FAIL, FOREVER, SAVE, STUBBORN, Audience, Job, two

# Says how often it has been started, as far as its checkpoints know, and then waits where that is not often enough.
RESUMING = """
import os, pathlib, time
checkpoints = pathlib.Path(os.environ["SM_MODEL_DIR"]).parent / "checkpoints"
file = checkpoints / (os.environ["SM_CURRENT_HOST"] + "-starts")
starts = int(file.read_text()) + 1 if file.exists() else 1
part = checkpoints / "part"
part.write_text(str(starts))
part.rename(file)
print("start", starts, flush=True)
if starts < 3:
    time.sleep(600)
pathlib.Path(os.environ["SM_MODEL_DIR"], os.environ["SM_CURRENT_HOST"]).write_text("after %d starts" % starts)
"""
SPOT = ["Starting", "Downloading", "Training", "Interrupted"]


def in_thread(job: Job, control: Control, **times: Any) -> Callable[[], Outcome]:
    """Start ``job`` as a server or a test would, in a thread of its own; what it came to is there once it is over."""
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(job.run(control=control, **times)))
    thread.start()

    def over() -> Outcome:
        thread.join(60)
        assert not thread.is_alive()
        return outcomes[0]

    return over


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


# Stopped.


def test_a_job_in_a_thread_is_stopped_from_another_one_and_keeps_its_model(tmp_path: Path) -> None:
    job, control = Job(tmp_path, two(SAVE + FOREVER, FOREVER)), Control()
    over = in_thread(job, control)
    until(lambda: len(job.audience.said) == 2)

    control.stop()

    assert over() == Outcome("Stopped")
    assert job.statuses() == ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"]
    assert job.model() == {"model.pth": "weights of algo-1"}
    assert [grace for _, grace in job.cluster.stops] == [5.0]
    assert {item["Host"]: item["ExitCode"] for item in job.describe()["HostExits"]} == {"algo-1": 143, "algo-2": 143}
    assert not job.cluster.exists


def test_asking_again_changes_nothing_unless_without_grace(tmp_path: Path) -> None:
    job, control = Job(tmp_path, two(STUBBORN, STUBBORN)), Control()
    over = in_thread(job, control, grace=60)
    until(lambda: len(job.audience.said) == 2)

    control.stop()
    control.stop()
    control.stop(grace=0)

    assert over() == Outcome("Stopped")
    assert sorted(grace for _, grace in job.cluster.stops) == [0, 60]


def test_a_job_is_stopped_before_it_has_begun(tmp_path: Path) -> None:
    job, control = Job(tmp_path, two(SAVE, SAVE)), Control()
    control.stop()

    assert job.run(control=control) == Outcome("Stopped")

    assert job.statuses() == ["Starting", "Stopping", "Stopped"] or job.statuses()[0] == "Starting"
    assert job.describe()["TrainingJobStatus"] == "Stopped"
    assert not job.cluster.exists


class Slow(FakeCluster):
    """Takes its time to prepare; `going_on` lets it."""

    def __init__(self, folder: Path, scripts: dict[str, str]) -> None:
        super().__init__(folder, scripts)
        self.begun, self.going_on = threading.Event(), threading.Event()

    def prepare(self) -> None:
        super().prepare()
        self.begun.set()
        self.going_on.wait(30)


def test_a_job_that_is_stopped_while_it_downloads_is_stopping_at_once_and_never_trains(tmp_path: Path) -> None:
    cluster = Slow(tmp_path / "hosts", two(SAVE, SAVE))
    job, control = Job(tmp_path, two(SAVE, SAVE), cluster), Control()
    over = in_thread(job, control)
    cluster.begun.wait(30)

    control.stop()

    assert job.describe()["TrainingJobStatus"] == "Stopping"
    cluster.going_on.set()
    assert over() == Outcome("Stopped")
    assert job.statuses() == ["Starting", "Downloading", "Stopping", "Stopped"]
    assert job.audience.said == []
    assert not cluster.exists


def test_a_job_is_stopped_after_so_much_training(tmp_path: Path) -> None:
    job = Job(tmp_path, two(FOREVER, FOREVER))

    assert job.run(control=Control(stop_after=0.5)) == Outcome("Stopped")

    assert job.statuses()[-3:] == ["Stopping", "Uploading", "Stopped"]


def test_a_job_that_is_over_sooner_is_not_stopped(tmp_path: Path) -> None:
    job = Job(tmp_path, two(SAVE, "print('done')"))

    assert job.run(control=Control(stop_after=60)) == Outcome("Completed")


def test_a_job_that_failed_stays_failed_though_it_is_stopped_then(tmp_path: Path) -> None:
    job, control = Job(tmp_path, two(STUBBORN, "import time; time.sleep(1); raise SystemExit(1)")), Control()
    over = in_thread(job, control)
    until(lambda: job.audience.notes)

    control.stop()

    assert over().ending == "Failed"


# Failed.


def test_a_failed_job_tells_how_every_host_ended(tmp_path: Path) -> None:
    job = Job(tmp_path, two(FOREVER, FAIL))

    job.run()

    assert job.describe()["HostExits"] == [
        {"Host": "algo-2", "ExitCode": 1, "OutOfMemory": False, "Failure": "ValueError: no such digit"},
        {"Host": "algo-1", "ExitCode": 143, "OutOfMemory": False},
    ]


class Broken(FakeCluster):
    """Cannot do one of its methods."""

    def __init__(self, folder: Path, method: str, error: Exception) -> None:
        super().__init__(folder, two(SAVE, SAVE))
        self._method, self._error = method, error

    def prepare(self) -> None:
        super().prepare()
        if self._method == "prepare":
            raise self._error

    def start(self) -> None:
        if self._method == "start":
            raise self._error
        super().start()


@pytest.mark.parametrize(
    ("method", "error", "reason"),
    [
        ("prepare", DataDownloadFailed("s3://b/p: no"), "ClientError: Data download failed: s3://b/p: no"),
        ("prepare", DataDownloadFailed("x" * 2000), ("ClientError: Data download failed: " + "x" * 2000)[:1024]),
        (
            "start",
            CannotStartContainer('exec: "train": executable file not found in $PATH'),
            "AlgorithmError: CannotStartContainerError. Please make sure the container can be run with "
            "'docker run <image> train'. exec: \"train\": executable file not found in $PATH",
        ),
    ],
    ids=["data", "long", "image"],
)
def test_what_kept_a_job_from_starting_is_its_failure_reason(
    tmp_path: Path, method: str, error: Exception, reason: str
) -> None:
    job = Job(tmp_path, two(SAVE, SAVE), Broken(tmp_path / "hosts", method, error))

    assert job.run() == Outcome("Failed", reason)

    assert job.describe()["FailureReason"] == reason
    assert job.statuses() == ["Starting", "Downloading", "Failed"]
    assert not job.cluster.exists


# Managed spot training.


def with_checkpoints(job: Job, folder: Path) -> Job:
    job.checkpoints = CheckpointSync(FolderPlace(folder), "/opt/ml/checkpoints", job.audience.note, least_interval=1.0)
    return job


def test_a_job_that_is_interrupted_twice_resumes_from_its_checkpoints_on_new_hosts(tmp_path: Path) -> None:
    place = tmp_path / "place"
    job, control = with_checkpoints(Job(tmp_path, two(RESUMING, RESUMING)), place), Control()
    over = in_thread(job, control)

    def both_at(starts: str) -> bool:
        files = [place / f"algo-{n}-starts" for n in (1, 2)]
        return all(file.exists() and file.read_text() == starts for file in files)

    for starts in ("1", "2"):
        until(partial(both_at, starts))
        control.interrupt()

    assert over() == Outcome("Completed")
    assert job.statuses() == [*SPOT, *SPOT, "Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert job.model() == {"algo-1": "after 3 starts", "algo-2": "after 3 starts"}
    logs = job.folder / "logs"
    assert [(logs / at / "algo-2.log").read_text() for at in ("attempt-1", "attempt-2", "")] == [
        "start 1\n",
        "start 2\n",
        "start 3\n",
    ]
    assert (place / "algo-1-starts").read_text() == "3"
    described = job.describe()
    assert described["BillableTimeInSeconds"] <= described["TrainingTimeInSeconds"]
    assert not job.cluster.exists


def test_an_interruption_gives_no_notice_and_loses_model_and_output(tmp_path: Path) -> None:
    script = """
import os, pathlib, signal, sys, time
model = pathlib.Path(os.environ["SM_MODEL_DIR"])
def told(*_):
    print("told to end"); sys.exit(0)
signal.signal(signal.SIGTERM, told)
again = model.parent.parent.parent.parent / "been-here"
if again.exists():
    sys.exit(0)
again.touch()
(model / "half").write_text("half a model")
print("waiting")
time.sleep(600)
"""
    job = Job(tmp_path, {"algo-1": script})

    control = Control()
    over = in_thread(job, control)
    until(lambda: job.audience.said)
    control.interrupt()

    assert over() == Outcome("Completed")
    assert job.model() == {}
    assert (job.folder / "logs/attempt-1/algo-1.log").read_text() == "waiting\n"


def test_each_attempt_is_interrupted_after_its_own_time(tmp_path: Path) -> None:
    job = Job(tmp_path, {"algo-1": FOREVER})

    assert job.run(control=Control(interrupt_after=(0.3, 0.6), stop_after=2)) == Outcome("Stopped")

    assert job.statuses() == [*SPOT, *SPOT, "Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"]


def test_an_interruption_that_comes_too_early_waits_until_the_job_trains(tmp_path: Path) -> None:
    job, control = Job(tmp_path, {"algo-1": "import time; time.sleep(1)"}), Control()
    control.interrupt()

    assert job.run(control=control) == Outcome("Completed")

    assert job.statuses()[:4] == SPOT


def test_a_job_that_is_stopped_while_it_is_interrupted_does_not_start_again(tmp_path: Path) -> None:
    job, control = Job(tmp_path, two(FOREVER, FOREVER)), Control()
    over = in_thread(job, control)
    until(lambda: len(job.audience.said) == 2)

    control.interrupt()
    control.stop()

    assert over() == Outcome("Stopped")
    assert job.statuses().count("Starting") == 1 or job.statuses()[-1] == "Stopped"
    assert not job.cluster.exists


def test_max_run_is_of_all_attempts_together(tmp_path: Path) -> None:
    job = Job(tmp_path, {"algo-1": FOREVER})
    before = time.monotonic()

    assert job.run(max_run=2, control=Control(interrupt_after=(1.2,))) == Outcome("MaxRuntimeExceeded")

    assert time.monotonic() - before < 15
    assert job.statuses()[-5:] == ["Downloading", "Training", "Stopping", "Uploading", "MaxRuntimeExceeded"]
    assert job.statuses().count("Training") == 2


def test_max_wait_ends_a_job_that_still_trains(tmp_path: Path) -> None:
    job = Job(tmp_path, {"algo-1": SAVE + FOREVER})

    assert job.run(max_wait=3) == Outcome("MaxWaitTimeExceeded")

    assert job.statuses()[-4:] == ["Training", "Stopping", "Uploading", "MaxWaitTimeExceeded"]
    assert job.describe()["TrainingJobStatus"] == "Stopped"
    assert job.model() == {"model.pth": "weights of algo-1"}


class SlowToGo(FakeCluster):
    """Takes some seconds to be removed."""

    def remove(self) -> None:
        time.sleep(3)
        super().remove()


def test_max_wait_ends_a_job_that_waits_for_new_hosts(tmp_path: Path) -> None:
    scripts = {"algo-1": FOREVER}
    job = Job(tmp_path, scripts, SlowToGo(tmp_path / "hosts", scripts))

    assert job.run(max_wait=4, control=Control(interrupt_after=(2,))) == Outcome("MaxWaitTimeExceeded")

    assert job.statuses() == [*SPOT, "MaxWaitTimeExceeded"]
    assert (job.folder / "logs/attempt-1/algo-1.log").read_text() == "waiting\n"


# Jobs whose own process is gone.


def test_a_job_that_lost_its_process_is_stopped_with_all_that_it_leaves(tmp_path: Path) -> None:
    scripts = two(SAVE + "print('accuracy 12', flush=True)\n" + FOREVER, FOREVER)
    job = Job(tmp_path, scripts)
    for status in ("Starting", "Downloading"):
        job.record.move(status)
    job.cluster.prepare()
    job.cluster.start()
    job.record.move("Training")
    for host in scripts:
        until_said(job.cluster.follow(host), b"waiting")
    record = RunRecord.reopen(job.folder)

    outcome = end_training(Run(tuple(scripts), job.cluster, record, job.metrics, Audience()), grace=5)

    assert outcome == Outcome("Stopped")
    assert job.statuses() == ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"]
    assert job.model() == {"model.pth": "weights of algo-1"}
    assert job.log("algo-1") == "accuracy 12\nwaiting\n"
    assert job.describe()["FinalMetricDataList"][0]["Value"] == 12.0
    assert not job.cluster.exists


@pytest.mark.parametrize(
    "before",
    [
        ["Starting"],
        ["Starting", "Downloading"],
        ["Starting", "Downloading", "Training"],
        SPOT,
        ["Starting", "Downloading", "Training", "Uploading"],
        ["Starting", "Downloading", "Training", "Stopping"],
    ],
    ids=">".join,
)
def test_a_job_without_hosts_that_lost_its_process_is_stopped_wherever_it_was(
    tmp_path: Path, before: list[str]
) -> None:
    job = Job(tmp_path, two(SAVE, SAVE))
    for status in before:
        job.record.move(status)

    outcome = end_training(Run((), job.cluster, RunRecord.reopen(job.folder), job.metrics, Audience()), grace=5)

    assert outcome == Outcome("Stopped")
    assert job.statuses()[: len(before)] == before
    assert job.statuses()[-1] == "Stopped"


# Artifacts.


def test_without_compression_artifacts_are_folders(tmp_path: Path) -> None:
    job = Job(tmp_path, two(SAVE, "print('x')"))
    request = {**job.record.request, "OutputDataConfig": {"S3OutputPath": "file:///runs", "CompressionType": "NONE"}}
    job.record = RunRecord(job.folder, request)

    job.run()

    assert (job.folder / "model/model.pth").read_text() == "weights of algo-1"
    assert not (job.folder / "output").exists()
    assert not list(job.folder.glob("*.tar.gz"))
    assert job.describe()["ModelArtifacts"] == {"S3ModelArtifacts": (job.folder / "model").as_uri()}


def test_clashes_are_kept_for_the_receipt(tmp_path: Path) -> None:
    job = Job(tmp_path, two(SAVE, SAVE))

    job.run()

    assert job.record.merges["model.tar.gz"].clashes == ["model.pth"]
    assert job.record.merges["model.tar.gz"].files == {"algo-1": ["model.pth"], "algo-2": ["model.pth"]}


def test_two_runs_that_leave_the_same_leave_the_same_bytes(tmp_path: Path) -> None:
    archives = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        job = Job(tmp_path / name, two(SAVE, "import time; time.sleep(1.1)"))
        job.run()
        archives.append((job.folder / "model.tar.gz").read_bytes())

    assert archives[0] == archives[1]


def test_a_job_that_is_stopped_or_failed_without_a_model_leaves_no_archive(tmp_path: Path) -> None:
    for number, script in enumerate(("raise SystemExit(1)", FOREVER)):
        (tmp_path / str(number)).mkdir()
        job = Job(tmp_path / str(number), {"algo-1": script})
        job.run(control=Control(stop_after=0.5))

        assert not list(job.folder.glob("*.tar.gz")), job.describe()
