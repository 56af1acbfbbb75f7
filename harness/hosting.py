"""Hosting a model: deploy, find, invoke, describe, delete. The same for the command line, pytest and the API.

An endpoint is a container with our labels, and nothing else: no state of our own. In service means that the
model is loaded, which is more than the platform's health check asks (see image/programs/serve.py).
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import endpoint_container as server
from harness import labels
from harness.deadline import Deadline
from harness.describe import ACCOUNT, REGION
from harness.endpoint import (
    Endpoint,
    NotAnsweringError,
    Response,
    begun,
    check_running,
    ended,
    from_container,
    invoke,
    logs,
    ping,
    running,
    time_of,
)
from harness.endpoint_log import last_words
from harness.errors import BadInput, DeadlineExpired, EndpointFailed

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

__all__ = [
    "Endpoint",
    "EndpointPlan",
    "Response",
    "await_service",
    "delete",
    "deploy",
    "describe",
    "endpoint_status",
    "find",
    "hosting_environment",
    "invoke",
    "list_endpoints",
    "logs",
    "ping",
    "start_instance",
]

VARIANT = "AllTraffic"  # the SDK's name for its one variant (SDK v2, session.py)
HEALTH_CHECK_SECONDS = 480.0  # developer guide, 'Use your own inference code': 8 minutes
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


@dataclass(frozen=True)
class EndpointPlan:
    """An endpoint to be: ``model_archive`` is a model.tar.gz with its code/, as `model_archive.repack` makes it,
    or None where the image has all that it needs.

    ``labels`` are those beside an endpoint's own, of which they may say others.
    ``host_port`` None is a free one of the loopback interface. ``log_file`` receives the whole log when the
    deployment fails.
    """

    endpoint_name: str
    image: str
    model_archive: Path | None
    environment: Mapping[str, str] = field(default_factory=dict)
    host_port: int | None = None
    initial_instance_count: int = 1
    health_check_seconds: float = HEALTH_CHECK_SECONDS
    log_file: Path | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


def hosting_environment(entry_point: str, user: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that the SDK gives a PyTorch model, under the user's own (SDK v2, model.py)."""
    return {
        "SAGEMAKER_PROGRAM": entry_point,
        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
        "SAGEMAKER_REGION": REGION,
        **(user or {}),
    }


def deploy(client: DockerClient, plan: EndpointPlan, deadline: Deadline | None = None) -> Endpoint:
    """Host a model and return when it is in service.

    Raises `BadInput` before anything is started, `EndpointFailed` with the container's last words when the model
    cannot be loaded or is not in time. No container stays behind then.
    """
    deadline = deadline or Deadline(plan.health_check_seconds, f"waiting for endpoint {plan.endpoint_name!r}")
    _check(client, plan)
    endpoint = start_instance(client, plan)
    try:
        await_service(endpoint, deadline)
    except EndpointFailed as failure:
        raise _with_log(failure, endpoint.container, plan) from failure.__cause__
    except BaseException:  # also Ctrl-C
        server.remove(endpoint.container)
        raise
    return endpoint


def start_instance(client: DockerClient, plan: EndpointPlan) -> Endpoint:
    """Start a container for ``plan`` and return at once. Raises `BadInput`; no container stays behind then."""
    names = {
        labels.KIND: labels.ENDPOINT,
        labels.JOB: plan.endpoint_name,
        labels.RUN: uuid.uuid4().hex,
        **plan.labels,
    }
    container = server.create(client, server.Description(plan.image, plan.environment, names, host_port=plan.host_port))
    try:
        if plan.model_archive is not None:
            server.put_model(container, plan.model_archive)
        server.start(container, plan.host_port)
        container.reload()
        return from_container(client, container)
    except BaseException:  # also Ctrl-C
        server.remove(container)
        raise


def list_endpoints(client: DockerClient, name: str | None = None) -> list[Endpoint]:
    """All endpoints in the engine, the newest first, also those whose container has ended; not those of a door."""
    wanted = [f"{labels.KIND}={labels.ENDPOINT}"] + ([f"{labels.JOB}={name}"] if name else [])
    containers = client.containers.list(all=True, filters={"label": wanted}, ignore_removed=True)
    ours = (from_container(client, each) for each in containers if labels.DOOR not in each.labels)
    return sorted(ours, key=lambda e: e.created, reverse=True)


def find(client: DockerClient, name: str | None = None) -> Endpoint:
    """The running endpoint ``name``, or the newest.

    Raises `BadInput` when there is none, `EndpointFailed` with its last words when it has ended since.
    """
    endpoints = list_endpoints(client, name)
    if not endpoints:
        others = ", ".join(e.endpoint_name for e in list_endpoints(client)) if name else ""
        which = f"no endpoint {name!r}" if name else "no endpoint is running"
        raise BadInput(f"{which}; there are: {others}" if others else f"{which}: run harness serve first")
    check_running(endpoints[0])
    return endpoints[0]


def delete(*endpoints: Endpoint) -> None:
    """Stop the containers as the platform does, SIGTERM and 30 s, all at once, and remove them; safe to repeat."""
    with ThreadPoolExecutor(max(1, len(endpoints))) as pool:
        list(pool.map(lambda each: server.remove(each.container, stop_seconds=server.STOP_SECONDS), endpoints))


def endpoint_status(endpoint: Endpoint) -> str:
    """Creating, InService or Failed, as the platform would say now."""
    if not running(endpoint):
        return "Failed" if begun(endpoint) else "Creating"
    ready = server.model_ready(endpoint.container, 0)
    if ready in (0, 3):
        return "InService" if ready == 0 else "Creating"
    return "Failed" if ready != 127 else "InService" if _pings(endpoint) else "Creating"


def describe(endpoint: Endpoint) -> dict[str, Any]:
    """The endpoint in the shape of DescribeEndpoint (botocore's service model of SageMaker)."""
    name = endpoint.endpoint_name
    status = endpoint_status(endpoint)
    answer: dict[str, Any] = {
        "EndpointName": name,
        "EndpointArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{name.lower()}",
        "EndpointConfigName": name,  # the SDK gives both one name
        "ProductionVariants": [
            {
                "VariantName": VARIANT,
                "DeployedImages": [
                    {
                        "SpecifiedImage": endpoint.image,
                        "ResolvedImage": endpoint.container.attrs["Image"],
                        "ResolutionTime": endpoint.created,
                    }
                ],
                "CurrentWeight": 1.0,
                "DesiredWeight": 1.0,
                "CurrentInstanceCount": 1 if status == "InService" else 0,
                "DesiredInstanceCount": 1,
            }
        ],
        "EndpointStatus": status,
        "CreationTime": endpoint.created,
        "LastModifiedTime": time_of(endpoint.container.attrs["State"]["StartedAt"]),
    }
    if status == "Failed":
        answer["FailureReason"] = ended(endpoint)
    return answer


def _check(client: DockerClient, plan: EndpointPlan) -> None:
    problems = []
    if not _NAME.fullmatch(plan.endpoint_name):
        problems.append(f"endpoint name {plan.endpoint_name!r}: letters, digits and inner hyphens, at most 63")
    if plan.initial_instance_count != 1:
        count = plan.initial_instance_count
        problems.append(f"initial_instance_count is {count!r}: only 1 instance can be hosted locally so far")
    if plan.model_archive is not None and not plan.model_archive.is_file():
        problems.append(f"no model archive {str(plan.model_archive)!r}")
    # The platform compares names without case when it creates an endpoint (CreateEndpoint in the API reference).
    if plan.endpoint_name.lower() in {e.endpoint_name.lower() for e in list_endpoints(client)}:
        problems.append(f"endpoint {plan.endpoint_name!r} already exists: stop it first, or name another")
    try:
        server.check_port(client, plan.host_port)
    except BadInput as taken:
        problems.extend(taken.problems)
    if problems:
        raise BadInput(problems)


def await_service(endpoint: Endpoint, deadline: Deadline) -> None:
    """Return once the model is loaded and /ping answers; raise `EndpointFailed` when that cannot be any more."""
    loaded = False
    while not deadline.expired():
        if not loaded:
            code = server.model_ready(endpoint.container, min(deadline.remaining(), 20))
            loaded = code in (0, 127)  # 127: not our image; as the platform does, only /ping is asked then
            if code in (1, -1):
                # `serve` ends the container; what it says last must be in the log before it is read.
                server.await_end(endpoint.container, min(deadline.remaining(), 30))
        if not running(endpoint):
            raise EndpointFailed(ended(endpoint))
        if loaded and (endpoint.route.why_not or _pings(endpoint)):
            return
        if loaded:
            time.sleep(min(0.05, deadline.remaining()))
    # The platform's own words (FailureReason of such an endpoint).
    variant = endpoint.container.labels.get(labels.VARIANT, VARIANT)
    why = f"the primary container for production variant {variant} did not pass the ping health check"
    words = last_words(logs(endpoint))
    raise EndpointFailed(f"endpoint {endpoint.endpoint_name!r}: {why} in {deadline.seconds:g} s\n{words}")


def _pings(endpoint: Endpoint) -> bool:
    try:
        return ping(endpoint)
    except DeadlineExpired:
        return False
    except NotAnsweringError:
        return False


def _with_log(failure: EndpointFailed, container: Container, plan: EndpointPlan) -> EndpointFailed:
    """``failure``, its log kept and its container removed."""
    try:
        if plan.log_file is None:
            return failure
        plan.log_file.parent.mkdir(parents=True, exist_ok=True)
        plan.log_file.write_text(server.log(container))
        return EndpointFailed(f"{failure}\nthe whole log is in {str(plan.log_file)!r}")
    finally:
        server.remove(container)
