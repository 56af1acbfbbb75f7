"""What lost its owner is removed: every start looks for it, so that nothing stays behind however a process ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness import labels
from harness.owner import Owner, is_gone, owner_of, start_time, this_process

if TYPE_CHECKING:
    from docker import DockerClient


def sweep(client: DockerClient, me: Owner | None = None) -> list[str]:
    """Remove every container, network and volume whose owner is gone; the names of what went.

    What is retained, what has no owner (endpoints, staged inputs) and what lives elsewhere is left alone.
    """
    from docker.errors import APIError

    from harness.volumes import is_complete

    me = me or this_process()
    chosen: dict[str, Any] = {"label": labels.OWNER}
    found: list[tuple[Mapping[str, str], Any, Callable[[Any], object]]] = [
        (item.labels, item, lambda container: container.remove(force=True, v=True))
        for item in client.containers.list(all=True, filters=chosen, ignore_removed=True)
    ]
    for collection in (client.networks, client.volumes):
        listed = collection.list(filters=chosen)
        found += [(item.attrs["Labels"] or {}, item, lambda thing: thing.remove()) for item in listed]
    removed = []
    for marks, item, remove in found:
        if not is_left_over(marks, me):
            continue
        if marks.get(labels.KIND) == labels.STAGED_INPUT and is_complete(client, str(item.name)):
            continue  # a staged input is everybody's once it is complete
        try:
            remove(item)
        except APIError as error:
            if error.status_code not in (404, 409):
                raise
            continue  # another start was first, or is at it; what is still in use is left to a later one
        removed.append(str(item.name))
    return removed


def is_left_over(marks: Mapping[str, str], me: Owner) -> bool:
    """Whether what carries the labels ``marks`` is wanted by nobody any more."""
    owner = owner_of(marks)
    return owner is not None and is_gone(owner, me, start_time(owner.pid))
