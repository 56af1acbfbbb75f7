"""The story of a training job, on hosts that are processes of this machine."""

from __future__ import annotations

import csv
import itertools
import json
import signal
import tarfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.checkpoints import CheckpointSync
from harness.control import Control
from harness.engine_log import Line
from harness.errors import HarnessError
from harness.job import MetricDefinition
from harness.metrics import MetricReader
from harness.outcome import Outcome
from harness.record import RunRecord
from harness.training import Run, run_training
from tests.fake_cluster import FakeCluster

SAVE = """
import os, pathlib
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.pth").write_text("weights of " + os.environ["SM_CURRENT_HOST"])
"""
FAIL = """
import os, pathlib, sys
pathlib.Path(os.environ["SM_MODEL_DIR"], "half.pth").write_text("half")
pathlib.Path(os.environ["SM_OUTPUT_DIR"], "failure").write_text("ValueError: no such digit")
print("the last line")
sys.exit(1)
"""
SILENT = "import time; time.sleep(600)"
FOREVER = "import time; print('waiting'); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('waiting'); time.sleep(600)"
MAIN_THREAD = threading.main_thread().ident or 0
REQUEST: dict[str, Any] = {
    "TrainingJobName": "mnist-1",
    "OutputDataConfig": {"S3OutputPath": "file:///runs"},
}


@dataclass
class Activity:
    ok: bool = True


@dataclass
class Audience:
    """A `training.Reporter` that remembers what it was told, and acts on the first log line if asked to."""

    steps: dict[str, Activity] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)
    signals: int = 0  # how many SIGINT to send: one once a host has said something, one when the first was heeded

    @contextmanager
    def step(self, title: str) -> Iterator[Activity]:
        self.steps[title] = Activity()
        yield self.steps[title]

    def note(self, text: str) -> None:
        self.notes.append(text)
        if "stopping all hosts" in text and self.signals == 2:
            _interrupt_soon()

    def lines(self, host: str, texts: Sequence[str]) -> None:
        if texts and self.signals and not self.said:
            _interrupt_soon()
        self.said += [(host, text) for text in texts]


def _interrupt_soon() -> None:
    threading.Timer(0.3, signal.pthread_kill, [MAIN_THREAD, signal.SIGINT]).start()


class Job:
    """A job whose hosts run ``scripts``, in a folder of its own."""

    def __init__(self, folder: Path, scripts: dict[str, str], cluster: FakeCluster | None = None) -> None:
        self.folder = folder / "mnist-1"
        self.folder.mkdir()
        self.cluster = cluster or FakeCluster(folder / "hosts", scripts)
        self.audience = Audience()
        self.metrics = MetricReader([MetricDefinition("accuracy", r"accuracy (\S+)")])
        self.record = RunRecord(self.folder, REQUEST)
        self.checkpoints: CheckpointSync | None = None
        self._hosts = tuple(scripts)

    def run(
        self,
        *,
        max_run: float = 60,
        max_wait: float | None = None,
        retain: bool = False,
        grace: float = 5.0,
        control: Control | None = None,
    ) -> Outcome:
        return run_training(
            self.under_way(), max_run=max_run, max_wait=max_wait, retain=retain, grace=grace, control=control
        )

    def under_way(self) -> Run:
        return Run(self._hosts, self.cluster, self.record, self.metrics, self.audience, self.checkpoints)

    def describe(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "describe.json").read_text())
        return found

    def statuses(self) -> list[str]:
        return [entry["Status"] for entry in self.describe()["SecondaryStatusTransitions"]]

    def log(self, host: str) -> str:
        return (self.folder / "logs" / f"{host}.log").read_text()

    def model(self) -> dict[str, str]:
        with tarfile.open(self.folder / "model.tar.gz") as archive:
            files = [entry for entry in archive if entry.isfile()]
            return {entry.name: content.read().decode() for entry in files if (content := archive.extractfile(entry))}


def two(first: str, second: str) -> dict[str, str]:
    return {"algo-1": first, "algo-2": second}


def test_a_job_whose_hosts_all_succeed_is_completed_with_its_model_logs_and_metrics(tmp_path: Path) -> None:
    job = Job(tmp_path, two(SAVE + "print('accuracy 97.5')", "print('hello')"))

    assert job.run() == Outcome("Completed")

    described = job.describe()
    assert described["TrainingJobStatus"] == "Completed"
    assert job.statuses() == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert [(item["MetricName"], item["Value"]) for item in described["FinalMetricDataList"]] == [("accuracy", 97.5)]
    assert described["ModelArtifacts"]["S3ModelArtifacts"] == (job.folder / "model.tar.gz").as_uri()
    assert "FailureReason" not in described
    assert job.model() == {"model.pth": "weights of algo-1"}
    assert job.log("algo-2") == "hello\n"
    assert ("algo-2", "hello") in job.audience.said
    assert not (job.folder / "output.tar.gz").exists()
    assert not job.cluster.exists


