"""docker-compose.yml by itself, without the harness: what a reader of the README types."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator

import pytest

from harness.compose_command import find_compose
from harness.process import run
from tests.docker.conftest import REPOSITORY


@pytest.fixture
def compose() -> Iterator[Callable[..., str]]:
    project = f"by-hand-{uuid.uuid4().hex[:8]}"

    def call(*arguments: str) -> str:
        return run([*find_compose(), "-p", project, *arguments], seconds=120, cwd=REPOSITORY, env=dict(os.environ))

    yield call
    call("down", "-v")


def test_up_gives_two_idle_hosts_ready_for_a_horovodrun_of_ones_own(compose: Callable[..., str]) -> None:
    compose("up", "-d")
    compose("exec", "-T", "algo-1", "sh", "-c", "until ssh algo-2 true; do sleep 0.1; done")  # its sshd is there
    script = "import horovod.torch as hvd; hvd.init(); print('rank', hvd.rank(), 'of', hvd.size())"
    horovodrun = ["horovodrun", "--gloo", "-np", "2", "-H", "algo-1:1,algo-2:1", "--network-interfaces", "eth0"]

    said = compose("exec", "-T", "algo-1", *horovodrun, "python3", "-c", script)

    assert "rank 0 of 2" in said
    assert "rank 1 of 2" in said
