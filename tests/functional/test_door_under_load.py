"""The door's process under what is large or sudden: its memory, and what is left of its state when it is killed."""

from __future__ import annotations

import http.client
import os
import random
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from harness.door_environment import Door
from tests.functional.test_door_commands import Place

MIB = 1024**2
OREGON = {"LocationConstraint": "us-west-2"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    place.run("up")
    yield place
    place.run("down")


def door_of(place: Place) -> Door:
    door = place.state.door()
    assert door is not None, place.state.log.read_text()
    return door


def client(door: Door) -> Any:
    config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
    keys = {"aws_access_key_id": "ASIADOOR", "aws_secret_access_key": "of-nobody"}
    return boto3.Session().client("s3", endpoint_url=door.url, region_name="us-west-2", config=config, **keys)


def most_memory(door: Door) -> int:
    """What the door's process has had of memory at most, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{door.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def test_objects_of_any_size_pass_through_little_memory(place: Place) -> None:
    door, size = door_of(place), 300 * MIB
    s3 = client(door)
    s3.create_bucket(Bucket="large", CreateBucketConfiguration=OREGON)
    s3.put_object(Bucket="large", Key="first", Body=b"x")
    before = most_memory(door)
    connection = http.client.HTTPConnection(urlsplit(door.url).netloc, timeout=60)

    connection.request("PUT", "/large/one", (b"x" * MIB for _ in range(300)), {"Content-Length": str(size)})
    put = connection.getresponse()
    put.read()
    parts = []
    upload = {"Bucket": "large", "Key": "two"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    for number in (1, 2):
        part = s3.upload_part_copy(**upload, PartNumber=number, CopySource="large/one")["CopyPartResult"]
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    got = sum(len(piece) for piece in s3.get_object(Bucket="large", Key="two")["Body"].iter_chunks(MIB))
    connection.close()

    assert put.status == 200
    assert got == 2 * size
    assert most_memory(door) - before < 64 * MIB


class Writer:
    """Puts, joins, copies and deletes objects, and knows what was acknowledged: for each key, what it may hold now."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311
        self.may_be: dict[str, set[bytes | None]] = {}

    def write(self, s3: Any) -> None:
        """One change after the other until the door is gone."""
        try:
            while True:
                key = f"key-{self.chance.randrange(6)}"
                body = self.chance.randbytes(self.chance.choice((10, 100_000, 6 * MIB)))
                self.change(s3, key, body, self.chance.choice(("put", "put", "join", "copy", "delete")))
        except (BotoCoreError, OSError):
            pass

    def change(self, s3: Any, key: str, body: bytes, how: str) -> None:
        now = self.may_be.setdefault(key, {None})
        other = self.may_be.get("key-0", {None})
        to: set[bytes | None] = {body} if how in ("put", "join") else other if how == "copy" else {None}
        if how == "copy" and (key == "key-0" or len(other) > 1 or None in other):
            return
        self.may_be[key] = now | to
        where = {"Bucket": "kept", "Key": key}
        if how == "put":
            s3.put_object(**where, Body=body)
        elif how == "copy":
            s3.copy_object(**where, CopySource="kept/key-0")
        elif how == "delete":
            s3.delete_object(**where)
        else:
            upload = s3.create_multipart_upload(**where)["UploadId"]
            part = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=body)
            parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
            s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts)
        self.may_be[key] = to


def found(s3: Any, key: str) -> bytes | None:
    try:
        body: bytes = s3.get_object(Bucket="kept", Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return None
    return body


def test_a_door_that_is_killed_at_any_moment_loses_nothing_that_it_acknowledged(place: Place) -> None:
    client(door_of(place)).create_bucket(Bucket="kept", CreateBucketConfiguration=OREGON)
    writer, chance = Writer(seed=7), random.Random(11)  # noqa: S311
    for _ in range(4):
        door = door_of(place)
        writing = threading.Thread(target=writer.write, args=(client(door),))
        writing.start()
        time.sleep(chance.uniform(0.05, 0.6))
        os.kill(door.pid, signal.SIGKILL)
        writing.join()
        while place.state.held():
            time.sleep(0.01)
        place.run("up")

        s3 = client(door_of(place))
        for key, may_be in writer.may_be.items():
            now = found(s3, key)
            assert now in may_be, f"{key} has {now and now[:10]!r}"
            writer.may_be[key] = {now}

    assert writer.may_be
