"""Fixtures of the docker tier: the real `harness` command, real hosts, and jobs written for one test each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from harness import labels
from harness.running_job import RunningJob
from tests.ran import Ran

REPOSITORY = Path(__file__).parents[2]
HARNESS = str(Path(sys.executable).with_name("harness"))
Training = Callable[..., RunningJob]  # what the fixture `training` gives


class Workplace:
    """A folder of its own in which `harness` is run, with the job files a test writes there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def job(self, script: str, *, table: str = "", instance_count: int = 2) -> Path:
        """A job whose entry point is ``script``; ``table`` is added to its [training] table.

        Its name is this test's own: two tests may start a job in the same millisecond, each in its own folder.
        """
        (self.folder / "code").mkdir(exist_ok=True)
        (self.folder / "code" / "script.py").write_text(textwrap.dedent(script))
        path = self.folder / "job.toml"
        path.write_text(
            textwrap.dedent(f"""\
            [training]
            base_job_name = "test-{uuid.uuid4().hex[:6]}"
            entry_point = "script.py"
            source_dir = "code"
            instance_type = "ml.p2.xlarge"
            instance_count = {instance_count}
            """)
            + textwrap.dedent(table)
        )
        return path

    def harness(self, *arguments: str, env: dict[str, str] | None = None, seconds: float = 600) -> Ran:
        argv = [HARNESS, *arguments]
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Ran(argv, done.returncode, done.stdout, done.stderr)

    def describe(self) -> dict[str, Any]:
        """describe.json of the newest run."""
        answer: dict[str, Any] = json.loads((self.folder / "runs/latest/describe.json").read_text())
        return answer

    def log(self, host: str) -> str:
        return (self.folder / f"runs/latest/logs/{host}.log").read_text()


MPI = "distribution = { mpi = { enabled = true, processes_per_host = 1 } }\n"


def started(workplace: Workplace, job: Path, *options: str, until: str) -> subprocess.Popen[str]:
    """`harness train`, running, once it has printed ``until``."""
    running = subprocess.Popen(
        [HARNESS, "train", str(job), *options],
        cwd=workplace.folder,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stderr
    for line in running.stderr:
        if until in line:
            break
    return running


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
def left_over(engine: docker.DockerClient, workplace: Workplace) -> Callable[[], list[str]]:
    """Names of everything in the engine that belongs to the runs of this test."""

    def look() -> list[str]:
        jobs = [path.name for path in (workplace.folder / "runs").iterdir() if not path.is_symlink()]
        found = []
        for job in jobs:
            chosen: dict[str, Any] = {"label": f"{labels.JOB}={job}"}
            found += [item.name for item in engine.containers.list(all=True, filters=chosen, ignore_removed=True)]
            found += [item.name for item in engine.networks.list(filters=chosen)]
            found += [item.name for item in engine.volumes.list(filters=chosen)]
        return [str(name) for name in found]

    return look