def test_a_host_that_fails_first_fails_the_job_at_once_and_the_others_are_stopped(tmp_path: Path) -> None:
    job = Job(tmp_path, two(FOREVER, FAIL))
    before = time.monotonic()

    outcome = job.run()

    assert time.monotonic() - before < 15
    assert outcome == Outcome("Failed", "AlgorithmError: ValueError: no such digit, exit code: 1 (algo-2)", "algo-2")
    described = job.describe()
    assert described["TrainingJobStatus"] == "Failed"
    assert described["FailureReason"] == outcome.failure_reason
    assert job.statuses() == ["Starting", "Downloading", "Training", "Uploading", "Failed"]
    assert job.log("algo-2") == "the last line\n"
    assert job.audience.steps["training"].ok is False
    assert job.audience.notes == ["algo-2 failed; stopping algo-1"]
    assert not job.cluster.exists


def test_others_that_do_not_heed_are_killed_soon(tmp_path: Path) -> None:
    job = Job(tmp_path, two(STUBBORN, "import time; time.sleep(0.5); raise SystemExit(1)"))
    before = time.monotonic()

    assert job.run().failed_host == "algo-2"

    assert time.monotonic() - before < 15


def test_a_failed_job_keeps_what_there_is_of_its_model(tmp_path: Path) -> None:
    job = Job(tmp_path, {"algo-1": FAIL})

    job.run()

    assert job.model() == {"half.pth": "half"}


def test_a_host_that_leaves_early_with_0_does_not_end_the_job(tmp_path: Path) -> None:
    job = Job(tmp_path, two("print('done')", "import time; time.sleep(0.7)" + SAVE))

    assert job.run() == Outcome("Completed")

    assert job.model() == {"model.pth": "weights of algo-2"}
    assert job.cluster.stops == []


def test_a_host_that_fails_last_fails_the_job_too(tmp_path: Path) -> None:
    job = Job(tmp_path, two("print('done')", "import time; time.sleep(0.5); raise SystemExit(7)"))

    assert job.run() == Outcome("Failed", "AlgorithmError: , exit code: 7 (algo-2)", "algo-2")


