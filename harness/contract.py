"""What a SageMaker training host is given and gives back: files, variables, arguments, the failure file.

Pure: it reads plain data. The documents that a host finds are made by `harness.documents`, where a job is planned;
this is what a host makes of them: the image's `train` turns /opt/ml into what the script sees. With `hyperparameters`
it is copied into the image, so it needs nothing but the standard library.

Both are held by test to the released sagemaker-training 5.1.4 (environment.py, mapping.py, errors.py) and
sagemaker-pytorch-training 3.0.0 (training.py): the same jobs, the same answers, odd ones included.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.hyperparameters import (
    command_line_arguments,
    framework_hyperparameters,
    read_hyperparameters,
    user_hyperparameters,
)

ML = "/opt/ml"
CONFIG_DIR = f"{ML}/input/config"
DATA_DIR = f"{ML}/input/data"
MODEL_DIR = f"{ML}/model"
CODE_DIR = f"{ML}/code"
OUTPUT_DIR = f"{ML}/output"
OUTPUT_DATA_DIR = f"{OUTPUT_DIR}/data"
FAILURE_FILE = f"{OUTPUT_DIR}/failure"
SUCCESS_FILE = f"{OUTPUT_DIR}/success"  # empty; the toolkit leaves it on every host that ends well (files.py)
RESOURCE_CONFIG_FILE = f"{CONFIG_DIR}/resourceconfig.json"
INPUT_DATA_CONFIG_FILE = f"{CONFIG_DIR}/inputdataconfig.json"
HYPERPARAMETERS_FILE = f"{CONFIG_DIR}/hyperparameters.json"
INIT_CONFIG_FILE = f"{CONFIG_DIR}/init-config.json"
TRAINING_JOB_CONFIG_FILE = f"{CONFIG_DIR}/trainingjobconfig.json"
CHECKPOINT_CONFIG_FILE = f"{CONFIG_DIR}/checkpointconfig.json"
METRIC_DEFINITIONS_FILE = f"{CONFIG_DIR}/metric-definition-regex.json"
UPSTREAM_OUTPUT_FILE = f"{CONFIG_DIR}/upstreamoutputdataconfig.json"

# Ours, read and removed by the image's `train`; no script sees them.
LAUNCHER_VARIABLE = "HARNESS_LAUNCHER"
OWN_CORES_VARIABLE = "HARNESS_OWN_CORES"  # the machine's cores that are this host's own, counted from 0: "0,1"
FAILURE_REASON_LIMIT = 1024  # characters of the failure file that reach FailureReason (developer guide)
NETWORK_INTERFACE = "eth0"  # must exist in the host: mpirun gets it as btl_tcp_if_include (toolkit, mpi.py)
HOMOGENEOUS_GROUP = "homogeneousCluster"  # the name real jobs carry; also the toolkit's default
MASTER_PORT = "7777"  # sagemaker-pytorch-training, training.py
DEFAULT_LOG_LEVEL = 20  # logging.INFO
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


class FrameworkError(Exception):
    """The toolkit itself would end here with an error of Python's, before any script: says which value is at fault."""


@dataclass(frozen=True)
class HostConfig:
    """The three documents of /opt/ml/input/config; ``hyperparameters`` is the file as it is, values unread."""

    resource_config: Mapping[str, Json]
    input_data_config: Mapping[str, Json]
    hyperparameters: Mapping[str, Json]


@dataclass(frozen=True)
class Observed:
    """What only the running host can tell; ``environment`` is the variables that its container was started with."""

    num_cpus: int  # of the machine; container limits are ignored (environment.py num_cpus)
    num_gpus: int = 0
    num_neurons: int = 0
    torch_version: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def distribution_groups(config: HostConfig) -> Collection[str]:
    """Instance groups over which a launcher spreads; empty when every host runs the script alone.

    A list, but for a hyperparameter written by hand: the toolkit takes any text or object that knows `in`, and
    raises with anything else.
    """
    hyperparameters = read_hyperparameters(config.hyperparameters)
    if "sagemaker_distribution_instance_groups" in hyperparameters:
        named = hyperparameters["sagemaker_distribution_instance_groups"]
        if not isinstance(named, list | str | dict):
            raise _framework_error("sagemaker_distribution_instance_groups", named, "a list of names of groups")
        return named
    if any(hyperparameters.get(flag) for flag in _DISTRIBUTION_FLAGS):
        return [_current_group(config.resource_config)]
    return []


def distribution_hosts(config: HostConfig) -> list[str]:
    """Hosts of all distributed groups in the order of the document; all hosts where it names no groups."""
    wanted = distribution_groups(config)
    groups = config.resource_config.get("instance_groups", [])
    if not groups:
        return list(config.resource_config["hosts"])
    return [host for group in groups if group["instance_group_name"] in wanted for host in group["hosts"]]


