"""What the platform gives a host: the documents of /opt/ml/input and the variables of its container. Pure.

Sources: developer guide, 'How Amazon SageMaker runs your training image'; dumps made inside real jobs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.contract import ML, NETWORK_INTERFACE, Json

# Members of a channel that are enums (botocore's service model); their values change their case.
_ENUMS = frozenset({"InputMode", "S3DataType", "S3DataDistributionType", "CompressionType", "RecordWrapperType"})


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
    """trainingjobconfig.json: the CreateTrainingJob request as the platform keeps it (dump of a real job).

    Enums of channels are in upper snake case, TrainingInputMode is not; some members are there when not asked for.
    """
    completed = {
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        "EnableNetworkIsolation": False,
        **request,
        "AlgorithmSpecification": {"MetricDefinitions": [], **request["AlgorithmSpecification"]},
        "OutputDataConfig": {"KmsKeyId": "", **request["OutputDataConfig"]},
        "TrainingJobArn": arn,
    }
    if "InputDataConfig" in request:
        completed["InputDataConfig"] = [_kept_channel(channel) for channel in request["InputDataConfig"]]
    if "Tags" in request:
        completed["BaseTags"] = request["Tags"]
    return completed


def init_config(request: Mapping[str, Json], current_host: str, groups: Sequence[HostGroup]) -> dict[str, Json]:
    """init-config.json, by which the platform's own parts on a host know what to fetch (dump of a real job).

    Seen in a job with File channels and checkpoints; without checkpoints the null is a guess after its other nulls.
    """
    (group,) = (group for group in groups if current_host in group.hosts)
    default = request["AlgorithmSpecification"]["TrainingInputMode"]
    channels = [_kept_channel(channel) for channel in request.get("InputDataConfig", [])]
    checkpoints = request.get("CheckpointConfig")
    return {
        "inputMode": _upper_snake(default),
        "channels": {
            channel["ChannelName"]: _init_channel(channel, default)
            for channel in channels
            if group.name in channel["DataSource"]["S3DataSource"].get("InstanceGroupNames", [group.name])
        },
        "checkpointChannel": _init_checkpoints(checkpoints["S3Uri"]) if checkpoints else None,
        "hostConfig": {
            "clusterSize": sum(len(group.hosts) for group in groups),
            "hostNumber": int(current_host.removeprefix("algo-")),
        },
        "enableAdditionalPlatformLoggingForCustomer": False,
        "jobRunInfo": {"jobRunNumber": 1},
    }


def channel_manifest(prefix: str, uris: Iterable[str]) -> str:
    """<channel>-manifest beside a channel: the key prefix, then every object, also those of other hosts' shards.

    ``prefix`` is without its bucket, ``uris`` are s3:// URIs; checkpoints have one as well (dump of a real job).
    """
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


def _kept_channel(channel: Mapping[str, Json]) -> dict[str, Json]:
    """A channel of the request as the platform keeps it: with its defaults, and its enums in upper snake case."""
    source = {"S3DataDistributionType": "FullyReplicated", **channel["DataSource"]["S3DataSource"]}
    completed = {"CompressionType": "None", "RecordWrapperType": "None", **channel}
    kept: dict[str, Json] = _upper_enums(completed | {"DataSource": {"S3DataSource": source}})
    return kept


def _init_channel(channel: Mapping[str, Json], default_input_mode: str) -> dict[str, Json]:
    source = channel["DataSource"]["S3DataSource"]
    shuffle = channel.get("ShuffleConfig")
    return {
        "s3DataSource": {
            "s3DataType": source["S3DataType"],
            "s3Uri": source["S3Uri"],
            "s3DataDistributionType": source["S3DataDistributionType"],
            "attributeNames": source.get("AttributeNames"),
        },
        "fileSystemDataSource": None,
        "compressionType": channel["CompressionType"],
        "recordWrapper": channel["RecordWrapperType"],
        "shuffleConfig": {"seed": shuffle["Seed"]} if shuffle else None,
        "inputMode": channel.get("InputMode", _upper_snake(default_input_mode)),
        "sharded": source["S3DataDistributionType"] == "SHARDED_BY_S3_KEY",
    }


def _init_checkpoints(uri: str) -> dict[str, Json]:
    """The checkpoints as a channel; ``outputPath`` is the default, also where the job sets another LocalPath."""
    return {
        "name": "checkpoints",
        "channel": {
            "s3DataSource": {
                "s3DataType": "S3_PREFIX",
                "s3Uri": uri,
                "s3DataDistributionType": None,
                "attributeNames": None,
            },
            "fileSystemDataSource": None,
            "compressionType": None,
            "recordWrapper": None,
            "shuffleConfig": None,
            "inputMode": "FILE",
            "sharded": False,
        },
        "outputPath": f"{ML}/checkpoints",
        "allowEmpty": True,
    }


def _upper_enums(value: Json, key: str = "") -> Json:
    if isinstance(value, Mapping):
        return {inner: _upper_enums(item, inner) for inner, item in value.items()}
    return _upper_snake(value) if key in _ENUMS else value


def _upper_snake(value: str) -> str:
    """``ShardedByS3Key`` → ``SHARDED_BY_S3_KEY``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", value).upper()
