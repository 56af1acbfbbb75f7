"""Fixtures of the cloud tier: the real `harness` command and the real SageMaker SDK; no AWS, no docker engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.no_engine import no_engine
from tests.ran import Ran

__all__ = ["no_engine"]

HARNESS = str(Path(sys.executable).with_name("harness"))
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
JOB = """\
[training]
base_job_name = "test"
entry_point = "train.py"
source_dir = "code"
framework_version = "1.12.1"
py_version = "py38"
instance_type = "ml.p2.xlarge"
instance_count = 2
max_run = 3600
hyperparameters = { epochs = 6, name = "a b" }
distribution = { mpi = { enabled = true, processes_per_host = 1 } }
metric_definitions = [ { Name = "loss", Regex = "loss ([0-9.]+)" } ]

[training.inputs]
training = "data"

[hosting]
entry_point = "inference.py"
instance_type = "ml.m5.large"
"""


class Place:
    """A folder with a job in it, where `harness` is run without any AWS settings but those that are given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in {
            "code/train.py": "import horovod.torch as hvd\n",
            "code/inference.py": "",
            "data/images": "12345",
            "data/sub/labels": "678",
        }.items():
            self.write(name, text)
        self.job()

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def job(self, *changes: tuple[str, str]) -> None:
        """The job file, with each old text of ``changes`` put into a new one."""
        text = JOB
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.write("job.toml", text)

    def environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAGEMAKER_"))}
        nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        return {**mine, **nowhere, "AWS_EC2_METADATA_DISABLED": "true", **extra}

    def harness(self, *arguments: str, stdin: str | None = None, **environment: str) -> Ran:
        argv = [HARNESS, *arguments]
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env=self.environment(environment),
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Ran(argv, done.returncode, done.stdout, done.stderr)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)
