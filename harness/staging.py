"""Channels on their way into hosts: staged once in volumes of the engine, then seen by every host as its own.

In File mode each host mounts a copy-on-write view of a staged volume, so a script may write into its channel without
another host, the next run or the user's own data ever seeing that. Where the engine's volumes cannot be layered,
every host gets a plain copy instead. FastFile is the volume itself, read-only. A Pipe is fed from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError

from harness import contract
from harness.channel_table import FAST_FILE, PIPE
from harness.compose import Project, View
from harness.data_objects import ChannelData, hosts_of, objects_of_hosts
from harness.documents import channel_manifest
from harness.errors import DataDownloadFailed
from harness.pipes import PipeChannel, shared_volume
from harness.plan import ClusterPlan
from harness.s3_objects import S3
from harness.tar import folders
from harness.volumes import StagedVolume, Volumes, put


@dataclass
class HostInputs:
    """What one host is given: volumes to mount, (key, file) to copy into channels, texts by path, and pipes."""

    views: list[View] = field(default_factory=list)
    copies: dict[str, list[tuple[str, Path]]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    pipes: list[PipeChannel] = field(default_factory=list)


def stage_channels(
    client: docker.DockerClient,
    plan: ClusterPlan,
    project: Project,
    inputs: Sequence[ChannelData],
    cache: Path,
    *,
    layered: bool | None = None,
    s3: Callable[[], S3] = S3,
) -> dict[str, HostInputs]:
    """Make ``inputs`` available in the engine, for every host; ``layered`` None asks the engine what it can do.

    Downloads, from where ``s3`` connects to, and what is known of files are kept in the folder ``cache``. Raises
    `DataDownloadFailed`, with the channel it was about.
    """
    given = {host.name: HostInputs() for host in plan.hosts}
    if inputs:
        layered = can_layer(client.info()) if layered is None else layered
        volumes = Volumes(client, plan.image, cache, s3)
        with _of_channel(", ".join(data.name for data in inputs)):
            volumes.look_at(item for data in inputs for item in data.objects)
            scratch = _scratch(client, plan, project, inputs) if layered else None
        for data in inputs:
            with _of_channel(data.name):
                if data.input_mode == PIPE:
                    _pipe(plan, project, data, volumes, given)
                else:
                    _files(plan, project, data, volumes, scratch, given)
    return given


def can_layer(info: Mapping[str, Any]) -> bool:
    """Whether an overlay can be mounted over two volumes of this engine.

    It needs volumes that are folders of the engine's own Linux machine and root's right to mount: not Docker
    Desktop, whose machine shares its disks in ways overlays refuse, not a rootless engine, not one inside another.
    """
    rootless = any("rootless" in option for option in info.get("SecurityOptions") or ())
    desktop = "Docker Desktop" in str(info.get("OperatingSystem"))
    return info.get("Driver") in ("overlay2", "overlayfs") and not rootless and not desktop


def _pipe(
    plan: ClusterPlan, project: Project, data: ChannelData, volumes: Volumes, given: Mapping[str, HostInputs]
) -> None:
    hosts = hosts_of(data.channel, plan.hosts)
    # All of it for every host: a shuffle deals objects out anew for each epoch.
    volume = volumes.of(data.objects).name
    for number, host in enumerate(hosts):
        if not given[host].pipes:
            given[host].views.append(shared_volume(project, host))
        given[host].pipes.append(PipeChannel(data, volume, (number, len(hosts)) if data.sharded else (0, 1)))


def _files(
    plan: ClusterPlan,
    project: Project,
    data: ChannelData,
    volumes: Volumes,
    scratch: str | None,
    given: Mapping[str, HostInputs],
) -> None:
    target = f"{contract.DATA_DIR}/{data.name}"
    for host, objects in objects_of_hosts(data, hosts_of(data.channel, plan.hosts)).items():
        if data.input_mode == FAST_FILE:
            given[host].views.append(View(host, volumes.of(objects).name, target, read_only=True))
            continue
        # It lists all objects, also those of other hosts' shards (dump of a real job, in File mode).
        uris = (item.uri for item in data.objects)
        given[host].texts[f"{target}-manifest"] = channel_manifest(data.prefix, uris)
        if scratch:
            given[host].views.append(_view(project, host, data.name, volumes.of(objects), scratch))
        else:
            given[host].copies[data.name] = volumes.local(objects)


def _view(project: Project, host: str, channel: str, lower: StagedVolume, scratch: str) -> View:
    return View(
        host=host,
        volume=f"{project.name}-{host}-{channel}",
        target=f"{contract.DATA_DIR}/{channel}",
        options={
            "type": "overlay",
            "device": "overlay",
            "o": f"lowerdir={lower.folder},upperdir={scratch}/{host}/{channel}/upper,"
            f"workdir={scratch}/{host}/{channel}/work",
        },
    )


def _scratch(client: docker.DockerClient, plan: ClusterPlan, project: Project, inputs: Sequence[ChannelData]) -> str:
    """Folder, on the engine's machine, of a volume of this run that takes what hosts write into their channels."""
    volume = client.volumes.create(f"{project.name}-written", labels=project.labels())
    wanted = ["volume"]
    for host in plan.hosts:
        wanted.append(f"volume/{host.name}")
        for data in inputs:
            below = f"volume/{host.name}/{data.name}"
            wanted += [below, f"{below}/upper", f"{below}/work"]
    put(client, plan.image, volume.name, folders(wanted))
    return str(volume.attrs["Mountpoint"])


@contextmanager
def _of_channel(name: str) -> Iterator[None]:
    """Says of which channel a failure is."""
    try:
        yield
    except DataDownloadFailed as error:
        raise DataDownloadFailed(f"channel {name!r}: {error}") from error
    except APIError as error:
        raise DataDownloadFailed(
            f"channel {name!r}: the docker engine refused: {error.explanation or error}"
        ) from error
    except OSError as error:
        raise DataDownloadFailed(f"channel {name!r}: {error}") from error
