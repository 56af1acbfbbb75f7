"""Everything of a run is removed from the engine, in an order and with a patience that the engine needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from harness import labels
from harness.deadline import Deadline
from harness.errors import HarnessError

_SECONDS = 20
_LOOK_AGAIN = 0.2  # seconds, for what has appeared and holds a volume


def remove_run(client: docker.DockerClient, run: str, seconds: float = _SECONDS) -> None:
    """Remove every container, network and volume that carries the label of ``run``, until there is none.

    The engine goes on with what it was asked for, also when whoever asked has been interrupted meanwhile.
    Raises `HarnessError` where a network or a volume is in use for ``seconds`` after the containers have gone.
    """
    chosen: dict[str, Any] = {"label": f"{labels.RUN}={run}"}
    _remove_containers(client, chosen)
    deadline = Deadline(seconds, f"removing {run}")
    while things := [*client.networks.list(filters=chosen), *client.volumes.list(filters=chosen)]:
        if deadline.expired():
            name = things[0].attrs["Name"]
            raise HarnessError(f"{name} is used by something else; remove that, and then: harness clean")
        for thing in things:
            remove_when_free(thing, _LOOK_AGAIN)
        _remove_containers(client, chosen)


def _remove_containers(client: docker.DockerClient, chosen: dict[str, Any]) -> None:
    containers = client.containers.list(all=True, filters=chosen, ignore_removed=True)
    hosts = [item for item in containers if labels.HOST in item.labels]
    # Those that help hosts first: some live in a host's network, which the engine cannot take down under them.
    for together in ([item for item in containers if item not in hosts], hosts):
        with ThreadPoolExecutor(max(1, len(together))) as pool:
            list(pool.map(remove_container, together))


def ignoring_absence(action: Callable[[], object]) -> None:
    """Do ``action`` to what somebody else may have removed first."""
    try:
        action()
    except NotFound:
        return  # what was wanted


def remove_when_free(thing: Any, seconds: float) -> bool:
    """Remove a network or a volume, unless somebody else does; False where it is in use for so many ``seconds``.

    It is for a moment after its last container is gone.
    """
    deadline = Deadline(seconds, f"removing {thing.name}")
    while True:
        try:
            ignoring_absence(thing.remove)
        except APIError as error:
            if error.status_code not in (403, 409):
                raise
        else:
            return True
        if deadline.expired():
            return False
        time.sleep(0.05)


def remove_container(container: Container) -> None:
    """Kill and remove it with its unnamed volumes; it is gone afterwards, whoever removed it."""
    try:
        ignoring_absence(lambda: container.remove(force=True, v=True))
    except APIError as error:
        if error.status_code != 409:
            raise
        # Somebody is at it already, such as the engine with a helper that removes itself: it is waited for.
        ignoring_absence(lambda: container.wait(timeout=_SECONDS, condition="removed"))
