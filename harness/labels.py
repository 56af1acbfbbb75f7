"""Labels on everything we make in the docker engine: found, listed and removed by these alone."""

from __future__ import annotations

PREFIX = "sagemaker-harness."
KIND = PREFIX + "kind"  # one of the kinds below
JOB = PREFIX + "job"  # TrainingJobName or EndpointName
HOST = PREFIX + "host"  # algo-1 … algo-N
RUN = PREFIX + "run"  # one value per run: everything that has it goes together
OWNER = PREFIX + "owner"  # the process that wants it: without it, it is left over
RETAINED = PREFIX + "retained"  # kept on purpose, owned by nobody: `harness clean` removes it
VARIANT = PREFIX + "variant"  # of an endpoint of the AWS door
INSTANCE = PREFIX + "instance"  # which of the variant's, from 0
DOOR = PREFIX + "door"  # one value per state folder: a door touches only what is its own

TRAINING = "training"
ENDPOINT = "endpoint"
TRANSFORM = "transform"
STAGED_INPUT = "staged-input"  # content-addressed volumes that outlive a run; `harness clean` empties them
