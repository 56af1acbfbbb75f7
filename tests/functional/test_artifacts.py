"""Streams of several hosts become one archive, and folders become streams."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.artifacts import write_archive, write_folder
from harness.tar import tree


def stream(folder: Path) -> Iterator[bytes]:
    """``folder`` as the engine sends it: a tar with the folder on top, in chunks that heed no border."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(folder, "model")
    data = buffer.getvalue()
    return (data[start : start + 777] for start in range(0, len(data), 777))


def host(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    folder.mkdir(exist_ok=True)
    return folder


def content(path: Path) -> dict[str, str]:
    with tarfile.open(path, "r:gz") as archive:
        files = [entry for entry in archive if entry.isfile() or entry.islnk()]
        return {entry.name: found.read().decode() for entry in files if (found := archive.extractfile(entry))}


def test_files_of_all_hosts_are_merged_without_their_top_folder(tmp_path: Path) -> None:
    one, two = host(tmp_path / "1", {"a": "A", "sub/b": "B"}), host(tmp_path / "2", {"c": "C" * 5000, "sub/d": "D"})

    clashes = write_archive({"algo-1": stream(one), "algo-2": stream(two)}, tmp_path / "model.tar.gz").clashes

    assert clashes == []
    assert content(tmp_path / "model.tar.gz") == {"a": "A", "sub/b": "B", "c": "C" * 5000, "sub/d": "D"}


def test_of_files_with_one_name_the_last_hosts_is_kept_and_the_name_is_told(tmp_path: Path) -> None:
    one, two = host(tmp_path / "1", {"x": "1", "sub/y": "1"}), host(tmp_path / "2", {"x": "2", "sub/y": "2", "z": "2"})

    clashes = write_archive({"algo-1": stream(one), "algo-2": stream(two)}, tmp_path / "model.tar.gz").clashes

    assert clashes == ["sub/y", "x"]
    assert content(tmp_path / "model.tar.gz") == {"x": "2", "sub/y": "2", "z": "2"}
    with tarfile.open(tmp_path / "model.tar.gz") as archive:
        assert len(archive.getnames()) == len(set(archive.getnames()))


def test_hard_links_stay_one_file_and_symbolic_ones_links(tmp_path: Path) -> None:
    one = host(tmp_path / "1", {"sub/a": "A"})
    (one / "b").hardlink_to(one / "sub" / "a")
    (one / "c").symlink_to("sub/a")

    write_archive({"algo-1": stream(one)}, tmp_path / "model.tar.gz")

    assert content(tmp_path / "model.tar.gz") == {"sub/a": "A", "b": "A"}
    with tarfile.open(tmp_path / "model.tar.gz") as archive:
        archive.extractall(tmp_path / "out", filter="data")
    assert (tmp_path / "out" / "c").readlink() == Path("sub/a")


def test_nothing_written_is_no_archive_unless_even_an_empty_one_is_wanted(tmp_path: Path) -> None:
    empty = host(tmp_path / "1", {})

    assert write_archive({"algo-1": stream(empty), "algo-2": None}, tmp_path / "output.tar.gz").clashes == []
    assert write_archive({"algo-1": stream(empty)}, tmp_path / "model.tar.gz", even_empty=True).clashes == []

    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "model.tar.gz"]
    assert content(tmp_path / "model.tar.gz") == {}


def test_a_host_without_the_folder_takes_nothing_from_the_others(tmp_path: Path) -> None:
    write_archive({"algo-1": stream(host(tmp_path / "1", {"a": "A"})), "algo-2": None}, tmp_path / "model.tar.gz")

    assert content(tmp_path / "model.tar.gz") == {"a": "A"}


