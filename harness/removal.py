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

_SECONDS = 20


def remove_run(client: docker.DockerClient, run: str) -> None:
    """Remove every container, network and volume that carries the label of ``run``."""
    chosen: dict[str, Any] = {"label": f"{labels.RUN}={run}"}
    containers = client.containers.list(all=True, filters=chosen, ignore_removed=True)
    hosts = [item for item in containers if labels.HOST in item.labels]
    # Those that help hosts first: some live in a host's network, which the engine cannot take down under them.
    for together in ([item for item in containers if item not in hosts], hosts):
        with ThreadPoolExecutor(max(1, len(together))) as pool:
            list(pool.map(remove_container, together))
    for thing in (*client.networks.list(filters=chosen), *client.volumes.list(filters=chosen)):
        remove_when_free(thing, _SECONDS)


def ignoring_absence(action: Callable[[], object]) -> None:
    """Do ``action`` to what somebody else may have removed first."""
    try:
        action()
    except NotFound:
        return  # what was wanted


def remove_when_free(thing: Any, seconds: float) -> None:
    """Remove a network or a volume: the engine lets go of it a moment after its last container is gone.

    Raises APIError (403, 409) where it is in use for longer than ``seconds``.
    """
    deadline = Deadline(seconds, f"removing {thing.name}")
    while True:
        try:
            ignoring_absence(thing.remove)
        except APIError as error:
            if error.status_code not in (403, 409) or deadline.expired():
                raise
            time.sleep(0.05)
        else:
            return


def remove_container(container: Container) -> None:
    """Kill and remove it with its unnamed volumes; it is gone afterwards, whoever removed it."""
    try:
        ignoring_absence(lambda: container.remove(force=True, v=True))
    except APIError as error:
        if error.status_code != 409:
            raise
        # Somebody is at it already, such as the engine with a helper that removes itself: it is waited for.
        ignoring_absence(lambda: container.wait(timeout=_SECONDS, condition="removed"))
