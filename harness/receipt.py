"""What of a request was emulated, what was approximated and how, and what is refused. Pure data and one function.

Keys are members of CreateTrainingJob as dotted paths (botocore's service model; a test walks that model, so a member
that nobody has considered fails the build). ``InputDataConfig`` stands for each channel of the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

EMULATED, APPROXIMATED, REFUSED = "emulated", "approximated", "refused"


@dataclass(frozen=True)
class Entry:
    """``note`` says how it is approximated and what the cloud does instead, or what to do without it."""

    status: str
    note: str = ""


_NOT_YET = Entry(REFUSED, "not played by local hosts; leave it out")
_OTHER_SERVICE = Entry(REFUSED, "a service of AWS's own that no local host stands for; leave it out")

FIELDS: Mapping[str, Entry] = {
    "TrainingJobName": Entry(EMULATED),
    "HyperParameters": Entry(EMULATED),
    "AlgorithmSpecification.TrainingImage": Entry(
        APPROXIMATED,
        "AWS's GPU image is stood in for by PyTorch 1.13.1 for CPU and Horovod 0.28.1; image_uri names another",
    ),
    "AlgorithmSpecification.AlgorithmName": _OTHER_SERVICE,
    "AlgorithmSpecification.TrainingInputMode": Entry(EMULATED, "File"),
    "AlgorithmSpecification.MetricDefinitions": Entry(
        APPROXIMATED, "the last value of each; the cloud also keeps the series in CloudWatch"
    ),
    "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries": _OTHER_SERVICE,
    "AlgorithmSpecification.ContainerEntrypoint": _NOT_YET,
    "AlgorithmSpecification.ContainerArguments": _NOT_YET,
    "AlgorithmSpecification.TrainingImageConfig": _NOT_YET,
    "RoleArn": Entry(APPROXIMATED, "recorded; hosts have no credentials, in the cloud they have the role's"),
    "InputDataConfig.ChannelName": Entry(EMULATED),
    "InputDataConfig.DataSource": Entry(
        APPROXIMATED, "a local folder or file; the cloud downloads an S3 prefix, to every host (FullyReplicated) alike"
    ),
    "InputDataConfig.ContentType": _NOT_YET,
    "InputDataConfig.CompressionType": _NOT_YET,
    "InputDataConfig.RecordWrapperType": _NOT_YET,
    "InputDataConfig.InputMode": _NOT_YET,
    "InputDataConfig.ShuffleConfig": _NOT_YET,
    "OutputDataConfig.S3OutputPath": Entry(
        APPROXIMATED, "archives stay in the run's folder; the cloud puts them in S3"
    ),
    "OutputDataConfig.KmsKeyId": _OTHER_SERVICE,
    "OutputDataConfig.CompressionType": _NOT_YET,
    "ResourceConfig.InstanceCount": Entry(EMULATED),
    "ResourceConfig.InstanceType": Entry(
        APPROXIMATED,
        "vCPUs, memory and GPUs as far as this machine has them: 'limits' and GPUs under Advice say what hosts got",
    ),
    "ResourceConfig.VolumeSizeInGB": Entry(APPROXIMATED, "recorded; hosts may fill the engine's disk"),
    "ResourceConfig.VolumeKmsKeyId": _OTHER_SERVICE,
    "ResourceConfig.KeepAlivePeriodInSeconds": _NOT_YET,
    "ResourceConfig.InstanceGroups": _NOT_YET,
    "ResourceConfig.TrainingPlanArn": _OTHER_SERVICE,
    "ResourceConfig.InstancePlacementConfig": _OTHER_SERVICE,
    "ResourceConfig.InstancePreferences": _OTHER_SERVICE,
    "ResourceConfig.SelectedInstanceType": _OTHER_SERVICE,
    "ResourceConfig.SelectedInstanceCount": _OTHER_SERVICE,
    "VpcConfig": _OTHER_SERVICE,
    "StoppingCondition.MaxRuntimeInSeconds": Entry(APPROXIMATED, "kept to the second; the cloud may end minutes later"),
    "StoppingCondition.MaxWaitTimeInSeconds": _NOT_YET,
    "StoppingCondition.MaxPendingTimeInSeconds": _OTHER_SERVICE,
    "Tags": _OTHER_SERVICE,
    "EnableNetworkIsolation": _NOT_YET,
    "EnableInterContainerTrafficEncryption": _NOT_YET,
    "EnableManagedSpotTraining": _NOT_YET,
    "CheckpointConfig": _NOT_YET,
    "DebugHookConfig": _OTHER_SERVICE,
    "DebugRuleConfigurations": _OTHER_SERVICE,
    "TensorBoardOutputConfig": _OTHER_SERVICE,
    "ExperimentConfig": _OTHER_SERVICE,
    "ProfilerConfig": _OTHER_SERVICE,
    "ProfilerRuleConfigurations": _OTHER_SERVICE,
    "Environment": Entry(EMULATED),
    "RetryStrategy": _NOT_YET,
    "RemoteDebugConfig": _OTHER_SERVICE,
    "InfraCheckConfig": _OTHER_SERVICE,
    "SessionChainingConfig": _OTHER_SERVICE,
    "ServerlessJobConfig": _OTHER_SERVICE,
    "MlflowConfig": _OTHER_SERVICE,
    "ModelPackageConfig": _OTHER_SERVICE,
}


def receipt(request: Mapping[str, Any], launcher: str, advice: Sequence[str]) -> dict[str, Any]:
    """receipt.json: an entry per field of ``request``, how the script was launched, and what to think about."""
    fields = [
        {"Field": name, "Status": FIELDS[name].status, **({"Note": FIELDS[name].note} if FIELDS[name].note else {})}
        for name in sorted(set(_named_fields(request)))
    ]
    return {
        "TrainingJobName": request["TrainingJobName"],
        "Fields": fields,
        "Launcher": _LAUNCHERS[launcher],
        "Advice": list(advice),
    }


_LAUNCHERS = {
    "gloo": "approximated: horovodrun --gloo, where AWS's toolkit runs mpirun and waits 30 s at the end",
    "mpi": "approximated: horovodrun --mpi, where AWS's toolkit runs mpirun and waits 30 s at the end",
    "toolkit": "emulated: AWS's own toolkit",
}


def _named_fields(request: Mapping[str, Any]) -> Iterator[str]:
    for name, value in request.items():
        if name in FIELDS:
            yield name
            continue
        for part in value if isinstance(value, list) else [value]:
            yield from (f"{name}.{member}" for member in part)
