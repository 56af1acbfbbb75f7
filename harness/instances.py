"""What the door asks of whatever runs its endpoints' instances. The engine does, in `docker_instances`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness import labels
from harness.endpoint_container import Route
from harness.endpoint_records import Variant


@dataclass(frozen=True)
class Place:
    """Where an instance belongs: ``number`` counts the variant's instances from 0. ``kind`` says whether it is one of
    an endpoint or of a transform job, whose name ``endpoint_name`` is then.
    """

    endpoint_name: str
    generation: str
    variant_name: str
    number: int
    kind: str = labels.ENDPOINT


@dataclass(frozen=True)
class Instance:
    """A model server that runs; ``instance_id`` is what its log stream is called."""

    place: Place
    instance_id: str
    route: Route
    handle: Any = field(default=None, repr=False, compare=False)


class Instances(Protocol):
    """Starts, finds and stops instances. Used from several threads at once."""

    def resolve(self, image: str) -> tuple[str, str]:
        """The local image that a name stands for, and its id. Raises `BadInput` where there is none."""

    def start(self, place: Place, variant: Variant, archive: Path | None) -> Instance:
        """Start a container with the model in ``archive``. Raises `BadInput`, and leaves nothing behind then."""

    def await_service(self, instance: Instance, seconds: float) -> None:
        """Return once it answers. Raises `EndpointFailed`; what becomes of the container then is the caller's."""

    def log(self, instance: Instance) -> Iterator[tuple[int, str]]:
        """Milliseconds since 1970 and a line, from its first to its last; ends when the container does."""

    def stop(self, instance: Instance) -> None:
        """As the platform does it: SIGTERM, 30 s, SIGKILL. Safe to repeat."""

    def discard(self, endpoint_name: str, generation: str | None = None) -> None:
        """Remove at once whatever there is of an endpoint, or of one generation, which may be a transform job's."""

    def running(self) -> list[Instance]:
        """All that run and are this door's."""
