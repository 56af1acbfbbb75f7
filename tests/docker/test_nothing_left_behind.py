"""However the harness ends, the next start leaves nothing of it in the engine, and takes nothing else."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from harness import labels
from harness.errors import HarnessError
from harness.image_build import REPOSITORY
from harness.owner import owner_of, this_process
from harness.removal import remove_container, remove_run
from harness.sweep import sweep
from harness.volumes import is_complete
from tests.docker.conftest import HARNESS, MPI, Workplace

IMAGE = f"{REPOSITORY}:latest"
SEED, MOMENTS, LONGEST = 20261124, 20, 6.0
TRAIN = """
import horovod.torch as hvd

hvd.init()
open("/opt/ml/model/made-by-" + str(hvd.rank()), "w").close()
"""


@pytest.fixture
def owned(engine: docker.DockerClient) -> Callable[[set[int]], list[str]]:
    """Names of what is in the engine and belongs to one of some processes."""

    def look(processes: set[int]) -> list[str]:
        chosen: dict[str, Any] = {"label": labels.OWNER}
        marked = [
            (item.name, item.labels) for item in engine.containers.list(all=True, filters=chosen, ignore_removed=True)
        ]
        for collection in (engine.networks, engine.volumes):
            marked += [(item.name, item.attrs["Labels"]) for item in collection.list(filters=chosen)]
        found = ((str(name), owner_of(marks)) for name, marks in marked)
        left = [name for name, owner in found if owner and owner.pid in processes]
        # An input that was staged to its end is everybody's, whoever staged it.
        return [name for name in left if not is_complete(engine, name)]

    return look


def killed_after(workplace: Workplace, job: Path, seconds: float) -> int:
    """The number of a harness that was killed, as by a power cut, so long after its start."""
    running = subprocess.Popen(
        [HARNESS, "train", str(job)],
        cwd=workplace.folder,
        env=dict(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        running.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    return running.pid


def test_a_harness_that_is_killed_at_any_moment_leaves_nothing_after_the_next_start(
    workplace: Workplace, owned: Callable[[set[int]], list[str]]
) -> None:
    (workplace.folder / "data").mkdir()
    (workplace.folder / "data/a").write_text("a")
    job = workplace.job(TRAIN, table=MPI + 'inputs = { training = "data" }\n')
    anywhere = random.Random(SEED)  # noqa: S311  the same moments each time, one in each part of a run
    moments = [0.1 + (part + anywhere.random()) * LONGEST / MOMENTS for part in range(MOMENTS)]

    killed = {killed_after(workplace, job, moment) for moment in moments}
    time.sleep(2)  # what compose was told to make when it was killed is there by now
    again = workplace.harness("train", str(job))

    assert again.exit_code == 0, again
    assert owned(killed) == []
    described = [json.loads(path.read_text()) for path in workplace.folder.glob("runs/*/describe.json")]
    assert {job["TrainingJobStatus"] for job in described} <= {"Completed", "Failed"}
    assert any("the process that ran this job ended" in job.get("FailureReason", "") for job in described)
    assert (workplace.folder / "data/a").read_text() == "a"


@pytest.fixture
def volume(engine: docker.DockerClient) -> Iterator[Callable[[dict[str, str]], str]]:
    """Makes volumes with labels, and removes those that are still there."""
    made: list[str] = []

    def make(marks: dict[str, str]) -> str:
        made.append(str(engine.volumes.create(labels=marks).name))
        return made[-1]

    yield make
    there = {item.name for item in engine.volumes.list()}
    for name in made:
        if name in there:
            engine.volumes.get(name).remove()


def test_only_what_has_no_living_owner_is_swept(
    engine: docker.DockerClient, volume: Callable[[dict[str, str]], str]
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    # As on a machine of its own: every start of another test sweeps what is left over on this one.
    mine = replace(this_process(), machine=f"test-{uuid.uuid4().hex}")
    gone = replace(mine, pid=ended.pid, started="1")
    elsewhere = replace(gone, machine="another-machine")
    left_over = volume(gone.labels())
    kept = [volume(mine.labels()), volume(elsewhere.labels()), volume({labels.RETAINED: "yes"}), volume({})]

    assert left_over in sweep(engine, mine)

    there = {item.name for item in engine.volumes.list()}
    assert left_over not in there
    assert set(kept) <= there


def test_what_the_engine_makes_while_its_run_is_removed_goes_too(
    engine: docker.DockerClient, volume: Callable[[dict[str, str]], str]
) -> None:
    run = f"run-{uuid.uuid4().hex[:8]}"
    marks = {labels.RUN: run, labels.KIND: "test", labels.JOB: run}
    name = volume(marks)
    other = engine.containers.create(IMAGE, ["true"], volumes=[f"{name}:/x"])  # keeps the removal waiting
    late: list[Any] = []
    try:
        with ThreadPoolExecutor(1) as pool:
            removal = pool.submit(remove_run, engine, run)
            time.sleep(1)
            late.append(docker.from_env().containers.create(IMAGE, ["true"], volumes=[f"{name}:/x"], labels=marks))
            other.remove()
            removal.result()

        assert engine.containers.list(all=True, filters={"label": f"{labels.RUN}={run}"}, ignore_removed=True) == []
        assert name not in {item.name for item in engine.volumes.list()}
    finally:
        for container in (other, *late):
            remove_container(container)


def test_a_run_whose_volume_somebody_else_uses_says_what_to_do(
    engine: docker.DockerClient, volume: Callable[[dict[str, str]], str]
) -> None:
    run = f"run-{uuid.uuid4().hex[:8]}"
    name = volume({labels.RUN: run})
    other = engine.containers.create(IMAGE, ["true"], volumes=[f"{name}:/x"])
    try:
        with pytest.raises(HarnessError, match=rf"{name} is used by something else.*harness clean"):
            remove_run(engine, run, seconds=1)
    finally:
        other.remove()


def test_starts_that_sweep_at_the_same_time_wait_for_each_other(engine: docker.DockerClient) -> None:
    mine = replace(this_process(), machine=f"test-{uuid.uuid4().hex}")
    ended = subprocess.Popen(["true"])
    ended.wait()
    marks = replace(mine, pid=ended.pid, started="1").labels()
    chosen: dict[str, Any] = {"label": f"{labels.OWNER}={marks[labels.OWNER]}"}
    network = engine.networks.create(f"left-over-{uuid.uuid4().hex[:8]}", labels=marks)
    for _ in range(2):
        engine.containers.run(IMAGE, ["sleep", "infinity"], network=network.name, labels=marks, detach=True)

    def start(_: int) -> tuple[list[str], list[Any]]:
        """What a start has swept, and what there is left of it then."""
        client = docker.from_env()
        swept = sweep(client, mine)
        containers = client.containers.list(all=True, filters=chosen, ignore_removed=True)
        return swept, [*containers, *client.networks.list(filters=chosen)]

    try:
        with ThreadPoolExecutor(3) as pool:
            found = list(pool.map(start, range(3)))
    finally:
        sweep(engine, mine)

    assert network.name in {name for swept, _ in found for name in swept}
    assert [left for _, left in found] == [[], [], []]


def test_hosts_that_have_ended_are_not_cleaned_away_while_their_job_goes_on(
    engine: docker.DockerClient, workplace: Workplace
) -> None:
    run = f"test-{uuid.uuid4().hex[:8]}"
    marks = {labels.RUN: run, labels.KIND: labels.TRAINING, labels.JOB: run, labels.HOST: "algo-1"}
    host = engine.containers.run(IMAGE, ["true"], labels={**marks, **this_process().labels()}, detach=True)
    try:
        host.wait()

        cleaned = workplace.harness("clean")

        assert f"{run} has not ended; left alone" in cleaned.stderr, cleaned
        host.reload()
    finally:
        host.remove(force=True)
