"""What the hosts of a job file's job would be given, and what their scripts would see: all without docker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import contract
from harness.contract import HostConfig, Observed
from harness.describe import REGION, training_job_arn
from harness.hyperparameters import command_line_arguments, read_hyperparameters
from harness.job_file import read_job_file
from harness.plan import HostPlan, plan_training

NAME = "job-2026-01-02-03-04-05-678"


@dataclass(frozen=True)
class HostContract:
    """One host, and what `train` would make of it."""

    name: str
    files: Mapping[str, Any]
    """The documents of /opt/ml/input/config, by file name, as JSON is read."""
    environment: Mapping[str, str]
    """What the platform sets in the container."""
    variables: Mapping[str, str]
    """``SM_*``, as AWS's toolkit computes them for the script."""
    arguments: tuple[str, ...]
    """The script's command line, after its name."""


@dataclass(frozen=True)
class JobContract:
    """All hosts of a job, and the CreateTrainingJob request that the job stands for."""

    hosts: tuple[HostContract, ...]
    request: Mapping[str, Any]
    leader: str
    """The host that launches a distributed script."""

    def host(self, name: str) -> HostContract:
        """The host ``name``. Raises LookupError, naming those there are."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise LookupError(f"no host {name!r}; there are {', '.join(host.name for host in self.hosts)}")


def job_contract(path: Path, hosts: int | None, hyperparameters: Mapping[str, Any], launcher: str) -> JobContract:
    """The contract of the job file ``path``. Raises `BadInput` with every problem it has."""
    job = read_job_file(path, instance_count=hosts, hyperparameters=hyperparameters).training
    plan = plan_training(
        job,
        NAME,
        arn=training_job_arn(NAME),
        region=REGION,
        image=job.image_uri or "harness-pytorch",
        launcher=launcher,
        output_path=job.output_path or "file:///runs",
    )
    made = tuple(_host(host) for host in plan.hosts)
    return JobContract(made, plan.request, contract.leader(_config(made[0].files)))


def _host(plan: HostPlan) -> HostContract:
    files = {Path(path).name: json.loads(text) for path, text in plan.files.items()}
    config = _config(files)
    observed = Observed(num_cpus=1, environment=plan.environment)
    ours = (contract.LAUNCHER_VARIABLE, contract.OWN_CORES_VARIABLE)
    return HostContract(
        plan.name,
        files,
        {name: value for name, value in plan.environment.items() if name not in ours},
        contract.sm_environment(config, observed),
        tuple(command_line_arguments(read_hyperparameters(config.hyperparameters))),
    )


def _config(files: Mapping[str, Any]) -> HostConfig:
    return HostConfig(files["resourceconfig.json"], files["inputdataconfig.json"], files["hyperparameters.json"])
