"""What lost its owner is removed: every start looks for it, so that nothing stays behind however a process ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness import labels
from harness.owner import Owner, is_gone, owner_of, start_time, this_process

if TYPE_CHECKING:
    from docker import DockerClient

_SECONDS = 2  # for the engine to let go of a network whose last container is gone


def sweep(client: DockerClient, me: Owner | None = None) -> list[str]:
    """Remove every container, network and volume whose owner is gone; the names of what went.

    Several starts may do so at once: what another one is removing is waited for. What is retained, what has no owner
    (endpoints, staged inputs) and what lives elsewhere is left alone.
    """
    from harness.removal import remove_container, remove_when_free
    from harness.volumes import is_complete

    me = me or this_process()
    chosen: dict[str, Any] = {"label": labels.OWNER}
    removed = []
    for container in client.containers.list(all=True, filters=chosen, ignore_removed=True):
        if is_left_over(container.labels, me):
            remove_container(container)
            removed.append(str(container.name))
    things: list[Any] = [*client.networks.list(filters=chosen), *client.volumes.list(filters=chosen)]
    for thing in things:
        marks, name = thing.attrs["Labels"], str(thing.name)
        if not is_left_over(marks, me):
            continue
        if marks.get(labels.KIND) == labels.STAGED_INPUT and is_complete(client, name):
            continue  # a staged input is everybody's once it is complete
        if remove_when_free(thing, _SECONDS):  # what somebody still uses is left to a later start
            removed.append(name)
    return removed


def is_wanted(marks: Mapping[str, str], me: Owner) -> bool:
    """Whether what carries the labels ``marks`` has an owner that may be at work with it still."""
    return owner_of(marks) is not None and not is_left_over(marks, me)


def is_left_over(marks: Mapping[str, str], me: Owner) -> bool:
    """Whether what carries the labels ``marks`` is wanted by nobody any more."""
    owner = owner_of(marks)
    return owner is not None and is_gone(owner, me, start_time(owner.pid))
