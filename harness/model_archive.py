"""From what training left to what hosting starts with: model.tar.gz with the inference code inside.

As the SageMaker SDK does it when a model is deployed (SDK v2 utils.py, `repack_model`): whatever `code/` the
archive has is replaced by all of the source folder, and the model's files stay at the top. Archives come from
elsewhere and are not trusted; they are passed through member by member, not unpacked, not held in memory.
"""

from __future__ import annotations

import gzip
import itertools
import posixpath
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from harness.errors import BadInput

CODE = "code"
_CORRUPT = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile)


def repack(model_tar: Path, source_dir: Path, entry_point: str, destination: Path) -> None:
    """Write ``destination``: the model of ``model_tar`` with all of ``source_dir`` as its ``code/``.

    Raises `BadInput` when the archive is missing, corrupt or without a model, when it has a member that is
    neither file, folder nor link or that leads out of it, and when ``entry_point`` is not in ``source_dir``.
    Nothing is written then.
    """
    if not (source_dir / entry_point).is_file():
        raise BadInput(f"no entry point {entry_point!r} in source_dir {str(source_dir)!r}")
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(destination.name + ".part")
    try:
        # Weights hardly compress: the lowest level is most of the gain, at a tenth of the time.
        # Links in the source folder are followed, as they are by the SDK.
        with tarfile.open(part, "w:gz", compresslevel=1, dereference=True) as repacked:
            repacked.add(source_dir, CODE, filter=_owned_by_root)
            _add_model(model_tar, repacked)
        part.replace(destination)
    except OSError as error:
        raise BadInput(f"cannot repack {str(model_tar)!r}: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def make_harmless(model_tar: Path, destination: Path) -> None:
    """Write ``destination``, a plain tar of what is in ``model_tar``, code/ included, as the platform unpacks it.

    Raises `BadInput` as `repack` does; an archive without any file is none of its concern.
    """
    part = destination.with_name(destination.name + ".part")
    try:
        with tarfile.open(part, "w") as plain:
            for member, content in _members(model_tar):
                plain.addfile(member, content)
        part.replace(destination)
    except OSError as error:
        raise BadInput(f"cannot unpack {str(model_tar)!r}: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def is_empty(model_tar: Path) -> bool:
    """Whether an archive that a run of ours left, or did not leave, holds nothing; reads no more than its beginning."""
    if not model_tar.exists():
        return True
    with tarfile.open(model_tar) as archive:
        return archive.next() is None


def check_model_archive(model_tar: Path) -> None:
    """Raise `BadInput` as `repack` would because of the archive itself; reads all of it."""
    _require_model(model_tar, sum(member.isfile() for member, _ in _model_members(model_tar)))


def _add_model(model_tar: Path, repacked: tarfile.TarFile) -> None:
    files = 0
    for member, content in _model_members(model_tar):
        repacked.addfile(member, content)
        files += member.isfile()
    _require_model(model_tar, files)


def _require_model(model_tar: Path, files: int) -> None:
    if not files:
        raise BadInput(f"model archive {str(model_tar)!r} has no model: there is no file outside of {CODE}/")


def _model_members(model_tar: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Each member outside of code/."""
    for member, content in _members(model_tar):
        if member.name.split("/")[0] != CODE:
            yield member, content


def _members(model_tar: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Each member, harmless and in the archive's order, with the content of a file; the root folder is left out."""
    paths = _Paths()
    try:
        # gzip's own reader, as tarfile's neither checks the sum nor notices a stream that is cut off.
        with gzip.open(model_tar) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                problem = paths.problem(member)
                if problem:
                    raise BadInput(f"model archive {str(model_tar)!r}: member {member.name!r} {problem}")
                name = posixpath.normpath(member.name)
                if name not in (".", "/"):
                    yield _harmless(member, name), archive.extractfile(member) if member.isfile() else None
            while stream.read(1 << 20):
                pass  # to the end, where the sum is
    except FileNotFoundError as error:
        raise BadInput(f"no model archive {str(model_tar)!r}: train first, or name one") from error
    except _CORRUPT as error:
        raise BadInput(f"model archive {str(model_tar)!r} is no intact .tar.gz: {error}") from error
    except OSError as error:
        raise BadInput(f"cannot read model archive {str(model_tar)!r}: {error.strerror}") from error


class _Paths:
    """Says which members lead out of an archive, given all members before.

    Links may point anywhere inside. To keep that decidable without a file system, '..' is allowed only at the
    front of a link's target, and nothing may lie below a link: then every lexical path is the real one.
    """

    def __init__(self) -> None:
        self._links: set[str] = set()
        self._folders: set[str] = set()

    def problem(self, member: tarfile.TarInfo) -> str:
        if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
            return "is neither file, folder nor link"
        name = member.name.rstrip("/")
        if not name and member.isdir():
            return ""  # the SDK's own archives have a root folder without a name (contract of `repack_model`)
        if not name or name.startswith("/") or ".." in name.split("/") or "\0" in name:
            return "leads out of the archive"
        name = posixpath.normpath(name)
        above = _above(name)
        if self._links & above:
            return "lies below a link"
        self._folders |= above
        return self._link_problem(member, name) if member.issym() or member.islnk() else ""

    def _link_problem(self, member: tarfile.TarInfo, name: str) -> str:
        # A symbolic link starts at its folder, a hard link at the archive's root.
        start = posixpath.dirname(name) if member.issym() else ""
        target = posixpath.normpath(posixpath.join(start, member.linkname))
        if target.startswith("/") or target.split("/")[0] == ".." or _turns_back(member.linkname):
            return f"is a link out of the archive, to {member.linkname!r}"
        if member.islnk() and target.split("/")[0] == CODE and name.split("/")[0] != CODE:
            return f"is a hard link to {member.linkname!r}, which is replaced"
        if name in self._folders:
            return "is a link where a folder was"
        self._links.add(name)
        return ""


def _above(name: str) -> set[str]:
    parts = name.split("/")
    return {"/".join(parts[:end]) for end in range(1, len(parts))}


def _turns_back(target: str) -> bool:
    """Whether '..' follows a name in a path."""
    parts = [part for part in target.split("/") if part not in ("", ".")]
    return any(part == ".." and before != ".." for before, part in itertools.pairwise(parts))


def _harmless(member: tarfile.TarInfo, name: str) -> tarfile.TarInfo:
    """The member anew: sparse files become plain ones, owners and extended headers are dropped."""
    clean = tarfile.TarInfo(name)
    clean.size = member.size if member.isfile() else 0
    clean.mtime = int(member.mtime)
    clean.mode = (member.mode & 0o777) | (0o755 if member.isdir() else 0o644)
    clean.type = tarfile.REGTYPE if member.isfile() else member.type
    clean.linkname = member.linkname
    return clean


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The platform's /opt/ml is root's; the caller's name has no meaning in the container."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