def leader(config: HostConfig) -> str:
    """The host that launches: the first of the distributed groups' hosts *in file order*, else the first host.

    Group hosts are not sorted in real jobs, so it need not be algo-1 (environment.py get_master_hostname).
    """
    hosts: list[str] = [*distribution_hosts(config), *config.resource_config["hosts"]]
    return hosts[0]


def sm_environment(config: HostConfig, observed: Observed) -> dict[str, str]:
    """All SM_* variables (environment.py to_env_vars; encoding from mapping.py to_env_vars).

    Where two names differ in case only, the one that comes last in its document wins. Raises `FrameworkError` where a
    variable or an argument of the script cannot be handed to a process.
    """
    values = _properties(config, observed)
    variables = {
        **{_SHORT_NAMES.get(key, key): value for key, value in values.items() if key not in _WITHOUT_VARIABLE},
        "channels": sorted(config.input_data_config),
        "user_args": command_line_arguments(read_hyperparameters(config.hyperparameters)),
        "training_env": values,
    }
    if values["topology"]:
        variables["topology"] = values["topology"]
    variables |= {f"channel_{name}": path for name, path in values["channel_input_dirs"].items()}
    variables |= {f"hp_{key}": value for key, value in values["hyperparameters"].items()}
    encoded = {f"SM_{key.upper()}": _variable(value) for key, value in variables.items()}
    _refuse_what_no_process_can_get(encoded, variables["user_args"])
    return encoded


def inherited_variables(config: HostConfig, observed: Observed) -> dict[str, str]:
    """What the toolkit and its PyTorch layer set for themselves, and the script inherits; they override a user's own.

    Sources: environment.py Environment.__init__; sagemaker-pytorch-training, training.py train.
    """
    hyperparameters = read_hyperparameters(config.hyperparameters)
    job_name = hyperparameters.get("sagemaker_job_name", "")
    # boto3 knows a region by this variable only: the platform's AWS_REGION says nothing to it.
    region = hyperparameters.get("sagemaker_region", observed.environment.get("AWS_DEFAULT_REGION")) or ""
    for key, value in {"sagemaker_job_name": job_name, "sagemaker_region": region}.items():
        if not isinstance(value, str):
            raise _framework_error(key, value, "a string")
    version = {"SM_DLC_TORCH_VERSION": observed.torch_version} if observed.torch_version else {}
    return {
        "SAGEMAKER_JOB_NAME": job_name,
        "SAGEMAKER_REGION": region,
        "CURRENT_HOST": config.resource_config["current_host"],
        "MASTER_ADDR": leader(config),
        "MASTER_PORT": MASTER_PORT,
        "NCCL_SOCKET_IFNAME": _network_interface(config.resource_config),
        "NCCL_IB_DISABLE": "1",
        "NCCL_DEBUG": "WARN",
        **version,
    }


def user_entry_point(hyperparameters: Mapping[str, Json], environment: Mapping[str, str]) -> Json:
    """What the toolkit runs: the variable SAGEMAKER_PROGRAM comes before the hyperparameter; nothing may be named."""
    return environment.get("SAGEMAKER_PROGRAM") or hyperparameters.get("sagemaker_program")


def num_neurons(config: HostConfig, observed: Observed) -> int:
    """Neuron cores; of one type of instance the toolkit knows them by heart (environment.py num_neurons)."""
    return 64 if "trn2.48xlarge" in _instance_type(config.resource_config) else observed.num_neurons


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


