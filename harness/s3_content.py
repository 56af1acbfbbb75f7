"""The contents of S3's objects as files: written as they come, read as they go, never in memory as a whole.

An object has a `Content`, of one file or, after a multipart upload, of several; copies share it. A file is there for
as long as something in this process holds it. What nobody holds when a door starts is removed then.
"""

from __future__ import annotations

import hashlib
import uuid
import weakref
from collections.abc import Generator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from harness.wire import Upload

_PIECE = 1024 * 1024
_BY_TOKEN: weakref.WeakValueDictionary[bytes, Content] = weakref.WeakValueDictionary()


@dataclass(frozen=True, eq=False)
class File:
    """Removed from the disk with the last that holds this; not, however, by the end of the process."""

    path: Path
    size: int

    def __post_init__(self) -> None:
        weakref.finalize(self, self.path.unlink, missing_ok=True).atexit = False


@dataclass(frozen=True, eq=False)
class Content:
    """``etag`` without quotes; ``checksums`` in base 64 by algorithm. ``token`` stands for it where only bytes can go.

    A token cannot be guessed, and so not be uploaded by anyone.
    """

    files: tuple[File, ...]
    etag: str
    checksums: Mapping[str, str] = field(default_factory=dict)
    token: bytes = field(default_factory=lambda: f"content-{uuid.uuid4().hex}".encode())

    def __post_init__(self) -> None:
        _BY_TOKEN[self.token] = self

    @property
    def size(self) -> int:
        return sum(each.size for each in self.files)

    def read(self, first: int = 0, last: int | None = None) -> Generator[bytes, None, None]:
        """The bytes from ``first`` to ``last``, both among them, piece by piece. Raises `OSError`."""
        left = (self.size if last is None else last + 1) - first
        for each in self.files:
            if first >= each.size:
                first -= each.size
                continue
            with each.path.open("rb") as file:
                file.seek(first)
                first = 0
                while left > 0 and (piece := file.read(min(_PIECE, left))):
                    left -= len(piece)
                    yield piece


def content_of(token: bytes) -> Content | None:
    """What ``token`` stands for, as long as somebody holds it."""
    return _BY_TOKEN.get(token)


def joined(parts: Sequence[Content]) -> Content:
    """The content of an upload in ``parts``: their files in that order, and the ETag that S3 gives it."""
    digest = hashlib.md5(b"".join(bytes.fromhex(each.etag) for each in parts), usedforsecurity=False)
    return Content(tuple(file for each in parts for file in each.files), f"{digest.hexdigest()}-{len(parts)}")


class Contents:
    """The files of all contents, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, source: Upload) -> File:
        """A file of all that ``source`` gives; nothing stays of one that breaks off. Raises what reading raises."""
        path = self._folder / uuid.uuid4().hex
        size = 0
        try:
            with path.open("wb", buffering=0) as file:
                while piece := source.read(_PIECE):
                    file.write(piece)
                    size += len(piece)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return File(path, size)

    def file(self, name: str) -> File:
        """One that an earlier door has written. Raises `FileNotFoundError`."""
        path = self._folder / Path(name).name
        return File(path, path.stat().st_size)

    def keep_only(self, names: Set[str]) -> dict[str, File]:
        """Those of ``names`` that an earlier door has written; all others are removed."""
        files = {}
        for path in self._folder.iterdir():
            if path.name in names:
                files[path.name] = File(path, path.stat().st_size)
            else:
                path.unlink()
        return files
