"""Channels of every kind, as scripts on real hosts find them."""

from __future__ import annotations

import gzip
import json
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import docker
import pytest
from moto.server import ThreadedMotoServer

from harness import labels
from harness.cluster import DockerCluster
from harness.compose import Project
from harness.compose_command import ensure_compose
from harness.data_sources import list_inputs
from harness.describe import REGION, training_job_arn
from harness.errors import BadInput, DataDownloadFailed
from harness.expectations import assert_completed
from harness.image_build import image_tag, read_context
from harness.job import Channel
from harness.plan import ClusterPlan, plan_training
from harness.steps import Steps
from harness.tar import members
from tests.docker.conftest import Training, Workplace
from tests.jobs import training_job

# What a script finds in its channels, as one line of JSON.
LOOK = """
    import json, os

    def files(folder):
        found = {}
        for place, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(place, name)
                found[os.path.relpath(path, folder)] = open(path).read()
        return found

    top = "/opt/ml/input/data"
    seen = {name: files(os.path.join(top, name)) for name in os.environ["SM_CHANNELS"].strip('[]"').split('","')}
    seen["manifests"] = {n: open(os.path.join(top, n)).read() for n in os.listdir(top) if n.endswith("-manifest")}
    print("SEEN " + json.dumps(seen), flush=True)
"""


def seen(log: str) -> Any:
    """What the script of one host said that it had seen."""
    return json.loads(log.split("SEEN ")[1].splitlines()[0])


@pytest.fixture
def data(workplace: Workplace) -> Path:
    folder = workplace.folder / "data"
    (folder / "deep").mkdir(parents=True)
    for number in range(5):
        (folder / f"part-{number}").write_text(f"content {number}")
    (folder / "deep" / "er").write_text("deeper")
    return folder


def test_twenty_channels_are_each_there_and_each_hosts_own(
    training: Training, workplace: Workplace, data: Path
) -> None:
    for number in range(20):
        (data / f"only-{number}").write_text(str(number))
    inputs = "".join(f'channel-{number} = "data/only-{number}"\n' for number in range(20))
    job = workplace.job(
        LOOK + '    open("/opt/ml/input/data/channel-7/mine", "x").close()\n',
        table=f"[training.inputs]\n{inputs}",
    )

    result = training(job).wait()

    assert_completed(result)
    for host in ("algo-1", "algo-2"):
        found = seen(result.host(host).log.text)
        assert {f"channel-{n}": {f"only-{n}": str(n)} for n in range(20)}.items() <= found.items()
        assert len(found["manifests"]) == 20
    assert not (data / "mine").exists()


def test_shards_manifests_and_fast_files_are_what_the_platform_makes_of_them(
    training: Training, workplace: Workplace, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace.folder / "files.json").write_text(json.dumps([{"prefix": "data/"}, "deep/er", "part-3"]))
    job = workplace.job(
        LOOK
        + """
    config = json.load(open("/opt/ml/input/config/inputdataconfig.json"))
    assert config["fast"]["TrainingInputMode"] == "File", config
    for path in ("part-0", "new"):
        try:
            open("/opt/ml/input/data/fast/" + path, "w")
        except OSError as error:
            print("REFUSED", error, flush=True)
    """,
        table="""
        [training.inputs]
        shard = { s3_data = "data/part-", distribution = "ShardedByS3Key" }
        one = { s3_data = "data/deep", distribution = "ShardedByS3Key" }
        listed = { s3_data = "files.json", s3_data_type = "ManifestFile" }
        fast = { s3_data = "data", input_mode = "FastFile" }
        """,
    )

    result = training(job).wait()

    assert_completed(result)
    first, second = (seen(result.host(host).log.text) for host in ("algo-1", "algo-2"))

    # Each host gets its shard; its manifest lists all objects, whoever has them.
    assert first["shard"] == {f"part-{n}": f"content {n}" for n in (0, 2, 4)}
    assert second["shard"] == {f"part-{n}": f"content {n}" for n in (1, 3)}
    received = result.receipt["Channels"]
    assert received["shard"]["Hosts"]["algo-2"] == {"Objects": 2, "Bytes": 18, "FirstKeys": ["part-1", "part-3"]}
    lines = second["manifests"]["shard-manifest"].splitlines()
    assert lines == [str(data / "part-").lstrip("/"), *((data / f"part-{n}").as_uri() for n in range(5))]

    # A host for which there is nothing has an empty channel, and is named.
    assert (first["one"], second["one"]) == ({"er": "deeper"}, {})
    told = "channel 'one' is sharded over 2 hosts and holds 1 in all: nothing for algo-2"
    assert told in capsys.readouterr().err

    # A manifest names the objects of its channel.
    assert first["listed"] == second["listed"] == {"deep/er": "deeper", "part-3": "content 3"}

    # A FastFile channel is read-only, and File to the script.
    assert len(first["fast"]) == 6
    for host in ("algo-1", "algo-2"):
        assert result.host(host).log.text.count("Read-only file system") == 2
    assert (data / "part-0").read_text() == "content 0"