def _properties(config: HostConfig, observed: Observed) -> dict[str, Json]:
    """The toolkit's public properties under their own names: SM_TRAINING_ENV, and most variables."""
    resources = config.resource_config
    hyperparameters = read_hyperparameters(config.hyperparameters)
    groups = resources.get("instance_groups", [])
    master = leader(config)
    return {
        "additional_framework_parameters": framework_hyperparameters(hyperparameters),
        "channel_input_dirs": {name: f"{DATA_DIR}/{name}" for name in config.input_data_config},
        "current_host": resources["current_host"],
        "current_instance_group": _current_group(resources),
        "current_instance_group_hosts": _current_group_hosts(resources),
        "current_instance_type": _instance_type(resources),
        "distribution_hosts": distribution_hosts(config),
        "distribution_instance_groups": distribution_groups(config),
        "framework_module": observed.environment.get("SAGEMAKER_TRAINING_MODULE"),
        "hosts": resources["hosts"],
        "hyperparameters": user_hyperparameters(hyperparameters),
        "input_config_dir": CONFIG_DIR,
        "input_data_config": config.input_data_config,
        "input_dir": f"{ML}/input",
        "instance_groups": [group["instance_group_name"] for group in groups],
        "instance_groups_dict": {group["instance_group_name"]: group for group in groups},
        "is_hetero": len(groups) > 1,
        "is_master": resources["current_host"] == master,
        "is_modelparallel_enabled": _is_modelparallel_enabled(observed.environment),
        "is_smddpmprun_installed": False,
        "is_smddprun_installed": False,
        "job_name": observed.environment.get("TRAINING_JOB_NAME"),
        "log_level": _log_level(hyperparameters, observed.environment),
        "master_hostname": master,
        "model_dir": MODEL_DIR,
        "module_dir": str(hyperparameters.get("sagemaker_submit_directory", CODE_DIR)),
        "module_name": _module_name(hyperparameters, observed.environment),
        "network_interface_name": _network_interface(resources),
        "num_cpus": observed.num_cpus,
        "num_gpus": observed.num_gpus,
        "num_neurons": num_neurons(config, observed),
        "output_data_dir": OUTPUT_DATA_DIR,
        "output_dir": OUTPUT_DIR,
        "output_intermediate_dir": f"{OUTPUT_DIR}/intermediate",
        "resource_config": resources,
        "topology": resources.get("topology", []),
        "user_entry_point": user_entry_point(hyperparameters, observed.environment),
    }


_SHORT_NAMES = {"hyperparameters": "hps", "additional_framework_parameters": "framework_params"}
_WITHOUT_VARIABLE = frozenset(
    {
        "channel_input_dirs",
        "distribution_hosts",
        "is_master",
        "is_modelparallel_enabled",
        "is_smddpmprun_installed",
        "is_smddprun_installed",
        "job_name",
        "master_hostname",
        "topology",
    }
)


def _variable(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _refuse_what_no_process_can_get(variables: Mapping[str, str], arguments: list[str]) -> None:
    """What os.environ and execve do not take: the toolkit ends while it sets its variables, or starts the script."""
    for name, value in variables.items():
        if "=" in name:
            raise FrameworkError(f"no variable can be called {name!r}, with a '=' in it: rename the hyperparameter")
        if not (_is_representable(name) and _is_representable(value)):
            raise FrameworkError(f"the variable {name!r} holds a character that no variable can: {value[:200]!r}")
    for argument in arguments:
        if not _is_representable(argument):
            raise FrameworkError(f"an argument holds a character that no argument can: {argument[:200]!r}")


def _is_representable(text: str) -> bool:
    try:
        return b"\0" not in text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False  # half of a surrogate pair, from a \ud800 in JSON


def _instance_type(resources: Mapping[str, Json]) -> str:
    return str(resources.get("current_instance_type", "local"))


def _network_interface(resources: Mapping[str, Json]) -> str:
    return str(resources.get("network_interface_name", NETWORK_INTERFACE))


def _current_group(resources: Mapping[str, Json]) -> str:
    return str(resources.get("current_group_name", HOMOGENEOUS_GROUP))


def _current_group_hosts(resources: Mapping[str, Json]) -> list[str]:
    for group in resources.get("instance_groups", []):
        if group["instance_group_name"] == _current_group(resources):
            return list(group["hosts"])
    return []


def _module_name(hyperparameters: Mapping[str, Json], environment: Mapping[str, str]) -> str:
    """Any other entry point than a .py file is its own module name, and a missing one is 'None'."""
    program = environment.get("SAGEMAKER_PROGRAM", str(hyperparameters.get("sagemaker_program")))
    return program.removesuffix(".py")


def _is_modelparallel_enabled(environment: Mapping[str, str]) -> bool | str | None:
    """As environment.py works it out: not always a truth value."""
    parameters = environment.get("SM_HP_MP_PARAMETERS")
    return parameters and parameters != "{}"


def _log_level(hyperparameters: Mapping[str, Json], environment: Mapping[str, str]) -> int:
    """The hyperparameter's; the variable SAGEMAKER_CONTAINER_LOG_LEVEL does nothing but fail where it is no number."""
    try:
        int(environment.get("SAGEMAKER_CONTAINER_LOG_LEVEL", DEFAULT_LOG_LEVEL))
    except ValueError as error:
        raise FrameworkError(f"the variable SAGEMAKER_CONTAINER_LOG_LEVEL is not a number: {error}") from None
    level = hyperparameters.get("sagemaker_container_log_level", DEFAULT_LOG_LEVEL)
    if not isinstance(level, int):  # logging_config.py configure_logger compares it with a number
        raise _framework_error("sagemaker_container_log_level", level, "a whole number, such as 20")
    return level


def _framework_error(key: str, value: Json, wanted: str) -> FrameworkError:
    return FrameworkError(f"hyperparameter {key} is {value!r}, and the toolkit takes nothing but {wanted}")
