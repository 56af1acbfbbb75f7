"""What is in the engine with our labels on it: listing and cleaning up."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import labels

if TYPE_CHECKING:
    from docker import DockerClient


def containers(client: DockerClient) -> list[dict[str, str]]:
    """One entry per container: kind, name of its job or endpoint, host, and the engine's word on its state."""
    found = client.containers.list(all=True, filters={"label": labels.RUN}, ignore_removed=True)
    return sorted(
        (
            {
                "kind": item.labels[labels.KIND],
                "name": item.labels[labels.JOB],
                "host": item.labels.get(labels.HOST, ""),
                "state": item.attrs["State"]["Status"],
            }
            for item in found
        ),
        key=lambda entry: (entry["kind"], entry["name"], entry["host"]),
    )


def has_hosts(client: DockerClient, job: str) -> bool:
    """Whether anything in the engine is a container of the training job ``job``."""
    chosen: dict[str, Any] = {"label": f"{labels.JOB}={job}"}
    return bool(client.containers.list(all=True, filters=chosen, ignore_removed=True))


def clean(client: DockerClient, *, everything: bool, cache: Path) -> list[str]:
    """Remove runs whose hosts have ended and which no living process is at work with (with ``everything`` all runs),
    staged inputs, and what was downloaded for them into the folder ``cache``; says what went.
    """
    from harness.owner import this_process
    from harness.removal import remove_run
    from harness.sweep import is_wanted
    from harness.volumes import clean_staged

    me = this_process()
    ended: set[str] = set()
    alive: set[str] = set()
    for item in client.containers.list(all=True, filters={"label": labels.RUN}, ignore_removed=True):
        # A host that is created and not started belongs to a run that somebody is preparing, and from one that has
        # ended somebody may be collecting the model.
        over = item.attrs["State"]["Status"] in ("exited", "dead") and not is_wanted(item.labels, me)
        (ended if over else alive).add(item.labels[labels.RUN])
    found = (*client.networks.list(filters={"label": labels.RUN}), *client.volumes.list(filters={"label": labels.RUN}))
    runs = ended | alive | {item.attrs["Labels"][labels.RUN] for item in found}
    gone = runs if everything else ended - alive
    for run in sorted(gone):
        remove_run(client, run)
    # A run that has not ended may be about to see a staged input that nothing in the engine points at yet.
    staged = 0 if runs - gone else clean_staged(client)
    if not runs - gone:
        shutil.rmtree(cache / "s3", ignore_errors=True)  # what is left is left to the next time
    kept = [f"{run} has not ended; left alone (--all removes it too)" for run in sorted(runs - gone)]
    return [f"removed {len(gone)} runs and {staged} staged inputs", *kept]
