"""Training jobs are found by name, and those that are over or not ours to stop are left alone."""

from __future__ import annotations

import json
from pathlib import Path

import docker
import pytest

from harness.errors import BadInput
from harness.metrics import MetricReader
from harness.outcome import Outcome
from harness.record import RunRecord, read_description
from harness.stop_job import job_called, job_that_begins, note_ownership, read_ownership, stop_training_job
from tests.functional.test_training import REQUEST, Audience

NO_ENGINE = docker.DockerClient("unix:///nonexistent/engine.sock", version="1.41")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name in ("mnist-1", "mnist-2", "other-[1]", "other-2"):
        (tmp_path / name).mkdir()
    (tmp_path / "latest").symlink_to("mnist-2")
    return tmp_path


def test_a_job_is_found_by_its_name_and_the_newest_by_latest(runs: Path) -> None:
    assert job_called("mnist-1", runs) == runs / "mnist-1"
    assert job_called("latest", runs) == runs / "mnist-2"


@pytest.mark.parametrize("name", ["", ".", "..", "mnist", "mnist-1/logs", "/", "no-such"])
def test_nothing_else_is_a_jobs_name(runs: Path, name: str) -> None:
    assert job_called(name, runs) is None


def test_a_beginning_that_only_one_job_has_will_do(runs: Path) -> None:
    assert job_that_begins("other-[", runs) == runs / "other-[1]"
    assert job_that_begins("no-such", runs) is None
    assert job_that_begins("lat", runs) is None
    with pytest.raises(BadInput, match="'mnist' begins the names of 2 runs: mnist-1, mnist-2"):
        job_that_begins("mnist", runs)


def test_a_job_that_is_over_is_left_as_it_is(tmp_path: Path) -> None:
    record = RunRecord(tmp_path, REQUEST)
    for status in ("Starting", "Downloading"):
        record.move(status)
    record.finish(Outcome("Failed", "x"), MetricReader(()))
    before = (tmp_path / "describe.json").read_bytes()

    described = stop_training_job(tmp_path, NO_ENGINE, Audience(), None)

    assert described["SecondaryStatus"] == "Failed"
    assert (tmp_path / "describe.json").read_bytes() == before


def test_a_job_that_no_command_runs_is_not_stopped_from_elsewhere(tmp_path: Path) -> None:
    RunRecord(tmp_path, REQUEST).move("Starting")

    with pytest.raises(BadInput, match="no harness command runs this job; stop it where it runs"):
        stop_training_job(tmp_path, NO_ENGINE, Audience(), None)


@pytest.mark.parametrize("key", ["machine", "namespace"])
def test_a_job_that_runs_on_another_machine_is_not_stopped_from_here(tmp_path: Path, key: str) -> None:
    RunRecord(tmp_path, REQUEST).move("Starting")
    note_ownership(tmp_path, "run-1", 5)
    found = json.loads((tmp_path / "owner.json").read_text())
    found["owner"][key] = "another"
    (tmp_path / "owner.json").write_text(json.dumps(found))

    with pytest.raises(BadInput, match="is run on another machine or in another container; stop it there"):
        stop_training_job(tmp_path, NO_ENGINE, Audience(), None)


def test_an_owner_is_noted_and_read_back(tmp_path: Path) -> None:
    note_ownership(tmp_path, "run-1", 5)

    found = read_ownership(tmp_path)

    assert (found.run, found.grace) == ("run-1", 5)


def test_a_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read, so this is not the folder of a run"):
        read_description(tmp_path)
