"""What a SageMaker training host is given and gives back: files, variables, arguments, the failure file.

Pure: it reads plain data. The documents that a host finds are made by `harness.documents`, where a job is planned;
this is what a host makes of them: the image's `train` turns /opt/ml into what the script sees. This file is copied
into the image, so it needs nothing but the standard library.

Source: the released sagemaker-training 5.1.4 (environment.py, mapping.py, params.py, errors.py), to which it is held
by test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ML = "/opt/ml"
CONFIG_DIR = f"{ML}/input/config"
DATA_DIR = f"{ML}/input/data"
MODEL_DIR = f"{ML}/model"
CODE_DIR = f"{ML}/code"
OUTPUT_DIR = f"{ML}/output"
OUTPUT_DATA_DIR = f"{OUTPUT_DIR}/data"
FAILURE_FILE = f"{OUTPUT_DIR}/failure"
RESOURCE_CONFIG_FILE = f"{CONFIG_DIR}/resourceconfig.json"
INPUT_DATA_CONFIG_FILE = f"{CONFIG_DIR}/inputdataconfig.json"
HYPERPARAMETERS_FILE = f"{CONFIG_DIR}/hyperparameters.json"
TRAINING_JOB_CONFIG_FILE = f"{CONFIG_DIR}/trainingjobconfig.json"
CHECKPOINT_CONFIG_FILE = f"{CONFIG_DIR}/checkpointconfig.json"
METRIC_DEFINITIONS_FILE = f"{CONFIG_DIR}/metric-definition-regex.json"
UPSTREAM_OUTPUT_FILE = f"{CONFIG_DIR}/upstreamoutputdataconfig.json"

# Ours, read and removed by the image's `train`; no script sees them.
LAUNCHER_VARIABLE = "HARNESS_LAUNCHER"
SHARED_CORES_VARIABLE = "HARNESS_SHARED_CORES"  # set where all hosts run on the cores of one machine
FAILURE_REASON_LIMIT = 1024  # characters of the failure file that reach FailureReason (developer guide)
NETWORK_INTERFACE = "eth0"  # must exist in the host: mpirun gets it as btl_tcp_if_include (toolkit, mpi.py)
HOMOGENEOUS_GROUP = "homogeneousCluster"  # the name real jobs carry; also the toolkit's default

# Hyperparameters that the toolkit keeps for itself; other sagemaker_* ones become SM_FRAMEWORK_PARAMS (params.py).
_TOOLKIT_HYPERPARAMETERS = frozenset(
    {
        "sagemaker_program",
        "sagemaker_submit_directory",
        "sagemaker_enable_cloudwatch_metrics",
        "sagemaker_region",
        "sagemaker_container_log_level",
        "sagemaker_job_name",
        "default_user_module_name",
        "_tuning_objective_metric",
        "sagemaker_s3_output",
    }
)
_DISTRIBUTION_FLAGS = (
    "sagemaker_parameter_server_enabled",
    "sagemaker_mpi_enabled",
    "sagemaker_torch_distributed_enabled",
    "sagemaker_distributed_dataparallel_enabled",
    "sagemaker_multi_worker_mirrored_strategy_enabled",
    "sagemaker_pytorch_ddp_enabled",
    "sagemaker_pytorch_xla_multi_worker_enabled",
)

_KILLED = 137  # as a shell tells of SIGKILL; the toolkit takes it for a lack of memory (process.py check_error)

Json = Any  # a document: what json.loads gives


@dataclass(frozen=True)
class HostConfig:
    """The three documents of /opt/ml/input/config; ``hyperparameters`` is the file as it is, values unread."""

    resource_config: Mapping[str, Json]
    input_data_config: Mapping[str, Json]
    hyperparameters: Mapping[str, str]


@dataclass(frozen=True)
class Observed:
    """What only the running host can tell."""

    num_cpus: int  # of the machine; container limits are ignored (toolkit, environment.py num_cpus)
    num_gpus: int = 0
    num_neurons: int = 0
    framework_module: str | None = None  # SAGEMAKER_TRAINING_MODULE of the image
    job_name: str | None = None  # TRAINING_JOB_NAME


def read_hyperparameters(raw: Mapping[str, Json]) -> dict[str, Json]:
    """Every value through JSON, or as it is where it is not JSON (environment.py read_hyperparameters)."""
    return {key: _from_json(value) for key, value in raw.items()}


def user_hyperparameters(hyperparameters: Mapping[str, Json]) -> dict[str, Json]:
    """Those meant for the script: everything the SDK and the toolkit have not reserved."""
    return {key: value for key, value in hyperparameters.items() if not _is_reserved(key)}


def command_line_arguments(hyperparameters: Mapping[str, Json]) -> list[str]:
    """The script's arguments, sorted by key (mapping.py to_cmd_args).

    ``True`` becomes 'True', ``None`` an empty argument, a list its Python text, a dict 'k=v,k=v'.
    """
    user = user_hyperparameters(hyperparameters)
    arguments: list[str] = []
    for key in sorted(user):
        arguments += [_flag(key), _argument(user[key])]
    return arguments


def distribution_groups(config: HostConfig) -> list[str]:
    """Instance groups over which a launcher spreads; empty when every host runs the script alone."""
    hyperparameters = read_hyperparameters(config.hyperparameters)
    named = hyperparameters.get("sagemaker_distribution_instance_groups")
    if named is not None:
        return list(named)
    if any(hyperparameters.get(flag) for flag in _DISTRIBUTION_FLAGS):
        return [config.resource_config.get("current_group_name", HOMOGENEOUS_GROUP)]
    return []


def leader(config: HostConfig) -> str:
    """The host that launches: the first of the distributed group's hosts *in file order*, else the first host.

    Group hosts are not sorted in real jobs, so it need not be algo-1 (environment.py get_master_hostname).
    """
    hosts: list[str] = [*distribution_hosts(config), *config.resource_config["hosts"]]
    return hosts[0]


def distribution_hosts(config: HostConfig) -> list[str]:
    """Hosts of the distributed groups, in file order: all of them where there are no groups (environment.py)."""
    groups = config.resource_config.get("instance_groups") or []
    if not groups:
        return list(config.resource_config["hosts"])
    wanted = distribution_groups(config)
    return [host for group in groups if group["instance_group_name"] in wanted for host in group["hosts"]]


def sm_environment(config: HostConfig, observed: Observed) -> dict[str, str]:
    """All SM_* variables (environment.py to_env_vars; encoding from mapping.py to_env_vars)."""
    resources = config.resource_config
    hyperparameters = read_hyperparameters(config.hyperparameters)
    user = user_hyperparameters(hyperparameters)
    program = hyperparameters.get("sagemaker_program")
    groups = resources.get("instance_groups") or []
    values: dict[str, Json] = {
        "hosts": resources["hosts"],
        "network_interface_name": resources.get("network_interface_name", NETWORK_INTERFACE),
        "hps": user,
        "user_entry_point": program,
        "framework_params": _framework_parameters(hyperparameters),
        "resource_config": resources,
        "input_data_config": config.input_data_config,
        "output_data_dir": OUTPUT_DATA_DIR,
        "channels": sorted(config.input_data_config),
        "current_host": resources["current_host"],
        "current_instance_type": resources.get("current_instance_type", "local"),
        "current_instance_group": resources.get("current_group_name", HOMOGENEOUS_GROUP),
        "current_instance_group_hosts": _current_group_hosts(resources),
        "instance_groups": [group["instance_group_name"] for group in groups],
        "instance_groups_dict": {group["instance_group_name"]: group for group in groups},
        "distribution_instance_groups": distribution_groups(config),
        "is_hetero": len(groups) > 1,
        "module_name": _module_name(str(program)),
        "log_level": hyperparameters.get("sagemaker_container_log_level", 20),
        "framework_module": observed.framework_module,
        "input_dir": f"{ML}/input",
        "input_config_dir": CONFIG_DIR,
        "output_dir": OUTPUT_DIR,
        "num_cpus": observed.num_cpus,
        "num_gpus": observed.num_gpus,
        "num_neurons": observed.num_neurons,
        "model_dir": MODEL_DIR,
        "module_dir": str(hyperparameters.get("sagemaker_submit_directory", CODE_DIR)),
        "user_args": command_line_arguments(hyperparameters),
        "output_intermediate_dir": f"{OUTPUT_DIR}/intermediate",
    }
    if resources.get("topology"):
        values["topology"] = resources["topology"]
    values["training_env"] = _training_env(values, config, observed)
    values.update({f"channel_{name}": f"{DATA_DIR}/{name}" for name in config.input_data_config})
    values.update({f"hp_{key}": value for key, value in user.items()})
    return {f"SM_{key.upper()}": _variable(value) for key, value in values.items()}


# What a host gives back.


def script_failure(
    exit_code: int, error_message: str, command: str, extra_info: str = "", *, error: str = "ExecuteUserScriptError"
) -> str:
    """Text of the failure file after a command failed, as the toolkit words it (errors.py _CalledProcessError).

    ``error`` names its class: ExecuteUserScriptError, InstallModuleError or InstallRequirementsError.
    """
    if exit_code == _KILLED:
        extra_info = "\n".join(filter(None, ["OutOfMemory: Process killed by SIGKILL (signal 9)", extra_info]))
    lines = [f"{error}:", f"ExitCode {exit_code}", f'ErrorMessage "{error_message}"']
    if extra_info:
        lines.append(f'ExtraInfo "{extra_info}"')
    return "\n".join([*lines, f'Command "{command}"'])


def _from_json(value: Json) -> Json:
    try:
        return json.loads(value)
    except (ValueError, TypeError):
        return value


def _is_reserved(key: str) -> bool:
    return key.startswith("sagemaker_") or key in _TOOLKIT_HYPERPARAMETERS


def _framework_parameters(hyperparameters: Mapping[str, Json]) -> dict[str, Json]:
    return {
        key: value
        for key, value in hyperparameters.items()
        if _is_reserved(key) and key not in _TOOLKIT_HYPERPARAMETERS
    }


def _flag(key: str) -> str:
    if not key:
        return ""
    return f"--{key}" if len(key) > 1 else f"-{key}"


def _argument(value: Json) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{key}={item}" for key, item in sorted(value.items()))
    return "" if value is None else str(value)


def _variable(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _module_name(program: str) -> str:
    return program.removesuffix(".py")


def _current_group_hosts(resources: Mapping[str, Json]) -> list[str]:
    current = resources.get("current_group_name", HOMOGENEOUS_GROUP)
    for group in resources.get("instance_groups") or []:
        if group["instance_group_name"] == current:
            return list(group["hosts"])
    return []


def _training_env(values: Mapping[str, Json], config: HostConfig, observed: Observed) -> dict[str, Json]:
    """SM_TRAINING_ENV: the toolkit's public properties under their own names (environment.py properties)."""
    renamed = {"hps": "hyperparameters", "framework_params": "additional_framework_parameters"}
    left_out = {"channels", "user_args"}
    master = leader(config)
    return {
        **{renamed.get(key, key): value for key, value in values.items() if key not in left_out},
        "channel_input_dirs": {name: f"{DATA_DIR}/{name}" for name in config.input_data_config},
        "distribution_hosts": distribution_hosts(config),
        "is_master": values["current_host"] == master,
        "is_modelparallel_enabled": None,
        "is_smddpmprun_installed": False,
        "is_smddprun_installed": False,
        "job_name": observed.job_name,
        "master_hostname": master,
        "topology": config.resource_config.get("topology", []),
    }
