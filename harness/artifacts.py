"""What hosts leave behind, merged into the archives that SageMaker puts under the output path."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.tar import members


def write_archive(
    streams: Mapping[str, Iterator[bytes] | None], path: Path, *, even_empty: bool = False
) -> list[str]:
    """Merge tar streams, one per host, into the gzipped tar ``path``; names that several hosts wrote are returned.

    Members are relative to the folder the streams are of. Where hosts wrote the same name, the last host's file is
    the one kept, as SDK v2's local mode has it ('the service does likewise', local/image.py retrieve_artifacts).
    Without any member no file is written unless ``even_empty``.
    """
    part = path.with_name(path.name + ".part")
    written: set[str] = set()
    clashes: set[str] = set()
    # Level 1: model weights hardly compress, and the user is waiting.
    with gzip.open(part, "wb", compresslevel=1) as zipped, tarfile.open(fileobj=zipped, mode="w|") as archive:
        for host in reversed(list(streams)):
            stream = streams[host]
            for relative, entry, content in members(stream) if stream else ():
                entry.name = relative.as_posix()
                if entry.name in written:
                    clashes |= set() if entry.isdir() else {entry.name}
                    continue
                written.add(entry.name)
                archive.addfile(entry, content)
    if written or even_empty:
        part.replace(path)
    else:
        part.unlink()
    return sorted(clashes)
