"""Training through the AWS door on real hosts: an unchanged program of the SageMaker SDK, and what hosts may reach."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import tarfile
import textwrap
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import docker
import pytest
from botocore.config import Config

from harness import labels
from harness.cloud_sdk import ensure_sdk
from harness.door_environment import Door
from harness.door_state import StateFolder
from tests.docker.conftest import HARNESS

IMAGE = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:1.12.1-gpu-py38"
ROLE = "arn:aws:iam::000000000000:role/SageMakerHarness"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
NOTHING = "pass\n"
BRIDGE = "172.17.0.1"  # the engine's machine on its first network


class Platform:
    """The door of a folder, as boto3 and programs see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = StateFolder(folder / "runs/door")
        self.up()

    def up(self) -> None:
        done = self.run(HARNESS, "up")
        assert done.returncode == 0, done.stderr
        found = self.state.door()
        assert found
        self.door: Door = found
        self.s3 = self.client("s3")
        self.sagemaker = self.client("sagemaker")

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        # With slots of its own (`budget`): a test has two jobs at once, and those of others may want all there are.
        environment = {**os.environ, "TMPDIR": str(self.folder)}
        return subprocess.run(
            argv, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.door.url,
            region_name="us-west-2",
            aws_access_key_id=self.door.access_key_id,
            aws_secret_access_key=self.door.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def create(self, script: str, hosts: int = 1, hyperparameters: dict[str, str] | None = None, **members: Any) -> str:
        """A job that runs ``script``; its name, which is its own in the engine of many tests."""
        name = f"door-{uuid.uuid4().hex[:8]}"
        self.s3.put_object(
            Bucket=self.bucket(), Key=f"{name}/sourcedir.tar.gz", Body=sourcedir(textwrap.dedent(script))
        )
        self.sagemaker.create_training_job(
            **{
                "TrainingJobName": name,
                "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
                "RoleArn": ROLE,
                "HyperParameters": {
                    "sagemaker_program": '"script.py"',
                    "sagemaker_submit_directory": f'"s3://jobs/{name}/sourcedir.tar.gz"',
                    **(hyperparameters or {}),
                },
                "OutputDataConfig": {"S3OutputPath": "s3://jobs/"},
                "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": hosts, "VolumeSizeInGB": 30},
                "StoppingCondition": {"MaxRuntimeInSeconds": 300},
                **members,
            }
        )
        return name

    def bucket(self) -> str:
        if "jobs" not in [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]]:
            self.s3.create_bucket(Bucket="jobs", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        return "jobs"

    def over(self, name: str) -> dict[str, Any]:
        """Its description, once it is over."""
        end = time.monotonic() + 180
        while True:
            found: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
            if found["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
                return found
            assert time.monotonic() < end, found

    def lines(self, name: str) -> list[str]:
        """What its hosts have said so far, host after host; none before it has hosts."""
        logs: Any = self.client("logs")
        found: list[str] = []
        groups = logs.describe_log_groups(logGroupNamePrefix=LOG_GROUP)["logGroups"]
        if not groups:
            return found
        for stream in logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]:
            events = logs.get_log_events(
                logGroupName=LOG_GROUP, logStreamName=stream["logStreamName"], startFromHead=True
            )["events"]
            found += [event["message"] for event in events]
        return found

    def said(self, name: str, beginning: str) -> str:
        """The rest of its first line that begins so, once there is one."""
        end = time.monotonic() + 120
        while True:
            found = [line for line in self.lines(name) if line.startswith(beginning)]
            if found:
                return found[0].removeprefix(beginning)
            described = self.sagemaker.describe_training_job(TrainingJobName=name)
            assert described["TrainingJobStatus"] == "InProgress", described
            assert time.monotonic() < end, described
            time.sleep(0.2)

    def run_folder(self, name: str) -> Path:
        return self.state.path / "runs" / name


def sourcedir(script: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo("script.py")
        info.size = len(script.encode())
        tar.addfile(info, io.BytesIO(script.encode()))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    made = Platform(tmp_path_factory.mktemp("door"))
    yield made
    done = made.run(HARNESS, "down")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def platform(of_all: Platform) -> Platform:
    """One door for all tests, also after the one that ends it."""
    if of_all.state.door() is None:
        of_all.up()
    return of_all


def left_over(engine: docker.DockerClient, name: str) -> list[str]:
    chosen: dict[str, Any] = {"label": f"{labels.JOB}={name}"}
    found = [
        *engine.containers.list(all=True, filters=chosen, ignore_removed=True),
        *engine.networks.list(filters=chosen),
        *engine.volumes.list(filters=chosen),
    ]
    return [str(item.name) for item in found]


PROGRAM = """
import json
import sagemaker
from sagemaker.pytorch import PyTorch

session = sagemaker.Session()
inputs = session.upload_data(path="data", bucket=session.default_bucket(), key_prefix="sagemaker/DEMO")
estimator = PyTorch(
    entry_point="train.py",
    source_dir="code",
    role=sagemaker.get_execution_role(),
    framework_version="1.12.1",
    py_version="py38",
    instance_count=2,
    instance_type="ml.p2.xlarge",
    hyperparameters={"epochs": 6, "backend": "gloo"},
    distribution={"mpi": {"enabled": True}},
    metric_definitions=[{"Name": "world", "Regex": "of (\\\\d+)$"}],
)
estimator.fit({"training": inputs})
print()
print(json.dumps([estimator.latest_training_job.name, estimator.model_data, inputs]))
"""
TRAIN = """
import argparse, os
import horovod.torch as hvd

hvd.init()
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--backend")
told = parser.parse_args()
for number in range(200):
    print(f"line {number} of rank {hvd.rank()} of {hvd.size()}", flush=True)
if hvd.rank() == 0:
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "model.txt"), "w") as file:
        with open(os.path.join(os.environ["SM_CHANNEL_TRAINING"], "numbers.txt")) as numbers:
            print(told.epochs, told.backend, numbers.read(), hvd.size(), file=file)
"""


def test_a_program_of_the_sdk_trains_one_world_of_two_hosts(platform: Platform, engine: docker.DockerClient) -> None:
    (platform.folder / "code").mkdir()
    (platform.folder / "code/train.py").write_text(TRAIN)
    (platform.folder / "data").mkdir()
    (platform.folder / "data/numbers.txt").write_text("7")
    (platform.folder / "program.py").write_text(PROGRAM)

    done = platform.run(HARNESS, "exec", "--", str(ensure_sdk()), "program.py")

    assert done.returncode == 0, done.stderr
    name, model, inputs = json.loads(done.stdout.splitlines()[-1])
    bucket = "sagemaker-us-west-2-000000000000"
    assert model == f"s3://{bucket}/{name}/output/model.tar.gz"
    body = platform.s3.get_object(Bucket=bucket, Key=f"{name}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        member = tar.extractfile("model.txt")
        assert member
        assert member.read() == b"6 gloo 7 2\n"
    for rank in (0, 1):  # the first lines may stand behind a status, which the SDK prints without a newline
        printed = re.findall(rf"\[{rank}\]<stdout>:line (\d+) of rank {rank} of 2\n", done.stdout)
        assert printed == [str(number) for number in range(200)]
    described = platform.over(name)
    assert described["FinalMetricDataList"][0]["Value"] == 2.0
    assert described["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] == inputs
    receipt = json.loads((platform.run_folder(name) / "receipt.json").read_text())
    assert receipt["Launcher"].startswith("approximated: horovodrun --gloo")
    assert {path.name for path in (platform.run_folder(name) / "logs").iterdir()} >= {"algo-1.log", "algo-2.log"}
    await_nothing_left(engine, name)


def await_nothing_left(engine: docker.DockerClient, name: str) -> None:
    """Hosts are removed once the end of their job is told."""
    end = time.monotonic() + 30
    while left := left_over(engine, name):
        assert time.monotonic() < end, left
        time.sleep(0.1)


SEES = """
    import json, os, socket, sys, urllib.error, urllib.request
    from concurrent.futures import ThreadPoolExecutor

    def reaches(target):
        host, _, port = target.rpartition(":")
        try:
            socket.create_connection((host, int(port)), 2).close()
        except OSError as error:
            return str(error)
        return "yes"

    told = {"variables": [name for name in os.environ if name.startswith("AWS_")]}
    url = os.environ.get("AWS_ENDPOINT_URL", "")
    if url:
        import boto3
        told["account"] = boto3.client("sts").get_caller_identity()["Account"]
        try:
            urllib.request.urlopen(url + "/jobs?list-type=2")
        except urllib.error.HTTPError as error:
            told["unsigned"] = error.code
    targets = os.environ["TARGETS"].split()
    with ThreadPoolExecutor(len(targets)) as pool:
        told.update(zip(targets, pool.map(reaches, targets)))
    print("TOLD " + json.dumps(told), flush=True)
"""
LISTENS = """
    import http.server, socket
    print("ADDRESS " + socket.gethostbyname(socket.gethostname()), flush=True)
    http.server.HTTPServer(("", 8000), http.server.BaseHTTPRequestHandler).serve_forever()
"""


def test_hosts_reach_the_door_with_their_keys_and_not_the_hosts_of_other_jobs(platform: Platform) -> None:
    other = platform.create(LISTENS)
    address = platform.said(other, "ADDRESS ")
    loopback, port = "127.0.0.1", platform.door.url.rpartition(":")[2]
    closed = [f"{address}:8000", f"{loopback}:{port}", f"{address.rpartition('.')[0]}.1:{port}"]

    name = platform.create(SEES, Environment={"TARGETS": " ".join(closed)})
    told = json.loads(platform.said(name, "TOLD "))
    platform.sagemaker.stop_training_job(TrainingJobName=other)

    assert platform.over(name)["TrainingJobStatus"] == "Completed"
    assert told["account"] == "000000000000"
    assert told["unsigned"] == 403
    assert [told[target] for target in closed if told[target] == "yes"] == []
    assert platform.over(other)["TrainingJobStatus"] == "Stopped"


ISOLATED = """
    import os, socket, time
    if os.environ["SM_CURRENT_HOST"] == "algo-2":
        server = socket.create_server(("", 8000))
        server.accept()
    else:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("algo-2", 8000), 3).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
"""


def test_isolated_hosts_reach_each_other_and_nothing_else(platform: Platform) -> None:
    # As the SDK sends it: the code is a channel, as nothing could be fetched.
    script = textwrap.dedent(SEES) + textwrap.dedent(ISOLATED)
    platform.s3.put_object(Bucket=platform.bucket(), Key="isolated/sourcedir.tar.gz", Body=sourcedir(script))
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://jobs/isolated/sourcedir.tar.gz"}}
    port = platform.door.url.rpartition(":")[2]
    closed = ["192.0.2.1:80", f"{BRIDGE}:{port}"]

    name = platform.create(
        NOTHING,
        2,
        {"sagemaker_submit_directory": '"/opt/ml/input/data/code/sourcedir.tar.gz"'},
        EnableNetworkIsolation=True,
        InputDataConfig=[{"ChannelName": "code", "DataSource": source}],
        Environment={"TARGETS": " ".join(closed)},
    )
    ended = platform.over(name)

    assert ended["TrainingJobStatus"] == "Completed", ended
    told = json.loads(platform.said(name, "TOLD "))
    assert not {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"} & set(told["variables"])
    assert all("timed out" in told[target] or "No route" in told[target] for target in closed), told


def test_awss_toolkit_fetches_the_code_itself(platform: Platform) -> None:
    name = platform.create("print('RUNS')", Environment={"HARNESS_LAUNCHER": "toolkit"})

    assert platform.over(name)["TrainingJobStatus"] == "Completed"
    lines = platform.lines(name)
    assert "RUNS" in lines
    assert any("is empty, unzipping" in line for line in lines)  # toolkit, files.py


def test_a_door_that_was_killed_has_its_finished_jobs_and_tells_of_the_others(
    platform: Platform, engine: docker.DockerClient
) -> None:
    finished = platform.create("import os; open(os.environ['SM_MODEL_DIR'] + '/x', 'w').write('x')")
    running = platform.create(LISTENS)
    before = platform.over(finished)
    platform.said(running, "ADDRESS ")

    os.kill(platform.door.pid, signal.SIGKILL)
    platform.up()

    after = platform.over(finished)
    assert {**before, "ResponseMetadata": None} == {**after, "ResponseMetadata": None}
    assert platform.s3.get_object(Bucket="jobs", Key=f"{finished}/output/model.tar.gz")["ContentLength"] > 0
    lost = platform.over(running)
    assert lost["FailureReason"] == "InternalServerError: the door ended while the job ran"
    assert left_over(engine, running) == []


def test_the_end_of_the_door_ends_its_jobs_and_leaves_nothing(platform: Platform, engine: docker.DockerClient) -> None:
    running = platform.create(LISTENS, 2)
    platform.said(running, "ADDRESS ")

    done = platform.run(HARNESS, "down")

    assert done.returncode == 0, done.stderr
    assert left_over(engine, running) == []
    described = json.loads((platform.run_folder(running) / "describe.json").read_text())
    assert described["TrainingJobStatus"] == "Stopped"
