"""Checkpoints of running hosts and their place, a folder or S3, are kept in step."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from harness.checkpoint_place import CheckpointPlace, FolderPlace, S3Place, checkpoint_place
from harness.checkpoints import CheckpointSync
from harness.errors import BadInput, DataDownloadFailed
from tests.fake_cluster import FakeCluster

LOCAL = "/opt/ml/checkpoints"
NEW = "import time; time.sleep(600)"


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A client of an S3 that is this test's own, with one bucket."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106
    )
    client.create_bucket(Bucket="bucket")
    yield client
    client.close()
    server.stop()


@pytest.fixture(params=["folder", "s3", "file uri"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> CheckpointPlace:
    if request.param == "folder":
        return FolderPlace(tmp_path / "place")
    if request.param == "file uri":
        return checkpoint_place((tmp_path / "my place").as_uri())
    return checkpoint_place(f"s3://bucket/{tmp_path.name}/prefix/", request.getfixturevalue("s3"))


def names(place: CheckpointPlace) -> list[str]:
    return sorted(name for name, _, _ in place.files())


def text(place: CheckpointPlace, name: str) -> str:
    with place.read(name) as content:
        return content.read().decode()


# Places.


def test_a_place_gives_back_what_was_written_there_and_has_nothing_at_first(place: CheckpointPlace) -> None:
    assert names(place) == []

    place.write("sub/epoch-1.pt", io.BytesIO(b"weights"), 1700000000)
    place.write("last", io.BytesIO(b""), 1700000000)
    place.write("sub/epoch-1.pt", io.BytesIO(b"better weights"), 1700000001)

    assert {name: size for name, size, _ in place.files()} == {"last": 0, "sub/epoch-1.pt": 14}
    assert text(place, "sub/epoch-1.pt") == "better weights"
    place.delete("last")
    place.delete("never there")
    assert names(place) == ["sub/epoch-1.pt"]


def test_a_place_in_s3_is_a_folder_there_and_not_all_that_begins_alike(s3: Any) -> None:
    for key in ("ckpt/a", "ckpt/sub/", "ckpt-of-another/b", "ckpt/../c"):
        s3.put_object(Bucket="bucket", Key=key, Body=b"x")

    assert names(S3Place("bucket", "ckpt", s3)) == ["a"]


def test_a_bucket_that_is_not_there_is_told_by_name(s3: Any, tmp_path: Path) -> None:
    sync = CheckpointSync(S3Place("no-such-bucket", "p", s3), LOCAL, print)

    with pytest.raises(DataDownloadFailed, match=r"checkpoints in s3://no-such-bucket/p: .*NoSuchBucket"):
        sync.restore(FakeCluster(tmp_path / "hosts", {"algo-1": NEW}), ["algo-1"])


def test_links_that_lead_nowhere_are_no_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    (tmp_path / "round").symlink_to(tmp_path / "round")

    assert names(FolderPlace(tmp_path)) == ["a"]


def test_a_place_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sync = CheckpointSync(FolderPlace(tmp_path / "file"), LOCAL, print)

    with pytest.raises(DataDownloadFailed, match="file is not a folder"):
        sync.restore(FakeCluster(tmp_path / "hosts", {"algo-1": NEW}), ["algo-1"])


@pytest.mark.parametrize("uri", ["https://host/x", "s3://", "s3:///key", "file://", "relative"])
def test_any_other_place_is_refused(uri: str) -> None:
    with pytest.raises(BadInput, match="is neither an s3:// URI nor a folder"):
        checkpoint_place(uri)


def test_files_of_a_folder_keep_their_time_and_belong_to_the_caller(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path)

    place.write("a/b", io.BytesIO(b"x"), 1700000000)

    found = (tmp_path / "a/b").stat()
    assert (found.st_mtime, found.st_uid) == (1700000000, os.getuid())
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


# Hosts.


class Hosts:
    """Hosts that run, with a hand on what is in their checkpoint folders."""

    def __init__(self, folder: Path, place: CheckpointPlace, hosts: int = 2) -> None:
        self.names = [f"algo-{n + 1}" for n in range(hosts)]
        self.cluster = FakeCluster(folder, dict.fromkeys(self.names, NEW))
        self.notes: list[str] = []
        self.sync = CheckpointSync(place, LOCAL, self.notes.append)
        self.cluster.prepare()
        self.sync.restore(self.cluster, self.names)

    def folder(self, host: str) -> Path:
        return self.cluster.folder / host / "ml/checkpoints"

    def files(self, host: str) -> dict[str, str]:
        top = self.folder(host)
        return {p.relative_to(top).as_posix(): p.read_text() for p in top.rglob("*") if p.is_file()}


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_every_host_begins_with_all_that_is_in_the_place(place: CheckpointPlace, tmp_path: Path) -> None:
    place.write("epoch-1", io.BytesIO(b"one"), 1700000000)
    place.write("sub/epoch-2", io.BytesIO(b"two"), 1700000000)

    hosts = Hosts(tmp_path / "hosts", place)

    for name in hosts.names:
        assert hosts.files(name) == {"epoch-1": "one", "sub/epoch-2": "two"}


def test_an_empty_place_gives_every_host_an_empty_folder(place: CheckpointPlace, tmp_path: Path) -> None:
    hosts = Hosts(tmp_path / "hosts", place)

    assert [hosts.folder(name).is_dir() for name in hosts.names] == [True, True]


def test_what_any_host_writes_is_uploaded_while_it_runs_and_what_it_deletes_is_deleted(
    place: CheckpointPlace, tmp_path: Path
) -> None:
    place.write("old", io.BytesIO(b"old"), 1700000000)
    hosts = Hosts(tmp_path / "hosts", place)
    hosts.sync.start()

    (hosts.folder("algo-1") / "sub").mkdir()
    (hosts.folder("algo-1") / "sub/new").write_text("of algo-1")
    (hosts.folder("algo-2") / "other").write_text("of algo-2")
    (hosts.folder("algo-1") / "old").unlink()

    until(lambda: names(place) == ["other", "sub/new"])
    assert text(place, "sub/new") == "of algo-1"
    hosts.sync.stop()
    assert hosts.notes == []


def test_a_file_that_changes_is_uploaded_again(place: CheckpointPlace, tmp_path: Path) -> None:
    hosts = Hosts(tmp_path / "hosts", place, hosts=1)
    hosts.sync.start()
    for content in ("first", "other"):
        (hosts.folder("algo-1") / "last").write_text(content)
        until(lambda: names(place) == ["last"] and text(place, "last") == content)  # noqa: B023
    hosts.sync.stop()


def test_a_file_that_is_being_written_is_not_uploaded_before_it_is_left_alone(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path / "place")
    hosts = Hosts(tmp_path / "hosts", place, hosts=1)
    hosts.sync.start()
    growing = hosts.folder("algo-1") / "growing"
    for number in range(30):
        with growing.open("a") as file:
            file.write(f"{number}\n")
        time.sleep(0.1)
        assert names(place) == []

    until(lambda: names(place) == ["growing"])
    assert text(place, "growing") == growing.read_text()
    hosts.sync.stop()


def test_a_file_that_is_written_anew_all_the_time_is_uploaded_all_the_same(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path / "place")
    hosts = Hosts(tmp_path / "hosts", place, hosts=1)
    hosts.sync.start()
    number = 0

    def write_anew() -> None:
        nonlocal number
        number += 1
        part = hosts.folder("algo-1") / "part"
        part.write_text(f"{number:06}")
        part.rename(hosts.folder("algo-1") / "last")

    def uploaded() -> bool:
        write_anew()
        return "last" in names(place)

    until(uploaded)
    write_anew()
    until(lambda: text(place, "last") == f"{number:06}")
    hosts.sync.stop()


def test_the_last_look_takes_everything_at_once(place: CheckpointPlace, tmp_path: Path) -> None:
    hosts = Hosts(tmp_path / "hosts", place)
    hosts.sync.start()
    (hosts.folder("algo-1") / "same").write_text("of algo-1")
    (hosts.folder("algo-2") / "same").write_text("of algo-2 and longer")

    hosts.sync.finish()

    assert text(place, "same") == "of algo-2 and longer"  # no prefix per host: the last writer's


def test_after_an_interruption_nothing_more_is_uploaded(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path / "place")
    hosts = Hosts(tmp_path / "hosts", place, hosts=1)
    hosts.sync.start()
    (hosts.folder("algo-1") / "late").write_text("x")

    hosts.sync.stop()
    time.sleep(2.5)

    assert names(place) == []


def test_a_restored_file_that_nobody_touches_is_not_uploaded_again(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path / "place")
    place.write("a", io.BytesIO(b"restored"), 1700000000)
    hosts = Hosts(tmp_path / "hosts", place)
    place.write("a", io.BytesIO(b"added later, by somebody else"), 1700000009)

    hosts.sync.finish()

    assert text(place, "a") == "added later, by somebody else"
    assert hosts.files("algo-1") == {"a": "restored"}


def test_a_host_that_is_gone_takes_no_checkpoint_along(tmp_path: Path) -> None:
    place = FolderPlace(tmp_path / "place")
    place.write("a", io.BytesIO(b"x"), 1700000000)
    hosts = Hosts(tmp_path / "hosts", place)
    hosts.cluster.remove()

    hosts.sync.finish()

    assert names(place) == ["a"]


class Full:
    """A place that takes nothing."""

    def files(self) -> Iterator[tuple[str, int, float]]:
        yield from ()

    def read(self, name: str) -> Any:
        raise OSError(name)

    def write(self, *_: Any) -> None:
        raise OSError("no space left on device")

    def delete(self, name: str) -> None:
        raise OSError(name)

    def __str__(self) -> str:
        return "/full"


def test_a_place_that_takes_nothing_is_told_once_and_training_goes_on(tmp_path: Path) -> None:
    hosts = Hosts(tmp_path / "hosts", Full(), hosts=1)
    hosts.sync.start()
    (hosts.folder("algo-1") / "a").write_text("x")

    until(lambda: hosts.notes)
    hosts.sync.finish()

    assert hosts.notes == ["checkpoints of algo-1 could not be uploaded to /full: no space left on device"]
