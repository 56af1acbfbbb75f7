"""The contract of a host without a host: /opt/ml in a folder, and the variables that point into it.

A user's functions can so be tested in the test's own process, without docker.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import contract, documents
from harness.contract import HostConfig, Observed
from harness.documents import ChannelConfig, HostGroup
from harness.hyperparameters import command_line_arguments, read_hyperparameters


@dataclass(frozen=True)
class SageMakerEnv:
    """A host's /opt/ml in ``folder``, and what its script would find in its environment and arguments."""

    folder: Path
    variables: Mapping[str, str]
    arguments: tuple[str, ...]

    @property
    def model_dir(self) -> Path:
        return Path(self.variables["SM_MODEL_DIR"])

    @property
    def output_data_dir(self) -> Path:
        return Path(self.variables["SM_OUTPUT_DATA_DIR"])

    @property
    def checkpoint_dir(self) -> Path:
        """Where /opt/ml/checkpoints is; made when it is first asked for, as only some jobs have it."""
        path = self.folder / "checkpoints"
        path.mkdir(exist_ok=True)
        return path

    def channel(self, name: str) -> Path:
        return self.folder / "input/data" / name


def make_sagemaker_env(
    folder: Path,
    *,
    hyperparameters: Mapping[str, Any],
    channels: Mapping[str, Path],
    hosts: int,
    current_host: str,
    entry_point: str,
    instance_type: str,
) -> SageMakerEnv:
    """Lay out ``folder`` as /opt/ml of ``current_host``, one of ``hosts``; channels are copied.

    Values are encoded and decoded on the way, as the SDK and the toolkit do.
    """
    names = tuple(sorted(f"algo-{number}" for number in range(1, hosts + 1)))
    group = HostGroup(contract.HOMOGENEOUS_GROUP, instance_type, names)
    encoded = {key: json.dumps(value) for key, value in {**hyperparameters, "sagemaker_program": entry_point}.items()}
    config = HostConfig(
        documents.resource_config(current_host, [group]),
        documents.input_data_config(ChannelConfig(name) for name in channels),
        encoded,
    )
    for path in ("model", "output/data", "input/config", "input/data", "code"):
        (folder / path).mkdir(parents=True, exist_ok=True)
    for name, source in channels.items():
        target = folder / "input/data" / name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            target.mkdir()
            shutil.copy2(source, target)
    for path, content in (
        (contract.RESOURCE_CONFIG_FILE, config.resource_config),
        (contract.INPUT_DATA_CONFIG_FILE, config.input_data_config),
        (contract.HYPERPARAMETERS_FILE, config.hyperparameters),
    ):
        _here(folder, path).write_text(json.dumps(content))
    found = contract.sm_environment(config, Observed(num_cpus=os.cpu_count() or 1))
    variables = {name: value.replace(contract.ML, str(folder)) for name, value in found.items()}
    arguments = command_line_arguments(read_hyperparameters(encoded))
    return SageMakerEnv(folder, variables, tuple(arguments))


def _here(folder: Path, path: str) -> Path:
    return folder / path.removeprefix(contract.ML).lstrip("/")
