"""Volumes of the engine that hold objects of channels: named by their content, filled once, kept for later runs.

They carry labels of their own and outlive a run; `harness clean` removes those that no container uses.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound

from harness import labels
from harness.data_objects import DataObject, content_digest
from harness.errors import DataDownloadFailed
from harness.file_digests import file_digests
from harness.owner import this_process
from harness.s3_objects import S3, identity
from harness.tar import file_stream

_CONTENT = labels.PREFIX + "content"  # SHA-256 of what a staged volume holds
_FILLED = labels.PREFIX + "filled"  # on a second, empty volume, made when the first one is complete


@dataclass(frozen=True)
class StagedVolume:
    """``folder`` is where the engine's machine has it."""

    name: str
    folder: str


class Volumes:
    """Staged volumes for one run, each content once. ``cache`` is the folder for downloads and digests of files,
    ``s3`` connects to where downloads come from."""

    def __init__(self, client: docker.DockerClient, image: str, cache: Path, s3: Callable[[], S3] = S3) -> None:
        self._client = client
        self._s3 = s3
        self._image = image
        self._cache = cache
        self._digests: dict[Path, str] = {}
        self._found: dict[str, StagedVolume] = {}
        self._last: Sequence[DataObject] | None = None
        self._last_digest = ""

    def look_at(self, objects: Iterable[DataObject]) -> None:
        """Work out, all at once, the digests of the files that `of` will be asked for. Raises OSError."""
        self._digests = file_digests((item.path for item in objects if item.path), self._cache)

    def of(self, objects: Sequence[DataObject]) -> StagedVolume:
        """A complete volume with ``objects``. Raises OSError, APIError or `DataDownloadFailed`."""
        if objects is not self._last:  # hosts of a channel that is not sharded ask for the same, one after the other
            self._last, self._last_digest = objects, self._content(objects)
        digest = self._last_digest
        if digest not in self._found:
            self._found[digest] = self._known(digest) or self._fill(digest, objects)
        return self._found[digest]

    def forget(self, objects: Sequence[DataObject]) -> None:
        """Remove the volumes with ``objects``, if there are any. Raises APIError where one is in use."""
        self.look_at(objects)
        digest = self._content(objects)
        self._found.pop(digest, None)
        for volume in self._client.volumes.list(filters={"label": f"{_CONTENT}={digest}"}):
            volume.remove()

    def local(self, objects: Sequence[DataObject]) -> list[tuple[str, Path]]:
        """Key and file of each of ``objects``; those in S3 are downloaded first."""
        if any(item.path is None for item in objects):
            fetched = self._s3().download((item for item in objects if item.path is None), self._cache)
            objects = [*(item for item in objects if item.path), *fetched]
        return [(item.key, item.path) for item in objects if item.path]

    def _content(self, objects: Sequence[DataObject]) -> str:
        return content_digest((item.key, self._digest(item)) for item in objects)

    def _digest(self, item: DataObject) -> str:
        return self._digests[item.path] if item.path else identity(item)

    def _known(self, digest: str) -> StagedVolume | None:
        known = self._client.volumes.list(filters={"label": f"{_CONTENT}={digest}"})
        filled = {volume.attrs["Labels"][_FILLED] for volume in known if _FILLED in volume.attrs["Labels"]}
        return next((_staged(volume) for volume in known if volume.name in filled), None)

    def _fill(self, digest: str, objects: Sequence[DataObject]) -> StagedVolume:
        files = self.local(objects)
        # Two runs may do this at once; each fills a volume of its own, and only complete ones are ever found.
        name = f"harness-input-{digest[:12]}-{secrets.token_hex(3)}"
        owned = {labels.KIND: labels.STAGED_INPUT, _CONTENT: digest}
        # Wanted by this process alone until it is full, and by everybody from then on (`is_complete`).
        volume = self._client.volumes.create(name, labels={**owned, **this_process().labels()})
        try:
            put(self._client, self._image, name, file_stream(files, "volume"))
        except BaseException:
            volume.remove()
            raise
        self._client.volumes.create(f"{name}-filled", labels={**owned, _FILLED: name})
        return _staged(volume)


def _staged(volume: Any) -> StagedVolume:
    return StagedVolume(volume.name, volume.attrs["Mountpoint"])


def put(client: docker.DockerClient, image: str, volume: str, archive: Any) -> None:
    """Unpack ``archive``, whose top folder is 'volume', into a volume: through a container that is never started."""
    container = client.containers.create(
        image,
        "true",
        volumes={volume: {"bind": "/volume", "mode": "rw"}},
        labels={labels.KIND: labels.STAGED_INPUT, **this_process().labels()},
    )
    try:
        if not container.put_archive("/", archive):
            raise DataDownloadFailed(f"the engine did not take the data for volume {volume!r}")
    finally:
        container.remove(force=True)


def is_complete(client: docker.DockerClient, volume: str) -> bool:
    """Whether a staged volume was filled to its end, whoever did it."""
    return bool(client.volumes.list(filters={"label": f"{_FILLED}={volume}"}))


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
        except APIError as error:
            if error.status_code != 409:  # a retained run's feeder or read-only view uses it
                raise
    return removed