def test_an_earlier_archive_stays_whole_until_the_new_one_is(tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    write_archive({"algo-1": stream(host(tmp_path / "1", {"a": "A"}))}, path)

    def broken() -> Iterator[bytes]:
        yield next(stream(tmp_path / "1"))
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        write_archive({"algo-1": broken()}, path)

    assert content(path) == {"a": "A"}


def test_a_tree_is_its_folder_under_another_name_with_links_followed(tmp_path: Path) -> None:
    source = host(tmp_path / "code", {"a.py": "A", "sub/b.py": "B"})
    (source / "c.py").symlink_to("a.py")
    (source / "a.py").chmod(0o600)

    with tree(source, "/opt/ml/code") as made, tarfile.open(fileobj=made) as tar:
        entries = {entry.name: entry for entry in tar}

    assert set(entries) == {f"opt/ml/code{name}" for name in ("", "/a.py", "/c.py", "/sub", "/sub/b.py")}
    assert entries["opt/ml/code/c.py"].isfile()
    assert {(entry.uid, entry.gid) for entry in entries.values()} == {(0, 0)}


def test_a_single_file_is_a_folder_with_that_file(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(os.urandom(10))

    with tree(tmp_path / "data.bin", "/opt/ml/input/data/training") as made, tarfile.open(fileobj=made) as tar:
        assert tar.getnames() == ["opt/ml/input/data/training/data.bin"]


def test_a_file_where_another_host_has_a_folder_is_a_clash_and_the_archive_can_be_unpacked(tmp_path: Path) -> None:
    first = host(tmp_path / "first", {"weights/a": "a"})
    second = host(tmp_path / "second", {"weights": "one file"})

    clashes = write_archive({"algo-1": stream(first), "algo-2": stream(second)}, tmp_path / "model.tar.gz").clashes

    assert clashes == ["weights", "weights/a"]
    with tarfile.open(tmp_path / "model.tar.gz") as archive:
        archive.extractall(tmp_path / "out", filter="data")
    assert (tmp_path / "out/weights").read_text() == "one file"


def test_the_same_content_is_the_same_bytes_whenever_and_by_whom_it_was_written(tmp_path: Path) -> None:
    archives = []
    for number, (name, stamp) in enumerate({"a.tar.gz": 1_000_000_000, "b.tar.gz": 1_700_000_000}.items()):
        one = host(tmp_path / f"{number}-1", dict(sorted({"sub/b": "B", "a": "A"}.items(), reverse=bool(number))))
        (one / "c").hardlink_to(one / "sub/b")
        for path in one.rglob("*"):
            os.utime(path, (stamp, stamp))
        write_archive({"algo-1": stream(one), "algo-2": stream(host(tmp_path / f"{number}-2", {}))}, tmp_path / name)
        archives.append((tmp_path / name).read_bytes())

    assert archives[0] == archives[1]
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        assert archive.getnames() == ["a", "c", "sub", "sub/b"]
        assert {(entry.mtime, entry.uid, entry.uname) for entry in archive} == {(0, 0, "")}


def test_a_hard_link_keeps_its_content_where_another_host_replaces_what_it_was_linked_to(tmp_path: Path) -> None:
    one, two = host(tmp_path / "1", {"sub/a": "of 1"}), host(tmp_path / "2", {"sub/a": "of 2"})
    (one / "z").hardlink_to(one / "sub/a")

    clashes = write_archive({"algo-1": stream(one), "algo-2": stream(two)}, tmp_path / "model.tar.gz").clashes

    assert clashes == ["sub/a"]
    assert content(tmp_path / "model.tar.gz") == {"sub/a": "of 2", "z": "of 1"}


def test_permissions_are_content(tmp_path: Path) -> None:
    one = host(tmp_path / "1", {"run.sh": "x"})
    (one / "run.sh").chmod(0o750)

    write_archive({"algo-1": stream(one)}, tmp_path / "model.tar.gz")

    with tarfile.open(tmp_path / "model.tar.gz") as archive:
        assert archive.getmember("run.sh").mode == 0o750


def test_a_plain_folder_holds_the_same_and_belongs_to_the_caller(tmp_path: Path) -> None:
    one, two = host(tmp_path / "1", {"a": "1", "sub/b": "B"}), host(tmp_path / "2", {"a": "2", "c": "C" * 5000})
    (one / "link").symlink_to("sub/b")
    (one / "hard").hardlink_to(one / "sub/b")

    clashes = write_folder({"algo-1": stream(one), "algo-2": stream(two)}, tmp_path / "model").clashes

    assert clashes == ["a"]
    found = {path.relative_to(tmp_path / "model").as_posix(): path for path in (tmp_path / "model").rglob("*")}
    texts = {name: path.read_text() for name, path in found.items() if path.is_file()}
    assert texts == {"a": "2", "sub/b": "B", "hard": "B", "c": "C" * 5000, "link": "B"}
    assert found["link"].is_symlink()
    assert {path.lstat().st_uid for path in found.values()} == {os.getuid()}


def test_nothing_written_is_no_folder(tmp_path: Path) -> None:
    assert write_folder({"algo-1": stream(host(tmp_path / "1", {})), "algo-2": None}, tmp_path / "output").clashes == []

    assert [path.name for path in tmp_path.iterdir()] == ["1"]
