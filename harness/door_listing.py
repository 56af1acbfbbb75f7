"""What a door has that shows in no container, read from its folder, whether it serves or not: for `harness ps`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from harness import labels

# By the folder of their records (control_plane.py).
_KINDS = {"endpoints": labels.ENDPOINT, "training-jobs": labels.TRAINING, "transform-jobs": labels.TRANSFORM}


def listed(state: Path) -> Iterator[dict[str, str]]:
    """An entry per job, endpoint and bucket, with the members of `inventory.containers`; none without the folder."""
    for folder, kind in _KINDS.items():
        for file in sorted((state / folder).glob("*.json")):
            document = json.loads(file.read_text())
            status = document["description"]["TrainingJobStatus"] if kind == labels.TRAINING else document["status"]
            yield _entry(kind, document["name"], status)
    for file in sorted((state / "s3").glob("*/bucket.json")):
        objects = len(list(file.parent.glob("*.object")))
        yield _entry("bucket", json.loads(file.read_text())["name"], f"{objects} objects")


def _entry(kind: str, name: str, state: str) -> dict[str, str]:
    return {"kind": kind, "name": name, "host": "", "state": state}
