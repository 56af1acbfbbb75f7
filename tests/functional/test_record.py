"""What a run leaves on disk: its folder, its name, and its description."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.engine_log import Line
from harness.errors import BadInput
from harness.job import MetricDefinition
from harness.metrics import MetricReader
from harness.outcome import Outcome
from harness.preflight import refuse_full_disk
from harness.record import RunRecord, make_run_folder, point_at
from harness.status import IllegalMove

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC)
REQUEST: dict[str, Any] = {"TrainingJobName": "mnist-1", "OutputDataConfig": {"S3OutputPath": "file:///runs"}}


def clock(*moments: datetime) -> Callable[[], datetime]:
    times: Iterator[datetime] = iter(moments)
    return lambda: next(times)


def test_a_run_folder_has_the_jobs_name_and_time_and_latest_points_at_it(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "runs", "mnist", clock(NOW))

    assert folder == tmp_path / "runs" / "mnist-2026-01-02-03-04-05-678"
    assert folder.is_dir()
    assert (tmp_path / "runs" / "latest").readlink() == Path(folder.name)


def test_a_second_run_in_the_same_millisecond_gets_a_name_of_its_own(tmp_path: Path) -> None:
    first = make_run_folder(tmp_path, "mnist", clock(NOW))
    second = make_run_folder(tmp_path, "mnist", clock(NOW, NOW, NOW + timedelta(milliseconds=1)))

    assert second.name == "mnist-2026-01-02-03-04-05-679"
    assert first != second
    assert (tmp_path / "latest").resolve() == second


def test_many_runs_at_once_get_a_name_each_and_latest_is_one_of_them(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: make_run_folder(tmp_path, "mnist"), range(40)))

    assert len(set(folders)) == 40
    assert (tmp_path / "latest").resolve() in folders
    assert {path.name for path in tmp_path.iterdir()} == {"latest", *(folder.name for folder in folders)}


def test_a_place_where_no_folder_can_be_made_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(BadInput, match="file: run folders cannot be made here: Not a directory"):
        make_run_folder(tmp_path / "file", "mnist")


def test_pointing_elsewhere_replaces_the_link_even_a_broken_one(tmp_path: Path) -> None:
    link = tmp_path / "latest"
    point_at(link, "gone")
    point_at(link, "here")

    assert link.readlink() == Path("here")
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]


def test_the_request_is_written_at_once_and_the_description_on_every_move(tmp_path: Path) -> None:
    record = RunRecord(tmp_path, REQUEST, clock(*(NOW + timedelta(seconds=n) for n in range(9))))

    assert json.loads((tmp_path / "request.json").read_text()) == REQUEST
    for status in ("Starting", "Downloading", "Training"):
        record.move(status)
        described = json.loads((tmp_path / "describe.json").read_text())
        assert described["SecondaryStatus"] == status
        assert described["SecondaryStatusTransitions"] == json.loads(
            json.dumps(record.description["SecondaryStatusTransitions"], default=lambda time: time.isoformat())
        )
    assert not list(tmp_path.glob("*.part"))


def test_the_end_adds_reason_metrics_and_model(tmp_path: Path) -> None:
    record = RunRecord(tmp_path, REQUEST)
    metrics = MetricReader([MetricDefinition("loss", "loss=(.*)")])
    metrics.read("algo-1", [Line(b"2026-01-02T03:04:05.678999000Z", b"loss=0.5")])
    (tmp_path / "model.tar.gz").touch()
    record.move("Starting")

    record.finish(Outcome("Failed", "AlgorithmError: x", "algo-1"), metrics)

    described = json.loads((tmp_path / "describe.json").read_text())
    assert described["FailureReason"] == "AlgorithmError: x"
    assert described["FinalMetricDataList"] == [{"MetricName": "loss", "Value": 0.5, "Timestamp": NOW.isoformat()}]
    assert described["ModelArtifacts"]["S3ModelArtifacts"] == (tmp_path / "model.tar.gz").as_uri()


def test_a_move_that_is_not_legal_writes_nothing(tmp_path: Path) -> None:
    record = RunRecord(tmp_path, REQUEST)
    record.move("Starting")
    before = (tmp_path / "describe.json").read_bytes()

    with pytest.raises(IllegalMove):
        record.move("Training")

    assert (tmp_path / "describe.json").read_bytes() == before
    assert record.history.secondary_status == "Starting"


def test_a_disk_that_is_nearly_full_is_refused_with_its_numbers(tmp_path: Path) -> None:
    refuse_full_disk(tmp_path, free=500 * 10**6)
    refuse_full_disk(tmp_path / "not" / "there" / "yet")

    with pytest.raises(BadInput, match="only 499 MB free on this disk, 500 MB are needed; make room, or name another"):
        refuse_full_disk(tmp_path, free=499_999_999)
