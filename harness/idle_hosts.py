"""Hosts that run nothing but what they are told: connected as those of a job are, for commands of one's own."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.compose import Project
from harness.container_command import run_in
from harness.contract import HOMOGENEOUS_GROUP
from harness.describe import REGION, training_job_arn
from harness.errors import HarnessError
from harness.fault_effects import Effects
from harness.job import InstanceGroup, TrainingJob
from harness.plan import ClusterPlan, plan_training
from harness.tar import text_files

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_SSH_SECONDS = 30.0
_ANSWERS = "import socket, sys; [socket.create_connection((host, 22), 1).close() for host in sys.argv[1:]]"


@dataclass(frozen=True)
class Ran:
    """What a command did on a host; its repr is all there is to know when an assertion fails."""

    host: str
    argv: tuple[str, ...]
    exit_code: int
    output: str

    def __repr__(self) -> str:
        return f"{self.host}: {' '.join(self.argv)}\nexit code {self.exit_code}\n{self.output}"


class IdleHosts:
    """Hosts ``algo-1 … algo-N`` that reach each other by name and by ssh, as those of a job."""

    def __init__(self, client: DockerClient, project: Project, hosts: Sequence[str]) -> None:
        self.hosts = tuple(hosts)
        self.name = project.name
        self._client = client
        self._project = project

    def run(self, host: str, *argv: str, env: Mapping[str, str] | None = None) -> Ran:
        """Run a command on ``host`` to its end; its standard output and error come back as one text."""
        done = run_in(self._container(host), argv, env)
        return Ran(host, argv, done.exit_code, done.output.decode(errors="replace"))

    def write(self, host: str, files: Mapping[str, str]) -> None:
        """Put ``files``, texts by their absolute paths, on ``host``; folders that are missing are made."""
        self._container(host).put_archive("/", text_files(files))

    def horovodrun(self, *argv: str, per_host: int = 1) -> Ran:
        """Run a command on every rank of all hosts, launched from the first."""
        where = ",".join(f"{host}:{per_host}" for host in self.hosts)
        interface = ("--network-interfaces", "eth0") if len(self.hosts) > 1 else ()
        ranks = str(per_host * len(self.hosts))
        return self.run(self.hosts[0], "horovodrun", "--gloo", "-np", ranks, "-H", where, *interface, *argv)

    def effects(self) -> Effects:
        """What does faults to these hosts."""
        container = self._container(self.hosts[0])
        return Effects(self._client, self._project, self.hosts, lambda: str(container.attrs["Config"]["Image"]))

    def _container(self, host: str) -> Container:
        if host not in self.hosts:
            raise LookupError(f"no host {host!r}; there are {', '.join(self.hosts)}")
        return self._client.containers.get(self._project.container(host))

    def wait_for_ssh(self) -> None:
        """Return once every host answers. Raises `HarnessError` that names the last trouble."""
        end = time.monotonic() + _SSH_SECONDS
        while True:
            tried = self.run(self.hosts[0], "python3", "-c", _ANSWERS, *self.hosts)
            if tried.exit_code == 0:
                return
            if time.monotonic() > end:
                raise HarnessError(f"hosts do not reach each other after {_SSH_SECONDS:g} s: {tried!r}")
            time.sleep(0.05)


class IdleCluster:
    """``count`` hosts of ``image`` that are up and reach each other, from the beginning until `discard`."""

    def __init__(
        self, client: DockerClient, compose: Sequence[str], image: str, count: int, marks: Mapping[str, str]
    ) -> None:
        from harness.cluster import DockerCluster
        from harness.image_build import cache_folder

        plan = idle_plan(count, image)
        project = Project(plan.training_job_name, plan.training_job_name, marks)
        self._cluster = DockerCluster(client, compose, plan, project, (), cache_folder(os.environ))
        self.hosts = IdleHosts(client, project, [host.name for host in plan.hosts])
        try:
            self._cluster.prepare()
            self._cluster.start()
            self.hosts.wait_for_ssh()
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove them."""
        self._cluster.remove()


def idle_plan(count: int, image: str) -> ClusterPlan:
    """The plan of hosts that run `idle`, under a name of their own."""
    name = f"cluster-{secrets.token_hex(4)}"
    job = TrainingJob(
        entry_point="idle.py",
        source_dir=None,
        base_job_name=name,
        instance_groups=(InstanceGroup(HOMOGENEOUS_GROUP, "local", count),),
        container_arguments=("idle",),
    )
    return plan_training(
        job,
        name,
        arn=training_job_arn(name),
        region=REGION,
        image=image,
        launcher="gloo",
        output_path="file:///",
    )
