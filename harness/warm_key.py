"""Which hosts can be made before their job is known, and for which jobs they then serve. Pure.

A host is made with its image, its limits, its network and its views of channels; all else a job brings with it
(documents, code, environment, command) can be given to hosts that already run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.channel_table import PIPE
from harness.data_objects import ChannelData
from harness.limits import HostLimits
from harness.plan import ClusterPlan

# Of the program `warm` (harness/image/programs/warm.py): what it waits for, and that it makes the run's ssh keys.
JOB_FILE, GO_FILE = "/run/warm-job.json", "/run/warm-go"
_WARM = ("warm",)
_WITH_KEYS = "--ssh-keys"

Stamp = tuple[tuple[str, int, int, int], ...]  # of every file: path, size, when it was changed, its number on disk


@dataclass(frozen=True)
class WarmKey:
    """What a job and hosts that were made for no job must have in common."""

    image: str
    hosts: tuple[tuple[str, str], ...]  # name and instance group
    limits: tuple[tuple[str, HostLimits], ...]
    network_isolation: bool
    with_keys: bool
    inputs: tuple[ChannelData, ...]
    stamp: Stamp


def warm_key(plan: ClusterPlan, own_image: str, inputs: Sequence[ChannelData], stamp: Stamp) -> WarmKey | None:
    """The key of ``plan``, with ``stamp`` of all files of ``inputs``. None where its hosts must be made for it alone.

    That is so for an image other than ``own_image``, as only that is known to have `warm`; for a command of the job's
    own, which may be anything; and for pipes, which are fed from the start.
    """
    if plan.image != own_image or plan.entrypoint or plan.command != ("train",):
        return None
    if any(data.input_mode == PIPE for data in inputs):
        return None
    return WarmKey(
        image=plan.image,
        hosts=tuple((host.name, host.group.name) for host in plan.hosts),
        limits=tuple(sorted(plan.limits.items())),
        network_isolation=plan.network_isolation,
        with_keys=_runs_mpi(plan),
        inputs=tuple(inputs),
        stamp=stamp,
    )


def spare_plan(plan: ClusterPlan) -> ClusterPlan:
    """The plan of hosts that are like those of ``plan`` and know nothing of its job."""
    return replace(
        plan,
        command=(*_WARM, _WITH_KEYS) if _runs_mpi(plan) else _WARM,
        hosts=tuple(replace(host, files={}, environment={}) for host in plan.hosts),
        source_dir=None,
        dependencies=(),
        checkpoints=None,
    )


def told(plan: ClusterPlan, host: str) -> dict[str, str]:
    """The files that make the warm ``host`` one of ``plan``, in the order in which they must arrive."""
    (environment,) = (each.environment for each in plan.hosts if each.name == host)
    return {
        JOB_FILE: json.dumps({"environment": dict(environment), "command": list(plan.command)}),
        GO_FILE: "",
    }


def _runs_mpi(plan: ClusterPlan) -> bool:
    request: Any = plan.request
    return bool(request.get("HyperParameters", {}).get("sagemaker_mpi_enabled") == "true")
