"""Models, configurations and endpoints of the AWS door through boto3, on instances without an engine."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness.control_plane import ControlPlane
from harness.endpoint_records import EndpointRecord
from harness.fleet import Fleet
from harness.invocations import Invocations
from harness.moto_services import ROLE_ARN, MotoServices
from harness.service_model import service_model
from harness.traffic import Serving
from harness.wire import Request, ServiceError
from tests.fake_instances import FakeInstances
from tests.functional.conftest import LocalDoor
from tests.functional.door_models import (
    archive,
    config,
    endpoint,
    eventually,
    invoke,
    model,
    put,
    read,
    served,
    settled,
    variant,
)


def test_a_model_is_described_as_it_was_made(local_door: LocalDoor) -> None:
    url = put(local_door, "m.tar.gz", archive(weights="1"))
    model(local_door, "Mine", url, COLOUR="red")

    found = local_door.client("sagemaker").describe_model(ModelName="Mine")

    assert found["ModelArn"].endswith(":model/mine")
    assert found["PrimaryContainer"]["Environment"] == {"COLOUR": "red"}
    assert found["PrimaryContainer"]["Mode"] == "SingleModel"
    assert found["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]["S3Uri"] == url


@pytest.mark.parametrize(
    ("container", "why"),
    [
        ({"Image": "nowhere"}, "no image 'nowhere'"),
        ({"Image": "local/image", "ModelDataUrl": "s3://door-models/none.tar.gz"}, "Could not find model data at"),
        ({"Image": "local/image", "ModelDataUrl": "https://example.com"}, "is no s3:// URI"),
        ({"Image": "local/image", "Mode": "MultiModel"}, "MultiModel' is not hosted"),
        ({"ModelPackageName": "package"}, "packages of the Marketplace"),
        ({}, "Image: is missing"),
    ],
    ids=str,
)
def test_a_model_that_cannot_be_hosted_is_refused(local_door: LocalDoor, container: dict[str, Any], why: str) -> None:
    sagemaker = local_door.client("sagemaker")

    with pytest.raises(ClientError, match=why) as caught:
        sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE_ARN, PrimaryContainer=container)

    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert sagemaker.list_models()["Models"] == []


def test_names_are_taken_whatever_their_case_and_missing_ones_are_told(local_door: LocalDoor) -> None:
    sagemaker = local_door.client("sagemaker")
    served(local_door)

    with pytest.raises(
        ClientError, match=r'ValidationException.*Cannot create already existing model "arn:.*model/mod'
    ):
        model(local_door, "MOD")
    with pytest.raises(ClientError, match="Cannot create already existing endpoint configuration"):
        config(local_door, "CONF", variant("v", "mod"))
    with pytest.raises(ClientError, match='Cannot create already existing endpoint "arn'):
        endpoint(local_door, "SERVED", "conf")
    with pytest.raises(ClientError, match=r'ValidationException.*Could not find endpoint "arn:.*endpoint/nope"'):
        sagemaker.describe_endpoint(EndpointName="nope")
    with pytest.raises(ClientError, match='Could not find endpoint configuration "arn'):
        endpoint(local_door, "other", "nope")
    with pytest.raises(ClientError, match='Could not find model "arn:aws:sagemaker:us-west-2:000000000000:model/nope"'):
        config(local_door, "other", variant("v", "nope"))
    with pytest.raises(ClientError, match=r"ValidationError.*Endpoint SERVED of account \d+ not found"):
        invoke(local_door, "SERVED")


def test_an_endpoint_is_creating_and_then_in_service_with_its_model(local_door: LocalDoor) -> None:
    url = put(local_door, "m.tar.gz", archive(weights="1", code__inference="x"))
    config(local_door, "conf", variant("AllTraffic", model(local_door, "mod", url, SLOW="4"), count=2))

    endpoint(local_door, "served", "conf")

    first = local_door.client("sagemaker").describe_endpoint(EndpointName="served")
    assert (first["EndpointStatus"], first["ProductionVariants"][0]["CurrentInstanceCount"]) == ("Creating", 0)
    with pytest.raises(ClientError, match="ValidationError"):
        invoke(local_door, "served")
    found = settled(local_door, "served")
    assert found["EndpointStatus"] == "InService"
    assert found["LastModifiedTime"] > found["CreationTime"]
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert sorted(read(invoke(local_door, "served"))["members"]) == ["code/inference", "weights"]


def test_answers_have_the_members_that_the_services_model_has(local_door: LocalDoor) -> None:
    name = served(local_door)
    sagemaker, shapes = local_door.client("sagemaker"), service_model("sagemaker")
    answers = {
        "DescribeModel": sagemaker.describe_model(ModelName="mod"),
        "DescribeEndpointConfig": sagemaker.describe_endpoint_config(EndpointConfigName="conf"),
        "DescribeEndpoint": sagemaker.describe_endpoint(EndpointName=name),
        "ListModels": sagemaker.list_models(),
        "ListEndpointConfigs": sagemaker.list_endpoint_configs(),
        "ListEndpoints": sagemaker.list_endpoints(),
    }

    for operation, answer in answers.items():
        shape = shapes.operation_model(operation).output_shape
        assert set(answer) - {"ResponseMetadata"} <= set(shape.members)
        assert set(shape.required_members) <= set(answer)


def test_headers_reach_the_container_and_come_back_and_others_do_not(local_door: LocalDoor) -> None:
    name = served(local_door)

    answer = invoke(
        local_door,
        name,
        b"x" * 1000,
        ContentType="text/csv",
        Accept="application/json",
        CustomAttributes="trace=1",
        InferenceId="id-1",
        SessionId="session-1",
    )

    arrived = read(answer)
    headers = arrived["headers"]
    assert (arrived["path"], arrived["length"]) == ("/invocations", 1000)
    assert (headers["content-type"], headers["accept"]) == ("text/csv", "application/json")
    assert headers["x-amzn-sagemaker-custom-attributes"] == "trace=1"
    assert headers["x-amzn-sagemaker-inference-id"] == "id-1"
    assert headers["x-amzn-sagemaker-session-id"] == "session-1"
    assert not {"authorization", "x-amz-date", "user-agent"} & set(headers)
    assert answer["ContentType"] == "application/json"
    assert answer["CustomAttributes"] == "said=yes"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert "x-secret" not in answer["ResponseMetadata"]["HTTPHeaders"]


def test_variants_are_chosen_by_weight_and_instances_take_turns(local_door: LocalDoor) -> None:
    model(local_door, "mod")
    config(local_door, "conf", variant("a", "mod", 2, 3.0), variant("b", "mod", 1, 1.0), variant("c", "mod", 1, 0.0))
    settled(local_door, endpoint(local_door, "served", "conf"))

    answers = [read(invoke(local_door, "served")) for _ in range(60)]

    counts = {name: sum(each["variant"] == name for each in answers) for name in "abc"}
    assert counts["a"] > counts["b"] > 0
    assert counts["c"] == 0
    assert {each["number"] for each in answers if each["variant"] == "a"} == {0, 1}
    assert read(invoke(local_door, "served", TargetVariant="c"))["variant"] == "c"
    with pytest.raises(ClientError, match=r"ValidationError.*Variant d of endpoint served not found"):
        invoke(local_door, "served", TargetVariant="d")


@pytest.mark.parametrize(("status", "who"), [(500, "server"), (400, "client"), (302, "server")])
def test_an_answer_that_is_no_success_is_a_model_error(local_door: LocalDoor, status: int, who: str) -> None:
    name = served(local_door)

    with pytest.raises(ClientError) as caught:
        invoke(local_door, name, f"status {status} went wrong".encode())

    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("ModelError", 424)
    assert (answer["OriginalStatusCode"], answer["OriginalMessage"]) == (status, "went wrong")
    text = f'Received {who} error ({status}) from primary with message "went wrong". See https://us-west-2.console.aws.'
    assert answer["Error"]["Message"].startswith(text)
    assert answer["LogStreamArn"].startswith("arn:aws:logs:us-west-2:")


@pytest.mark.parametrize("body", [b"die", b"cut"], ids=["before its answer", "before the end of its answer"])
def test_a_container_that_breaks_off_is_a_model_error(local_door: LocalDoor, body: bytes) -> None:
    name = served(local_door)

    with pytest.raises(ClientError, match=r"ModelError.*Received server error \(0\)"):
        invoke(local_door, name, body)

    assert read(invoke(local_door, name))["length"] == 5


def test_an_instance_that_is_gone_is_stood_in_for_and_none_is_told(local_door: LocalDoor) -> None:
    config(local_door, "conf", variant("v", model(local_door, "mod"), count=2))
    settled(local_door, endpoint(local_door, "served", "conf"))

    first, second = list(local_door.instances.running())
    local_door.instances.stop(first)
    assert {read(invoke(local_door, "served"))["number"] for _ in range(4)} == {second.place.number}
    local_door.instances.stop(second)
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        invoke(local_door, "served")


def test_a_body_that_is_too_large_is_refused(local_door: LocalDoor) -> None:
    name = served(local_door)
    mega = 1024 * 1024

    assert read(invoke(local_door, name, b"x" * 25 * mega))["length"] == 25 * mega
    with pytest.raises(ClientError) as caught:
        invoke(local_door, name, b"x" * (25 * mega + 1))

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_an_answer_that_is_late_is_a_model_error(local_door: LocalDoor) -> None:
    name = served(local_door)
    now = datetime.now(UTC)
    record = EndpointRecord(name, "conf", "InService", now, now, "generation")
    fleet = Fleet("generation", (Serving("v", 1.0, tuple(local_door.instances.running())),))
    impatient = Invocations({name: record}.get, {name: fleet}.get, seconds=0.05)

    with pytest.raises(ServiceError) as caught:
        impatient.invoke(name, Request("POST", f"/endpoints/{name}/invocations", body=b"sleep 0.5"))
    impatient.close()

    assert (caught.value.code, caught.value.status) == ("ModelError", 424)
    assert "Your invocation timed out while waiting for a response from container primary" in caught.value.message


def test_an_update_that_fails_leaves_the_old_in_service(local_door: LocalDoor) -> None:
    name = served(local_door)
    broken = model(local_door, "broken", FAILS="the model cannot be loaded")
    config(local_door, "bad", variant("AllTraffic", broken, count=2))

    local_door.client("sagemaker").update_endpoint(EndpointName=name, EndpointConfigName="bad")

    found = settled(local_door, name)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "conf")
    assert "the model cannot be loaded" in found["FailureReason"]
    assert read(invoke(local_door, name))["variant"] == "AllTraffic"
    assert eventually(lambda: len(local_door.instances.servers) == 1)


def test_an_update_goes_over_without_losing_an_invocation(local_door: LocalDoor) -> None:
    name = served(local_door)
    config(local_door, "next", variant("Next", model(local_door, "other", image="local/other", SLOW="2")))
    sagemaker = local_door.client("sagemaker")

    with ThreadPoolExecutor(4) as pool:
        slow = pool.submit(invoke, local_door, name, b"sleep 3")
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName="next")
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            sagemaker.update_endpoint(EndpointName=name, EndpointConfigName="next")
        before = read(invoke(local_door, name))["image"]
        found = settled(local_door, name)
        after = read(invoke(local_door, name))["image"]

    assert (before, after) == ("local/image", "local/other")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "next")
    assert read(slow.result())["image"] == "local/image"
    assert eventually(lambda: len(local_door.instances.servers) == 1)


def test_an_update_may_keep_counts_and_weights(local_door: LocalDoor) -> None:
    name = served(local_door)
    sagemaker = local_door.client("sagemaker")
    wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 3, "DesiredWeight": 2.0}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=wanted)
    assert settled(local_door, name)["ProductionVariants"][0]["CurrentInstanceCount"] == 3

    for names, why in (
        (("AllTraffic", "AllTraffic"), "non-unique"),
        (("other",), r'"other" is/are not present within'),
    ):
        with pytest.raises(ClientError, match=why):
            sagemaker.update_endpoint_weights_and_capacities(
                EndpointName=name, DesiredWeightsAndCapacities=[{**wanted[0], "VariantName": each} for each in names]
            )

    config(local_door, "next", variant("AllTraffic", "mod"))
    sagemaker.update_endpoint(
        EndpointName=name,
        EndpointConfigName="next",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredWeight"}],
    )

    found = settled(local_door, name)["ProductionVariants"][0]
    assert (found["CurrentInstanceCount"], found["CurrentWeight"]) == (3, 1.0)


@pytest.mark.parametrize("change", ["delete", "update", "scale"])
def test_instances_that_are_no_longer_wanted_are_stopped_together(local_door: LocalDoor, change: str) -> None:
    sagemaker, instances = local_door.client("sagemaker"), local_door.instances
    config(local_door, "many", variant("AllTraffic", model(local_door, "mod"), count=3))
    config(local_door, "one", variant("AllTraffic", "mod"))
    name = endpoint(local_door, "shrinks", "many")
    settled(local_door, name)
    instances.at_their_end = threading.Barrier(2 if change == "scale" else 3)

    if change == "delete":
        sagemaker.delete_endpoint(EndpointName=name)
    elif change == "update":
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName="one")
    else:
        wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 1}]
        sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=wanted)

    assert eventually(lambda: len(instances.servers) == (0 if change == "delete" else 1), 15)
    assert not instances.at_their_end.broken


def test_an_endpoint_whose_model_fails_says_why_and_goes_when_deleted(local_door: LocalDoor) -> None:
    config(local_door, "conf", variant("v", model(local_door, "mod", FAILS="no such module"), count=2))
    sagemaker = local_door.client("sagemaker")

    found = settled(local_door, endpoint(local_door, "failed", "conf"))

    assert (found["EndpointStatus"], found["FailureReason"]) == ("Failed", "no such module")
    assert local_door.instances.servers == {}
    with pytest.raises(ClientError, match="Cannot update Failed endpoint"):
        sagemaker.update_endpoint(EndpointName="failed", EndpointConfigName="conf")
    sagemaker.delete_endpoint(EndpointName="failed")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="failed")


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"no archive", "no intact .tar.gz"), (archive(**{"..__..__evil": "x"}), "leads out of the archive")],
    ids=["corrupt", "hostile"],
)
def test_an_archive_that_cannot_be_unpacked_fails_the_endpoint(local_door: LocalDoor, content: bytes, why: str) -> None:
    url = put(local_door, "bad.tar.gz", content)
    config(local_door, "conf", variant("v", model(local_door, "mod", url)))

    found = settled(local_door, endpoint(local_door, "failed", "conf"))

    assert found["EndpointStatus"] == "Failed"
    assert why in found["FailureReason"]
    assert url in found["FailureReason"]


def test_an_endpoint_can_be_deleted_while_it_is_created(local_door: LocalDoor) -> None:
    config(local_door, "conf", variant("v", model(local_door, "mod", SLOW="30")))
    sagemaker = local_door.client("sagemaker")
    endpoint(local_door, "going", "conf")
    assert eventually(lambda: bool(local_door.instances.servers))

    sagemaker.delete_endpoint(EndpointName="going")

    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="going")
    assert eventually(lambda: not local_door.instances.servers)


def test_what_is_deleted_is_gone_and_endpoints_serve_on(local_door: LocalDoor) -> None:
    name = served(local_door)
    sagemaker = local_door.client("sagemaker")

    sagemaker.delete_endpoint_config(EndpointConfigName="conf")
    sagemaker.delete_model(ModelName="mod")

    assert read(invoke(local_door, name))["length"] == 5
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        sagemaker.describe_endpoint_config(EndpointConfigName="conf")
    with pytest.raises(ClientError, match="Could not find model"):
        sagemaker.delete_model(ModelName="mod")


def test_several_endpoints_are_served_at_once_and_listed_in_pages(local_door: LocalDoor) -> None:
    config(local_door, "conf", variant("v", model(local_door, "mod")))
    names = [endpoint(local_door, f"one-{number}", "conf") for number in range(3)]
    for name in names:
        settled(local_door, name)
    sagemaker = local_door.client("sagemaker")

    pages = sagemaker.get_paginator("list_endpoints").paginate(SortBy="Name", SortOrder="Ascending", MaxResults=2)
    found = [each["EndpointName"] for page in pages for each in page["Endpoints"]]

    assert found == names
    assert [read(invoke(local_door, name))["variant"] for name in names] == ["v"] * 3
    assert len(sagemaker.list_endpoints(NameContains="ONE-1")["Endpoints"]) == 1
    assert sagemaker.list_endpoints(StatusEquals="Failed")["Endpoints"] == []
    with pytest.raises(ClientError, match="Invalid NextToken"):
        sagemaker.list_endpoints(NextToken="!")


def test_each_instance_has_its_log_stream(local_door: LocalDoor) -> None:
    name = served(local_door, "logged")
    logs = local_door.client("logs")
    group = f"/aws/sagemaker/Endpoints/{name}"

    def streams() -> list[str]:
        try:
            found = logs.describe_log_streams(logGroupName=group)["logStreams"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [each["logStreamName"] for each in found]

    def messages(stream: str) -> list[str]:
        found = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
        return [event["message"] for event in found]

    assert eventually(lambda: [messages(stream) for stream in streams()] == [["AllTraffic 0 serves"]])
    assert streams()[0].startswith("AllTraffic/i-")


def test_what_there_is_outlives_the_door(local_door: LocalDoor, services: MotoServices) -> None:
    name = served(local_door)
    kept, lost = FakeInstances(), FakeInstances()
    kept.servers = dict(local_door.instances.servers)

    for instances, there in ((kept, 1), (lost, 0)):
        assert len(instances.servers) == there
        plane = ControlPlane(Path(local_door.state), instances, services)
        plane.recover()
        found = plane.operations["DescribeEndpoint"]({"EndpointName": name}, 5.0)
        plane.close(stop=False)
        assert found["EndpointStatus"] == "InService"
        assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 1
        assert len(instances.servers) == 1
    lost.discard(name)
