"""Every member of CreateTrainingJob: emulated, approximated (how, and what the cloud does), or refused. Pure data.

Keys are dotted paths into the request, lists left out: ``InputDataConfig.ChannelName`` is that of each channel. An
entry covers all that is below it. A test walks botocore's service model of SageMaker to its leaves, so that a member
nobody has considered fails the build; docs/fidelity.md is made of this table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

EMULATED, APPROXIMATED, REFUSED = "emulated", "approximated", "refused"


@dataclass(frozen=True)
class Entry:
    """``here`` is what local hosts do, ``cloud`` what the cloud does instead; of what is refused ``here`` says why."""

    status: str
    here: str = ""
    cloud: str = ""

    @property
    def note(self) -> str:
        return "; ".join(part for part in (self.here, self.cloud and f"in the cloud: {self.cloud}") if part)


def _emulated(here: str = "") -> Entry:
    return Entry(EMULATED, here)


def _approximated(here: str, cloud: str) -> Entry:
    return Entry(APPROXIMATED, here, cloud)


def _recorded(cloud: str) -> Entry:
    return Entry(APPROXIMATED, "recorded only", cloud)


def _refused(why: str) -> Entry:
    return Entry(REFUSED, why)


_DEBUGGER = _refused("Debugger is a service of AWS's own; leave it out")
_PROFILER = _refused("Profiler is a service of AWS's own; leave it out")
_CAPACITY = _refused("local hosts are neither reserved nor placed; leave it out")
_MODELS = _refused("model customisation without hosts is a service of AWS's own")

FIELDS: Mapping[str, Entry] = {
    "TrainingJobName": _emulated("base_job_name and the time, as the SDK makes it"),
    "HyperParameters": _emulated("JSON-encoded as SDK v2 does, with the ones it adds"),
    "AlgorithmSpecification.TrainingImage": _approximated(
        "PyTorch 1.13.1 for CPU, Python 3.11, Horovod 0.28.1; image_uri names any other image that the engine has",
        "AWS's image for framework_version and py_version",
    ),
    "AlgorithmSpecification.AlgorithmName": _refused("algorithms of the Marketplace are not to be had here; image_uri"),
    "AlgorithmSpecification.TrainingInputMode": _emulated(
        "File, FastFile (told to the script as File) and Pipe; each channel may say its own"
    ),
    "AlgorithmSpecification.MetricDefinitions": _approximated(
        "the last value of each, and the whole series in metrics.csv", "the series is in CloudWatch"
    ),
    "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries": _approximated(
        "metrics.csv is always written", "the series can be queried with the metrics API"
    ),
    "AlgorithmSpecification.ContainerEntrypoint": _emulated("replaces the image's entrypoint"),
    "AlgorithmSpecification.ContainerArguments": _emulated("replaces `train`"),
    "AlgorithmSpecification.TrainingImageConfig": _refused("the engine pulls with its own credentials; leave it out"),
    "RoleArn": _approximated(
        "recorded; hosts have no credentials, at the AWS door keys of their job's own",
        "the role's, so that a permission it lacks shows only there",
    ),
    "InputDataConfig.ChannelName": _emulated("a folder, or a FIFO per epoch, under /opt/ml/input/data"),
    "InputDataConfig.DataSource.S3DataSource.S3DataType": _emulated("S3Prefix, ManifestFile, AugmentedManifestFile"),
    "InputDataConfig.DataSource.S3DataSource.S3Uri": _approximated(
        "a folder, a file or an s3:// prefix, staged by this machine with its own credentials before hosts start; at "
        "the AWS door a prefix of its S3",
        "hosts download it from S3 with the role's",
    ),
    "InputDataConfig.DataSource.S3DataSource.S3DataDistributionType": _emulated("FullyReplicated, ShardedByS3Key"),
    "InputDataConfig.DataSource.S3DataSource.AttributeNames": _emulated(),
    "InputDataConfig.DataSource.S3DataSource.InstanceGroupNames": _emulated("other groups' hosts do not get it"),
    "InputDataConfig.DataSource.S3DataSource.ModelAccessConfig": _refused("stage the model as an ordinary channel"),
    "InputDataConfig.DataSource.S3DataSource.HubAccessConfig": _refused("stage the model as an ordinary channel"),
    "InputDataConfig.DataSource.FileSystemDataSource": _refused("EFS and FSx are not mounted; name a folder"),
    "InputDataConfig.DataSource.DatasetSource": _refused("datasets of AWS's registry are not read; name a folder"),
    "InputDataConfig.ContentType": _emulated("told to the script, as there"),
    "InputDataConfig.CompressionType": _emulated("Gzip is unpacked on the way into a pipe"),
    "InputDataConfig.RecordWrapperType": _emulated("RecordIO frames each object on its way into a pipe"),
    "InputDataConfig.InputMode": _emulated("File, FastFile (a read-only view) and Pipe"),
    "InputDataConfig.ShuffleConfig": _approximated(
        "the seed decides the order of each epoch", "it does too; that it is the same order is not promised"
    ),
    "OutputDataConfig.S3OutputPath": _approximated(
        "archives stay in the run's folder; the AWS door puts them into its S3 as well",
        "they are put under this prefix",
    ),
    "OutputDataConfig.KmsKeyId": _refused("archives stay on this machine, unencrypted; leave it out"),
    "OutputDataConfig.CompressionType": _emulated("GZIP, or NONE: the files themselves"),
    "ResourceConfig.InstanceCount": _emulated("hosts algo-1 to algo-8 at most"),
    "ResourceConfig.InstanceType": _approximated(
        "hosts get the type's vCPUs, memory and shared memory, scaled down where this machine is smaller; GPUs where "
        "the engine has them",
        "the type itself, its processor and its network",
    ),
    "ResourceConfig.VolumeSizeInGB": _approximated("recorded; hosts may fill the engine's disk", "a disk of that size"),
    "ResourceConfig.VolumeKmsKeyId": _refused("the engine's disk is what it is; leave it out"),
    "ResourceConfig.KeepAlivePeriodInSeconds": _approximated(
        "recorded, WarmPoolStatus is Terminated once the job has ended; a session of tests has hosts ready for its "
        "next job, new ones always, unless --harness-cold",
        "the instances themselves stay for the next job like it, and are billed",
    ),
    "ResourceConfig.InstanceGroups.InstanceGroupName": _emulated(),
    "ResourceConfig.InstanceGroups.InstanceCount": _emulated("8 hosts in all groups together at most"),
    "ResourceConfig.InstanceGroups.InstanceType": _approximated(
        "as ResourceConfig.InstanceType, group by group", "the types themselves"
    ),
    "ResourceConfig.TrainingPlanArn": _CAPACITY,
    "ResourceConfig.InstancePlacementConfig": _CAPACITY,
    "ResourceConfig.InstancePreferences": _CAPACITY,
    "ResourceConfig.SelectedInstanceType": _CAPACITY,
    "ResourceConfig.SelectedInstanceCount": _CAPACITY,
    "VpcConfig": _recorded("hosts are in these subnets and reach what the security groups let them"),
    "StoppingCondition.MaxRuntimeInSeconds": _approximated("kept to the second", "the end may come minutes later"),
    "StoppingCondition.MaxWaitTimeInSeconds": _approximated(
        "kept to the second; no time is spent waiting for capacity", "waiting for spot capacity counts too"
    ),
    "StoppingCondition.MaxPendingTimeInSeconds": _CAPACITY,
    "Tags": _recorded("the job carries them"),
    "EnableNetworkIsolation": _approximated(
        "hosts are on a network without a way out, and reach each other", "they do; S3 is reached by the platform only"
    ),
    "EnableInterContainerTrafficEncryption": _recorded("traffic between hosts is encrypted, and slower"),
    "EnableManagedSpotTraining": _approximated(
        "interrupted where --interrupt-after says so, by the loss of all hosts", "at any time, or never"
    ),
    "CheckpointConfig.S3Uri": _approximated(
        "a folder, or S3 with this machine's credentials, kept in step both ways", "S3 with the role's"
    ),
    "CheckpointConfig.LocalPath": _emulated(),
    "DebugHookConfig": _DEBUGGER,
    "DebugRuleConfigurations": _DEBUGGER,
    "TensorBoardOutputConfig": _refused("write to /opt/ml/output/data, which becomes output.tar.gz"),
    "ExperimentConfig": _refused("Experiments is a service of AWS's own; leave it out"),
    "ProfilerConfig": _PROFILER,
    "ProfilerRuleConfigurations": _PROFILER,
    "Environment": _emulated("values arrive as they are, '$' and all"),
    "RetryStrategy": _recorded("a job that an internal error of the platform ended is tried again"),
    "RemoteDebugConfig": _refused("--retain keeps the hosts, and docker exec enters them; leave it out"),
    "InfraCheckConfig": _refused("there are no instances to check; leave it out"),
    "SessionChainingConfig": _refused("hosts have no credentials, hence no session tags; leave it out"),
    "ServerlessJobConfig": _MODELS,
    "MlflowConfig": _refused("no tracking server is run for the job; leave it out"),
    "ModelPackageConfig": _MODELS,
}


def entry_name(path: str) -> str | None:
    """The key in ``FIELDS`` that covers ``path``, None where nobody has considered it."""
    while path and path not in FIELDS:
        path = path.rpartition(".")[0]
    return path or None


def fields_of(request: Mapping[str, Any]) -> list[str]:
    """The keys in ``FIELDS`` of what ``request`` says, sorted, each once. Raises `KeyError` for what has none."""
    found = set()
    for path in _paths(request, ""):
        name = entry_name(path)
        if name is None:
            raise KeyError(path)
        found.add(name)
    return sorted(found)


def _paths(value: Any, path: str) -> Iterator[str]:
    """Dotted paths of a request, down to where an entry is or nothing is below."""
    if path in FIELDS:
        yield path
    elif isinstance(value, list):
        for item in value:
            yield from _paths(item, path)
    elif isinstance(value, Mapping) and value:
        for name, member in value.items():
            yield from _paths(member, f"{path}.{name}" if path else name)
    else:
        yield path
