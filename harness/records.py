"""Records of the door: in memory, each in a file of its own as well, and watched by those who wait for a change."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from harness.record import write_json

R = TypeVar("R")


class Records(Generic[R]):
    """Records of one kind by name, kept in ``folder`` as JSON. Safe to use from several threads.

    ``write`` and ``read`` turn a record into a document and back. Names must be harmless file names.
    """

    def __init__(
        self, folder: Path, write: Callable[[R], Mapping[str, Any]], read: Callable[[Mapping[str, Any]], R]
    ) -> None:
        self._folder, self._write = folder, write
        self._changed = threading.Condition(threading.RLock())
        folder.mkdir(parents=True, exist_ok=True)
        self._records = {path.stem: read(json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))}

    def get(self, name: str) -> R | None:
        return self._records.get(name)

    def all(self) -> list[R]:
        with self._changed:
            return list(self._records.values())

    def names(self) -> list[str]:
        with self._changed:
            return list(self._records)

    def add(self, name: str, record: R, taken: Callable[[str], bool]) -> bool:
        """Keep a new record, unless ``taken`` says so of one of the names that there are."""
        with self._changed:
            if any(taken(other) for other in self._records):
                return False
            self._put(name, record)
            return True

    def change(self, name: str, change: Callable[[R], R | None]) -> R | None:
        """Replace a record by what ``change`` makes of it, in one move; None leaves it. The record afterwards."""
        with self._changed:
            found = self._records.get(name)
            made = None if found is None else change(found)
            if made is not None:
                self._put(name, made)
            return made or found

    def remove(self, name: str) -> bool:
        with self._changed:
            gone = self._records.pop(name, None) is not None
            (self._folder / f"{name}.json").unlink(missing_ok=True)
            self._changed.notify_all()
            return gone

    def settled(self, name: str, moving: Callable[[R], bool], seconds: float) -> R | None:
        """The record, once it is no longer ``moving`` or after ``seconds``; None when it is gone."""
        with self._changed:
            self._changed.wait_for(lambda: name not in self._records or not moving(self._records[name]), seconds)
            return self._records.get(name)

    def _put(self, name: str, record: R) -> None:
        write_json(self._folder / f"{name}.json", self._write(record))
        self._records[name] = record
        self._changed.notify_all()