def test_a_manifest_that_names_what_is_not_there_starts_nothing(
    training: Training, workplace: Workplace, data: Path
) -> None:
    (workplace.folder / "files.json").write_text(json.dumps([{"prefix": "data/"}, "nothing", "../x"]))
    table = '[training.inputs]\ntraining = { s3_data = "files.json", s3_data_type = "ManifestFile" }\n'
    problem = "training.inputs.training: '../x' in the manifest is no path below its prefix 'data/'"

    with pytest.raises(BadInput, match=re.escape(problem)):
        training(workplace.job(LOOK, table=table))

    assert not (workplace.folder / "runs").exists()
    assert data.is_dir()


# Pipes, by the command: its feeders leave nothing behind, however their job ends.

READ = """
    import json, os

    def read(channel, epoch, size=-1):
        with open(f"/opt/ml/input/data/{channel}_{epoch}", "rb") as pipe:
            return pipe.read(size).decode()
"""


def test_pipes_are_fifos_for_each_epoch_sharded_shuffled_and_unpacked(
    workplace: Workplace, data: Path, left_over: Callable[[], list[str]]
) -> None:
    (data / "part-0").write_bytes(b"x" * (1 << 20))
    for number in range(5):
        (data / f"card-{number}").write_text(f"card {number}")
    for number in range(2):
        (data / f"packed-{number}").write_bytes(gzip.compress(f"unpacked {number} ".encode()))
    job = workplace.job(
        READ
        + """
    first, early, third = read("training", 0), read("training", 1, 10), read("training", 2)
    seen = {"training": [len(first), first == third, early, first[-9:]]}
    seen["other"] = read("other", 0)
    seen["cards"] = [read("cards", epoch) for epoch in range(4)]
    seen["packed"] = read("packed", 0)
    print("SEEN " + json.dumps(seen), flush=True)
    config = json.load(open("/opt/ml/input/config/inputdataconfig.json"))
    assert config["training"]["TrainingInputMode"] == "Pipe", config
    assert os.path.isdir("/opt/ml/input/data/files")
    """,
        table="""
        input_mode = "Pipe"
        [training.inputs]
        training = "data/part-"
        other = { s3_data = "data/deep", content_type = "text/plain" }
        files = { s3_data = "data", input_mode = "File" }
        cards = { s3_data = "data/card-", distribution = "ShardedByS3Key", shuffle_config = { seed = 1 } }
        packed = { s3_data = "data/packed", compression = "Gzip" }
        """,
    )

    ran = workplace.harness("train", str(job))

    assert ran.exit_code == 0, ran
    one, two = (seen(workplace.log(host)) for host in ("algo-1", "algo-2"))
    for host in (one, two):
        assert host["training"] == [(1 << 20) + 36, True, "x" * 10, "content 4"]
        assert host["other"] == "deeper"
        assert host["packed"] == "unpacked 0 unpacked 1 "
    for first, second in zip(one["cards"], two["cards"], strict=True):
        assert sorted((first + second).split("card ")) == ["", *"01234"]
    assert len(set(one["cards"])) > 1
    assert left_over() == []


