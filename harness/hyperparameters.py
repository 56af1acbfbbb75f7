"""Hyperparameters on their way from hyperparameters.json to the script, as AWS's toolkit reads and writes them.

Pure. Sources: the released sagemaker-training 5.1.4 (environment.py, mapping.py, params.py); see `contract`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# Hyperparameters that the toolkit keeps for itself; other sagemaker_* ones become SM_FRAMEWORK_PARAMS (params.py).
_KNOWN_HYPERPARAMETERS = frozenset(
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


def read_hyperparameters(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Every value through JSON, or as it is where it is not JSON (environment.py read_hyperparameters)."""
    return {key: _from_json(value) for key, value in raw.items()}


def user_hyperparameters(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those meant for the script: everything the SDK and the toolkit have not reserved."""
    return {key: value for key, value in hyperparameters.items() if not _is_reserved(key)}


def framework_hyperparameters(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those meant for a framework's own toolkit, such as sagemaker_mpi_enabled: SM_FRAMEWORK_PARAMS."""
    return {
        key: value for key, value in hyperparameters.items() if _is_reserved(key) and key not in _KNOWN_HYPERPARAMETERS
    }


def command_line_arguments(hyperparameters: Mapping[str, Any]) -> list[str]:
    """The script's arguments, sorted by key (mapping.py to_cmd_args).

    ``True`` becomes 'True', ``None`` an empty argument, a list its Python text, a dict 'k=v,k=v'.
    """
    user = user_hyperparameters(hyperparameters)
    arguments: list[str] = []
    for key in sorted(user):
        arguments += [_flag(key), _argument(user[key])]
    return arguments


def _from_json(value: Any) -> Any:
    try:
        return json.loads(value)
    except (ValueError, TypeError):
        return value


def _is_reserved(key: str) -> bool:
    return key.startswith("sagemaker_") or key in _KNOWN_HYPERPARAMETERS


def _flag(key: str) -> str:
    if not key:
        return ""
    return f"--{key}" if len(key) > 1 else f"-{key}"


def _argument(value: Any) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{key}={item}" for key, item in sorted(value.items()))
    return "" if value is None else str(value)
