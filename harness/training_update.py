"""UpdateTrainingJob: what of a job's request can be changed once the job is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.request_fields import FIELDS
from harness.wire import ServiceError, validation


def updated_request(request: Mapping[str, Any], update: Mapping[str, Any], *, over: bool) -> dict[str, Any]:
    """A job's ``request`` as ``update`` leaves it. Raises `ServiceError`.

    Only how long a warm pool is kept can change, and only while it is there: as long as its job, here. What is so
    already (no profiler, no remote debugging) is taken.
    """
    wanted = {
        "ProfilerConfig": not update.get("ProfilerConfig", {"DisableProfiler": True}).get("DisableProfiler"),
        "ProfilerRuleConfigurations": bool(update.get("ProfilerRuleConfigurations")),
        "RemoteDebugConfig": update.get("RemoteDebugConfig", {}).get("EnableRemoteDebug", False),
    }
    for name, is_wanted in wanted.items():
        if is_wanted:
            raise ServiceError("UnsupportedOperation", f"{name}: {FIELDS[name].here}")
    resources = {**request["ResourceConfig"], **update.get("ResourceConfig", {})}
    if resources != request["ResourceConfig"]:
        _check_warm_pool(request["ResourceConfig"], over=over)
    return {**request, "ResourceConfig": resources}


def _check_warm_pool(resources: Mapping[str, Any], *, over: bool) -> None:
    if not resources.get("KeepAlivePeriodInSeconds"):
        raise validation("The training job has no warm pool: it was created without KeepAlivePeriodInSeconds.")
    if over:
        raise validation("The warm pool is Terminated: no hosts are kept here when their job is over.")
