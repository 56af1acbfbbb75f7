"""An engine that restarts under a job, as seen through a socket that goes away and comes back.

The engine itself is everybody's and is left alone; what its restart does to containers is done to those of the job.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from harness import labels
from harness.engine import find_target
from tests.docker.conftest import HARNESS, Workplace
from tests.relay import Relay

AWAY = 3.0  # seconds
SLEEP = """
    import time
    print("sleeping", flush=True)
    time.sleep(20)
"""


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    with Relay(tmp_path / "engine.sock", find_target(os.environ).url.removeprefix("unix://")) as relay:
        yield relay


def begun(workplace: Workplace, job: Path) -> subprocess.Popen[str]:
    """`harness train` at the relayed engine."""
    return subprocess.Popen(
        [HARNESS, "train", str(job)],
        cwd=workplace.folder,
        env={**os.environ, "DOCKER_HOST": f"unix://{workplace.folder}/engine.sock"},
        stderr=subprocess.PIPE,
        text=True,
    )


def hosts(workplace: Workplace, engine: docker.DockerClient) -> list[Container]:
    latest = workplace.folder / "runs/latest"
    chosen: dict[str, Any] = {"label": f"{labels.JOB}={latest.readlink().name}"}
    return engine.containers.list(all=True, filters=chosen, ignore_removed=True)


@pytest.mark.parametrize("they_die", [True, False], ids=["hosts end with the engine", "hosts live on"])
def test_an_engine_that_restarts_while_a_job_trains_leaves_an_honest_verdict_and_nothing_else(
    workplace: Workplace,
    engine: docker.DockerClient,
    relay: Relay,
    left_over: Callable[[], list[str]],
    they_die: bool,
) -> None:
    with begun(workplace, workplace.job(SLEEP)) as running:
        assert running.stderr
        assert any("sleeping" in line for line in running.stderr)
        relay.cut()
        if they_die:
            for host in hosts(workplace, engine):
                host.kill()
        time.sleep(AWAY)
        relay.listen()
        _, said = running.communicate(timeout=90)

    described = workplace.describe()
    assert running.returncode == 1, said
    assert described["TrainingJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("InternalServerError: the docker engine went away while algo-")
    assert left_over() == [], said


def test_an_engine_that_restarts_while_hosts_are_made_leaves_nothing_of_them(
    workplace: Workplace, engine: docker.DockerClient, relay: Relay, left_over: Callable[[], list[str]]
) -> None:
    with begun(workplace, workplace.job(SLEEP)) as running:
        while not ((workplace.folder / "runs/latest").exists() and hosts(workplace, engine)):
            assert running.poll() is None
            time.sleep(0.02)
        relay.cut()
        time.sleep(AWAY)
        relay.listen()
        _, said = running.communicate(timeout=120)

    assert running.returncode == 1, said
    assert workplace.describe()["FailureReason"].startswith("InternalServerError: ")
    assert "Traceback" not in said
    assert left_over() == [], said
