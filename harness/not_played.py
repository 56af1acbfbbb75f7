"""Arguments of the SDK that were considered and that no local host plays. Pure data.

A job that has one is refused, or goes on without it where --lenient was said.

Names: SDK v2, estimator.py and pytorch/estimator.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_OWN_CREDENTIALS = "the engine pulls with its own credentials"


@dataclass(frozen=True)
class Argument:
    """``field`` is the member of the request that it becomes, empty where it becomes none.

    ``off`` is the value that asks for nothing: what local hosts do anyway.
    """

    why: str
    field: str = ""
    off: bool = False


NOT_PLAYED: Mapping[str, Argument] = {
    "code_location": Argument("the harness stages source_dir itself"),
    "output_kms_key": Argument("archives stay on this machine, unencrypted", "OutputDataConfig.KmsKeyId"),
    "volume_kms_key": Argument("the engine's disk is what it is", "ResourceConfig.VolumeKmsKeyId"),
    "model_uri": Argument("give the model as an input channel"),
    "model_channel_name": Argument("give the model as an input channel"),
    "rules": Argument("Debugger rules are a service of AWS's own", "DebugRuleConfigurations"),
    "debugger_hook_config": Argument("Debugger is a service of AWS's own", "DebugHookConfig"),
    "tensorboard_output_config": Argument(
        "write to /opt/ml/output/data, which becomes output.tar.gz", "TensorBoardOutputConfig"
    ),
    "profiler_config": Argument("Profiler is a service of AWS's own", "ProfilerConfig"),
    "disable_profiler": Argument("Profiler is a service of AWS's own", "ProfilerConfig", off=True),
    "git_config": Argument("check the code out and name its folder as source_dir"),
    "compiler_config": Argument("Training Compiler is a service of AWS's own"),
    "training_repository_access_mode": Argument(_OWN_CREDENTIALS, "AlgorithmSpecification.TrainingImageConfig"),
    "training_repository_credentials_provider_arn": Argument(
        _OWN_CREDENTIALS, "AlgorithmSpecification.TrainingImageConfig"
    ),
    "enable_infra_check": Argument("there are no instances to check", "InfraCheckConfig"),
    "enable_remote_debug": Argument("--retain keeps the hosts, and docker exec enters them", "RemoteDebugConfig"),
    "enable_session_tag_chaining": Argument("hosts have no credentials", "SessionChainingConfig"),
    "training_plan": Argument("local hosts are not reserved", "ResourceConfig.TrainingPlanArn"),
    "container_log_level": Argument("the toolkit's own log stays at INFO, as by default"),
    "experiment_config": Argument("Experiments is a service of AWS's own", "ExperimentConfig"),
    "training_recipe": Argument("name the recipe's script as entry_point"),
    "recipe_overrides": Argument("name the recipe's script as entry_point"),
}
