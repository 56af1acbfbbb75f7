"""Tar streams: the only form in which files travel. Temporary files apart, all in memory."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import tar


def archive(*entries: tuple[str, bytes | None], links: dict[str, str] | None = None) -> bytes:
    """A tar of files (and, where there is no content, folders), then hard links."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            if content is None:
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(content)
            made.addfile(entry, io.BytesIO(content or b""))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.LNKTYPE, target
            made.addfile(entry)
    return buffer.getvalue()


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def test_texts_become_files_of_root_at_their_paths() -> None:
    data = tar.text_files({"/opt/ml/input/config/a.json": "{}", "/opt/b": "é"})

    with tarfile.open(fileobj=io.BytesIO(data)) as made:
        entries = made.getmembers()
        assert [entry.name for entry in entries] == ["opt/ml/input/config/a.json", "opt/b"]
        assert {(entry.uid, entry.gid, entry.uname, entry.mode) for entry in entries} == {(0, 0, "root", 0o644)}
        content = made.extractfile("opt/b")
        assert content
        assert content.read() == "é".encode()


def test_folders_are_folders() -> None:
    with tarfile.open(fileobj=io.BytesIO(tar.folders(["/a/", "a/b"]))) as made:
        assert [(entry.name, entry.isdir(), entry.mode) for entry in made] == [("a", True, 0o755), ("a/b", True, 0o755)]


@pytest.mark.parametrize("size", [1, 7, 512, 10_000, 10**6])
def test_members_are_relative_to_the_top_folder_however_the_stream_is_cut(size: int) -> None:
    data = archive(("model", None), ("model/a", b"A" * 2000), ("model/sub", None), ("model/sub/b", b""))

    found = [
        (relative, content.read() if content else None) for relative, _, content in tar.members(chunks(data, size))
    ]

    assert found == [
        (PurePosixPath("a"), b"A" * 2000),
        (PurePosixPath("sub"), None),
        (PurePosixPath("sub/b"), b""),
    ]


def test_a_hard_link_names_its_target_from_the_top_folder_too() -> None:
    data = archive(("model/sub/a", b"x"), links={"model/b": "model/sub/a"})

    (_, link) = [entry for _, entry, _ in tar.members([data])]

    assert link.islnk()
    assert link.linkname == "sub/a"


def test_empty_chunks_do_not_end_a_stream() -> None:
    data = archive(("m/a", b"x"))

    assert [str(path) for path, _, _ in tar.members([b"", data[:100], b"", data[100:]])] == ["a"]


def test_the_first_file_is_its_text_and_no_more_than_the_limit() -> None:
    assert tar.first_file([archive(("failure", b"some words"))], 1024) == "some words"
    assert tar.first_file([archive(("failure", b"some words"))], 4) == "some"
    assert tar.first_file([archive(("output", None))], 4) == ""


@given(st.text(max_size=50), st.integers(1, 40))
def test_a_text_is_cut_between_characters_and_never_within_one(text: str, limit: int) -> None:
    data = archive(("failure", text.encode()))

    assert tar.first_file([data], limit) == text[:limit]


def test_what_is_no_utf_8_is_kept_readable() -> None:
    assert tar.first_file([archive(("failure", b"a\xffb"))], 10) == "a\ufffdb"
