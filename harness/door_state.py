"""The folder of a door: who serves it, what for, and a lock that says whether anybody does.

The lock is held by the serving process for as long as it lives, however it ends; no pid is trusted.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from harness.deadline import Deadline
from harness.door_environment import ALIVE, FILES, Door
from harness.errors import BadInput
from harness.record import write_json

ANSWER_SECONDS = 5.0
_LOOKED_SECONDS = 0.5  # whoever looks whether the lock is held has it for an instant
_LOCK, _DOOR, _ID, _LOG = "lock", "door.json", "id", "door.log"


class StateFolder:
    """Made where it is missing. Raises `BadInput` where it cannot be."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / _LOCK).touch(mode=0o600)
        except OSError as error:
            raise BadInput(f"{path}: the door's state cannot be kept here: {error.strerror}") from error

    @property
    def log(self) -> Path:
        return self.path / _LOG

    def door_id(self) -> str:
        """One value for as long as the folder exists: what its containers are found by."""
        file = self.path / _ID
        if not file.is_file():
            file.write_text(uuid.uuid4().hex)
        return file.read_text().strip()

    @contextmanager
    def serving(self, url: str, pid: int) -> Iterator[Door]:
        """Say that we serve at ``url`` while the block runs; the lock must be held."""
        door = Door(pid, url, f"ASIA{uuid.uuid4().hex[:16].upper()}", uuid.uuid4().hex)
        write_json(self.path / _DOOR, asdict(door))
        try:
            yield door
        finally:
            (self.path / _DOOR).unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock while the block runs. Raises `BadInput` where another process does."""
        with (self.path / _LOCK).open("r+") as lock:
            deadline = Deadline(_LOOKED_SECONDS, "waiting for the lock")
            while not _locked(lock):
                if deadline.expired():
                    raise BadInput(f"{self.path}: a door serves from this folder already: harness down stops it")
                time.sleep(0.002)
            for name, text in FILES.items():
                (self.path / name).write_text(text)
            yield

    def held(self) -> bool:
        """Whether a door serves from here, or is about to."""
        with (self.path / _LOCK).open("r+") as lock:
            return not _locked(lock, fcntl.LOCK_SH)

    def door(self) -> Door | None:
        """The door that serves, None where there is none or it is not ready yet."""
        file = self.path / _DOOR
        if not self.held() or not file.is_file():
            return None
        door = Door(**json.loads(file.read_text()))
        return door if _answers(door) else None


def _locked(lock: IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    """Whether ``lock`` is ours now; until its file is closed."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _answers(door: Door) -> bool:
    """Whether it is this one that serves there: one that was killed leaves its file to the next."""
    connection = http.client.HTTPConnection(urlsplit(door.url).netloc, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", ALIVE)
        return bool(json.load(connection.getresponse()).get("pid") == door.pid)
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
