"""Channels in S3: against a server that answers as S3 does, at an endpoint of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

SETTINGS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
# The settings are a process's own, so what reads them is one.
PROGRAM = """
import json, sys
from dataclasses import replace
from pathlib import Path
from harness.data_sources import list_inputs
from harness.errors import HarnessError
from harness.job import Channel
from harness.s3_objects import S3
from tests.jobs import training_job

channel, fetch, cache = json.loads(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
channel["attribute_names"] = tuple(channel.get("attribute_names", ()))
try:
    (data,) = list_inputs(training_job(inputs=(Channel("train", **channel),)))
    answer = {"keys": [o.key for o in data.objects], "uris": [o.uri for o in data.objects], "prefix": data.prefix}
    if fetch == "stale":
        data = replace(data, objects=tuple(replace(o, etag='"of an older version"') for o in data.objects))
    if fetch:
        answer["contents"] = [o.path.read_text() for o in S3().download(data.objects, cache)]
except HarnessError as error:
    answer = {"refused": str(error), "kind": type(error).__name__}
print(json.dumps(answer))
"""


@dataclass(frozen=True)
class Bucket:
    """A bucket full of objects behind ``endpoint``, and the harness told of it."""

    endpoint: str
    folder: Path
    client: Any

    def put(self, key: str, body: str) -> None:
        self.client.put_object(Bucket="data", Key=key, Body=body)

    def list(self, uri: str, *, fetch: str = "", without: str = "", **channel: Any) -> dict[str, Any]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment |= SETTINGS | {"AWS_ENDPOINT_URL": self.endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
        environment |= {"HOME": str(self.folder), "AWS_MAX_ATTEMPTS": "1"}
        if without:
            environment = {name: value for name, value in environment.items() if without not in name}
        text = json.dumps({"source": uri, **channel})
        argv = [sys.executable, "-c", PROGRAM, text, fetch, str(self.folder / "cache")]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=True)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def cached(self) -> list[Path]:
        return sorted(path for path in (self.folder / "cache").rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def bucket(server: str, tmp_path: Path) -> Iterator[Bucket]:
    client = boto3.client(
        "s3",
        endpoint_url=server,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106
    )
    client.create_bucket(Bucket="data")
    made = Bucket(server, tmp_path, client)
    for key in ("in/train-0", "in/train-1", "in/train/deep/x", "in/test"):
        made.put(key, f"content of {key}")
    yield made
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="data"):
        for item in page.get("Contents", ()):
            client.delete_object(Bucket="data", Key=item["Key"])
    client.delete_bucket(Bucket="data")
    client.close()


def test_a_prefix_is_a_string_and_what_follows_its_last_slash_is_kept(bucket: Bucket) -> None:
    found = bucket.list("s3://data/in/tr")

    assert found["keys"] == ["train-0", "train-1", "train/deep/x"]
    assert found["uris"][2] == "s3://data/in/train/deep/x"
    assert found["prefix"] == "in/tr"


def test_a_folder_is_a_prefix_with_or_without_its_slash(bucket: Bucket) -> None:
    bucket.put("in/", "")  # as consoles make empty folders

    for uri in ("s3://data/in/", "s3://data/in"):
        assert bucket.list(uri)["keys"] == ["test", "train-0", "train-1", "train/deep/x"]


def test_a_whole_bucket_is_a_channel(bucket: Bucket) -> None:
    assert bucket.list("s3://data")["keys"] == ["in/test", "in/train-0", "in/train-1", "in/train/deep/x"]


def test_more_objects_than_one_answer_lists(bucket: Bucket) -> None:
    for number in range(1001):
        bucket.put(f"many/{number:04}", "")

    assert len(bucket.list("s3://data/many/")["keys"]) == 1001


def test_objects_are_downloaded_once_and_a_new_version_again(bucket: Bucket) -> None:
    first = bucket.list("s3://data/in/train-", fetch="fresh")
    times = {path: path.stat().st_mtime_ns for path in bucket.cached()}
    second = bucket.list("s3://data/in/train-", fetch="fresh")
    unchanged = {path: path.stat().st_mtime_ns for path in bucket.cached()}
    bucket.put("in/train-0", "another content")
    third = bucket.list("s3://data/in/train-", fetch="fresh")

    assert first["contents"] == second["contents"] == ["content of in/train-0", "content of in/train-1"]
    assert times == unchanged
    assert third["contents"] == ["another content", "content of in/train-1"]
    assert len(bucket.cached()) == 3


def test_an_object_that_was_replaced_after_it_was_listed_is_a_failed_download(bucket: Bucket) -> None:
    found = bucket.list("s3://data/in/test", fetch="stale")

    assert found["kind"] == "DataDownloadFailed"
    assert found["refused"] == (
        "'s3://data/in/test': the object was replaced while the job was starting; start it again"
    )


def test_an_object_larger_than_one_part_arrives_whole(bucket: Bucket) -> None:
    bucket.put("large", "0123456789" * (2 << 20))

    assert bucket.list("s3://data/large", fetch="fresh")["contents"] == ["0123456789" * (2 << 20)]


def test_a_manifest_names_objects_wherever_its_prefix_is(bucket: Bucket) -> None:
    bucket.put("manifest", json.dumps([{"prefix": "s3://data/in/"}, "train/deep/x", "test"]))

    found = bucket.list("s3://data/manifest", s3_data_type="ManifestFile", fetch="fresh")

    assert found["keys"] == ["train/deep/x", "test"]
    assert found["contents"] == ["content of in/train/deep/x", "content of in/test"]


def test_missing_objects_of_a_manifest_are_named(bucket: Bucket) -> None:
    bucket.put("manifest", json.dumps([{"prefix": "s3://data/in/"}, "test", "none"]))

    found = bucket.list("s3://data/manifest", s3_data_type="ManifestFile")

    assert found["kind"] == "BadInput"
    assert found["refused"] == (
        "training.inputs.train: the manifest 's3://data/manifest' names 's3://data/in/none', which does not exist"
    )


def test_an_augmented_manifest_refers_to_objects(bucket: Bucket) -> None:
    lines = [{"source-ref": f"s3://data/in/{name}", "label": name} for name in ("test", "train-0", "test")]
    bucket.put("train.jsonl", "\n".join(map(json.dumps, lines)))

    found = bucket.list(
        "s3://data/train.jsonl",
        s3_data_type="AugmentedManifestFile",
        attribute_names=["source-ref", "label"],
        input_mode="Pipe",
        fetch="fresh",
    )

    assert found["contents"] == ["content of in/test", "content of in/train-0"]


def test_no_object_under_a_prefix_is_refused_in_the_platforms_words(bucket: Bucket) -> None:
    found = bucket.list("s3://data/nothing/")

    assert found["kind"] == "BadInput"
    assert found["refused"].startswith(
        'training.inputs.train: No S3 objects found under S3 URL "s3://data/nothing/" given in input data source. '
        "Please ensure that the bucket exists in the selected region (us-east-1), "
    )


@pytest.mark.parametrize(
    ("uri", "channel", "said"),
    [
        ("s3://no-such-bucket/x", {}, "'s3://no-such-bucket/x': no such bucket; "),
        ("s3://data/none", {"s3_data_type": "ManifestFile"}, "'s3://data/none': no such object"),
        ("s3://data/in/test", {"s3_data_type": "ManifestFile"}, "is no manifest: not JSON: "),
    ],
)
def test_what_is_not_there_is_one_clear_line(bucket: Bucket, uri: str, channel: dict[str, Any], said: str) -> None:
    found = bucket.list(uri, **channel)

    assert found["kind"] == "BadInput"
    assert found["refused"].startswith(f"training.inputs.train: {said}")
    assert "\n" not in found["refused"]


def test_missing_credentials_are_one_clear_line(bucket: Bucket) -> None:
    found = bucket.list("s3://data/in/", without="KEY")

    assert found["refused"] == (
        "training.inputs.train: 's3://data/in/': no AWS credentials: set AWS_PROFILE, "
        "or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )


def test_an_endpoint_that_does_not_answer_is_one_clear_line(bucket: Bucket) -> None:
    found = Bucket("http://127.0.0.1:9", bucket.folder, bucket.client).list("s3://data/in/")

    assert found["refused"].startswith("training.inputs.train: 's3://data/in/': Could not connect to the endpoint URL")
