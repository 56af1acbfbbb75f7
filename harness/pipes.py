"""Pipe channels: beside each host a container of our own image that feeds FIFOs in a volume which both see.

So it works with any image of the user's. The feeders carry the run's labels, and go with it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import docker
from docker.errors import NotFound
from docker.models.containers import Container
from docker.types import LogConfig

from harness import contract
from harness.compose import Project, View
from harness.data_objects import ChannelData
from harness.errors import DataDownloadFailed
from harness.image_build import image_tag, read_context
from harness.tar import text_files

_CONFIG = "/pipe.json"  # image/programs/pipe.py
_READY = b"ready"
_DATA = "/channels"
_PAUSE = 0.05  # seconds; a log that is followed only in part would leave its connection open
_WORDS = 1000  # characters of what a feeder said at its end


@dataclass(frozen=True)
class PipeChannel:
    """A Pipe channel as a host is fed with it: ``volume`` holds its objects, ``share`` is (which host, of how many)."""

    data: ChannelData
    volume: str
    share: tuple[int, int]


def shared_volume(project: Project, host: str) -> View:
    """The volume in which host and feeder find the FIFOs; channels of other modes are mounted inside it."""
    return View(host, f"{project.name}-{host}-data", contract.DATA_DIR)


def create_feeder(
    client: docker.DockerClient, project: Project, host: str, channels: Sequence[PipeChannel]
) -> Container:
    """The feeder of ``host``, ready to be started; the volume that they share is there."""
    volumes = {shared_volume(project, host).volume: {"bind": contract.DATA_DIR, "mode": "rw"}}
    # The same content may be in several channels.
    volumes |= {item.volume: {"bind": f"{_DATA}/{item.volume}", "mode": "ro"} for item in channels}
    container = client.containers.create(
        image_tag(read_context()),
        "pipe",
        name=f"{project.name}-{host}-pipe",
        volumes=volumes,
        network_mode="none",
        log_config=LogConfig(type="local"),  # readable, whatever the engine's default is
        labels=project.labels(),
    )
    config = {"folder": contract.DATA_DIR, "channels": [_described(item) for item in channels]}
    container.put_archive("/", text_files({_CONFIG: json.dumps(config)}))
    return container


def start_feeder(container: Container) -> None:
    """Start it and wait for the FIFOs of the first epoch. Raises `DataDownloadFailed` where it ends instead."""
    container.start()
    while True:
        container.reload()
        said = container.logs()
        if _READY in said.splitlines():
            return
        if container.status != "running":
            raise DataDownloadFailed(f"the pipes could not be made: {said.decode(errors='replace')[-_WORDS:].strip()}")
        time.sleep(_PAUSE)


def failure_of(container: Container) -> str | None:
    """Wait for the end of a feeder; what kept it from feeding, or None when it was removed with its run."""
    try:
        code = container.wait(timeout=None)["StatusCode"]
        words = container.logs(tail=1).decode(errors="replace").strip()
    except NotFound:
        return None
    return words[-_WORDS:] if code == 1 else None


def _described(item: PipeChannel) -> dict[str, object]:
    channel = item.data.channel
    return {
        "name": channel.name,
        "items": [
            [{"path": f"{_DATA}/{item.volume}/{part.key}"} if part.key else {"text": part.text} for part in parts]
            for parts in item.data.items()
        ],
        "gzip": channel.compression == "Gzip",
        "recordio": channel.record_wrapping == "RecordIO",
        "seed": channel.shuffle_seed,
        "share": list(item.share),
    }
