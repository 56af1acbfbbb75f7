"""What the platform gives a host: the documents of /opt/ml/input and the variables of its container. Pure.

Sources: developer guide, 'How Amazon SageMaker runs your training image'; dumps made inside real jobs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.contract import NETWORK_INTERFACE, Json

# Members of CreateTrainingJob that are enums (botocore's service model); their values change their case.
_ENUMS = frozenset(
    {
        "TrainingInputMode",
        "InputMode",
        "S3DataType",
        "S3DataDistributionType",
        "CompressionType",
        "RecordWrapperType",
    }
)


@dataclass(frozen=True)
class HostGroup:
    """Hosts of one instance type; a job without groups of its own has one, named as real jobs name it."""

    name: str
    instance_type: str
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class ChannelConfig:
    """What a host is told of a channel. ``input_mode`` is File, FastFile or Pipe."""

    name: str
    input_mode: str = "File"
    distribution: str = "FullyReplicated"
    content_type: str | None = None
    record_wrapping: str | None = None


def resource_config(current_host: str, groups: Sequence[HostGroup]) -> dict[str, Json]:
    """resourceconfig.json of one host (shape seen in real jobs since 2022)."""
    (current,) = (group for group in groups if current_host in group.hosts)
    return {
        "current_host": current_host,
        "current_instance_type": current.instance_type,
        "current_group_name": current.name,
        "hosts": sorted(host for group in groups for host in group.hosts),
        "instance_groups": [
            {
                "instance_group_name": group.name,
                "instance_type": group.instance_type,
                "hosts": list(group.hosts),
            }
            for group in groups
        ],
        "network_interface_name": NETWORK_INTERFACE,
    }


def input_data_config(channels: Iterable[ChannelConfig]) -> dict[str, Json]:
    """inputdataconfig.json; it tells no place, and of FastFile that it is File (developer guide)."""
    return {
        channel.name: {
            **({"ContentType": channel.content_type} if channel.content_type else {}),
            "TrainingInputMode": "Pipe" if channel.input_mode == "Pipe" else "File",
            "S3DistributionType": channel.distribution,
            "RecordWrapperType": channel.record_wrapping or "None",
        }
        for channel in channels
    }


def checkpoint_config(local_path: str) -> dict[str, Json]:
    """checkpointconfig.json, written where the job has a CheckpointConfig (dump of a real job)."""
    return {"LocalPath": local_path}


def training_job_config(request: Mapping[str, Json], arn: str) -> dict[str, Json]:
    """trainingjobconfig.json: nearly the CreateTrainingJob request, enums in upper snake case (dump of a real job)."""
    return {**{key: _upper_enums(key, value) for key, value in request.items()}, "TrainingJobArn": arn}


def channel_manifest(prefix: str, uris: Iterable[str]) -> str:
    """<channel>-manifest beside a channel: the key prefix, then every object, also those of other hosts' shards."""
    return "".join(f"{line}\n" for line in (prefix, *uris))


def platform_environment(
    training_job_name: str, training_job_arn: str, region: str, environment: Mapping[str, str]
) -> dict[str, str]:
    """The variables the platform itself sets on a CPU instance; it sets no SM_*.

    Sources: developer guide; dumps of real jobs.
    """
    return {
        "TRAINING_JOB_NAME": training_job_name,
        "TRAINING_JOB_ARN": training_job_arn,
        "AWS_REGION": region,
        "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
        "DMLC_INTERFACE": NETWORK_INTERFACE,
        "NVIDIA_VISIBLE_DEVICES": "void",
        **environment,
    }


def _upper_enums(key: str, value: Json) -> Json:
    if isinstance(value, Mapping):
        return {inner: _upper_enums(inner, item) for inner, item in value.items()}
    if isinstance(value, list):
        return [_upper_enums(key, item) for item in value]
    if key in _ENUMS and isinstance(value, str):
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", value.replace("S3", "S3_")).upper().replace("__", "_")
    return value
