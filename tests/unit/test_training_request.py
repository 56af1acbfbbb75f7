"""A CreateTrainingJob request is read as the job that it was made of, member for member."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.describe import create_training_job_request
from harness.errors import BadInput
from harness.job import (
    Channel,
    InstanceGroup,
    MetricDefinition,
    MpiDistribution,
    TorchDistribution,
    TrainingJob,
    encoded_hyperparameters,
)
from harness.job_file import read_job_file
from harness.request_fields import FIELDS, REFUSED
from harness.training_request import training_job_from_request
from tests.jobs import training_job

REPOSITORY = Path(__file__).parents[2]
IMAGE = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:1.12.1-gpu-py38"
CHANNELS = (
    Channel("train", "s3://bucket/train", distribution="ShardedByS3Key", content_type="text/csv"),
    Channel(
        "pipe",
        "s3://bucket/list",
        input_mode="Pipe",
        s3_data_type="AugmentedManifestFile",
        compression="Gzip",
        record_wrapping="RecordIO",
        attribute_names=("a", "b"),
        shuffle_seed=0,
        instance_groups=("homogeneousCluster",),
    ),
)
JOBS = {
    "plain": training_job(),
    "mpi": training_job(distribution=MpiDistribution(2, "-x A=1"), hyperparameters={"lr": 0.1, "flag": None}),
    "mpi of one process": training_job(distribution=MpiDistribution()),
    "torch": training_job(distribution=TorchDistribution(), entry_point="train.py"),
    "groups": training_job(
        instance_groups=(InstanceGroup("a", "ml.m5.large", 1), InstanceGroup("b", "ml.c5.xlarge", 2)),
        distribution=MpiDistribution(),
        distribution_groups=("b",),
    ),
    "channels": training_job(inputs=CHANNELS),
    "spot": training_job(
        use_spot_instances=True, max_run=60, max_wait=90, max_retry_attempts=2, checkpoint_s3_uri="s3://bucket/c"
    ),
    "container": training_job(container_entry_point=("bash",), container_arguments=("-c", "x"), role="arn:r"),
    "an image of one's own": training_job(entry_point=None, hyperparameters={"epochs": "6", "backend": "gloo"}),
    "all else": training_job(
        keep_alive_period_in_seconds=60,
        volume_size=50,
        input_mode="FastFile",
        checkpoint_s3_uri="s3://bucket/c",
        checkpoint_local_path="/opt/ml/mine",
        disable_output_compression=True,
        enable_network_isolation=True,
        encrypt_inter_container_traffic=True,
        subnets=("s",),
        security_group_ids=("g",),
        tags={"k": "v"},
        environment={"A": "$b"},
        metric_definitions=(MetricDefinition("loss", "loss=(.*)"),),
        enable_sagemaker_metrics=True,
    ),
}
FULL: dict[str, Any] = {
    "TrainingJobName": "job",
    "HyperParameters": {"epochs": "6"},
    "AlgorithmSpecification": {
        "TrainingImage": IMAGE,
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "n", "Regex": "(x)"}],
        "EnableSageMakerMetricsTimeSeries": True,
        "ContainerEntrypoint": ["a"],
        "ContainerArguments": ["b"],
    },
    "RoleArn": "arn:aws:iam::000000000000:role/x",
    "InputDataConfig": [
        {
            "ChannelName": "c",
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "AugmentedManifestFile",
                    "S3Uri": "s3://bucket/p",
                    "S3DataDistributionType": "FullyReplicated",
                    "AttributeNames": ["a"],
                    "InstanceGroupNames": ["g"],
                }
            },
            "ContentType": "text/csv",
            "CompressionType": "Gzip",
            "RecordWrapperType": "RecordIO",
            "InputMode": "Pipe",
            "ShuffleConfig": {"Seed": 1},
        }
    ],
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/", "CompressionType": "GZIP"},
    "ResourceConfig": {
        "VolumeSizeInGB": 30,
        "InstanceGroups": [{"InstanceGroupName": "g", "InstanceType": "ml.m5.large", "InstanceCount": 2}],
    },
    "VpcConfig": {"Subnets": ["s"], "SecurityGroupIds": ["g"]},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 90},
    "Tags": [{"Key": "k", "Value": "v"}],
    "EnableNetworkIsolation": True,
    "EnableInterContainerTrafficEncryption": True,
    "EnableManagedSpotTraining": True,
    "CheckpointConfig": {"S3Uri": "s3://bucket/c", "LocalPath": "/opt/ml/mine"},
    "Environment": {"A": "b"},
    "RetryStrategy": {"MaximumRetryAttempts": 2},
}
# Another value for each member that is played, and for those that FULL cannot have beside the others.
OTHERS: dict[str, Any] = {
    "TrainingJobName": "other",
    "HyperParameters": {"epochs": "7"},
    "AlgorithmSpecification.TrainingImage": "mine:1",
    "AlgorithmSpecification.TrainingInputMode": "Pipe",
    "AlgorithmSpecification.MetricDefinitions": [{"Name": "m", "Regex": "(y)"}],
    "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries": False,
    "AlgorithmSpecification.ContainerEntrypoint": ["c"],
    "AlgorithmSpecification.ContainerArguments": ["d"],
    "RoleArn": "arn:aws:iam::000000000000:role/y",
    "InputDataConfig.ChannelName": "d",
    "InputDataConfig.DataSource.S3DataSource.S3DataType": "AugmentedManifestFile",
    "InputDataConfig.DataSource.S3DataSource.S3Uri": "s3://bucket/q",
    "InputDataConfig.DataSource.S3DataSource.S3DataDistributionType": "ShardedByS3Key",
    "InputDataConfig.DataSource.S3DataSource.AttributeNames": ["b"],
    "InputDataConfig.DataSource.S3DataSource.InstanceGroupNames": [],
    "InputDataConfig.ContentType": "text/plain",
    "InputDataConfig.CompressionType": "None",
    "InputDataConfig.RecordWrapperType": "None",
    "InputDataConfig.InputMode": "Pipe",
    "InputDataConfig.ShuffleConfig": {"Seed": 2},
    "OutputDataConfig.S3OutputPath": "s3://bucket/o",
    "OutputDataConfig.CompressionType": "NONE",
    "ResourceConfig.VolumeSizeInGB": 31,
    "ResourceConfig.InstanceGroups.InstanceGroupName": "g",
    "ResourceConfig.InstanceGroups.InstanceCount": 3,
    "ResourceConfig.InstanceGroups.InstanceType": "ml.c5.large",
    "VpcConfig": {"Subnets": ["t"], "SecurityGroupIds": ["g"]},
    "StoppingCondition.MaxRuntimeInSeconds": 61,
    "StoppingCondition.MaxWaitTimeInSeconds": 91,
    "Tags": [{"Key": "k", "Value": "w"}],
    "EnableNetworkIsolation": False,
    "EnableInterContainerTrafficEncryption": False,
    "EnableManagedSpotTraining": True,
    "CheckpointConfig.S3Uri": "s3://bucket/d",
    "CheckpointConfig.LocalPath": "/opt/ml/yours",
    "Environment": {"A": "c"},
    "RetryStrategy": {"MaximumRetryAttempts": 3},
}
SAME = {  # what FULL needs to be as it is, so that another value would contradict it
    "InputDataConfig.DataSource.S3DataSource.S3DataType",
    "InputDataConfig.InputMode",
    "ResourceConfig.InstanceGroups.InstanceGroupName",
    "EnableManagedSpotTraining",
}
ALONE = {  # of jobs without groups
    "ResourceConfig.InstanceCount": 3,
    "ResourceConfig.InstanceType": "ml.c5.large",
    "ResourceConfig.KeepAlivePeriodInSeconds": 60,
}


def request_of(job: TrainingJob) -> dict[str, Any]:
    hyperparameters = encoded_hyperparameters(job, "job-1", "us-west-2", "s3://bucket/job-1/source/sourcedir.tar.gz")
    return create_training_job_request(job, "job-1", IMAGE, hyperparameters, "s3://bucket/")


def as_requested(job: TrainingJob) -> TrainingJob:
    """``job`` as far as a request can say it: code and channels are in S3, the name is whole, an image is named."""
    return replace(
        job,
        source_dir=None,
        dependencies=(),
        base_job_name="job-1",
        framework_version=None,
        py_version=None,
        image_uri=IMAGE,
        role=job.role or "arn:aws:iam::000000000000:role/local",
        output_path="s3://bucket/",
        inputs=tuple(
            replace(each, source=each.source.absolute().as_uri()) if isinstance(each.source, Path) else each
            for each in job.inputs
        ),
    )


def changed(path: str, value: Any) -> dict[str, Any]:
    request = copy.deepcopy(FULL)
    holder: Any = request
    *names, last = path.split(".")
    for name in names:
        holder = holder[name]
        holder = holder[0] if isinstance(holder, list) else holder
    holder[last] = value
    return request


@pytest.mark.parametrize("name", JOBS)
def test_the_way_to_a_request_and_back_leads_to_the_same_job(name: str) -> None:
    job = JOBS[name]

    assert training_job_from_request(request_of(job)) == as_requested(job)


def test_the_projects_own_job_is_the_same_from_its_file_and_from_its_request() -> None:
    job = read_job_file(REPOSITORY / "mnist_job" / "job.toml", for_hosting=True).training

    assert training_job_from_request(request_of(job)) == as_requested(job)


def test_the_notebooks_request_is_read_though_the_sdk_asks_for_a_debugger_and_a_profiler() -> None:
    request = {
        **request_of(training_job()),
        "DebugHookConfig": {"S3OutputPath": "s3://bucket/", "CollectionConfigurations": []},
        "ProfilerConfig": {"S3OutputPath": "s3://bucket/", "DisableProfiler": False},
    }

    job = training_job_from_request(request)

    assert job.ignored == ("debugger_hook_config", "profiler_config")
    assert job.distribution is None


def test_hyperparameters_that_are_no_json_are_texts() -> None:
    given = {"backend": "gloo", "epochs": "6", "none": "null"}
    request = {**request_of(training_job()), "HyperParameters": {**given, "sagemaker_program": "train.py"}}

    assert training_job_from_request(request).hyperparameters == {"backend": "gloo", "epochs": 6, "none": None}


def test_hyperparameters_of_an_image_of_ones_own_stay_as_they_are() -> None:
    given = {"backend": "gloo", "flag": "true", "sagemaker_mpi_enabled": "true"}

    job = training_job_from_request({**request_of(training_job()), "HyperParameters": given})

    assert (job.entry_point, job.hyperparameters, job.distribution) == (None, given, None)
    assert encoded_hyperparameters(job, "job", "us-west-2", "s3://b") == given


@pytest.mark.parametrize("member", [name for name, entry in FIELDS.items() if entry.status != REFUSED])
def test_every_member_that_is_played_is_read(member: str) -> None:
    assert member in OTHERS or member in ALONE

    if member in ALONE:
        request = copy.deepcopy(FULL)
        del request["EnableManagedSpotTraining"]
        del request["StoppingCondition"]["MaxWaitTimeInSeconds"]
        request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["InstanceGroupNames"] = []
        request["ResourceConfig"] = {"VolumeSizeInGB": 30, "InstanceType": "ml.m5.large", "InstanceCount": 2}
        other = copy.deepcopy(request)
        other["ResourceConfig"][member.split(".")[1]] = ALONE[member]
        assert training_job_from_request(other) != training_job_from_request(request)
    elif member not in SAME:
        assert training_job_from_request(changed(member, OTHERS[member])) != training_job_from_request(FULL)


@pytest.mark.parametrize("member", [name for name, entry in FIELDS.items() if entry.status == REFUSED])
def test_every_member_that_is_not_played_is_refused_by_its_name(member: str) -> None:
    request = copy.deepcopy(FULL)
    holder: Any = request
    *names, last = member.split(".")
    for name in names:
        holder = holder.setdefault(name, {})
        holder = holder[0] if isinstance(holder, list) else holder
    holder[last] = {"CollectionConfigurations": [{}]} if last == "DebugHookConfig" else {"x": 1}
    if last == "ProfilerConfig":
        request["ProfilerRuleConfigurations"] = [{}]

    with pytest.raises(BadInput) as caught:
        training_job_from_request(request)

    assert any(problem.startswith(member) for problem in caught.value.problems), caught.value.problems


def test_all_problems_are_told_at_once_by_the_requests_own_names() -> None:
    request = copy.deepcopy(FULL)
    request["StoppingCondition"]["MaxWaitTimeInSeconds"] = 30
    request["CheckpointConfig"]["LocalPath"] = "/opt/ml/input"
    request["InputDataConfig"][0]["InputMode"] = "File"
    request["ResourceConfig"]["InstanceGroups"][0]["InstanceCount"] = 100

    with pytest.raises(BadInput) as caught:
        training_job_from_request(request)

    told = "\n".join(caught.value.problems)
    assert "StoppingCondition.MaxWaitTimeInSeconds: 30 is less than" in told
    assert "CheckpointConfig.LocalPath: '/opt/ml/input'" in told
    assert "InputDataConfig.c: an AugmentedManifestFile needs" in told
    assert "ResourceConfig: 100 hosts" in told
