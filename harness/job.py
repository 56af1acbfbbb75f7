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


@dataclass(frozen=True)
class Channel:
    """One input channel: ``source`` is a folder or file on this machine, delivered to /opt/ml/input/data/<name>."""

    name: str
    source: Path


@dataclass(frozen=True)
class MpiDistribution:
    """``distribution = { mpi = { … } }``; ``processes_per_host`` None means GPUs of the host, else 1."""

    processes_per_host: int | None = None
    custom_mpi_options: str = ""


@dataclass(frozen=True)
class MetricDefinition:
    name: str
    regex: str


@dataclass(frozen=True)
class TrainingJob:
    """A training job before it has a name. ``max_run`` is in seconds, ``volume_size`` in GB."""

    entry_point: str
    source_dir: Path | None
    base_job_name: str
    instance_type: str
    instance_count: int
    framework_version: str | None = None
    py_version: str | None = None
    image_uri: str | None = None
    role: str | None = None
    max_run: int = 86400
    volume_size: int = 30
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    distribution: MpiDistribution | None = None
    metric_definitions: tuple[MetricDefinition, ...] = ()
    inputs: tuple[Channel, ...] = ()


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
    """A job file, read and found good."""

    path: Path
    training: TrainingJob
    hosting: Hosting | None


def encoded_hyperparameters(
    job: TrainingJob, training_job_name: str, region: str, submit_directory: str
) -> dict[str, str]:
    """The request's ``HyperParameters``: every value JSON-encoded, with the ones the SDK adds.

    Source: SDK v2 estimator.py (``_json_encode_hyperparameters``, ``_prepare_code``, ``_distribution_configuration``).
    """
    values: dict[str, Any] = {
        **job.hyperparameters,
        "sagemaker_submit_directory": submit_directory,
        "sagemaker_program": job.entry_point,
        "sagemaker_container_log_level": 20,
        "sagemaker_job_name": training_job_name,
        "sagemaker_region": region,
        **_distribution_hyperparameters(job.distribution),
    }
    return {key: json.dumps(value) for key, value in values.items()}


def _distribution_hyperparameters(distribution: MpiDistribution | None) -> dict[str, Any]:
    if distribution is None:
        return {}
    values: dict[str, Any] = {"sagemaker_mpi_enabled": True}
    if distribution.processes_per_host is not None:
        values["sagemaker_mpi_num_of_processes_per_host"] = distribution.processes_per_host
    values["sagemaker_mpi_custom_mpi_options"] = distribution.custom_mpi_options
    return values
