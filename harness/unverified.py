"""What AWS's documents leave open, and which reading is played: every such choice, in one place. Pure data.

The receipt of a run names those that concern it; docs/fidelity.md has them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Choice:
    """``about`` is a member of the request that it takes for the question to arise, empty where it always does.

    Members, each with ``=value`` or without, are separated by `` or ``.
    """

    key: str
    left_open: str
    chosen: str
    about: str = ""
    several_hosts: bool = False


CHOICES = (
    Choice(
        "completed",
        "whether a job waits for all hosts once one has left with exit code 0",
        "Completed only when every host has exited with 0",
        several_hosts=True,
    ),
    Choice(
        "other hosts after a failure",
        "what becomes of the other hosts once one has failed, and how soon",
        "SIGTERM at once, SIGKILL 5 s later",
        several_hosts=True,
    ),
    Choice(
        "one name from several hosts",
        "which file is kept where several hosts wrote the same name below /opt/ml/model",
        "the last host's, as SDK v2's local mode has it; the run warns of it",
        several_hosts=True,
    ),
    Choice(
        "output.tar.gz of several hosts",
        "whether it holds the files of all hosts, as the developer guide says, or algo-1's, as a job of 2020 had it",
        "of all hosts",
        several_hosts=True,
    ),
    Choice(
        "nothing written to /opt/ml/model",
        "whether model.tar.gz is written where no host wrote a model",
        "an empty one for a completed job, none for a failed or stopped one, as seen of one failed job",
    ),
    Choice(
        "order of hosts",
        "in which order instance_groups of resourceconfig.json lists hosts, and so which host leads; real jobs do not "
        "sort them",
        "sorted by name: algo-1 leads",
        several_hosts=True,
    ),
    Choice(
        "hosts of groups",
        "which names the hosts of each instance group get",
        "algo-1 onwards, group after group in the order of the request",
        "ResourceConfig.InstanceGroups",
    ),
    Choice(
        "topology",
        "when resourceconfig.json has the key topology, seen as null in the newest jobs",
        "the key is left out; the toolkit reads both alike",
    ),
    Choice(
        "AWS_DEFAULT_REGION",
        "whether the platform sets it beside AWS_REGION",
        "AWS_REGION only",
    ),
    Choice(
        "instance types",
        "what an ml. type has, and gives to the container",
        "what the EC2 type of the same name has",
    ),
    Choice(
        "shared memory",
        "how much of it /dev/shm has; users of a 64 GiB host found 32 GiB",
        "half of the host's memory",
    ),
    Choice(
        "a process killed for want of memory",
        "what becomes of the job",
        "it is Failed when its script fails; FailureReason says OutOfMemoryError and names the host",
    ),
    Choice(
        "shards",
        "which objects each host gets of a channel that is ShardedByS3Key; of two, algo-1 got the first",
        "objects in the order of their keys, dealt out to the hosts in turn",
        "InputDataConfig.DataSource.S3DataSource.S3DataDistributionType=ShardedByS3Key",
    ),
    Choice(
        "pipes",
        "when the FIFO of the next epoch appears, and what becomes of one that was read",
        "it is there when the present epoch begins, and goes once it was read",
        "AlgorithmSpecification.TrainingInputMode=Pipe or InputDataConfig.InputMode=Pipe",
    ),
    Choice(
        "values in augmented manifests",
        "how a value that is no reference is written into the pipe, and what of them a shard or a shuffle moves",
        "a text without its quotes, anything else as JSON; the lines",
        "InputDataConfig.DataSource.S3DataSource.S3DataType=AugmentedManifestFile",
    ),
    Choice(
        "spot interruption",
        "whether containers get a SIGTERM before their instance is taken away",
        "they do not: hosts are gone at once, and only what the checkpoints hold is left",
        "EnableManagedSpotTraining",
    ),
    Choice(
        "max_run of a spot job",
        "whether MaxRuntimeInSeconds is of all attempts together or of each",
        "of all together",
        "EnableManagedSpotTraining",
    ),
    Choice(
        "billable seconds of a spot job",
        "how the discount of the spot market enters BillableTimeInSeconds",
        "it does not: they are those in which there were hosts, without the waiting for new ones",
        "EnableManagedSpotTraining",
    ),
    Choice(
        "words of an interruption",
        "the StatusMessage of Interrupted and of MaxWaitTimeExceeded",
        "in the manner of the others",
        "EnableManagedSpotTraining",
    ),
    Choice(
        "unfinished checkpoints",
        "when a file that is being written is uploaded",
        "once it had the same size at two looks, a second or more apart; all that is there when the job ends by itself",
        "CheckpointConfig.S3Uri",
    ),
)


def choices_for(request: Mapping[str, Any], hosts: int) -> tuple[Choice, ...]:
    """Those of ``CHOICES`` that a job of ``hosts`` hosts, asked for with ``request``, depends on."""
    return tuple(
        choice
        for choice in CHOICES
        if (hosts > 1 or not choice.several_hosts)
        and (not choice.about or any(_says(request, about) for about in choice.about.split(" or ")))
    )


def _says(value: Any, about: str) -> bool:
    """Whether ``about``, a dotted path with or without ``=value``, is in a part of the request."""
    path, _, wanted = about.partition("=")
    if not path:
        return not wanted or value == wanted
    if isinstance(value, list):
        return any(_says(item, about) for item in value)
    name, _, rest = path.partition(".")
    if not isinstance(value, Mapping) or name not in value:
        return False
    return _says(value[name], f"{rest}={wanted}" if wanted else rest)
