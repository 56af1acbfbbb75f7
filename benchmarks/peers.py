"""The ways a job is run: by the harness, by the SageMaker SDK's local mode, and by hand."""

from __future__ import annotations

import io
import json
import os
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from harness import environment, labels
from harness.cloud_sdk import SDK_LOCK, SDK_VENV
from harness.cluster import remove_run
from harness.deadline import Deadline
from harness.errors import HarnessError
from harness.process import run
from harness.tar import text_files

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

ROOT = Path(__file__).parent.parent
RUN_SECONDS = 900.0
_COMPOSE_PROJECT = "com.docker.compose.project"
_COMPOSE_SERVICE = "com.docker.compose.service"

# AWS's images have the toolkit's `train` and keys of their own; otherwise this is the image of the harness.
SDK_DOCKERFILE = """\
FROM {image}
LABEL {kind}=benchmark
RUN cd /etc/ssh/harness \\
 && for key in id_ed25519 host_key; do ssh-keygen -q -t ed25519 -N '' -C '' -f $key; done \\
 && cp id_ed25519.pub authorized_keys && (printf 'algo-* ' && cat host_key.pub) > known_hosts \\
 && mkdir -p -m 700 /root/.ssh && ln -s /etc/ssh/harness/id_ed25519 /root/.ssh/id_ed25519 \\
 && printf '#!/bin/sh\\nexec python3 -m sagemaker_training.cli.train\\n' > /usr/local/bin/train
"""
# Every request that local mode might still make to AWS ends at once, at a port where nobody listens.
SDK_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "us-west-2",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
}


@dataclass(frozen=True)
class Ran:
    """A finished `harness train`: wall clock of the command, and what it left."""

    seconds: float
    folder: Path
    began: datetime

    def log(self, host: str) -> str:
        return (self.folder / "logs" / f"{host}.log").read_text()

    @property
    def until_training(self) -> float:
        """Seconds from the start of the command to the moment when all hosts were started."""
        return (self._transition("StartTime") - self.began).total_seconds()

    @property
    def training(self) -> float:
        """Seconds from there to the end of the last host, all it printed being kept."""
        return (self._transition("EndTime") - self._transition("StartTime")).total_seconds()

    def _transition(self, key: str) -> datetime:
        described = json.loads((self.folder / "describe.json").read_text())
        moments = {each["Status"]: each[key] for each in described["SecondaryStatusTransitions"]}
        return datetime.fromisoformat(moments["Training"])


class Harness:
    """`harness train`, the whole command, with its runs in a folder of ours."""

    def __init__(self, client: DockerClient, runs: Path) -> None:
        self._client = client
        self._runs = runs
        self._command = str(Path(sys.executable).with_name("harness"))

    def train(self, job_file: Path, *options: str) -> Ran:
        """Raises `CommandFailed` with the end of what the command said unless the job is Completed."""
        argv = (self._command, "train", str(job_file), "--runs", str(self._runs), *options)
        began, start = datetime.now(UTC), time.perf_counter()
        run(argv, seconds=RUN_SECONDS)
        return Ran(time.perf_counter() - start, (self._runs / "latest").resolve(), began)

    def clean(self) -> None:
        """Remove hosts of a command that was interrupted; there are none otherwise."""
        for folder in self._runs.glob("*"):
            chosen: dict[str, Any] = {"label": f"{labels.JOB}={folder.name}"}
            for container in self._client.containers.list(all=True, filters=chosen, ignore_removed=True):
                remove_run(self._client, container.labels[labels.RUN])


