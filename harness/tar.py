"""Tar streams, the only form in which files travel to and from hosts."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO


def text_files(texts: Mapping[str, str], empty: Iterable[str] = ()) -> bytes:
    """A tar of ``empty`` folders and one file per absolute path, owned by root, as the platform writes them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in empty:
            tar.addfile(_folder_entry(path))
        for path, text in texts.items():
            data = text.encode()
            entry = _root_owned(tarfile.TarInfo(path.lstrip("/")))
            entry.size = len(data)
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def tree(source: Path, target: str) -> IO[bytes]:
    """A tar of the folder (or file) ``source`` as the folder ``target``; links are followed, as an upload to S3 does.

    Large trees go through a temporary file, so that memory stays small. The stream is at its beginning; close it.
    """
    buffer = tempfile.SpooledTemporaryFile(max_size=64 << 20)  # noqa: SIM115  closed by the caller
    with tarfile.open(fileobj=buffer, mode="w", dereference=True) as tar:
        inside = target.lstrip("/")
        tar.add(source, inside if source.is_dir() else f"{inside}/{source.name}", filter=_root_owned)
    buffer.seek(0)
    return buffer


def file_stream(files: Iterable[tuple[str, Path]], top: str) -> Iterator[bytes]:
    """A tar of ``files``, (path below ``top``, file) each, as root's and readable by all, as downloads from S3 are.

    Nothing of it is kept, in memory or on disk. Raises OSError where a file cannot be read or changes meanwhile.
    """
    made: set[PurePosixPath] = set()
    yield _folder_entry(top).tobuf()
    for name, path in files:
        for parent in reversed(PurePosixPath(name).parents[:-1]):
            if parent not in made:
                made.add(parent)
                yield _folder_entry(f"{top}/{parent}").tobuf()
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            entry = _root_owned(tarfile.TarInfo(f"{top}/{name}"))
            entry.size, entry.mtime, entry.mode = state.st_size, int(state.st_mtime), 0o644
            yield entry.tobuf()
            left = entry.size
            while left and (chunk := file.read(min(left, 1 << 20))):
                left -= len(chunk)
                yield chunk
            if left:
                raise OSError(f"{str(path)!r} became shorter while it was read")
        yield bytes(-entry.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def folders(paths: Iterable[str]) -> bytes:
    """A tar of empty folders."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in paths:
            tar.addfile(_folder_entry(path))
    return buffer.getvalue()


class Stream(io.RawIOBase):
    """Chunks as a readable file, for `tarfile` in its streaming mode."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            try:
                self._rest = next(self._chunks)
            except StopIteration:
                return 0
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def members(chunks: Iterable[bytes]) -> Iterator[tuple[PurePosixPath, tarfile.TarInfo, IO[bytes] | None]]:
    """The members of a tar stream below its top folder: relative path, entry, and content of a file."""
    with tarfile.open(fileobj=io.BufferedReader(Stream(chunks), 1 << 20), mode="r|") as tar:
        for entry in tar:
            relative = PurePosixPath(*PurePosixPath(entry.name).parts[1:])
            if entry.islnk():  # a hard link names another member, from the top as well
                entry.linkname = str(PurePosixPath(*PurePosixPath(entry.linkname).parts[1:]))
            if relative.parts:
                yield relative, entry, tar.extractfile(entry) if entry.isreg() else None


def first_file(chunks: Iterable[bytes], limit: int) -> str:
    """The text of the one file in a tar stream, at most ``limit`` characters."""
    text = ""
    with tarfile.open(fileobj=io.BufferedReader(Stream(chunks)), mode="r|") as tar:
        for entry in tar:  # to its end, as what is left unread keeps the engine's connection open
            content = tar.extractfile(entry)
            if content and not text:
                text = content.read(4 * limit).decode(errors="replace")[:limit]  # UTF-8: up to four bytes a character
    return text


def _folder_entry(path: str) -> tarfile.TarInfo:
    entry = _root_owned(tarfile.TarInfo(path.strip("/")))
    entry.type = tarfile.DIRTYPE
    entry.mode = 0o755
    entry.mtime = int(time.time())
    return entry


def _root_owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry
