"""docker-compose.yml, the one description of a host, turned into the document of one run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness import labels
from harness.limits import HostLimits
from harness.plan import ClusterPlan

# The engine's machine stays out of the network: else hosts would reach whatever listens there.
_NO_ADDRESS = {"com.docker.network.bridge.inhibit_ipv4": "true"}
_MODEL = "algo-1"  # the service of docker-compose.yml that every host is made after


@dataclass(frozen=True)
class Project:
    """Names in the engine that belong to one run: all of them begin with ``name``."""

    name: str
    job: str
    marks: Mapping[str, str] = field(default_factory=dict)  # further labels: its owner, or that it is retained

    def container(self, host: str) -> str:
        return f"{self.name}-{host}"

    def labels(self, host: str | None = None) -> dict[str, str]:
        owned = {labels.KIND: labels.TRAINING, labels.JOB: self.job, labels.RUN: self.name, **self.marks}
        return {**owned, labels.HOST: host} if host else owned


@dataclass(frozen=True)
class View:
    """A host's own writable view of a channel: a volume with ``options``, mounted at ``target``.

    One that is ``read_only`` is of a volume that exists already and is not of this run.
    """

    host: str
    volume: str
    target: str
    options: Mapping[str, str] = field(default_factory=dict)
    read_only: bool = False


def run_document(
    base: Mapping[str, Any], plan: ClusterPlan, project: Project, views: tuple[View, ...], network: str | None = None
) -> dict[str, Any]:
    """The compose document of one run of ``plan``, for ``docker compose -f -``.

    ``network`` is the name of the hosts' network where that exists already; else it is made with them.
    """
    model = {key: value for key, value in base["services"][_MODEL].items() if key != "build"}
    owned = project.labels()
    # Isolated hosts reach each other and nothing else (API reference, CreateTrainingJob, EnableNetworkIsolation).
    isolated = {"internal": True, "driver_opts": _NO_ADDRESS} if plan.network_isolation else {}
    networks = {
        name: {"name": network, "external": True} if network else {**(made or {}), **isolated, "labels": owned}
        for name, made in base["networks"].items()
    }
    volumes = {name: {**(volume or {}), "labels": owned} for name, volume in base["volumes"].items()}
    volumes |= {
        view.volume: {"name": view.volume, "external": True}
        if view.read_only
        else {"name": view.volume, "driver_opts": dict(view.options), "labels": owned}
        for view in views
    }
    services = {
        host.name: {
            **model,
            "image": plan.image,
            "hostname": host.name,
            "container_name": project.container(host.name),
            **({"entrypoint": [_literal(word) for word in plan.entrypoint]} if plan.entrypoint else {}),
            "command": [_literal(word) for word in plan.command],
            "environment": {name: _literal(value) for name, value in host.environment.items()},
            "labels": project.labels(host.name),
            "volumes": [*model["volumes"], *(_mount(view) for view in views if view.host == host.name)],
            **(resources(plan.limits[host.name]) if host.name in plan.limits else {}),
        }
        for host in plan.hosts
    }
    return {"services": services, "networks": networks, "volumes": volumes}


def resources(limits: HostLimits) -> dict[str, Any]:
    """The keys of a service that hold it to ``limits``; what they say nothing about stays as the description has it."""
    service: dict[str, Any] = {}
    if limits.cpus is not None:
        service["cpus"] = float(limits.cpus)
    if limits.memory_bytes is not None:
        # No swap on top: a script that outgrows the memory of its host is killed in the cloud, not slowed down.
        service["mem_limit"] = service["memswap_limit"] = f"{limits.memory_bytes}b"
    if limits.shm_bytes is not None:
        service["shm_size"] = f"{limits.shm_bytes}b"
    if limits.gpus:
        device = {"driver": "nvidia", "device_ids": [str(gpu) for gpu in limits.gpus], "capabilities": ["gpu"]}
        service["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
    return service


def _mount(view: View) -> str:
    return f"{view.volume}:{view.target}{':ro' if view.read_only else ''}"


def _literal(value: str) -> str:
    """Compose would replace $NAME by a variable of the caller's; the platform passes values on unchanged."""
    return value.replace("$", "$$")
