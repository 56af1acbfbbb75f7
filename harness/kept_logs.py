"""Logs of instances and hosts on disk as well, so that the next door has them: moto has them in memory only.

A stream is a file of JSON lines: its group and name, then its events. Who follows a log that goes on reads it from its
beginning when a door starts again; what was kept of it already is not taken twice.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

Event = tuple[int, str]


class KeptLogs:
    """In ``folder``. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._restored: dict[Path, Counter[Event]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, group: str, stream: str, events: Sequence[Event]) -> list[Event]:
        """Keep ``events``, each of milliseconds since 1970 and a line; those of them that are new."""
        file = self._file(group, stream)
        with self._lock:
            known = self._restored.get(file, Counter())
            new = []
            for event in events:
                if known[event] > 0:
                    known[event] -= 1
                else:
                    new.append(event)
            head = "" if file.exists() else json.dumps([group, stream]) + "\n"
            with file.open("a", encoding="ascii") as out:
                out.write(head + "".join(json.dumps(event) + "\n" for event in new))
        return new

    def restore(self) -> Iterator[tuple[str, str, list[Event]]]:
        """Group, name and events of each stream that an earlier door has kept, before anything is added."""
        for file in sorted(self.folder.glob("*.jsonl")):
            whole = file.read_text(encoding="ascii").rpartition("\n")[0]
            if not whole:  # the door ended before the first line was written
                file.unlink()
                continue
            (group, stream), *events = (json.loads(line) for line in whole.split("\n"))
            with file.open("r+b") as out:  # half a line is what the door was about to say when it ended
                out.truncate(len(whole) + 1)
            found: list[Event] = [(at, text) for at, text in events]
            self._restored[file] = Counter(found)
            yield group, stream, found

    def drop(self, group: str, stream: str | None) -> None:
        """Forget a stream, or all of ``group``."""
        with self._lock:
            for file in self.folder.glob("*.jsonl"):
                with file.open(encoding="ascii") as lines:
                    its_group, its_stream = json.loads(lines.readline())
                if its_group == group and stream in (None, its_stream):
                    file.unlink()
                    self._restored.pop(file, None)

    def _file(self, group: str, stream: str) -> Path:
        digest = hashlib.sha256(json.dumps([group, stream]).encode()).hexdigest()
        return self.folder / f"{digest}.jsonl"
