"""What a user asks for, as frozen data in SageMaker's words; everything downstream reads these types only.

Made from a job file by `harness.job_file`. Field names are the keyword arguments of ``sagemaker.pytorch.PyTorch``,
``fit``, ``create_model`` and ``deploy`` (SageMaker Python SDK v2).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.contract import HOMOGENEOUS_GROUP
from harness.instance_types import InstanceType

CHECKPOINT_DIR = "/opt/ml/checkpoints"  # the default LocalPath of CheckpointConfig (botocore's service model)


@dataclass(frozen=True)
class Channel:
    """One input channel, delivered to /opt/ml/input/data/<name>; the arguments of ``sagemaker.inputs.TrainingInput``.

    ``source`` is a folder or file on this machine, or an s3:// URI. ``input_mode`` None is the job's own.
    ``instance_groups`` empty means all.
    """

    name: str
    source: Path | str
    input_mode: str | None = None  # File, FastFile or Pipe
    distribution: str = "FullyReplicated"  # or ShardedByS3Key
    s3_data_type: str = "S3Prefix"  # or ManifestFile, AugmentedManifestFile
    content_type: str | None = None
    compression: str | None = None  # Gzip
    record_wrapping: str | None = None  # RecordIO
    attribute_names: tuple[str, ...] = ()
    shuffle_seed: int | None = None
    instance_groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class MpiDistribution:
    """``distribution = { mpi = { … } }``; ``processes_per_host`` None means GPUs of the host, else 1."""

    processes_per_host: int | None = None
    custom_mpi_options: str = ""


@dataclass(frozen=True)
class TorchDistribution:
    """``distribution = { torch_distributed = { enabled = true } }``: torchrun on every host."""


@dataclass(frozen=True)
class InstanceGroup:
    """One group of a heterogeneous cluster (``sagemaker.instance_group.InstanceGroup``)."""

    instance_group_name: str
    instance_type: str
    instance_count: int


@dataclass(frozen=True)
class MetricDefinition:
    name: str
    regex: str


@dataclass(frozen=True)
class TrainingJob:
    """A training job before it has a name. Times are in seconds, ``volume_size`` in GB.

    ``instance_groups`` holds one group named as the platform names it where the job has no groups of its own.
    ``distribution_groups`` are the groups that a distribution spreads over; empty means the host's own group.
    ``ignored`` are arguments (`harness.not_played`) that the job had and that the user chose to go on without.
    An image of the user's own may need no ``entry_point``: it brings its `train`, and no code is given to it.
    """

    entry_point: str | None
    source_dir: Path | None
    base_job_name: str
    instance_groups: tuple[InstanceGroup, ...]
    framework_version: str | None = None
    py_version: str | None = None
    image_uri: str | None = None
    container_entry_point: tuple[str, ...] = ()
    container_arguments: tuple[str, ...] = ()
    role: str | None = None
    max_run: int = 86400
    max_wait: int | None = None
    use_spot_instances: bool = False
    max_retry_attempts: int | None = None
    keep_alive_period_in_seconds: int | None = None
    volume_size: int = 30
    input_mode: str = "File"
    checkpoint_s3_uri: str | None = None
    checkpoint_local_path: str = CHECKPOINT_DIR
    output_path: str | None = None
    disable_output_compression: bool = False
    enable_network_isolation: bool = False
    encrypt_inter_container_traffic: bool = False
    subnets: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    dependencies: tuple[Path, ...] = ()
    distribution: MpiDistribution | TorchDistribution | None = None
    distribution_groups: tuple[str, ...] = ()
    metric_definitions: tuple[MetricDefinition, ...] = ()
    enable_sagemaker_metrics: bool = False
    inputs: tuple[Channel, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def instance_count(self) -> int:
        """Hosts of all groups together."""
        return sum(group.instance_count for group in self.instance_groups)

    @property
    def is_heterogeneous(self) -> bool:
        return tuple(group.instance_group_name for group in self.instance_groups) != (HOMOGENEOUS_GROUP,)

    @property
    def instance_types(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(group.instance_type for group in self.instance_groups))


@dataclass(frozen=True)
class Hosting:
    """How the trained model is hosted; the code that ends up in ``code/`` of the model archive."""

    entry_point: str
    source_dir: Path
    instance_type: str
    initial_instance_count: int = 1
    image_uri: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobFile:
    """A job file, read and found good; ``instance_types`` are those that it describes itself.

    ``document`` is the file's own words, with what the command line put in their place.
    """

    path: Path
    training: TrainingJob
    hosting: Hosting | None
    instance_types: Mapping[str, InstanceType] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)


def encoded_hyperparameters(
    job: TrainingJob, training_job_name: str, region: str, submit_directory: str
) -> dict[str, str]:
    """The request's ``HyperParameters``: every value JSON-encoded, with the ones the SDK adds.

    A job without an entry point is a plain ``Estimator``, whose values go as their text.

    Source: SDK v2 estimator.py (``_json_encode_hyperparameters``, ``_prepare_code``, ``_distribution_configuration``).
    """
    if job.entry_point is None:
        return {key: str(value) for key, value in job.hyperparameters.items()}
    values: dict[str, Any] = {
        **job.hyperparameters,
        "sagemaker_submit_directory": submit_directory,
        "sagemaker_program": job.entry_point,
        "sagemaker_container_log_level": 20,
        "sagemaker_job_name": training_job_name,
        "sagemaker_region": region,
        **_distribution_hyperparameters(job),
    }
    return {key: json.dumps(value) for key, value in values.items()}


def _distribution_hyperparameters(job: TrainingJob) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if isinstance(job.distribution, MpiDistribution):
        values["sagemaker_mpi_enabled"] = True
        if job.distribution.processes_per_host is not None:
            values["sagemaker_mpi_num_of_processes_per_host"] = job.distribution.processes_per_host
        values["sagemaker_mpi_custom_mpi_options"] = job.distribution.custom_mpi_options
    if isinstance(job.distribution, TorchDistribution):
        values["sagemaker_torch_distributed_enabled"] = True
        values["sagemaker_instance_type"] = job.instance_types[0]
    if job.distribution is not None and job.distribution_groups:
        values["sagemaker_distribution_instance_groups"] = list(job.distribution_groups)
    return values
