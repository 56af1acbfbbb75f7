"""A job in the API's own shapes: the CreateTrainingJob request it stands for, and DescribeTrainingJob's answer.

Shapes: botocore's service model of SageMaker; what real jobs answer beyond it: contract notes on DescribeTrainingJob.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from harness import status
from harness.job import TrainingJob
from harness.metrics import MetricValue
from harness.plan import ClusterPlan
from harness.status import History

# Visibly not a real account: nothing of this is ever sent to AWS.
ACCOUNT = "000000000000"
REGION = "us-west-2"


def training_job_arn(name: str) -> str:
    """The platform writes the job's name in lower case here, unlike anywhere else (dump of a real job)."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{name.lower()}"


def create_training_job_request(job: TrainingJob, plan: ClusterPlan, output_path: str) -> dict[str, Any]:
    """The CreateTrainingJob request that this run stands for; local folders appear as file:// URIs."""
    request: dict[str, Any] = {
        "TrainingJobName": plan.training_job_name,
        "HyperParameters": dict(plan.hyperparameters),
        "AlgorithmSpecification": {"TrainingImage": plan.image, "TrainingInputMode": "File"},
        "RoleArn": job.role or f"arn:aws:iam::{ACCOUNT}:role/local",
        "OutputDataConfig": {"S3OutputPath": output_path},
        "ResourceConfig": {
            "InstanceType": job.instance_type,
            "InstanceCount": job.instance_count,
            "VolumeSizeInGB": job.volume_size,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": job.max_run},
    }
    if job.metric_definitions:
        request["AlgorithmSpecification"]["MetricDefinitions"] = [
            {"Name": item.name, "Regex": item.regex} for item in job.metric_definitions
        ]
    if job.inputs:
        request["InputDataConfig"] = [
            {
                "ChannelName": channel.name,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": channel.source.absolute().as_uri(),
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
            for channel in job.inputs
        ]
    if job.environment:
        request["Environment"] = dict(job.environment)
    return request


def describe_training_job(
    request: dict[str, Any],
    history: History,
    created: datetime,
    *,
    failure_reason: str | None = None,
    metrics: Iterable[MetricValue] = (),
    model_artifacts: str | None = None,
) -> dict[str, Any]:
    """DescribeTrainingJob's answer for a job at any moment of its life; times are aware datetimes."""
    started = history.started(status.DOWNLOADING)
    ended = history.ended(status.UPLOADING)
    answer: dict[str, Any] = {
        **request,
        "TrainingJobArn": training_job_arn(request["TrainingJobName"]),
        "ModelArtifacts": {"S3ModelArtifacts": model_artifacts or ""},
        "TrainingJobStatus": history.training_job_status,
        "SecondaryStatus": history.secondary_status,
        "OutputDataConfig": {"KmsKeyId": "", **request["OutputDataConfig"], "CompressionType": "GZIP"},
        "CreationTime": created,
        "LastModifiedTime": history.transitions[-1].start,
        "SecondaryStatusTransitions": history.described(),
        "FinalMetricDataList": [
            {"MetricName": item.name, "Value": item.value, "Timestamp": item.timestamp} for item in metrics
        ],
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
    }
    if failure_reason:
        answer["FailureReason"] = failure_reason
    if started:
        answer["TrainingStartTime"] = started
    if started and ended:
        # On demand the billable time is the training time; both are per host (transcript of a real job).
        seconds = round((ended - started).total_seconds())
        answer |= {
            "TrainingEndTime": ended,
            "TrainingTimeInSeconds": seconds,
            "BillableTimeInSeconds": seconds,
        }
    return answer
