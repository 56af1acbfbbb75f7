"""Tags of what the door has made, by ARN; kept in one file."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.record import write_json
from harness.wire import validation

MOST = 50  # of one resource (API reference, AddTags)
Members = dict[str, Any]


class Tags:
    """Safe to use from several threads."""

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, threading.Lock()
        self._tags: dict[str, dict[str, str]] = json.loads(file.read_text()) if file.is_file() else {}

    def operations(self) -> dict[str, Callable[[Members, float], Members]]:
        """Those on our own resources; `knows` says of which ARNs."""
        return {"AddTags": self.add, "ListTags": self.list, "DeleteTags": self.delete}

    def knows(self, arn: str) -> bool:
        return arn in self._tags

    def put(self, arn: str, tags: Sequence[Mapping[str, str]]) -> None:
        """Begin with these, for a resource that is new."""
        with self._lock:
            self._tags[arn] = {tag["Key"]: tag["Value"] for tag in tags}
            self._write()

    def drop(self, arn: str) -> None:
        with self._lock:
            self._tags.pop(arn, None)
            self._write()

    def add(self, request: Members, _: float) -> Members:
        with self._lock:
            found = self._of(request["ResourceArn"])
            made = {**found, **{tag["Key"]: tag["Value"] for tag in request["Tags"]}}
            if len(made) > MOST:
                raise validation(f"{len(made)} tags; a resource has {MOST} at most.")
            self._tags[request["ResourceArn"]] = made
            self._write()
        return {"Tags": _listed(made)}

    def list(self, request: Members, _: float) -> Members:
        with self._lock:
            return {"Tags": _listed(self._of(request["ResourceArn"]))}

    def delete(self, request: Members, _: float) -> Members:
        with self._lock:
            found = self._of(request["ResourceArn"])
            self._tags[request["ResourceArn"]] = {
                key: value for key, value in found.items() if key not in request["TagKeys"]
            }
            self._write()
        return {}

    def _of(self, arn: str) -> dict[str, str]:
        found = self._tags.get(arn)
        if found is None:
            raise validation(f'Could not find resource "{arn}".')
        return found

    def _write(self) -> None:
        write_json(self._file, self._tags)


def _listed(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