def test_a_host_killed_for_want_of_memory_is_told_as_such(tmp_path: Path) -> None:
    scripts = two(FOREVER, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    job = Job(tmp_path, scripts, FakeCluster(tmp_path / "hosts", scripts, out_of_memory=["algo-2"]))

    reason = job.run().failure_reason

    assert reason
    assert "OutOfMemoryError: a process on algo-2 was killed" in reason
    assert "exit code: 137" in reason


def test_a_job_that_runs_longer_than_max_run_is_stopped_and_keeps_its_model(tmp_path: Path) -> None:
    job = Job(tmp_path, two(SAVE + FOREVER, SILENT))

    assert job.run(max_run=3) == Outcome("MaxRuntimeExceeded")

    described = job.describe()
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert job.statuses()[-3:] == ["Stopping", "Uploading", "MaxRuntimeExceeded"]
    assert job.model() == {"model.pth": "weights of algo-1"}
    assert "FailureReason" not in described
    assert sorted(job.cluster.stops[0][0]) == ["algo-1", "algo-2"]


def test_a_job_that_failed_stays_failed_though_max_run_ends_before_its_last_host(tmp_path: Path) -> None:
    job = Job(tmp_path, two(STUBBORN, "raise SystemExit(1)"))

    assert job.run(max_run=3).ending == "Failed"

    assert job.statuses()[-3:] == ["Training", "Uploading", "Failed"]


def test_ctrl_c_while_training_stops_the_job_and_keeps_its_model(tmp_path: Path) -> None:
    job = Job(tmp_path, two(SAVE + FOREVER, SILENT))
    job.audience.signals = 1

    assert job.run() == Outcome("Stopped")

    assert job.describe()["TrainingJobStatus"] == "Stopped"
    assert job.statuses()[-3:] == ["Stopping", "Uploading", "Stopped"]
    assert job.model() == {"model.pth": "weights of algo-1"}
    assert not job.cluster.exists


def test_a_second_ctrl_c_kills_hosts_that_do_not_heed_the_first(tmp_path: Path) -> None:
    job = Job(tmp_path, two(STUBBORN, STUBBORN))
    job.audience.signals = 2
    before = time.monotonic()

    assert job.run(grace=60) == Outcome("Stopped")

    assert time.monotonic() - before < 30
    # Each is told in a thread of its own, the first not at all where the second came too soon.
    assert sorted(grace for _, grace in job.cluster.stops) in ([0, 60], [0])
    assert job.statuses()[-3:] == ["Stopping", "Uploading", "Stopped"]


class InterruptedWhile(FakeCluster):
    """Ctrl-C arrives in the middle of one of its methods: once, though files are fetched from all hosts at a time.

    No keyboard is quick enough for a second one while Python still unwinds from the first, and no lock of Python's
    own survives that (`RuntimeError: release unlocked lock`).
    """

    def __init__(self, folder: Path, method: str) -> None:
        super().__init__(folder, two(SAVE, SAVE))
        self._method = method

    def _maybe(self, method: str) -> None:
        if method == self._method:
            signal.raise_signal(signal.SIGINT)

    def prepare(self) -> None:
        super().prepare()
        self._maybe("prepare")

    def start(self) -> None:
        super().start()
        self._maybe("start")

    def fetch(self, host: str, path: str) -> Iterator[bytes] | None:
        if host == "algo-1":
            self._maybe("fetch")
        return super().fetch(host, path)


@pytest.mark.parametrize("method", ["prepare", "start", "fetch"])
def test_ctrl_c_at_any_other_moment_stops_the_job_too_and_leaves_no_host(tmp_path: Path, method: str) -> None:
    job = Job(tmp_path, two(SAVE, SAVE), InterruptedWhile(tmp_path / "hosts", method))

    assert job.run() == Outcome("Stopped")

    assert job.describe()["TrainingJobStatus"] == "Stopped"
    assert job.statuses()[-2:] == ["Stopping", "Stopped"]
    assert not job.cluster.exists
    assert not list(job.folder.glob("*.part"))


class Unpreparable(FakeCluster):
    """Hosts that cannot be brought up, for a reason of the engine's or of a bug of ours."""

    def __init__(self, folder: Path, error: Exception) -> None:
        super().__init__(folder, two(SAVE, SAVE))
        self._error = error

    def prepare(self) -> None:
        super().prepare()
        raise self._error


@pytest.mark.parametrize("error", [HarnessError("no space left"), OSError("connection reset")], ids=repr)
@pytest.mark.parametrize("retain", [False, True])
def test_hosts_that_cannot_be_brought_up_fail_the_job(tmp_path: Path, error: Exception, retain: bool) -> None:
    job = Job(tmp_path, two(SAVE, SAVE), Unpreparable(tmp_path / "hosts", error))

    with pytest.raises(type(error), match=str(error)):
        job.run(retain=retain)

    described = job.describe()
    assert described["TrainingJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("InternalServerError: ")
    assert str(error) in described["FailureReason"]
    assert job.cluster.exists is retain
    job.cluster.remove()


def test_hosts_are_kept_when_asked_for(tmp_path: Path) -> None:
    job = Job(tmp_path, {"algo-1": SAVE})

    assert job.run(retain=True) == Outcome("Completed")

    assert job.cluster.exists
    assert "removing the hosts" not in job.audience.steps
    job.cluster.remove()


def test_files_that_several_hosts_wrote_are_told_and_the_last_hosts_is_kept(tmp_path: Path) -> None:
    job = Job(tmp_path, two(SAVE, SAVE))

    job.run()

    assert job.model() == {"model.pth": "weights of algo-2"}
    assert job.audience.notes == ["model.tar.gz: several hosts wrote model.pth; the last host's is kept"]


def test_output_data_is_an_archive_of_its_own(tmp_path: Path) -> None:
    script = "import os, pathlib; pathlib.Path(os.environ['SM_OUTPUT_DATA_DIR'], 'plot').write_text('x')"
    job = Job(tmp_path, {"algo-1": script})

    job.run()

    with tarfile.open(job.folder / "output.tar.gz") as archive:
        assert archive.getnames() == ["plot"]
    assert job.model() == {}


def test_logs_are_complete_however_long_they_are(tmp_path: Path) -> None:
    script = "import sys; sys.stdout.write(''.join(f'line {n}\\n' for n in range(100_000))); raise SystemExit(1)"
    job = Job(tmp_path, {"algo-1": script})

    job.run()

    assert job.log("algo-1").splitlines() == [f"line {n}" for n in range(100_000)]
    assert len(job.audience.said) == 100_000


def test_the_last_line_counts_also_without_its_end_and_bytes_are_kept_as_they_are(tmp_path: Path) -> None:
    script = "import sys; sys.stdout.buffer.write(b'\\xff\\r\\naccuracy 12')"
    job = Job(tmp_path, {"algo-1": script})

    job.run()

    assert (job.folder / "logs/algo-1.log").read_bytes() == b"\xff\r\naccuracy 12"
    assert job.audience.said == [("algo-1", "\ufffd"), ("algo-1", "accuracy 12")]
    assert job.describe()["FinalMetricDataList"][0]["Value"] == 12.0


def series(job: Job) -> list[list[str]]:
    """metrics.csv without its heading and times."""
    heading, *rows = csv.reader((job.folder / "metrics.csv").read_text().splitlines())
    assert heading == ["MetricName", "Timestamp", "Value", "Host"]
    return sorted([name, value, host] for name, _, value, host in rows)


def test_every_value_of_a_metric_is_kept_with_its_host_also_after_a_failure(tmp_path: Path) -> None:
    second = "print('accuracy 2'); open('done', 'w').close()"
    wait = "while not os.path.exists('../../algo-2/ml/done'): time.sleep(0.01)"
    first = f"import os, time\nprint('accuracy 1\\naccuracy nan')\n{wait}\nraise SystemExit(1)"
    job = Job(tmp_path, two(first, second))

    job.run()

    assert series(job) == [["accuracy", "1.0", "algo-1"], ["accuracy", "2.0", "algo-2"], ["accuracy", "nan", "algo-1"]]
    values = [item["Value"] for item in job.describe()["FinalMetricDataList"]]
    assert values in ([1.0], [2.0])


def test_metrics_are_there_while_the_job_runs_and_after_ctrl_c(tmp_path: Path) -> None:
    job = Job(tmp_path, {"algo-1": "print('accuracy 1');" + FOREVER})
    job.audience.signals = 1

    assert job.run() == Outcome("Stopped")

    assert series(job) == [["accuracy", "1.0", "algo-1"]]


def test_a_metric_has_the_time_when_it_was_printed(tmp_path: Path) -> None:
    job = Job(tmp_path, {"algo-1": "import time; print('accuracy', time.time()); time.sleep(1)"})

    job.run()

    _, row = csv.reader((job.folder / "metrics.csv").read_text().splitlines())
    assert row[1].endswith("+00:00")
    assert abs(datetime.fromisoformat(row[1]).timestamp() - float(row[2])) < 0.9
    assert job.describe()["FinalMetricDataList"][0]["Timestamp"] == row[1]


def test_a_job_without_metrics_has_an_empty_series(tmp_path: Path) -> None:
    job = Job(tmp_path, {"algo-1": "print('hello')"})

    job.run()

    assert series(job) == []


def test_each_line_of_a_log_has_its_time_beside_it(tmp_path: Path) -> None:
    job = Job(tmp_path, {"algo-1": "print('one\\n\\nthree', end='')"})

    job.run()

    times = (job.folder / "logs/algo-1.times").read_text().splitlines()
    assert job.log("algo-1") == "one\n\nthree"
    assert [datetime.fromisoformat(time).tzinfo for time in times] == [UTC] * 3


class Blind(FakeCluster):
    """The engine loses a host while it is watched."""

    def follow(self, host: str) -> Iterator[list[Line]]:
        if host == "algo-2":
            raise ConnectionResetError("gone")
        return super().follow(host)


def test_a_host_that_the_engine_loses_fails_the_job_by_name(tmp_path: Path) -> None:
    scripts = two(FOREVER, FOREVER)
    job = Job(tmp_path, scripts, Blind(tmp_path / "hosts", scripts))

    outcome = job.run()

    assert outcome.failed_host == "algo-2"
    assert outcome.failure_reason
    assert "lost sight of algo-2" in outcome.failure_reason
    assert not job.cluster.exists


def test_the_description_is_whole_at_any_moment_and_follows_every_move(tmp_path: Path) -> None:
    job = Job(tmp_path, {"algo-1": "import time; time.sleep(0.5)"})
    over = threading.Event()
    seen: list[str] = []

    def look() -> None:
        while not over.is_set():
            if (job.folder / "describe.json").exists():
                seen.append(job.describe()["SecondaryStatus"])
            time.sleep(0.002)

    watcher = threading.Thread(target=look)
    watcher.start()
    job.run()
    over.set()
    watcher.join()

    order = ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert [order.index(status) for status, _ in itertools.groupby(seen)] == sorted({order.index(s) for s in seen})
    assert "Training" in seen
    assert job.describe()["SecondaryStatus"] == "Completed"
