"""Training jobs as tests write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.contract import HOMOGENEOUS_GROUP
from harness.job import InstanceGroup, TrainingJob


def training_job(*, instance_type: str = "ml.p2.xlarge", instance_count: int = 2, **more: Any) -> TrainingJob:
    """A job of one group of hosts; ``more`` are fields of `TrainingJob`."""
    given: dict[str, Any] = {"entry_point": "mnist.py", "source_dir": Path("code"), "base_job_name": "mnist"} | more
    group = InstanceGroup(HOMOGENEOUS_GROUP, instance_type, instance_count)
    return TrainingJob(**({"instance_groups": (group,)} | given))
