"""InvokeEndpointWithResponseStream through boto3, on instances without an engine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from harness.endpoint_records import EndpointRecord
from harness.fleet import Fleet
from harness.invocations import Invocations
from harness.traffic import Serving
from harness.wire import Request
from tests.functional.conftest import LocalDoor
from tests.functional.door_models import eventually, invoke, served

NOW = datetime.now(UTC)


def stream(door: LocalDoor, name: str, body: bytes, **options: Any) -> dict[str, Any]:
    runtime = door.client("sagemaker-runtime")
    answer: dict[str, Any] = runtime.invoke_endpoint_with_response_stream(EndpointName=name, Body=body, **options)
    return answer


def parts(answer: dict[str, Any]) -> list[bytes]:
    return [event["PayloadPart"]["Bytes"] for event in answer["Body"]]


def test_the_first_part_is_there_before_the_container_has_ended_its_answer(local_door: LocalDoor) -> None:
    name = served(local_door)
    (server,) = local_door.instances.servers.values()

    answer = stream(local_door, name, b"stream", Accept="text/event-stream", CustomAttributes="trace=1")
    events = iter(answer["Body"])
    first = next(events)["PayloadPart"]["Bytes"]  # the container waits for us now
    server.go_on.set()
    rest = [event["PayloadPart"]["Bytes"] for event in events]

    assert first + b"".join(rest) == b"one two three"
    assert first == b"one "
    assert answer["ContentType"] == "text/event-stream"
    assert answer["InvokedProductionVariant"] == "AllTraffic"


def test_any_answer_can_be_had_as_a_stream_with_its_headers(local_door: LocalDoor) -> None:
    answer = stream(local_door, served(local_door), b"hello", Accept="application/json", ContentType="text/csv")

    said = b"".join(parts(answer))
    assert b'"accept": "application/json"' in said
    assert b'"content-type": "text/csv"' in said
    assert answer["CustomAttributes"] == "said=yes"


def test_a_stream_that_breaks_off_says_so_after_its_first_parts(local_door: LocalDoor) -> None:
    answer = stream(local_door, served(local_door), b"stream break")
    events = iter(answer["Body"])

    assert next(events)["PayloadPart"]["Bytes"] == b"one "
    with pytest.raises(EventStreamError, match=r"ModelStreamError.*connection to the model was closed"):
        next(events)
    answer["Body"].close()


def test_an_answer_that_is_no_success_is_a_model_error_and_no_stream(local_door: LocalDoor) -> None:
    with pytest.raises(ClientError) as caught:
        stream(local_door, served(local_door), b"status 500 went wrong")

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert caught.value.response["OriginalMessage"] == "went wrong"


def test_a_stream_that_takes_too_long_ends_with_its_code(local_door: LocalDoor) -> None:
    name = served(local_door)
    record = EndpointRecord(name, "conf", "InService", NOW, NOW, "generation")
    fleet = Fleet("generation", (Serving("v", 1.0, tuple(local_door.instances.running())),))
    impatient = Invocations({name: record}.get, {name: fleet}.get, stream_seconds=2)

    answer = impatient.stream(name, Request("POST", f"/endpoints/{name}/invocations-response-stream", body=b"stream"))
    assert answer.stream
    events = b"".join(answer.stream)
    answer.stream.close()
    impatient.close()

    assert b"ModelInvocationTimeExceeded" in events


def test_a_client_that_leaves_in_the_middle_frees_the_instance(local_door: LocalDoor) -> None:
    name = served(local_door)
    (server,) = local_door.instances.servers.values()

    answer = stream(local_door, name, b"stream")
    answer["Body"].close()
    server.go_on.set()
    local_door.client("sagemaker").delete_endpoint(EndpointName=name)

    assert eventually(lambda: not local_door.instances.servers)


def test_a_plain_invocation_of_a_streaming_container_gets_all_of_it(local_door: LocalDoor) -> None:
    name = served(local_door)
    next(iter(local_door.instances.servers.values())).go_on.set()

    assert invoke(local_door, name, b"stream")["Body"].read() == b"one two three"
