"""What hosts leave behind, merged into what SageMaker puts under the output path: archives, or plain folders.

The same content gives the same bytes, whoever wrote it and whenever: members are sorted, their owners and times are
left out, as is the time in gzip's header. So two runs of a job that is deterministic leave archives that are equal.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path, PurePosixPath
from typing import IO

from harness import contract
from harness.cluster import Cluster
from harness.tar import members

_IN_MEMORY = 64 << 20  # bytes of the files of all hosts together; what is more goes through a file


@dataclass(frozen=True)
class Merge:
    """What became one of several hosts: the names that more than one of them wrote, and the files of each."""

    clashes: list[str]
    files: Mapping[str, list[str]]


def collect(
    cluster: Cluster, hosts: Sequence[str], folder: Path, *, completed: bool, compressed: bool
) -> dict[str, Merge]:
    """Put the models and output data of all ``hosts`` into ``folder``; what was merged, by the name of the artifact.

    ``model.tar.gz`` and ``output.tar.gz``, or the folders ``model`` and ``output``. Nothing is written where hosts
    wrote nothing, but for the archive of a completed job's model.
    """
    merges = {}
    for path, name, always in (
        (contract.MODEL_DIR, "model", completed),
        (contract.OUTPUT_DATA_DIR, "output", False),
    ):
        with ThreadPoolExecutor(len(hosts)) as pool:
            streams = dict(zip(hosts, pool.map(cluster.fetch, hosts, repeat(path)), strict=True))
        target = folder / (f"{name}.tar.gz" if compressed else name)
        merges[target.name] = (
            write_archive(streams, target, even_empty=always) if compressed else write_folder(streams, target)
        )
    return merges


def write_archive(streams: Mapping[str, Iterator[bytes] | None], path: Path, *, even_empty: bool = False) -> Merge:
    """Merge tar streams, one per host, into the gzipped tar ``path``.

    Members are relative to the folder the streams are of. Where hosts wrote the same name, the last host's file is
    the one kept, as SDK v2's local mode has it ('the service does likewise', local/image.py retrieve_artifacts).
    Without any member no file is written unless ``even_empty``.
    """
    part = path.with_name(path.name + ".part")
    try:
        with _merged(streams, path.parent) as merged:
            if merged.entries or even_empty:
                with part.open("wb") as file:
                    merged.archive(file)
                part.replace(path)
            return Merge(sorted(merged.clashes), merged.files)
    finally:
        part.unlink(missing_ok=True)


def write_folder(streams: Mapping[str, Iterator[bytes] | None], path: Path) -> Merge:
    """The same as a plain folder ``path``, which must not exist; without any member none is made."""
    part = path.with_name(path.name + ".part")
    try:
        with _merged(streams, path.parent) as merged:
            if merged.entries:
                merged.unpack(part)
                part.replace(path)
            return Merge(sorted(merged.clashes), merged.files)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@dataclass(frozen=True)
class _Entry:
    """A file, folder or symbolic link; ``start`` is where its content is kept, which hard links share."""

    info: tarfile.TarInfo
    start: int | None = None


class _Merged:
    """The members of all hosts by name; ``contents`` holds what is in their files."""

    def __init__(self, contents: IO[bytes]) -> None:
        self.entries: dict[str, _Entry] = {}
        self.clashes: set[str] = set()
        self.files: dict[str, list[str]] = {}
        self._contents = contents

    def add(self, host: str, stream: Iterator[bytes]) -> None:
        """Take the members of ``host`` that none of those added before has."""
        own: dict[str, _Entry] = {}
        for relative, info, content in members(stream):
            entry = _Entry(info)
            if content:
                entry = _Entry(info, self._contents.tell())
                shutil.copyfileobj(content, self._contents, 1 << 20)
            elif info.islnk() and info.linkname in own:
                entry = own[info.linkname]
            own[relative.as_posix()] = entry
        self.files[host] = sorted(name for name, entry in own.items() if not entry.info.isdir())
        for name, entry in own.items():
            # A file of one host may also stand where another has a folder, or inside what is a file there.
            there = self.entries.get(name)
            if self._inside_a_file(PurePosixPath(name)) or (there and not _both_folders(there, entry)):
                self.clashes.add(name)
        self.entries |= {name: entry for name, entry in own.items() if name not in {*self.clashes, *self.entries}}

    def _inside_a_file(self, path: PurePosixPath) -> bool:
        above = (self.entries.get(parent.as_posix()) for parent in path.parents)
        return any(entry and not entry.info.isdir() for entry in above)

    def archive(self, file: IO[bytes]) -> None:
        first_names: dict[int, str] = {}
        # Level 1: model weights hardly compress, and the user is waiting.
        with (
            gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w|") as tar,
        ):
            for name, entry in sorted(self.entries.items()):
                info = _plain(name, entry.info)
                if entry.start is not None and info.size and entry.start in first_names:
                    info.type, info.linkname, info.size = tarfile.LNKTYPE, first_names[entry.start], 0
                tar.addfile(info, self._content(entry) if info.isreg() else None)
                if entry.start is not None:
                    first_names.setdefault(entry.start, name)

    def unpack(self, folder: Path) -> None:
        folder.mkdir()
        for name, entry in sorted(self.entries.items()):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if entry.info.isdir():
                path.mkdir(exist_ok=True)
            elif entry.info.issym():
                path.symlink_to(entry.info.linkname)
            elif entry.start is not None:
                with path.open("wb") as target:
                    _copy(self._content(entry), target, entry.info.size)

    def _content(self, entry: _Entry) -> IO[bytes]:
        self._contents.seek(entry.start or 0)
        return self._contents


@contextmanager
def _merged(streams: Mapping[str, Iterator[bytes] | None], folder: Path) -> Iterator[_Merged]:
    """All streams, the last host's first: of files with one name it is the one that is kept."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(folder)) as contents:
        merged = _Merged(contents)
        for host, stream in reversed(list(streams.items())):
            if stream:
                merged.add(host, stream)
        yield merged


def _both_folders(one: _Entry, other: _Entry) -> bool:
    return one.info.isdir() and other.info.isdir()


def _plain(name: str, found: tarfile.TarInfo) -> tarfile.TarInfo:
    """``found`` without what tells of its maker: only name, kind, size and permissions are content."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.linkname = found.type, found.mode & 0o777, found.size, found.linkname
    return info


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    while size:
        chunk = source.read(min(size, 1 << 20))
        target.write(chunk)
        size -= len(chunk)
