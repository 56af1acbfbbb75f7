"""Hosts of a training job that came to the AWS door: they reach it, through a gateway on their network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cluster import DockerCluster
from harness.compose import Project
from harness.data_objects import ChannelData
from harness.gateway import Gateway
from harness.plan import ClusterPlan
from harness.s3_objects import S3

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.networks import Network

Open = Callable[["DockerClient", "Network"], Gateway]


class DoorHosts(DockerCluster):
    """A cluster whose channels come from the door's S3. Its hosts have a gateway to the door, made by ``gateway`` and
    gone with them, unless they are isolated."""

    def __init__(
        self,
        client: DockerClient,
        compose: Sequence[str],
        plan: ClusterPlan,
        project: Project,
        inputs: Sequence[ChannelData],
        cache: Path,
        s3: Callable[[], S3],
        gateway: Open,
    ) -> None:
        super().__init__(client, compose, plan, project, inputs, cache)
        self._s3 = s3
        self._open = gateway
        self._asked = plan
        self._gateway: Gateway | None = None

    def make(self) -> None:
        if not self._asked.network_isolation:
            self._network = f"{self._project.name}_hosts"
            network = self._client.networks.create(self._network, driver="bridge", labels=self._project.labels())
            self._gateway = self._open(self._client, network)
            found = self._gateway.environment()
            hosts = (replace(host, environment={**found, **host.environment}) for host in self._asked.hosts)
            self._plan = replace(self._asked, hosts=tuple(hosts))
        super().make()

    def remove(self) -> None:
        gateway, self._gateway = self._gateway, None
        if gateway:
            gateway.close()
        super().remove()
