"""A job becomes a plan: frozen data that says which hosts there will be and what each of them is given.

Pure. Nothing here looks at the disk, the engine or the clock; `--dry-run` prints the result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import contract
from harness.job import Channel, TrainingJob, encoded_hyperparameters

LAUNCHERS = ("gloo", "mpi", "toolkit")


@dataclass(frozen=True)
class HostPlan:
    """One host: ``files`` maps absolute paths in the container to their text."""

    name: str
    files: Mapping[str, str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class ClusterPlan:
    """All hosts of one training job. ``max_run`` is in seconds."""

    training_job_name: str
    image: str
    hosts: tuple[HostPlan, ...]
    hyperparameters: Mapping[str, str]
    channels: tuple[Channel, ...]
    source_dir: Path
    max_run: int
    warnings: tuple[str, ...] = ()


def plan_training(
    job: TrainingJob, training_job_name: str, *, arn: str, region: str, image: str, launcher: str
) -> ClusterPlan:
    """What the platform would prepare for ``job``, under the name it now has.

    ``launcher`` says how the image's `train` starts a distributed script: 'gloo' or 'mpi' (horovodrun), or
    'toolkit' (AWS's own).
    """
    names = contract.host_names(job.instance_count)
    hyperparameters = encoded_hyperparameters(job, training_job_name, region, contract.CODE_DIR)
    shared = {
        contract.INPUT_DATA_CONFIG_FILE: contract.input_data_config(c.name for c in job.inputs),
        contract.HYPERPARAMETERS_FILE: hyperparameters,
    }
    environment = contract.platform_environment(training_job_name, arn, region, job.environment)
    hosts = tuple(
        HostPlan(
            name=name,
            files={
                path: json.dumps(document)
                for path, document in {
                    contract.RESOURCE_CONFIG_FILE: contract.resource_config(name, names, job.instance_type),
                    **shared,
                }.items()
            },
            environment={
                **environment,
                contract.LAUNCHER_VARIABLE: launcher,
                contract.SHARED_CORES_VARIABLE: "1",
            },
        )
        for name in names
    )
    return ClusterPlan(
        training_job_name=training_job_name,
        image=image,
        hosts=hosts,
        hyperparameters=hyperparameters,
        channels=job.inputs,
        source_dir=job.source_dir or Path(),
        max_run=job.max_run,
        warnings=_warnings(job),
    )


def _warnings(job: TrainingJob) -> tuple[str, ...]:
    if job.instance_count > 1 and job.distribution is None:
        # AWS's own example of this job does this (its notebook sets instance_count=2 and no distribution).
        return (
            f"no distribution is set: each of the {job.instance_count} hosts runs {job.entry_point} alone, on all of "
            "its data; they are not training together, here or in the cloud. "
            "Set distribution = { mpi = { enabled = true } } in the job file to train one model",
        )
    return ()
