"""Instances of the door's endpoints as containers of the docker engine, on the functions of `harness serve`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness import endpoint_container as server
from harness import hosting, image_names, labels
from harness.deadline import Deadline
from harness.endpoint import from_container, time_of
from harness.endpoint_records import Variant
from harness.errors import BadInput
from harness.instances import Instance, Place

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container


class DockerInstances:
    """``connect`` gives a client of the engine and ``ours`` the image of our own; both are asked when first needed.

    ``door`` is the value of `labels.DOOR` on all that is made.
    """

    def __init__(self, connect: Callable[[], DockerClient], ours: Callable[[DockerClient], str], door: str) -> None:
        self._connect, self._ours, self._door = connect, ours, door
        self._found: DockerClient | None = None
        self._lock = threading.Lock()

    def _client(self) -> DockerClient:
        with self._lock:
            if self._found is None:
                self._found = self._connect()
            return self._found

    def resolve(self, image: str) -> tuple[str, str]:
        from docker.errors import ImageNotFound

        if not image_names.is_reference(image):
            raise BadInput(f"{image!r} is no name of an image")
        client = self._client()
        with self._lock:  # two of them must not build ours at the same time
            local = self._ours(client) if image_names.is_aws_pytorch(image) else image
        try:
            return local, str(client.images.get(local).id)
        except ImageNotFound:
            raise BadInput(image_names.how_to_map(image)) from None

    def start(self, place: Place, variant: Variant, archive: Path | None) -> Instance:
        named = {
            labels.RUN: place.generation,
            labels.VARIANT: place.variant_name,
            labels.INSTANCE: str(place.number),
            labels.DOOR: self._door,
            labels.KIND: place.kind,
        }
        plan = hosting.EndpointPlan(place.endpoint_name, variant.image, archive, variant.environment, labels=named)
        return _instance(hosting.start_instance(self._client(), plan))

    def await_service(self, instance: Instance, seconds: float) -> None:
        name = instance.place.endpoint_name
        hosting.await_service(instance.handle, Deadline(seconds, f"waiting for endpoint {name!r}"))

    def log(self, instance: Instance) -> Iterator[tuple[int, str]]:
        from requests.exceptions import RequestException

        container: Container = instance.handle.container
        rest = b""
        try:
            for part in container.logs(stream=True, follow=True, timestamps=True):
                *lines, rest = (rest + part).split(b"\n")
                yield from map(_timed, lines)
        except RequestException:
            return  # quiet for longer than the engine's client waits, or gone
        if rest:
            yield _timed(rest)

    def stop(self, instance: Instance) -> None:
        server.remove(instance.handle.container, stop_seconds=server.STOP_SECONDS)

    def discard(self, endpoint_name: str, generation: str | None = None) -> None:
        which = f"{labels.RUN}={generation}" if generation else f"{labels.KIND}={labels.ENDPOINT}"
        wanted = [f"{labels.JOB}={endpoint_name}", which]
        for container in self._containers(wanted):
            server.remove(container)

    def running(self) -> list[Instance]:
        found = self._containers([])
        return [_instance(from_container(self._client(), each)) for each in found if each.status == "running"]

    def _containers(self, wanted: list[str]) -> list[Container]:
        wanted = [f"{labels.DOOR}={self._door}", labels.VARIANT, *wanted]
        found: list[Container] = self._client().containers.list(
            all=True, filters={"label": wanted}, ignore_removed=True
        )
        return found


def _instance(endpoint: hosting.Endpoint) -> Instance:
    named = endpoint.container.labels
    number, kind = int(named[labels.INSTANCE]), named[labels.KIND]
    place = Place(named[labels.JOB], named[labels.RUN], named[labels.VARIANT], number, kind)
    return Instance(place, f"i-{str(endpoint.container.id)[:17]}", endpoint.route, endpoint)


def _timed(line: bytes) -> tuple[int, str]:
    """A line of the engine's log, which begins with its time."""
    at, _, text = line.decode(errors="replace").partition(" ")
    try:
        return int(time_of(at).timestamp() * 1000), text.rstrip("\r")
    except ValueError:  # the rest of a line that the engine broke
        return int(datetime.now(UTC).timestamp() * 1000), line.decode(errors="replace")
