"""What hosts leave behind, merged into the archives that SageMaker puts under the output path."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from harness.tar import members


def write_archive(streams: Mapping[str, Iterator[bytes] | None], path: Path, *, even_empty: bool = False) -> list[str]:
    """Merge tar streams, one per host, into the gzipped tar ``path``; names that several hosts wrote are returned.

    Members are relative to the folder the streams are of. Where hosts wrote the same name, the last host's file is
    the one kept, as SDK v2's local mode has it ('the service does likewise', local/image.py retrieve_artifacts).
    Without any member no file is written unless ``even_empty``.
    """
    part = path.with_name(path.name + ".part")
    try:
        written, clashes = _merge(streams, part)
        if written or even_empty:
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return sorted(clashes)


def _merge(streams: Mapping[str, Iterator[bytes] | None], part: Path) -> tuple[set[str], set[str]]:
    """The names written to ``part``, and those of them that several hosts had."""
    folders: set[str] = set()
    files: set[str] = set()
    clashes: set[str] = set()
    # Level 1: model weights hardly compress, and the user is waiting.
    with gzip.open(part, "wb", compresslevel=1) as zipped, tarfile.open(fileobj=zipped, mode="w|") as archive:
        for host in reversed(list(streams)):
            stream = streams[host]
            for relative, entry, content in members(stream) if stream else ():
                entry.name = name = relative.as_posix()
                # A file of one host may also stand where another has a folder, or inside what is a file there.
                if name in files or (name in folders and not entry.isdir()) or _inside(relative, files):
                    clashes.add(name)
                elif name not in folders:
                    (folders if entry.isdir() else files).add(name)
                    archive.addfile(entry, content)
    return files | folders, clashes


def _inside(path: PurePosixPath, files: set[str]) -> bool:
    return any(parent.as_posix() in files for parent in path.parents)
