"""SHA-256 of files of this machine, remembered: a file is read again only when its size, times or inode changed."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

# A file may change twice within one tick of its clock, with nothing to tell the second time by.
_SETTLED_SECONDS = 2.0
_TABLE = "CREATE TABLE IF NOT EXISTS digests (path TEXT PRIMARY KEY, state TEXT, digest TEXT)"


def file_digests(paths: Iterable[Path], cache: Path, *, settled_after: float = _SETTLED_SECONDS) -> dict[Path, str]:
    """SHA-256 in hex of each of ``paths``; ``cache`` is the folder in which they are remembered.

    A file that changed less than ``settled_after`` seconds ago is not remembered yet.

    Raises OSError where a file cannot be read.
    """
    states = {path: _state(path) for path in dict.fromkeys(paths)}
    database = _open(cache)
    try:
        known = _remembered(database, states)
        unknown = [path for path in states if path not in known]
        with ThreadPoolExecutor() as pool:
            fresh = dict(zip(unknown, pool.map(_digest, unknown), strict=True))
        newest = time.time_ns() - int(settled_after * 10**9)
        with database:
            database.executemany(
                "INSERT OR REPLACE INTO digests VALUES (?, ?, ?)",
                [
                    (_name(path), _text(states[path]), digest)
                    for path, digest in fresh.items()
                    if max(states[path][1], states[path][2]) < newest
                ],
            )
    finally:
        database.close()
    return known | fresh


def _open(cache: Path) -> sqlite3.Connection:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(cache / "file-digests.sqlite3", timeout=30)
        database.execute(_TABLE)
    except (OSError, sqlite3.Error):
        # Nothing is lost but time: without a place to remember them, digests are worked out anew.
        database = sqlite3.connect(":memory:")
        database.execute(_TABLE)
    return database


def _remembered(database: sqlite3.Connection, states: Mapping[Path, tuple[int, ...]]) -> dict[Path, str]:
    names = {_name(path): path for path in states}
    known = {}
    for some in _batched(names):
        marks = ", ".join("?" * len(some))
        query = f"SELECT path, state, digest FROM digests WHERE path IN ({marks})"  # noqa: S608  only marks
        for name, state, digest in database.execute(query, some):
            if state == _text(states[names[name]]):
                known[names[name]] = digest
    return known


def _batched(names: Iterable[str], size: int = 500) -> Iterator[list[str]]:
    """``names`` in lists of at most ``size``; SQLite takes a thousand values in one statement at least."""
    rest = iter(names)
    while some := list(islice(rest, size)):
        yield some


def _state(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev


def _text(state: tuple[int, ...]) -> str:
    return " ".join(map(str, state))


def _name(path: Path) -> str:
    return os.fsencode(path.absolute()).hex() if not str(path).isprintable() else str(path.absolute())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