def test_an_augmented_manifest_comes_as_records_to_any_image(workplace: Workplace, data: Path) -> None:
    lines = [{"source-ref": (data / f"part-{n}").as_uri(), "class": n} for n in (3, 1)]
    (workplace.folder / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    job = workplace.job(
        "",
        table="""
        image_uri = "debian:bookworm-slim"
        container_entry_point = ["sh", "-c", "tr -cd '[:alnum:] ' < /opt/ml/input/data/training_0; echo"]
        [training.inputs.training]
        s3_data = "train.jsonl"
        s3_data_type = "AugmentedManifestFile"
        attribute_names = ["source-ref", "class"]
        record_wrapping = "RecordIO"
        input_mode = "Pipe"
        """,
        instance_count=1,
    )

    ran = workplace.harness("train", str(job))

    assert ran.exit_code == 0, ran
    assert re.search("content 3.*content 1", workplace.log("algo-1")), ran


def test_a_pipe_that_cannot_be_fed_fails_the_job(
    workplace: Workplace, data: Path, left_over: Callable[[], list[str]]
) -> None:
    table = '[training.inputs]\ntraining = { s3_data = "data/deep", input_mode = "Pipe", compression = "Gzip" }\n'
    # Whatever the script does about an end of its data: it must not be taken for one.
    job = workplace.job(READ + '    read("training", 0)\n    import time; time.sleep(600)\n', table=table)

    ran = workplace.harness("train", str(job))

    assert ran.exit_code == 1, ran
    reason = workplace.describe()["FailureReason"]
    assert "Data download failed: channel 'training': " in reason
    assert "compression = 'Gzip', but the object is not gzip" in reason
    assert left_over() == []
    assert data.is_dir()


# S3.


@pytest.fixture
def s3(workplace: Workplace) -> Iterator[dict[str, str]]:
    """What the harness must be told to find a bucket 'data' with a few objects."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106
    )
    client.create_bucket(Bucket="data")
    for key in ("in/train-0", "in/train-1", "in/test"):
        client.put_object(Bucket="data", Key=key, Body=key)
    client.close()
    yield {
        "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "XDG_CACHE_HOME": str(workplace.folder / "cache"),
    }
    server.stop()


def test_objects_in_s3_reach_the_hosts_and_are_downloaded_once(workplace: Workplace, s3: dict[str, str]) -> None:
    table = """
    [training.inputs]
    whole = "s3://data/in"
    shard = { s3_data = "s3://data/in/tr", distribution = "ShardedByS3Key" }
    """
    job = workplace.job(LOOK, table=table)

    def downloaded() -> dict[Path, int]:
        found = (workplace.folder / "cache").rglob("s3/*/*")
        return {path: path.stat().st_mtime_ns for path in found if path.is_file()}

    ran = workplace.harness("train", str(job), env=s3)
    first = downloaded()
    again = workplace.harness("train", str(job), env=s3)

    assert ran.exit_code == 0, ran
    assert again.exit_code == 0, again
    for host, shard in (("algo-1", "train-0"), ("algo-2", "train-1")):
        found = seen(workplace.log(host))
        assert found["whole"] == {"train-0": "in/train-0", "train-1": "in/train-1", "test": "in/test"}
        assert found["shard"] == {shard: f"in/{shard}"}
        assert found["manifests"]["shard-manifest"] == "in/tr\ns3://data/in/train-0\ns3://data/in/train-1\n"
    assert downloaded() == first


def test_nothing_under_a_prefix_starts_nothing(workplace: Workplace, s3: dict[str, str]) -> None:
    job = workplace.job(LOOK, table='[training.inputs]\ntraining = "s3://data/nothing"\n')

    ran = workplace.harness("train", str(job), env=s3)

    assert ran.exit_code == 2, ran
    assert 'No S3 objects found under S3 URL "s3://data/nothing" given in input data source.' in ran.stderr
    assert not (workplace.folder / "runs").exists()


# Where volumes cannot be layered, and where data goes away.

Make = Callable[..., DockerCluster]


@pytest.fixture
def make(engine: docker.DockerClient, tmp_path: Path) -> Iterator[Make]:
    made: list[DockerCluster] = []

    def cluster(*channels: Channel, **more: Any) -> DockerCluster:
        (tmp_path / "code").mkdir()
        job = training_job(source_dir=tmp_path / "code", inputs=channels)
        project = Project(f"channels-{secrets.token_hex(4)}", "Channels-1")
        made.append(
            DockerCluster(
                engine, ensure_compose(Steps()), plan(job), project, list_inputs(job), tmp_path / "cache", **more
            )
        )
        return made[-1]

    yield cluster
    for each in made:
        each.remove()


def plan(job: Any) -> ClusterPlan:
    arn = training_job_arn("Channels-1")
    image = image_tag(read_context())
    return plan_training(
        job, "Channels-1", arn=arn, region=REGION, image=image, launcher="gloo", output_path="file:///runs"
    )


@pytest.mark.parametrize("layered", [True, False])
def test_an_engine_that_cannot_layer_copies_the_same_to_every_host(make: Make, data: Path, layered: bool) -> None:
    cluster = make(
        Channel("whole", data),
        Channel("shard", data / "part-", distribution="ShardedByS3Key"),
        layered=layered,
    )

    cluster.prepare()

    for host, shard in (("algo-1", ["part-0", "part-2", "part-4"]), ("algo-2", ["part-1", "part-3"])):
        stream = cluster.fetch(host, "/opt/ml/input/data")
        assert stream
        found = sorted(str(path) for path, entry, _ in members(stream) if entry.isfile())
        assert found == sorted(
            [
                *(f"shard/{name}" for name in shard),
                "shard-manifest",
                "whole-manifest",
                "whole/deep/er",
                *(f"whole/part-{number}" for number in range(5)),
            ]
        )


def test_data_that_goes_away_after_it_was_listed_is_a_failed_download(
    make: Make, data: Path, engine: docker.DockerClient
) -> None:
    cluster = make(Channel("training", data))
    (data / "part-3").unlink()

    with pytest.raises(DataDownloadFailed, match=r"channel 'training': .*part-3"):
        cluster.prepare()

    chosen = {"label": f"{labels.RUN}={cluster.project.name}"}
    assert engine.containers.list(all=True, filters=chosen, ignore_removed=True) == []