class SdkLocalMode:
    """The SageMaker SDK v2 in local mode, as a command of its own, on the same image content."""

    def __init__(self, client: DockerClient, image: str, folder: Path) -> None:
        self._client = client
        self._base = image
        self._folder = folder
        self._image = f"harness-bench:{image.partition(':')[2] or 'latest'}"
        self._ready = False
        self._projects: list[str] = []

    def train(self, estimator: Mapping[str, Any], inputs: Mapping[str, Path]) -> tuple[float, float]:
        """Seconds of the whole command and of ``fit()`` alone. Raises `HarnessError` with the end of the output."""
        self._make_ready()
        scratch = self._folder / uuid.uuid4().hex
        scratch.mkdir(parents=True)
        project = f"harness-bench-{scratch.name[:8]}"
        self._projects.append(project)
        job = {
            "estimator": {**estimator, "image_uri": self._image},
            "inputs": {channel: str(folder) for channel, folder in inputs.items()},
            "folder": str(scratch),
        }
        start = time.perf_counter()
        output = run(
            (str(ROOT / SDK_VENV / "bin" / "python"), str(ROOT / "benchmarks" / "sdk_local_mode.py")),
            seconds=RUN_SECONDS,
            stdin=json.dumps(job),
            env={**os.environ, **SDK_ENVIRONMENT, "COMPOSE_PROJECT_NAME": project},
        )
        seconds = time.perf_counter() - start
        return seconds, float(output.rpartition("fit took ")[2].split()[0])

    def _make_ready(self) -> None:
        if self._ready:
            return
        if environment.bring_up_to_date(venv=SDK_VENV, lock=SDK_LOCK):
            raise HarnessError("the SDK's environment could not be made; pip's words are above")
        dockerfile = SDK_DOCKERFILE.format(image=self._base, kind=labels.KIND)
        self._client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=self._image, rm=True, forcerm=True)
        self._ready = True

    def clean(self) -> None:
        """Remove what local mode leaves behind: its containers and network, root's files, and the image we made."""
        for project in self._projects:
            remove_project(self._client, project)
        if not self._ready:
            return
        if self._folder.exists():
            # The hosts wrote there as root, so only root can remove it, whoever we are.
            self._client.containers.run(
                self._image,
                ["find", "/scratch", "-mindepth", "1", "-delete"],
                volumes={str(self._folder): {"bind": "/scratch", "mode": "rw"}},
                remove=True,
            )
        self._client.images.remove(self._image)


class ByHand:
    """Two idle hosts of docker-compose.yml, brought up before anything is timed, with a script in each."""

    def __init__(self, client: DockerClient, compose: Sequence[str], image: str, script: Path) -> None:
        self._client = client
        self._compose = compose
        self._image = image
        self._script = script
        self._project = f"harness-bench-{uuid.uuid4().hex[:8]}"

    def __enter__(self) -> ByHand:
        try:
            run(
                (*self._compose, "-p", self._project, "up", "-d"),
                seconds=120,
                env={**os.environ, "HARNESS_IMAGE": self._image},
                cwd=ROOT,
            )
            for host in ("algo-1", "algo-2"):
                archive = text_files({f"/opt/ml/code/{self._script.name}": self._script.read_text()})
                self._container(host).put_archive("/", archive)
        except BaseException:
            remove_project(self._client, self._project)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        remove_project(self._client, self._project)

    def horovodrun(self) -> float:
        """Seconds of the command as one would type it. Raises `CommandFailed` with the end of its output."""
        command = ("horovodrun", "--gloo", "-np", "2", "-H", "algo-1:1,algo-2:1", "--network-interfaces", "eth0")
        script = ("python3", f"/opt/ml/code/{self._script.name}")
        name = str(self._container("algo-1").name)
        start = time.perf_counter()
        run(("docker", "exec", name, *command, *script), seconds=RUN_SECONDS)
        return time.perf_counter() - start

    def into_files(self) -> tuple[float, str]:
        """The script on both hosts at once, printing into a file: seconds of the whole, and the files' last lines."""
        command = f"python3 /opt/ml/code/{self._script.name} > /tmp/printed && tail -n 1 /tmp/printed"
        names = [str(self._container(host).name) for host in ("algo-1", "algo-2")]
        start = time.perf_counter()
        with ThreadPoolExecutor(len(names)) as pool:
            printed = list(pool.map(lambda name: run(("docker", "exec", name, "sh", "-c", command), seconds=60), names))
        return time.perf_counter() - start, "".join(printed)

    def _container(self, host: str) -> Container:
        chosen: dict[str, Any] = {"label": [f"{_COMPOSE_PROJECT}={self._project}", f"{_COMPOSE_SERVICE}={host}"]}
        found: Container = self._client.containers.list(filters=chosen)[0]
        return found


def remove_project(client: DockerClient, project: str) -> None:
    """Remove the containers, networks and volumes of one compose project.

    Tried again for a while: a compose whose caller was interrupted may be starting containers still.
    """
    from docker.errors import APIError

    deadline = Deadline(30, f"removing the compose project {project!r}")
    chosen: dict[str, Any] = {"label": f"{_COMPOSE_PROJECT}={project}"}
    while True:
        for container in client.containers.list(all=True, filters=chosen, ignore_removed=True):
            container.remove(force=True, v=True)
        try:
            for network in client.networks.list(filters=chosen):
                network.remove()
            for volume in client.volumes.list(filters=chosen):
                volume.remove()
        except APIError as error:
            deadline.check(str(error.explanation))
            time.sleep(0.5)
        else:
            return
