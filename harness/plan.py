"""A job becomes a plan: frozen data that says which hosts there will be and what each of them is given.

Pure. Nothing here looks at the disk, the engine or the clock; `--dry-run` prints the result.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import contract, documents
from harness.advice import not_together
from harness.describe import create_training_job_request
from harness.documents import ChannelConfig, HostGroup
from harness.image_names import is_own
from harness.job import Channel, TrainingJob, encoded_hyperparameters
from harness.limits import HostLimits, Limits

LAUNCHERS = ("gloo", "mpi", "toolkit")


@dataclass(frozen=True)
class HostPlan:
    """One host: ``files`` maps absolute paths in the container to their text."""

    name: str
    group: HostGroup
    files: Mapping[str, str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Checkpoints:
    """``local_path`` of every host, kept in step with ``place``, an s3:// URI, a file:// URI or a folder's path."""

    local_path: str
    place: str


@dataclass(frozen=True)
class ClusterPlan:
    """All hosts of one training job. Times are in seconds.

    ``notes`` say what hosts have and have not, next to those of the cloud; ``warnings`` what is probably not meant.

    ``entrypoint`` and ``command`` are what the container runs; an empty entrypoint is the image's own.
    ``code`` are folders or files whose content goes to /opt/ml/code: source_dir, then ``dependencies``.
    """

    training_job_name: str
    image: str
    hosts: tuple[HostPlan, ...]
    request: Mapping[str, object]
    channels: tuple[Channel, ...]
    source_dir: Path | None
    dependencies: tuple[Path, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ("train",)
    network_isolation: bool = False
    checkpoints: Checkpoints | None = None
    max_run: int = 86400
    max_wait: int | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    limits: Mapping[str, HostLimits] = field(default_factory=dict)


def plan_training(
    job: TrainingJob,
    training_job_name: str,
    *,
    arn: str,
    region: str,
    image: str,
    launcher: str,
    output_path: str,
    limits: Limits | None = None,
    request: Mapping[str, Any] | None = None,
) -> ClusterPlan:
    """What the platform would prepare for ``job``, under the name it now has.

    ``launcher`` says how the image's `train` starts a distributed script: 'gloo' or 'mpi' (horovodrun), or
    'toolkit' (AWS's own). ``output_path`` is the URI under which artifacts end up. ``limits`` are decided
    by `harness.limits`; without any, hosts share all that there is. ``request`` is the CreateTrainingJob request that
    ``job`` was read from, where there is one: hosts are given what it says, as it says it.
    """
    groups = host_groups(job)
    if request is None:
        hyperparameters = encoded_hyperparameters(job, training_job_name, region, contract.CODE_DIR)
        request = create_training_job_request(job, training_job_name, image, hyperparameters, output_path)
    environment = {
        **documents.platform_environment(training_job_name, arn, region, job.environment),
        contract.LAUNCHER_VARIABLE: launcher,
    }
    hosts = tuple(_host_plans(job, groups, request, arn, environment, limits))
    return ClusterPlan(
        training_job_name=training_job_name,
        image=image,
        hosts=hosts,
        request=request,
        channels=job.inputs,
        source_dir=job.source_dir,
        dependencies=job.dependencies,
        entrypoint=_entrypoint(job, image),
        command=job.container_arguments or (() if job.container_entry_point else ("train",)),
        network_isolation=job.enable_network_isolation,
        checkpoints=Checkpoints(job.checkpoint_local_path, job.checkpoint_s3_uri) if job.checkpoint_s3_uri else None,
        max_run=job.max_run,
        max_wait=job.max_wait,
        warnings=not_together(job),
        notes=limits.notes if limits else (),
        limits=limits.hosts if limits else {},
    )


def _entrypoint(job: TrainingJob, image: str) -> tuple[str, ...]:
    """The job's own, if any. On our image ssh is made ready before, as it is in AWS's."""
    needs_ssh = job.container_entry_point and job.instance_count > 1 and is_own(image)
    return ("with-ssh", *job.container_entry_point) if needs_ssh else job.container_entry_point


def _host_plans(
    job: TrainingJob,
    groups: Sequence[HostGroup],
    request: Mapping[str, Any],
    arn: str,
    environment: Mapping[str, str],
    limits: Limits | None,
) -> Iterator[HostPlan]:
    common = _common_files(job, request, arn)
    named = ((name, group) for group in groups for name in group.hosts)
    for name, group in sorted(named, key=lambda each: each[0]):
        documents_of_host = {
            contract.RESOURCE_CONFIG_FILE: documents.resource_config(name, groups),
            contract.INPUT_DATA_CONFIG_FILE: documents.input_data_config(_channel_configs(job, group)),
            contract.INIT_CONFIG_FILE: documents.init_config(request, name, groups),
            **common,
        }
        files = {path: json.dumps(content) for path, content in documents_of_host.items()}
        yield HostPlan(name, group, files, {**environment, **_own_cores(limits, name)})


def host_groups(job: TrainingJob) -> tuple[HostGroup, ...]:
    """Which hosts belong to which group: algo-1 onwards, group after group.

    How the platform deals its names out to groups is not documented; it lists the hosts of a job with one group in
    any order (dump of a real job), here they are sorted.
    """
    count = job.instance_count
    numbered = [f"algo-{number}" for number in range(1, count + 1)]
    groups = []
    for group in job.instance_groups:
        names, numbered = numbered[: group.instance_count], numbered[group.instance_count :]
        groups.append(HostGroup(group.instance_group_name, group.instance_type, tuple(sorted(names))))
    return tuple(groups)


def channels_of(channels: Sequence[Channel], group: str) -> tuple[Channel, ...]:
    """The channels that hosts of ``group`` are given."""
    return tuple(channel for channel in channels if not channel.instance_groups or group in channel.instance_groups)


def _channel_configs(job: TrainingJob, group: HostGroup) -> Iterator[ChannelConfig]:
    for channel in channels_of(job.inputs, group.name):
        yield ChannelConfig(
            channel.name,
            channel.input_mode or job.input_mode,
            channel.distribution,
            channel.content_type,
            channel.record_wrapping,
        )


def _common_files(job: TrainingJob, request: Mapping[str, Any], arn: str) -> dict[str, object]:
    """The documents that are the same on all hosts."""
    common = {
        contract.HYPERPARAMETERS_FILE: request.get("HyperParameters", {}),
        contract.TRAINING_JOB_CONFIG_FILE: documents.training_job_config(request, arn),
        contract.METRIC_DEFINITIONS_FILE: request["AlgorithmSpecification"].get("MetricDefinitions", []),
        contract.UPSTREAM_OUTPUT_FILE: [],
    }
    if job.checkpoint_s3_uri:
        common[contract.CHECKPOINT_CONFIG_FILE] = documents.checkpoint_config(job.checkpoint_local_path)
    return common


def _own_cores(limits: Limits | None, host: str) -> dict[str, str]:
    return {contract.OWN_CORES_VARIABLE: ",".join(map(str, limits.hosts[host].cores))} if limits else {}
