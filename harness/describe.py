"""A job in the API's own shapes: the CreateTrainingJob request it stands for, and DescribeTrainingJob's answer.

Shapes: botocore's service model of SageMaker; what real jobs answer beyond it: contract notes on DescribeTrainingJob.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import status
from harness.job import Channel, TrainingJob
from harness.metrics import MetricValue
from harness.outcome import HostExit
from harness.status import History

# Visibly not a real account: nothing of this is ever sent to AWS.
ACCOUNT = "000000000000"
REGION = "us-west-2"


def training_job_arn(name: str) -> str:
    """The platform writes the job's name in lower case here, unlike anywhere else (dump of a real job)."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{name.lower()}"


def create_training_job_request(
    job: TrainingJob, training_job_name: str, image: str, hyperparameters: Mapping[str, str], output_path: str
) -> dict[str, Any]:
    """The CreateTrainingJob request that this run stands for; local folders appear as file:// URIs."""
    algorithm: dict[str, Any] = {
        "TrainingImage": image,
        "TrainingInputMode": job.input_mode,
        "ContainerEntrypoint": list(job.container_entry_point),
        "ContainerArguments": list(job.container_arguments),
        "MetricDefinitions": [{"Name": item.name, "Regex": item.regex} for item in job.metric_definitions],
        "EnableSageMakerMetricsTimeSeries": job.enable_sagemaker_metrics,
    }
    request: dict[str, Any] = {
        "TrainingJobName": training_job_name,
        "HyperParameters": dict(hyperparameters),
        "AlgorithmSpecification": _given(algorithm),
        "RoleArn": job.role or f"arn:aws:iam::{ACCOUNT}:role/local",
        "InputDataConfig": [_channel(channel) for channel in job.inputs],
        "OutputDataConfig": {
            "S3OutputPath": output_path,
            **({"CompressionType": "NONE"} if job.disable_output_compression else {}),
        },
        "ResourceConfig": _resources(job),
        "StoppingCondition": _given({"MaxRuntimeInSeconds": job.max_run, "MaxWaitTimeInSeconds": job.max_wait}),
        "Environment": dict(job.environment),
        "EnableManagedSpotTraining": job.use_spot_instances,
        "EnableNetworkIsolation": job.enable_network_isolation,
        "EnableInterContainerTrafficEncryption": job.encrypt_inter_container_traffic,
        "Tags": [{"Key": key, "Value": value} for key, value in job.tags.items()],
    }
    if job.checkpoint_s3_uri:
        request["CheckpointConfig"] = {"S3Uri": job.checkpoint_s3_uri, "LocalPath": job.checkpoint_local_path}
    if job.max_retry_attempts:
        request["RetryStrategy"] = {"MaximumRetryAttempts": job.max_retry_attempts}
    if job.subnets:
        request["VpcConfig"] = {"Subnets": list(job.subnets), "SecurityGroupIds": list(job.security_group_ids)}
    return _given(request)


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the SDK would leave out of the request."""
    return {name: value for name, value in members.items() if value not in (None, False, [], {})}


def _resources(job: TrainingJob) -> dict[str, Any]:
    if job.is_heterogeneous:
        groups = [
            {
                "InstanceGroupName": group.instance_group_name,
                "InstanceType": group.instance_type,
                "InstanceCount": group.instance_count,
            }
            for group in job.instance_groups
        ]
        return {"InstanceGroups": groups, "VolumeSizeInGB": job.volume_size}
    return _given(
        {
            "InstanceType": job.instance_groups[0].instance_type,
            "InstanceCount": job.instance_count,
            "VolumeSizeInGB": job.volume_size,
            "KeepAlivePeriodInSeconds": job.keep_alive_period_in_seconds,
        }
    )


def _channel(channel: Channel) -> dict[str, Any]:
    source = channel.source.absolute().as_uri() if isinstance(channel.source, Path) else channel.source
    s3_data_source = {
        "S3DataType": channel.s3_data_type,
        "S3Uri": source,
        "S3DataDistributionType": channel.distribution,
        "AttributeNames": list(channel.attribute_names),
        "InstanceGroupNames": list(channel.instance_groups),
    }
    members = {
        "ChannelName": channel.name,
        "DataSource": {"S3DataSource": _given(s3_data_source)},
        "ContentType": channel.content_type,
        "CompressionType": channel.compression,
        "RecordWrapperType": channel.record_wrapping,
        "InputMode": channel.input_mode,
    }
    shuffle = {} if channel.shuffle_seed is None else {"ShuffleConfig": {"Seed": channel.shuffle_seed}}
    return {**_given(members), **shuffle}


def describe_training_job(
    request: Mapping[str, Any],
    history: History,
    created: datetime,
    *,
    failure_reason: str | None = None,
    metrics: Iterable[MetricValue] = (),
    model_artifacts: str | None = None,
    exits: Sequence[HostExit] = (),
) -> dict[str, Any]:
    """DescribeTrainingJob's answer for a job at any moment of its life; times are aware datetimes.

    ``HostExits``, which the API has not, is how every host of the job's last attempt ended, in the order that they did.
    """
    answer: dict[str, Any] = {
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        **request,
        "TrainingJobArn": training_job_arn(request["TrainingJobName"]),
        "ModelArtifacts": {"S3ModelArtifacts": model_artifacts or ""},
        "TrainingJobStatus": history.training_job_status,
        "SecondaryStatus": history.secondary_status,
        "OutputDataConfig": {"KmsKeyId": "", "CompressionType": "GZIP", **request["OutputDataConfig"]},
        "CreationTime": created,
        "LastModifiedTime": history.modified,
        "SecondaryStatusTransitions": history.described(),
        "FinalMetricDataList": [
            {"MetricName": item.name, "Value": item.value, "Timestamp": item.timestamp} for item in metrics
        ],
    }
    if failure_reason:
        answer["FailureReason"] = failure_reason
    if request.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds"):
        answer["WarmPoolStatus"] = _warm_pool(history)
    if exits:
        answer["HostExits"] = [_host_exit(item) for item in exits]
    return answer | _training_times(history)


def _warm_pool(history: History) -> dict[str, Any]:
    """No hosts are kept for a later job here: a pool is over with its job, as the API has it of one that was ended."""
    if history.is_over:
        return {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 0}
    return {"Status": "InUse"}


def _host_exit(item: HostExit) -> dict[str, Any]:
    failure = {"Failure": item.failure} if item.failure else {}
    return {"Host": item.host, "ExitCode": item.exit_code, "OutOfMemory": item.out_of_memory, **failure}


def _training_times(history: History) -> dict[str, Any]:
    """From the first Downloading to the end of Uploading, or of the job; seconds are per host.

    Billable seconds are those in which there were hosts: on demand the same (transcript of a real job), on spot
    without the waiting between an interruption and the next Downloading. How the platform takes the discount of the
    spot market into account is not verified; none is made here.
    """
    started = history.started(status.DOWNLOADING)
    if not started:
        return {}
    if not history.is_over and not history.ended(status.UPLOADING):
        return {"TrainingStartTime": started}
    ended = history.ended(status.UPLOADING) or history.transitions[-1].start
    billable = 0.0
    there: datetime | None = None
    for transition in history.transitions:
        if transition.status == status.DOWNLOADING:
            there = transition.start
        elif transition.status == status.INTERRUPTED and there:
            billable += (transition.start - there).total_seconds()
            there = None
    billable += (ended - there).total_seconds() if there else 0.0
    return {
        "TrainingStartTime": started,
        "TrainingEndTime": ended,
        "TrainingTimeInSeconds": round((ended - started).total_seconds()),
        "BillableTimeInSeconds": round(billable),
    }
