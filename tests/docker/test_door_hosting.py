"""Endpoints of the AWS door, through boto3 and `harness up`, on real containers."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import docker
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from harness import labels
from harness.door_environment import Door
from harness.door_state import StateFolder
from tests.docker.conftest import HARNESS

IMAGE = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-inference:1.12.1-gpu-py38"
ROLE = "arn:aws:iam::000000000000:role/SageMakerHarness"
# The least that a handler can be: no torch, a factor for a model.
HANDLER = """
import json, os

def model_fn(model_dir):
    with open(os.path.join(model_dir, "factor")) as file:
        return float(file.read())

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(values, factor):
    print("predicting", values, flush=True)
    return [value * factor for value in values] + [os.environ["COLOUR"]]

def output_fn(answer, accept):
    return json.dumps(answer)
"""
VARIANT = {
    "VariantName": "AllTraffic",
    "InstanceType": "ml.m5.large",
    "InitialInstanceCount": 1,
}
BROKEN = "raise ValueError('this handler cannot be imported')\n"
ENVIRONMENT = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}


class Platform:
    """The door of a folder as boto3 sees it, with models and endpoints of this test's own."""

    def __init__(self, folder: StateFolder) -> None:
        self.folder = folder
        command("up", folder)
        found = folder.door()
        assert found
        self.door: Door = found
        self.mark = uuid.uuid4().hex[:6]

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.door.url,
            region_name="us-west-2",
            aws_access_key_id=self.door.access_key_id,
            aws_secret_access_key=self.door.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def name(self, what: str) -> str:
        return f"{what}-{self.mark}"

    def model(self, what: str, factor: int, *, handler: str = HANDLER, colour: str = "red") -> str:
        """A model in S3 and in SageMaker; its name."""
        s3, name = self.client("s3"), self.name(what)
        location = {"LocationConstraint": "us-west-2"}
        if "models" not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(Bucket="models", CreateBucketConfiguration=location)
        s3.put_object(Bucket="models", Key=f"{name}/model.tar.gz", Body=archive(handler, factor))
        self.client("sagemaker").create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={
                "Image": IMAGE,
                "ModelDataUrl": f"s3://models/{name}/model.tar.gz",
                "Environment": {**ENVIRONMENT, "COLOUR": colour},
            },
        )
        return name

    def config(self, what: str, *variants: tuple[str, str, int, float]) -> str:
        """A configuration of variants, each of a name, a model, a count and a weight; its name."""
        name = self.name(what)
        self.client("sagemaker").create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[
                {
                    "VariantName": variant,
                    "ModelName": model,
                    "InitialInstanceCount": count,
                    "InitialVariantWeight": weight,
                    "InstanceType": "ml.m5.large",
                }
                for variant, model, count, weight in variants
            ],
        )
        return name

    def endpoint(self, what: str, config: str) -> str:
        name = self.name(what)
        self.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName=config)
        return name

    def settled(self, name: str, seconds: float = 120) -> dict[str, Any]:
        """The endpoint's description, once it no longer moves."""
        end = time.monotonic() + seconds
        while True:
            found: dict[str, Any] = self.client("sagemaker").describe_endpoint(EndpointName=name)
            if not found["EndpointStatus"].endswith("ing") or time.monotonic() > end:
                return found

    def invoke(self, name: str, values: list[float], **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=name, Body=json.dumps(values), ContentType="application/json", **options
        )
        return answer

    def delete(self, name: str) -> None:
        """Delete the endpoint, and find nothing of it once it is gone."""
        self.client("sagemaker").delete_endpoint(EndpointName=name)

        assert eventually(lambda: gone(self.client("sagemaker"), name), 40)
        assert self.containers(name) == []
        assert not list((self.folder.path / "endpoints").glob(f"{name}*"))

    def containers(self, name: str) -> list[Any]:
        chosen: dict[str, Any] = {"label": f"{labels.JOB}={name}"}
        found: list[Any] = docker.from_env().containers.list(all=True, filters=chosen, ignore_removed=True)
        return found


def command(name: str, folder: StateFolder) -> None:
    argv = [HARNESS, name, "--state", str(folder.path)]
    environment = {**os.environ, "TMPDIR": str(folder.path)}  # slots of its own: others may want all there are
    subprocess.run(argv, check=True, timeout=120, capture_output=True, env=environment)


