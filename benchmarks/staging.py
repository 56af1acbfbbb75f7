"""Staging a large channel for several hosts, from finding its files until the engine has what its hosts mount."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness.compose import Project
from harness.contract import HOMOGENEOUS_GROUP
from harness.data_sources import list_inputs
from harness.describe import REGION, training_job_arn
from harness.job import Channel, InstanceGroup, TrainingJob
from harness.plan import plan_training
from harness.process import run

if TYPE_CHECKING:
    from docker import DockerClient

HOSTS = 4
FILES = 10_000
BYTES_PER_FILE = 100_000
_SETTLED_SECONDS = 3  # files that have only just changed are not remembered
_NAME = "Staging-1"


class Staging:
    """A gigabyte in ten thousand files in ``folder``, to be staged or copied; staged volumes are removed at the end."""

    def __init__(self, client: DockerClient, image: str, folder: Path) -> None:
        self._client = client
        self._image = image
        self._folder = folder
        self._data = folder / "data"
        self._cache = folder / "cache"

    def __enter__(self) -> Staging:
        for number in range(FILES):
            path = self._data / f"{number % 100:02}" / f"{number:05}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(BYTES_PER_FILE))
        time.sleep(_SETTLED_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()
        shutil.rmtree(self._folder)

    def first(self) -> tuple[float]:
        """Seconds of a first time: nothing is known of the files, and the engine has none of them."""
        self._forget()
        shutil.rmtree(self._cache, ignore_errors=True)
        return self.again()

    def again(self) -> tuple[float]:
        """Seconds of any later time."""
        from harness.cluster import remove_run
        from harness.staging import stage_channels

        job = self._job()
        arn = training_job_arn(_NAME)
        plan = plan_training(
            job, _NAME, arn=arn, region=REGION, image=self._image, launcher="gloo", output_path="file:///runs"
        )
        project = Project(f"staging-{secrets.token_hex(4)}", _NAME)
        began = time.perf_counter()
        try:
            stage_channels(self._client, plan, project, list_inputs(job), self._cache)
            return (time.perf_counter() - began,)
        finally:
            remove_run(self._client, project.name)

    def copy(self) -> tuple[float]:
        """Seconds of one plain copy of the folder, on the same disk."""
        target = self._folder / "copy"
        began = time.perf_counter()
        run(("cp", "-r", str(self._data), str(target)), seconds=600)
        seconds = time.perf_counter() - began
        shutil.rmtree(target)
        return (seconds,)

    def _job(self) -> TrainingJob:
        groups = (InstanceGroup(HOMOGENEOUS_GROUP, "ml.m5.xlarge", HOSTS),)
        return TrainingJob("train.py", None, "staging", groups, inputs=(Channel("training", self._data),))

    def _forget(self) -> None:
        """Remove what was staged of these very files."""
        from harness.volumes import Volumes

        (data,) = list_inputs(self._job())
        Volumes(self._client, self._image, self._cache).forget(data.objects)
