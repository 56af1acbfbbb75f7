"""Training jobs of the AWS door on hosts of the docker engine, by the code of `harness train`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness import local_run
from harness.contract import LAUNCHER_VARIABLE
from harness.control import Control
from harness.errors import BadInput
from harness.fault_injector import FaultInjector
from harness.gateway import Gateway, Handle, refuse_where_unreachable
from harness.job import TrainingJob
from harness.order import Order
from harness.plan import LAUNCHERS, ClusterPlan
from harness.steps import Steps
from harness.sweep import sweep

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.networks import Network

    from harness.compose import Project
    from harness.data_objects import ChannelData
    from harness.door_hosts import DoorHosts


class DockerTraining:
    """`training_executor.Hosts`. ``connect`` gives a client of the engine, asked when first needed; ``image`` the
    local image of a name. ``handle`` is the door's function and ``door`` the host and port that it is served at."""

    def __init__(
        self,
        connect: Callable[[], DockerClient],
        image: Callable[[str], str],
        folder: Path,
        handle: Handle,
        door: str,
    ) -> None:
        self._connect, self._image, self._folder = connect, image, folder
        self._handle, self._door = handle, door
        self._found: DockerClient | None = None
        self._lock = threading.Lock()

    def image(self, name: str) -> str:
        return self._image(name)

    def check(self, job: TrainingJob) -> None:
        _launcher(job)
        if not job.enable_network_isolation:
            refuse_where_unreachable(self._client())

    def train(self, job: TrainingJob, order: Order, control: Control, steps: Steps) -> object:
        manner = local_run.Manner(_launcher(job), "type", {})
        attendance = local_run.Attendance(control, FaultInjector(), hosts_for=partial(self._hosts, order))
        return local_run.train(job, manner, attendance, runs=self._folder, retain=False, steps=steps, order=order)

    def sweep(self) -> None:
        sweep(self._client())

    def _hosts(self, order: Order, plan: ClusterPlan, project: Project, inputs: Sequence[ChannelData]) -> DoorHosts:
        from harness.compose_command import ensure_compose
        from harness.door_hosts import DoorHosts
        from harness.image_build import cache_folder

        def gateway(client: DockerClient, network: Network) -> Gateway:
            return Gateway(client, network, self._handle, self._door)

        compose = ensure_compose(Steps())
        return DoorHosts(self._client(), compose, plan, project, inputs, cache_folder(os.environ), order.s3, gateway)

    def _client(self) -> DockerClient:
        with self._lock:
            if self._found is None:
                self._found = self._connect()
            return self._found


def _launcher(job: TrainingJob) -> str:
    """What --launcher is to harness train."""
    asked = job.environment.get(LAUNCHER_VARIABLE, LAUNCHERS[0])
    if asked not in LAUNCHERS:
        raise BadInput(f"Environment.{LAUNCHER_VARIABLE}: {asked!r} is none of {', '.join(LAUNCHERS)}")
    return asked