def archive(handler: str, factor: int) -> bytes:
    """As SDK v2 repacks a model: its root folder has an empty name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        root = tarfile.TarInfo("")
        root.type = tarfile.DIRTYPE
        root.mode = 0o755
        tar.addfile(root)
        for path, text in (("code/inference.py", handler), ("factor", str(factor))):
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def read(answer: dict[str, Any]) -> Any:
    return json.loads(answer["Body"].read())


def eventually(found: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not found():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = StateFolder(tmp_path_factory.mktemp("door"))
    platform = Platform(folder)
    yield platform
    command("down", folder)
    assert docker.from_env().containers.list(all=True, filters={"label": f"{labels.DOOR}={folder.door_id()}"}) == []


@pytest.fixture(scope="module")
def served(platform: Platform) -> str:
    """An endpoint in service: red answers with twice, blue, which has no weight, with thrice the values.

    Tests leave it as they found it.
    """
    red, blue = platform.model("red", 2), platform.model("blue", 3, colour="blue")
    config = platform.config("two", ("red", red, 2, 1.0), ("blue", blue, 1, 0.0))
    name = platform.endpoint("served", config)
    assert platform.settled(name)["EndpointStatus"] == "InService"
    return name


def test_an_endpoint_is_created_answers_and_is_described(platform: Platform, served: str) -> None:
    sagemaker = platform.client("sagemaker")

    found = platform.settled(served)
    answer = platform.invoke(served, [1, 2.5])

    assert found["EndpointStatus"] == "InService", found
    assert [(each["VariantName"], each["CurrentInstanceCount"]) for each in found["ProductionVariants"]] == [
        ("red", 2),
        ("blue", 1),
    ]
    assert found["ProductionVariants"][0]["DeployedImages"][0]["SpecifiedImage"] == IMAGE
    assert read(answer) == [2.0, 5.0, "red"]
    assert answer["InvokedProductionVariant"] == "red"
    assert served in [each["EndpointName"] for each in sagemaker.list_endpoints(StatusEquals="InService")["Endpoints"]]


def test_a_variant_can_be_named_past_all_weights(platform: Platform, served: str) -> None:
    answer = platform.invoke(served, [1], TargetVariant="blue")

    assert (read(answer), answer["InvokedProductionVariant"]) == ([3.0, "blue"], "blue")
    with pytest.raises(ClientError, match=r"ValidationError.*Variant green"):
        platform.invoke(served, [1], TargetVariant="green")


def test_instances_share_the_invocations_and_each_has_its_log(platform: Platform, served: str) -> None:
    logs = platform.client("logs")
    group = f"/aws/sagemaker/Endpoints/{served}"

    for _ in range(4):
        platform.invoke(served, [7])

    def said_by(stream: str) -> int:
        events = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
        return sum("predicting [7]" in event["message"] for event in events)

    streams = [each["logStreamName"] for each in logs.describe_log_streams(logGroupName=group)["logStreams"]]
    red = [stream for stream in streams if stream.startswith("red/i-")]
    assert len(red) == 2
    assert eventually(lambda: [said_by(stream) for stream in red] == [2, 2]), [said_by(stream) for stream in red]


def test_an_error_of_the_handler_is_a_model_error_with_its_status_and_words(platform: Platform, served: str) -> None:
    with pytest.raises(ClientError) as caught:
        platform.invoke(served, ["x"], TargetVariant="red")

    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["Error"]["Code"] == "ModelError"
    assert answer["OriginalStatusCode"] == 500
    assert "can't multiply" in answer["OriginalMessage"]
    assert answer["Error"]["Message"].startswith("Received server error (500) from primary with message")
    assert f"/aws/sagemaker/Endpoints/{served}:log-stream:red/i-" in answer["LogStreamArn"]


def test_any_answer_can_be_had_as_a_stream(platform: Platform, served: str) -> None:
    answer = platform.client("sagemaker-runtime").invoke_endpoint_with_response_stream(
        EndpointName=served, Body=b"[4]", ContentType="application/json", TargetVariant="red"
    )

    assert json.loads(b"".join(event["PayloadPart"]["Bytes"] for event in answer["Body"])) == [8.0, "red"]


def test_an_asynchronous_endpoint_answers_into_s3(platform: Platform) -> None:
    name, s3 = platform.name("asynchronous"), platform.client("s3")
    platform.client("sagemaker").create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[{**VARIANT, "ModelName": platform.model("asynchronous", 2)}],
        AsyncInferenceConfig={
            "OutputConfig": {"S3OutputPath": f"s3://models/{name}/out", "S3FailurePath": f"s3://models/{name}/failed"}
        },
    )
    platform.endpoint("asynchronous", name)
    s3.put_object(Bucket="models", Key=f"{name}/input", Body=b"[1, 2]")
    assert platform.settled(name)["EndpointStatus"] == "InService"

    def ask(**options: Any) -> dict[str, Any]:
        runtime = platform.client("sagemaker-runtime")
        answer: dict[str, Any] = runtime.invoke_endpoint_async(
            EndpointName=name, ContentType="application/json", **options
        )
        return answer

    def there(url: str) -> bytes:
        key = url.removeprefix("s3://models/")
        assert eventually(lambda: s3.list_objects_v2(Bucket="models", Prefix=key)["KeyCount"] == 1)
        content: bytes = s3.get_object(Bucket="models", Key=key)["Body"].read()
        return content

    good, bad = ask(InputLocation=f"s3://models/{name}/input"), ask(Body=b'["x"]')

    assert json.loads(there(good["OutputLocation"])) == [2.0, 4.0, "red"]
    assert b"can't multiply" in there(bad["FailureLocation"])
    with pytest.raises(ClientError, match="use InvokeEndpointAsync"):
        platform.invoke(name, [1])
    platform.delete(name)


def test_a_transform_job_leaves_outputs_logs_and_no_container(platform: Platform) -> None:
    name, s3, sagemaker = platform.name("transform"), platform.client("s3"), platform.client("sagemaker")
    model = platform.model("transform", 2)
    s3.put_object(Bucket="models", Key=f"{name}/in/bad", Body=b'[1]\n["x"]\n')
    s3.put_object(Bucket="models", Key=f"{name}/in/below/good", Body=b"[1]\n[2]\n")

    sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=model,
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://models/{name}/in"}},
            "ContentType": "application/json",
            "SplitType": "Line",
        },
        TransformOutput={"S3OutputPath": f"s3://models/{name}/out", "AssembleWith": "Line"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        BatchStrategy="SingleRecord",
        Environment={"COLOUR": "green"},
    )
    assert eventually(lambda: bool(platform.containers(name)))
    listed = subprocess.run([HARNESS, "ps"], check=True, timeout=60, capture_output=True, text=True).stdout
    end = time.monotonic() + 120
    while (found := sagemaker.describe_transform_job(TransformJobName=name))["TransformJobStatus"] == "InProgress":
        assert time.monotonic() < end

    assert "transform" in next(line for line in listed.splitlines() if name in line)
    assert found["TransformJobStatus"] == "Failed"
    assert f"s3://models/{name}/in/bad: 500: " in found["FailureReason"]
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket="models", Prefix=f"{name}/out")["Contents"]]
    assert keys == [f"{name}/out/below/good.out"]
    content = s3.get_object(Bucket="models", Key=keys[0])["Body"].read()
    assert content == b'[2.0, "green"]\n[4.0, "green"]\n'
    assert platform.containers(name) == []
    logs, group = platform.client("logs"), "/aws/sagemaker/TransformJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/i-")["logStreams"]
    events = logs.get_log_events(logGroupName=group, logStreamName=streams[0]["logStreamName"], startFromHead=True)
    assert any("predicting [2]" in event["message"] for event in events["events"])


def test_an_update_leaves_no_invocation_unanswered_and_what_is_deleted_leaves_nothing(platform: Platform) -> None:
    first, second = platform.model("before", 2), platform.model("after", 5, colour="green")
    name = platform.endpoint("updated", platform.config("before", ("AllTraffic", first, 1, 1.0)))
    assert platform.settled(name)["EndpointStatus"] == "InService"
    config = platform.config("after", ("AllTraffic", second, 1, 1.0))
    over = threading.Event()
    runtime = platform.client("sagemaker-runtime")

    def ask() -> list[Any]:
        answers = []
        while not over.is_set():
            found = runtime.invoke_endpoint(EndpointName=name, Body=b"[1]", ContentType="application/json")
            answers.append(read(found))
        return answers

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        try:
            platform.client("sagemaker").update_endpoint(EndpointName=name, EndpointConfigName=config)
            found = platform.settled(name)
            eventually(lambda: len(platform.containers(name)) == 1)
        finally:
            over.set()
        answers = [answer for each in asking for answer in each.result()]  # raises what an invocation raised

    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", config)
    assert {tuple(answer) for answer in answers} == {(2.0, "red"), (5.0, "green")}
    assert read(platform.invoke(name, [1])) == [5.0, "green"]
    assert len(platform.containers(name)) == 1
    platform.delete(name)


def test_an_update_that_fails_rolls_back_and_the_old_answers_on(platform: Platform, served: str) -> None:
    before = platform.client("sagemaker").describe_endpoint(EndpointName=served)["EndpointConfigName"]
    ids = {each.id for each in platform.containers(served)}

    bad = platform.model("bad", 5, handler=BROKEN)
    broken = platform.config("bad", ("bad", bad, 1, 1.0))
    platform.client("sagemaker").update_endpoint(EndpointName=served, EndpointConfigName=broken)
    found = platform.settled(served)

    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", before)
    assert "this handler cannot be imported" in found["FailureReason"]
    assert read(platform.invoke(served, [1])) == [2.0, "red"]
    assert eventually(lambda: {each.id for each in platform.containers(served)} == ids)


def test_weights_and_counts_change_while_the_endpoint_serves(platform: Platform, served: str) -> None:
    sagemaker = platform.client("sagemaker")

    def scale(count: int, weight: float) -> tuple[int, float]:
        """What there is of blue then."""
        wanted = [{"VariantName": "blue", "DesiredInstanceCount": count, "DesiredWeight": weight}]
        sagemaker.update_endpoint_weights_and_capacities(EndpointName=served, DesiredWeightsAndCapacities=wanted)
        (found,) = (each for each in platform.settled(served)["ProductionVariants"] if each["VariantName"] == "blue")
        return found["CurrentInstanceCount"], found["CurrentWeight"]

    assert scale(2, 0.5) == (2, 0.5)
    assert len(platform.containers(served)) == 4
    assert scale(1, 0.0) == (1, 0.0)
    assert eventually(lambda: len(platform.containers(served)) == 3)
    assert read(platform.invoke(served, [1], TargetVariant="blue")) == [3.0, "blue"]


def test_a_model_that_cannot_be_loaded_fails_the_endpoint_with_its_traceback(platform: Platform) -> None:
    model = platform.model("broken", 2, handler=BROKEN)
    name = platform.endpoint("broken", platform.config("broken", ("AllTraffic", model, 1, 1.0)))

    found = platform.settled(name)

    assert found["EndpointStatus"] == "Failed"
    assert "this handler cannot be imported" in found["FailureReason"]
    assert platform.containers(name) == []
    with pytest.raises(ClientError, match=r"ValidationError.*not found"):
        platform.invoke(name, [1])
    platform.delete(name)


def test_an_image_that_is_not_there_is_refused_with_what_to_do(platform: Platform) -> None:
    container = {"Image": "763104351884.dkr.ecr.us-west-2.amazonaws.com/tensorflow-inference:2.12-cpu"}

    with pytest.raises(ClientError, match=r"ValidationException.*docker tag my-tensorflow-inference"):
        platform.client("sagemaker").create_model(
            ModelName=platform.name("elsewhere"), ExecutionRoleArn=ROLE, PrimaryContainer=container
        )


def test_endpoints_outlive_the_sudden_end_of_a_door_and_its_orderly_one(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    platform = Platform(folder)
    try:
        name = platform.endpoint("kept", platform.config("kept", ("v", platform.model("kept", 2), 1, 1.0)))
        assert platform.settled(name)["EndpointStatus"] == "InService"
        (before,) = platform.containers(name)

        os.kill(platform.door.pid, signal.SIGKILL)
        assert eventually(lambda: not folder.held())
        platform = Platform(folder)
        found = platform.settled(name)
        (adopted,) = platform.containers(name)

        assert found["EndpointStatus"] == "InService"
        assert adopted.id == before.id
        assert read(platform.invoke(name, [4])) == [8.0, "red"]

        command("down", folder)
        assert platform.containers(name) == []
        platform = Platform(folder)
        assert platform.settled(name)["EndpointStatus"] == "InService"
        assert read(platform.invoke(name, [4])) == [8.0, "red"]
        platform.delete(name)
    finally:
        command("down", folder)


def gone(sagemaker: Any, name: str) -> bool:
    """Whether it is described no more, as an endpoint that never was."""
    try:
        sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        return bool(error.response["Error"]["Code"] == "ValidationException")
    return False
