"""A CreateTrainingJob request as the `TrainingJob` that a job file would have made of the same arguments. Pure.

The way back from `describe.create_training_job_request` and from the SDK: a job file, the request that SDK v2 makes of
it, and the job that is read from that request are one (tests/unit/test_training_request.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.channel_table import contradictions
from harness.contract import HOMOGENEOUS_GROUP
from harness.errors import BadInput
from harness.hyperparameters import read_hyperparameters
from harness.job import (
    CHECKPOINT_DIR,
    Channel,
    InstanceGroup,
    MetricDefinition,
    MpiDistribution,
    TorchDistribution,
    TrainingJob,
)
from harness.request_fields import FIELDS, REFUSED, fields_of
from harness.training_table import DAY, MAX_HOSTS, problems_of

# What SDK v2 adds to the user's hyperparameters (estimator.py); a job has them as fields, or makes them anew.
_OF_THE_SDK = (
    "sagemaker_program",
    "sagemaker_submit_directory",
    "sagemaker_container_log_level",
    "sagemaker_job_name",
    "sagemaker_region",
    "sagemaker_mpi_enabled",
    "sagemaker_mpi_num_of_processes_per_host",
    "sagemaker_mpi_custom_mpi_options",
    "sagemaker_torch_distributed_enabled",
    "sagemaker_instance_type",
    "sagemaker_distribution_instance_groups",
)
# Arguments of a job, as the members of the request that say them.
_MEMBERS = {
    "max_wait": "StoppingCondition.MaxWaitTimeInSeconds",
    "keep_alive_period_in_seconds": "ResourceConfig.KeepAlivePeriodInSeconds",
    "checkpoint_local_path": "CheckpointConfig.LocalPath",
    "distribution.instance_groups": "HyperParameters.sagemaker_distribution_instance_groups",
    "entry_point": "HyperParameters.sagemaker_program",
    "subnets": "VpcConfig.Subnets",
    "container_arguments": "AlgorithmSpecification.ContainerArguments",
    "output_path": "OutputDataConfig.S3OutputPath",
}


def training_job_from_request(request: Mapping[str, Any]) -> TrainingJob:
    """The job of a request that the service's model has passed.

    ``HyperParameters`` are decoded, as the toolkit does it: what is no JSON is a text. Without ``sagemaker_program``
    they are those of an image of the user's own, and texts. ``source_dir`` is None, as the code is in S3, and
    ``base_job_name`` the whole name. Raises `BadInput` with all that cannot be played.
    """
    missing = [name for name in ("AlgorithmSpecification", "ResourceConfig") if name not in request]
    if missing:  # the model asks for neither, as there are jobs without hosts
        raise BadInput(f"{name}: is missing: a training job on hosts needs it" for name in missing)
    given = request.get("HyperParameters", {})
    hyperparameters = _decoded(given)
    program = hyperparameters.get("sagemaker_program")
    users = {name: value for name, value in hyperparameters.items() if name not in _OF_THE_SDK} if program else given
    algorithm = request["AlgorithmSpecification"]
    output = request["OutputDataConfig"]
    stopping = request.get("StoppingCondition", {})
    checkpoints = request.get("CheckpointConfig", {})
    network = request.get("VpcConfig", {})
    ignored = tuple(_asked_for_by_the_sdk(request))
    job = TrainingJob(
        entry_point=str(program) if program else None,
        source_dir=None,
        base_job_name=request["TrainingJobName"],
        instance_groups=_groups(request["ResourceConfig"]),
        image_uri=algorithm.get("TrainingImage"),
        container_entry_point=tuple(algorithm.get("ContainerEntrypoint", ())),
        container_arguments=tuple(algorithm.get("ContainerArguments", ())),
        role=request.get("RoleArn"),
        max_run=stopping.get("MaxRuntimeInSeconds", DAY),
        max_wait=stopping.get("MaxWaitTimeInSeconds"),
        use_spot_instances=request.get("EnableManagedSpotTraining", False),
        max_retry_attempts=request.get("RetryStrategy", {}).get("MaximumRetryAttempts"),
        keep_alive_period_in_seconds=request["ResourceConfig"].get("KeepAlivePeriodInSeconds") or None,
        volume_size=request["ResourceConfig"].get("VolumeSizeInGB", 30),
        input_mode=algorithm.get("TrainingInputMode", "File"),
        checkpoint_s3_uri=checkpoints.get("S3Uri"),
        checkpoint_local_path=checkpoints.get("LocalPath", CHECKPOINT_DIR),
        output_path=output["S3OutputPath"],
        disable_output_compression=output.get("CompressionType") == "NONE",
        enable_network_isolation=request.get("EnableNetworkIsolation", False),
        encrypt_inter_container_traffic=request.get("EnableInterContainerTrafficEncryption", False),
        subnets=tuple(network.get("Subnets", ())),
        security_group_ids=tuple(network.get("SecurityGroupIds", ())),
        tags={tag["Key"]: tag["Value"] for tag in request.get("Tags", [])},
        hyperparameters=users,
        environment=request.get("Environment", {}),
        distribution=_distribution(hyperparameters) if program else None,
        distribution_groups=_texts(hyperparameters.get("sagemaker_distribution_instance_groups")) if program else (),
        metric_definitions=tuple(
            MetricDefinition(each["Name"], each["Regex"]) for each in algorithm.get("MetricDefinitions", [])
        ),
        enable_sagemaker_metrics=algorithm.get("EnableSageMakerMetricsTimeSeries", False),
        inputs=tuple(_channel(each) for each in request.get("InputDataConfig", [])),
        ignored=ignored,
    )
    problems = [*_refused(request, ignored), *_contradictions(job)]
    if problems:
        raise BadInput(problems)
    return job


def _decoded(given: Mapping[str, str]) -> dict[str, Any]:
    try:
        return read_hyperparameters(given)
    except RecursionError:
        raise BadInput("HyperParameters: a value is nested too deeply to be read") from None


def _asked_for_by_the_sdk(request: Mapping[str, Any]) -> Iterator[str]:
    """SDK v2 asks for a debugger hook without collections and for the profiler unless it is told not to (contract
    of `fit`): nothing that a job would miss, so they are left out, by the names of `not_played`."""
    if "DebugHookConfig" in request and not request["DebugHookConfig"].get("CollectionConfigurations"):
        yield "debugger_hook_config"
    if "ProfilerConfig" in request and not request.get("ProfilerRuleConfigurations"):
        yield "profiler_config"


def _refused(request: Mapping[str, Any], ignored: tuple[str, ...]) -> Iterator[str]:
    passed = {"debugger_hook_config": "DebugHookConfig", "profiler_config": "ProfilerConfig"}
    allowed = {passed[name] for name in ignored}
    try:
        names = fields_of({name: value for name, value in request.items() if name not in allowed})
    except KeyError as unknown:
        yield f"{unknown.args[0]}: nobody has considered it yet; leave it out"
        return
    for name in names:
        if FIELDS[name].status == REFUSED:
            yield f"{name}: {FIELDS[name].here}"


def _groups(resources: Mapping[str, Any]) -> tuple[InstanceGroup, ...]:
    if resources.get("InstanceGroups"):
        return tuple(
            InstanceGroup(each["InstanceGroupName"], each["InstanceType"], each["InstanceCount"])
            for each in resources["InstanceGroups"]
        )
    return (InstanceGroup(HOMOGENEOUS_GROUP, resources.get("InstanceType", ""), resources.get("InstanceCount", 0)),)


def _distribution(hyperparameters: Mapping[str, Any]) -> MpiDistribution | TorchDistribution | None:
    """The toolkit asks in this order (sagemaker-pytorch-training, training.py)."""
    if hyperparameters.get("sagemaker_mpi_enabled") is True:
        processes = hyperparameters.get("sagemaker_mpi_num_of_processes_per_host")
        return MpiDistribution(
            processes if type(processes) is int else None,
            str(hyperparameters.get("sagemaker_mpi_custom_mpi_options", "")),
        )
    return TorchDistribution() if hyperparameters.get("sagemaker_torch_distributed_enabled") is True else None


def _channel(given: Mapping[str, Any]) -> Channel:
    source = given["DataSource"].get("S3DataSource", {})
    return Channel(
        name=given["ChannelName"],
        source=source.get("S3Uri", ""),
        input_mode=given.get("InputMode"),
        distribution=source.get("S3DataDistributionType", "FullyReplicated"),
        s3_data_type=source.get("S3DataType", "S3Prefix"),
        content_type=given.get("ContentType"),
        compression=_none(given.get("CompressionType")),
        record_wrapping=_none(given.get("RecordWrapperType")),
        attribute_names=tuple(source.get("AttributeNames", ())),
        shuffle_seed=given.get("ShuffleConfig", {}).get("Seed"),
        instance_groups=tuple(source.get("InstanceGroupNames", ())),
    )


def _contradictions(job: TrainingJob) -> Iterator[str]:
    """What the model of the service cannot say, and the platform refuses all the same."""
    for key, problem in problems_of(job):
        if key == "base_job_name":
            continue  # the name is whole already
        yield f"{_MEMBERS.get(key, key)}: {problem}"
    if not job.image_uri:
        yield "AlgorithmSpecification.TrainingImage: is missing"
    if job.instance_count > MAX_HOSTS:
        yield f"ResourceConfig: {job.instance_count} hosts; {MAX_HOSTS} at most share this machine"
    if job.instance_count < 1 or not all(job.instance_types):
        yield "ResourceConfig: InstanceType and InstanceCount, or InstanceGroups, must say at least one host"
    groups = [group.instance_group_name for group in job.instance_groups]
    for channel in job.inputs:
        for problem in contradictions(channel, job.input_mode, groups):
            yield f"InputDataConfig.{channel.name}: {problem}"
    names = [channel.name for channel in job.inputs]
    if len(set(names)) < len(names):
        yield f"InputDataConfig: {names}: each channel needs a name of its own"


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _none(choice: str | None) -> str | None:
    return None if choice == "None" else choice
