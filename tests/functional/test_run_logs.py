"""`harness logs`: what hosts said, at rest and as they say it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import status
from harness.engine_log import Line
from harness.metrics import MetricReader
from harness.outcome import Outcome
from harness.record import RunRecord, is_held, point_at

HARNESS = str(Path(sys.executable).with_name("harness"))
REQUEST: dict[str, Any] = {
    "TrainingJobName": "test-1",
    "ResourceConfig": {"InstanceCount": 2},
    "OutputDataConfig": {"S3OutputPath": "file:///runs"},
}
# The owner of a run, in a process of its own: ends when told to on its standard input.
OWNER = f"""
import pathlib, sys
from harness import status
from harness.record import RunRecord
record = RunRecord(pathlib.Path("runs/test-1"), {REQUEST!r})
record.move(status.STARTING)
print("there", flush=True)
sys.stdin.read()
"""


def line(text: bytes, second: int = 0) -> Line:
    return Line(f"2026-01-02T03:04:{second:02d}.123456789Z".encode(), text)


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = folder / "runs" / "test-1"
        self.run.mkdir(parents=True)
        point_at(folder / "runs" / "latest", "test-1")

    def command(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [HARNESS, "logs", *arguments],
            cwd=self.folder,
            env={**os.environ, "DOCKER_HOST": "unix:///nonexistent/engine.sock"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def logs(self, *arguments: str) -> tuple[int, bytes, str]:
        out, err = (running := self.command(*arguments)).communicate(timeout=60)
        return running.returncode, out, err.decode()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def record(place: Place) -> RunRecord:
    record = RunRecord(place.run, REQUEST)
    record.move(status.STARTING)
    return record


@pytest.fixture
def over(place: Place, record: RunRecord) -> Place:
    """A run that is over, of two hosts."""
    with record.host_log("algo-1") as log:
        log.write([line(b"one\n", 1), line(b"two \xff\r\n", 2)])
        log.write([line(b"no end", 3)])
    with record.host_log("algo-2") as log:
        log.write([line(b"three\n", 4)])
    finish(record)
    return place


def finish(record: RunRecord) -> None:
    for moved in (status.DOWNLOADING, status.TRAINING, status.UPLOADING):
        record.move(moved)
    record.finish(Outcome("Completed"), MetricReader([]))


def test_jobs_of_the_door_are_found_by_their_names_too(place: Place) -> None:
    run = place.folder / "runs/door/runs/mine"
    (run / "logs").mkdir(parents=True)
    (run / "request.json").write_text(json.dumps(REQUEST))
    (run / "logs/algo-2.log").write_text("hello\n")

    assert place.logs("mine", "algo-2") == (0, b"hello\n", "")


def test_a_host_is_enough_to_see_its_bytes_in_the_latest_run(over: Place) -> None:
    assert over.logs("algo-1") == (0, b"one\ntwo \xff\r\nno end", "")


@pytest.mark.parametrize(
    "words", [["algo-2"], ["test-1", "algo-2"], ["algo-2", "latest"], ["test-1", "--host", "algo-2"]]
)
def test_hosts_and_the_name_of_a_run_are_told_apart(over: Place, words: list[str]) -> None:
    assert over.logs(*words) == (0, b"three\n", "")


@pytest.mark.parametrize("words", [["--tail", "1"], ["--tail", "1", "algo-1", "algo-2"]])
def test_the_lines_of_several_hosts_have_their_host_before_them(over: Place, words: list[str]) -> None:
    code, out, _ = over.logs(*words)

    assert (code, out.decode()) == (0, "algo-1 │ no end\nalgo-2 │ three\n")


def test_lines_have_the_time_when_they_were_printed(over: Place) -> None:
    assert over.logs("algo-1", "--timestamps", "--tail", "2")[1].splitlines() == [
        b"2026-01-02T03:04:02.123456789Z two \xff",
        b"2026-01-02T03:04:03.123456789Z no end",
    ]


def test_to_follow_a_run_that_is_over_prints_what_there_is_and_ends(over: Place) -> None:
    assert over.logs("algo-1", "-f", "--tail", "1") == (0, b"no end", "")


def test_to_follow_prints_whole_lines_as_they_come_until_the_job_is_over(place: Place, record: RunRecord) -> None:
    following = place.command("-f", "-t")
    lines = iter(following.stdout or ())
    with record.host_log("algo-2") as second, record.host_log("algo-1") as first:
        second.write([line(b"one\n", 1)])
        seen = [next(lines)]
        first.write([line(b"two\n", 2)])
        seen.append(next(lines))
        second.write([line(b"three\n", 3), line(b"fo", 4)])
        seen.append(next(lines))
        second.write([Line(b"", b"ur\n")])
        seen.append(next(lines))
    finish(record)

    assert [text.decode().replace("2026-01-02T03:04:", "") for text in seen] == [
        "algo-2 │ 01.123456789Z one\n",
        "algo-1 │ 02.123456789Z two\n",
        "algo-2 │ 03.123456789Z three\n",
        "algo-2 │ 04.123456789Z four\n",
    ]
    assert following.communicate(timeout=60) == (b"", b"")
    assert following.returncode == 0


@pytest.fixture
def owner(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], cwd=place.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"there\n"
        yield process


def test_to_follow_a_run_whose_command_was_killed_ends_and_says_so(
    place: Place, owner: subprocess.Popen[bytes]
) -> None:
    following = place.command("algo-1", "--follow")
    assert is_held(place.run)

    owner.send_signal(signal.SIGKILL)
    out, err = following.communicate(timeout=60)

    assert (following.returncode, out) == (1, b"")
    assert err.decode().startswith("harness: test-1 is InProgress for ever: the command that ran it is gone")
    assert err.count(b"\n") == 1


BAD = {
    "a host that the job has not": (["algo-3"], "test-1 has no host algo-3: its hosts are algo-1, algo-2"),
    "the same, to be followed": (["-f", "algo-9"], "test-1 has no host algo-9: its hosts are algo-1, algo-2"),
    "two names": (["test-1", "test-2"], "'test-1', 'test-2': the logs of one run at a time"),
    "nothing yet": (["algo-1"], "test-1: no log of algo-1 yet; --follow waits for it"),
}


@pytest.mark.parametrize(("words", "problem"), BAD.values(), ids=BAD)
@pytest.mark.usefixtures("record")
def test_what_cannot_be_printed_is_bad_input(place: Place, words: list[str], problem: str) -> None:
    code, out, err = place.logs(*words)

    assert (code, out) == (2, b"")
    assert err.startswith(f"harness: {problem}")
    assert "Traceback" not in err


def test_runs_of_before_lines_had_times_are_printed_without(over: Place) -> None:
    (over.run / "logs/algo-2.times").unlink()

    assert over.logs("algo-2") == (0, b"three\n", "")
    code, _, err = over.logs("algo-2", "-t")
    assert (code, err.strip()) == (2, f"harness: {over.run / 'logs'}: no times of algo-2; leave --timestamps out")


def test_the_request_stays_readable_while_the_run_is_held(place: Place, record: RunRecord) -> None:
    assert json.loads((place.run / "request.json").read_text()) == REQUEST
    assert is_held(place.run)
    finish(record)
    assert not is_held(place.run)
