"""What keeps a job from starting, found before anything is made."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from harness import faults
from harness.errors import BadInput
from harness.faults import Timed
from harness.job import TrainingJob

_FREE_BYTES = 500 * 10**6  # below this not even logs and a small model would fit


def refuse_what_no_job_meets(job: TrainingJob, timed: Sequence[Timed], *, interrupted: bool) -> None:
    """Raise `BadInput` where what is to happen to ``job`` cannot happen to it in the cloud, or to no host of it."""
    hosts = [f"algo-{number}" for number in range(1, job.instance_count + 1)]
    channels = [channel.name for channel in job.inputs]
    problems = list(faults.problems(timed, hosts, channels, spot=job.use_spot_instances))
    if interrupted and not job.use_spot_instances:
        problems.append(
            "--interrupt-after: only managed spot training is interrupted; "
            "set use_spot_instances = true and max_wait in the job file"
        )
    if problems:
        raise BadInput(problems)


def refuse_full_disk(folder: Path, free: int | None = None) -> None:
    """Raise `BadInput` when what a run leaves would not fit. ``free`` bytes are looked up unless given."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free if free is None else free
    if free < _FREE_BYTES:
        raise BadInput(
            f"{folder}: only {free // 10**6} MB free on this disk, {_FREE_BYTES // 10**6} MB are needed; "
            "make room, or name another place with --runs"
        )
