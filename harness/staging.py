"""Channels on their way into hosts: staged once in a volume of the engine, then seen by every host as its own.

A staged volume is named by its content and filled once. Each host mounts a copy-on-write view of it, so a script
may write into its channel without another host, the next run or the user's own data ever seeing that. Where the
engine's volumes cannot be layered, every host gets a plain copy instead.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import NotFound

from harness import contract, labels
from harness.compose import Project, View
from harness.errors import BadInput
from harness.job import Channel
from harness.plan import ClusterPlan
from harness.tar import folders, tree

_CONTENT = labels.PREFIX + "content"  # SHA-256 of what a staged volume holds
_FILLED = labels.PREFIX + "filled"  # on a second, empty volume, made when the first one is complete


@dataclass(frozen=True)
class StagedChannel:
    """A channel ready for the hosts: a view for each, or, without views, the path to copy it from."""

    name: str
    views: tuple[View, ...] = ()
    copied_from: Path | None = None


def stage_channels(
    client: docker.DockerClient, plan: ClusterPlan, project: Project, *, layered: bool | None = None
) -> list[StagedChannel]:
    """Make every channel of ``plan`` available in the engine; ``layered`` None asks the engine what it can do."""
    if layered is None:
        layered = can_layer(client.info())
    if not layered:
        return [StagedChannel(channel.name, copied_from=_folder(channel)) for channel in plan.channels]
    staged = []
    if plan.channels:
        scratch = _scratch(client, plan, project)
        for channel in plan.channels:
            lower = _staged_volume(client, channel, plan.image)
            staged.append(StagedChannel(channel.name, _views(plan, project, channel, lower, scratch)))
    return staged


def can_layer(info: Mapping[str, Any]) -> bool:
    """Whether an overlay can be mounted over two volumes of this engine.

    It needs volumes that are folders of the engine's own Linux machine and root's right to mount: not Docker
    Desktop, whose machine shares its disks in ways overlays refuse, not a rootless engine, not one inside another.
    """
    rootless = any("rootless" in option for option in info.get("SecurityOptions") or ())
    desktop = "Docker Desktop" in str(info.get("OperatingSystem"))
    return info.get("Driver") in ("overlay2", "overlayfs") and not rootless and not desktop


def content_digest(source: Path) -> str:
    """SHA-256 over the names and contents of all files of ``source``, in order."""
    total = hashlib.sha256()
    top = source if source.is_dir() else source.parent
    for path in sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(top).as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def clean_staged(client: docker.DockerClient) -> int:
    """Remove all staged inputs that no container uses; how many there were."""
    volumes = client.volumes.list(filters={"label": f"{labels.KIND}={labels.STAGED_INPUT}"})
    views = client.volumes.list(filters={"label": f"{labels.KIND}={labels.TRAINING}"})
    layers = " ".join((view.attrs["Options"] or {}).get("o", "") for view in views)
    removed = 0
    for volume in volumes:
        if f"lowerdir={volume.attrs['Mountpoint']}," in layers:
            continue  # the engine does not know that the views of a run stand on it
        try:
            volume.remove()
            removed += _FILLED not in volume.attrs["Labels"]
        except NotFound:
            continue  # another `harness clean` was first
    return removed


def _staged_volume(client: docker.DockerClient, channel: Channel, image: str) -> str:
    """Folder, on the engine's machine, of a complete volume with the content of ``channel``."""
    source = _folder(channel)
    digest = content_digest(source)
    known = client.volumes.list(filters={"label": f"{_CONTENT}={digest}"})
    filled = {volume.attrs["Labels"][_FILLED] for volume in known if _FILLED in volume.attrs["Labels"]}
    for volume in known:
        if volume.name in filled:
            return str(volume.attrs["Mountpoint"])
    # Two runs may do this at once; each fills a volume of its own, and only complete ones are ever found.
    name = f"harness-input-{digest[:12]}-{secrets.token_hex(3)}"
    owned = {labels.KIND: labels.STAGED_INPUT, _CONTENT: digest}
    volume = client.volumes.create(name, labels=owned)
    with tree(source, "/volume") as archive:
        _put(client, image, volume.name, archive)
    client.volumes.create(f"{name}-filled", labels={labels.KIND: labels.STAGED_INPUT, _CONTENT: digest, _FILLED: name})
    return str(volume.attrs["Mountpoint"])


def _folder(channel: Channel) -> Path:
    if not isinstance(channel.source, Path):
        raise BadInput(
            f"training.inputs.{channel.name}: {channel.source!r}: channels are staged from this machine only"
        )
    return channel.source


def _scratch(client: docker.DockerClient, plan: ClusterPlan, project: Project) -> str:
    """Folder, on the engine's machine, of a volume of this run that takes what hosts write into their channels."""
    volume = client.volumes.create(f"{project.name}-written", labels=project.labels())
    wanted = ["volume"]
    for host in plan.hosts:
        wanted.append(f"volume/{host.name}")
        for channel in plan.channels:
            below = f"volume/{host.name}/{channel.name}"
            wanted += [below, f"{below}/upper", f"{below}/work"]
    _put(client, plan.image, volume.name, folders(wanted))
    return str(volume.attrs["Mountpoint"])


def _put(client: docker.DockerClient, image: str, volume: str, archive: Any) -> None:
    """Unpack ``archive``, whose top folder is 'volume', into a volume: through a container that is never started."""
    container = client.containers.create(
        image,
        "true",
        volumes={volume: {"bind": "/volume", "mode": "rw"}},
        labels={labels.KIND: labels.STAGED_INPUT},
    )
    try:
        container.put_archive("/", archive)
    finally:
        container.remove(force=True)


def _views(plan: ClusterPlan, project: Project, channel: Channel, lower: str, scratch: str) -> tuple[View, ...]:
    return tuple(
        View(
            host=host.name,
            volume=f"{project.name}-{host.name}-{channel.name}",
            target=f"{contract.DATA_DIR}/{channel.name}",
            options={
                "type": "overlay",
                "device": "overlay",
                "o": f"lowerdir={lower},upperdir={scratch}/{host.name}/{channel.name}/upper,"
                f"workdir={scratch}/{host.name}/{channel.name}/work",
            },
        )
        for host in plan.hosts
    )
