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
_PAUSE = 0.05


def remove_run(client: docker.DockerClient, run: str, seconds: float = _SECONDS) -> None:
    """Remove every container, network and volume that carries the label of ``run``, until there is none.

    The engine goes on with what it was asked for, also when whoever asked has been interrupted meanwhile.
    Raises `HarnessError` where something is in use for longer than ``seconds``.
    """
    chosen: dict[str, Any] = {"label": f"{labels.RUN}={run}"}
    deadline = Deadline(seconds, f"removing {run}")
    while True:
        containers = client.containers.list(all=True, filters=chosen, ignore_removed=True)
        things: list[Any] = [*client.networks.list(filters=chosen), *client.volumes.list(filters=chosen)]
        if not containers and not things:
            return
        hosts = [item for item in containers if labels.HOST in item.labels]
        # Those that help hosts first: some live in a host's network, which the engine cannot take down under them.
        for together in ([item for item in containers if item not in hosts], hosts):
            with ThreadPoolExecutor(max(1, len(together))) as pool:
                list(pool.map(remove_container, together))
        in_use = [thing.name for thing in things if not remove_if_free(thing)]
        if in_use and deadline.expired():
            raise HarnessError(f"{in_use[0]} is used by something else; remove that, and then: harness clean")
        if in_use:
            time.sleep(_PAUSE)


def ignoring_absence(action: Callable[[], object]) -> None:
    """Do ``action`` to what somebody else may have removed first."""
    try:
        action()
    except NotFound:
        return  # what was wanted


def remove_if_free(thing: Any) -> bool:
    """Remove a network or a volume, unless somebody else does; False where it is in use.

    It is for a moment after its last container is gone.
    """
    try:
        ignoring_absence(thing.remove)
    except APIError as error:
        if error.status_code not in (403, 409):
            raise
        return False
    return True


def remove_container(container: Container) -> None:
    """Kill and remove it with its unnamed volumes; it is gone afterwards, whoever removed it."""
    try:
        ignoring_absence(lambda: container.remove(force=True, v=True))
    except APIError as error:
        if error.status_code != 409:
            raise
        # Somebody is at it already, such as the engine with a helper that removes itself: it is waited for.
        ignoring_absence(lambda: container.wait(timeout=_SECONDS, condition="removed"))
