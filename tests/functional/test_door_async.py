"""InvokeEndpointAsync through boto3, on instances without an engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness.control_plane import ControlPlane
from harness.moto_services import MotoServices
from harness.service_model import service_model
from tests.fake_instances import FakeInstances
from tests.functional.conftest import LocalDoor
from tests.functional.door_models import (
    config,
    endpoint,
    eventually,
    invoke,
    model,
    put,
    read,
    settled,
    variant,
)

OUT, FAILURES = "s3://door-models/out", "s3://door-models/failures/"


def async_endpoint(door: LocalDoor, name: str = "slow", concurrent: int = 1, count: int = 1, **output: Any) -> str:
    put(door, "input.csv", b"1,2")
    places = {"S3OutputPath": OUT, "S3FailurePath": FAILURES, **output}
    door.client("sagemaker").create_endpoint_config(
        EndpointConfigName="conf",
        ProductionVariants=[variant("v", model(door, "mod"), count)],
        AsyncInferenceConfig={
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": concurrent},
            "OutputConfig": {name: value for name, value in places.items() if value},
        },
    )
    assert settled(door, endpoint(door, name, "conf"))["EndpointStatus"] == "InService"
    return name


def ask(door: LocalDoor, name: str = "slow", **options: Any) -> dict[str, Any]:
    if "Body" not in options:
        options = {"InputLocation": "s3://door-models/input.csv", **options}
    answer: dict[str, Any] = door.client("sagemaker-runtime").invoke_endpoint_async(EndpointName=name, **options)
    return answer


def found(door: LocalDoor, url: str) -> dict[str, Any] | None:
    s3 = door.client("s3")
    try:
        answer: dict[str, Any] = s3.get_object(Bucket="door-models", Key=url.removeprefix("s3://door-models/"))
    except s3.exceptions.NoSuchKey:
        return None
    return answer


def arrived(door: LocalDoor, url: str) -> dict[str, Any]:
    assert eventually(lambda: found(door, url) is not None), f"nothing at {url}"
    answer = found(door, url)
    assert answer
    return answer


def test_the_answer_is_accepted_at_once_and_the_result_appears_in_s3(local_door: LocalDoor) -> None:
    async_endpoint(local_door)

    answer = ask(
        local_door, ContentType="text/csv", Accept="application/json", InferenceId="mine", CustomAttributes="a"
    )

    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["InferenceId"]) == (202, "mine")
    assert answer["OutputLocation"].startswith(f"{OUT}/")
    assert answer["OutputLocation"].endswith(".out")
    assert answer["FailureLocation"].startswith(FAILURES)
    result = arrived(local_door, answer["OutputLocation"])
    said = json.loads(result["Body"].read())
    assert result["ContentType"] == "application/json"
    assert (said["length"], said["headers"]["content-type"], said["headers"]["accept"]) == (
        3,
        "text/csv",
        "application/json",
    )
    assert said["headers"]["x-amzn-sagemaker-inference-id"] == "mine"
    assert found(local_door, answer["FailureLocation"]) is None


def test_a_body_may_come_inline_and_the_result_may_be_named(local_door: LocalDoor) -> None:
    async_endpoint(local_door)

    answer = ask(local_door, Body=b"hello", S3OutputPathExtension="day/one", Filename="result.json")

    assert answer["OutputLocation"] == f"{OUT}/day/one/result.json"
    assert json.loads(arrived(local_door, answer["OutputLocation"])["Body"].read())["length"] == 5


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"status 500 went wrong", "went wrong"), (b"die", "the container ended the connection")],
    ids=["error", "broken"],
)
def test_what_fails_is_told_in_the_place_for_failures_and_in_the_log(
    local_door: LocalDoor, body: bytes, said: str
) -> None:
    name = async_endpoint(local_door, f"slow-{body[:3].decode()}")

    answer = ask(local_door, name, Body=body, InferenceId="unlucky")

    assert said in arrived(local_door, answer["FailureLocation"])["Body"].read().decode()
    assert found(local_door, answer["OutputLocation"]) is None
    logs, group = local_door.client("logs"), f"/aws/sagemaker/Endpoints/{name}"
    streams = [each["logStreamName"] for each in logs.describe_log_streams(logGroupName=group)["logStreams"]]
    (stream,) = [each for each in streams if each.endswith("/data-log")]
    events = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
    assert any("unlucky" in event["message"] for event in events)


def test_an_input_that_is_not_there_is_a_failure_and_so_is_an_answer_that_is_late(local_door: LocalDoor) -> None:
    async_endpoint(local_door, concurrent=2)

    missing = ask(local_door, InputLocation="s3://door-models/none.csv")
    late = ask(local_door, Body=b"sleep 3", InvocationTimeoutSeconds=1)

    assert b"could not find the input" in arrived(local_door, missing["FailureLocation"])["Body"].read()
    assert b"InvocationTimeoutSeconds, 1 s" in arrived(local_door, late["FailureLocation"])["Body"].read()


def test_each_instance_has_as_many_at_once_as_it_may_and_the_others_wait(local_door: LocalDoor) -> None:
    async_endpoint(local_door, concurrent=1, count=2)

    answers = [ask(local_door, Body=b"stream") for _ in range(3)]

    servers = list(local_door.instances.servers.values())
    assert eventually(lambda: [server.streaming for server in servers] == [1, 1])
    waiting = list((local_door.state / "async-invocations").glob("*.json"))
    assert len(waiting) == 3
    for server in servers:
        server.go_on.set()
    for answer in answers:
        assert arrived(local_door, answer["OutputLocation"])["Body"].read() == b"one two three"
    assert eventually(lambda: not list((local_door.state / "async-invocations").glob("*.json")))


def test_such_an_endpoint_is_described_and_is_not_invoked_synchronously(local_door: LocalDoor) -> None:
    name = async_endpoint(local_door)
    described = local_door.client("sagemaker").describe_endpoint(EndpointName=name)

    assert described["AsyncInferenceConfig"]["OutputConfig"]["S3OutputPath"] == OUT
    members = service_model("sagemaker").operation_model("DescribeEndpoint").output_shape.members
    assert set(described) - {"ResponseMetadata"} <= set(members)
    with pytest.raises(ClientError, match=r"ValidationError.*is asynchronous; use InvokeEndpointAsync"):
        invoke(local_door, name)


def test_an_endpoint_without_the_configuration_is_not_invoked_asynchronously(local_door: LocalDoor) -> None:
    config(local_door, "plain", variant("v", model(local_door, "mod")))
    settled(local_door, endpoint(local_door, "plain", "plain"))

    with pytest.raises(ClientError, match=r"ValidationError.*has no AsyncInferenceConfig"):
        ask(local_door, "plain")
    with pytest.raises(ClientError, match=r"ValidationError.*Endpoint none of account \d+ not found"):
        ask(local_door, "none")
    assert read(invoke(local_door, "plain"))["length"] == 5


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ({"S3OutputPath": None}, "S3OutputPath: is missing"),
        ({"S3OutputPath": "https://x/y"}, "is no s3:// URI"),
        ({"NotificationConfig": {"SuccessTopic": "arn:aws:sns:us-west-2:000000000000:t"}}, "no topic of SNS is told"),
    ],
)
def test_what_cannot_be_had_of_asynchronous_inference_is_refused(
    local_door: LocalDoor, output: dict[str, Any], why: str
) -> None:
    with pytest.raises(ClientError, match=why):
        async_endpoint(local_door, **output)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"Body": b"x", "InputLocation": "s3://door-models/input.csv"}, "Exactly one of InputLocation and Body"),
        ({"Body": b""}, "Exactly one of InputLocation and Body"),
        ({"Body": b"x" * 128_001}, "at most 128000 are taken inline"),
        ({"RequestTTLSeconds": 30_000}, "less than or equal to 21600"),
        ({"InputLocation": "https://example.com/x"}, "is no s3:// URI"),
    ],
    ids=["both", "neither", "large", "ttl", "place"],
)
def test_a_request_that_cannot_be_right_is_refused_at_once(
    local_door: LocalDoor, options: dict[str, Any], why: str
) -> None:
    async_endpoint(local_door)

    with pytest.raises(ClientError, match=f"ValidationError.*{why}"):
        ask(local_door, **options)

    assert list((local_door.state / "async-invocations").glob("*.json")) == []


def test_requests_of_an_endpoint_that_is_deleted_fail_and_say_so(local_door: LocalDoor) -> None:
    async_endpoint(local_door)
    ask(local_door, Body=b"stream")
    waiting = ask(local_door, Body=b"hello")

    local_door.client("sagemaker").delete_endpoint(EndpointName="slow")

    assert b"endpoint slow is gone" in arrived(local_door, waiting["FailureLocation"])["Body"].read()


def test_what_waits_when_the_door_ends_is_answered_by_the_next(local_door: LocalDoor, services: MotoServices) -> None:
    name = async_endpoint(local_door)
    answers = [ask(local_door, Body=b"stream"), ask(local_door, Body=b"hello")]
    (server,) = local_door.instances.servers.values()
    assert eventually(lambda: server.streaming == 1)

    local_door.plane.close(stop=True)  # its instance breaks off what it was at
    assert len(list((local_door.state / "async-invocations").glob("*.json"))) == 2
    instances = FakeInstances()
    instances.go_on.set()
    plane = ControlPlane(Path(local_door.state), instances, services)
    plane.recover()
    results = [arrived(local_door, answer["OutputLocation"])["Body"].read() for answer in answers]
    plane.close(stop=True)

    assert results[0] == b"one two three"
    assert json.loads(results[1])["length"] == 5
    assert name == "slow"
