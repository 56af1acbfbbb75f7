"""Batch transform through boto3, on instances without an engine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness.control_plane import ControlPlane
from harness.job_queue import JobQueue
from harness.moto_services import MotoServices
from harness.service_model import service_model
from tests.fake_instances import FakeInstances
from tests.functional.conftest import LocalDoor, room_for_all
from tests.functional.door_models import PATIENT, archive, eventually, invoke, model, put, read, served

GROUP = "/aws/sagemaker/TransformJobs"


def transform(door: LocalDoor, name: str = "job", **options: Any) -> str:
    """A job over the objects below in/; ``input`` and ``output`` are added to its TransformInput and -Output."""
    more_input, more_output = options.pop("input", {}), options.pop("output", {})
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://door-models/in/"}}
    count = options.pop("count", 1)
    door.client("sagemaker").create_transform_job(
        TransformJobName=name,
        ModelName=options.pop("ModelName", "mod"),
        TransformInput={"DataSource": source, **more_input},
        TransformOutput={"S3OutputPath": "s3://door-models/out/", **more_output},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": count},
        **options,
    )
    return name


def ended(door: LocalDoor, name: str = "job") -> dict[str, Any]:
    found: dict[str, Any] = door.client("sagemaker", **PATIENT).describe_transform_job(TransformJobName=name)
    return found


def outputs(door: LocalDoor) -> dict[str, bytes]:
    s3 = door.client("s3")
    found = s3.list_objects_v2(Bucket="door-models", Prefix="out/").get("Contents", [])
    return {
        each["Key"].removeprefix("out/"): s3.get_object(Bucket="door-models", Key=each["Key"])["Body"].read()
        for each in found
    }


@pytest.fixture
def door(local_door: LocalDoor) -> LocalDoor:
    """With a model, and nothing in its input or output."""
    put(local_door, "none", b"")
    s3 = local_door.client("s3")
    for each in s3.list_objects_v2(Bucket="door-models")["Contents"]:
        s3.delete_object(Bucket="door-models", Key=each["Key"])
    model(local_door, "mod", put(local_door, "m.tar.gz", archive(weights="1")), COLOUR="red")
    return local_door


def test_each_object_has_an_output_of_its_name_and_no_instance_stays(door: LocalDoor) -> None:
    put(door, "in/a.csv", b"1,2")
    put(door, "in/below/b.csv", b"1,2,3")

    transform(door, input={"ContentType": "text/csv"}, output={"Accept": "application/json"})
    found = ended(door)

    assert found["TransformJobStatus"] == "Completed", found
    assert found["CreationTime"] <= found["TransformStartTime"] <= found["TransformEndTime"]
    said = {name: json.loads(content) for name, content in outputs(door).items()}
    assert {name: each["length"] for name, each in said.items()} == {"a.csv.out": 3, "below/b.csv.out": 5}
    assert (said["a.csv.out"]["headers"]["content-type"], said["a.csv.out"]["headers"]["accept"]) == (
        "text/csv",
        "application/json",
    )
    assert said["a.csv.out"]["members"] == ["weights"]
    assert door.instances.servers == {}
    assert list((door.state / "archives").iterdir()) == []


def test_instances_are_told_of_the_batch_and_share_the_objects(door: LocalDoor) -> None:
    for number in range(4):
        put(door, f"in/{number}", b"x")

    transform(door, count=2, MaxPayloadInMB=3, BatchStrategy="MultiRecord", Environment={"MINE": "yes"})

    assert ended(door)["TransformJobStatus"] == "Completed"
    assert sorted(json.loads(each)["number"] for each in outputs(door).values()) == [0, 0, 1, 1]
    environment = json.loads(outputs(door)["0.out"])["environment"]
    assert {name: environment[name] for name in ("COLOUR", "MINE", "SAGEMAKER_BATCH")} == {
        "COLOUR": "red",
        "MINE": "yes",
        "SAGEMAKER_BATCH": "true",
    }
    assert (environment["SAGEMAKER_MAX_PAYLOAD_IN_MB"], environment["SAGEMAKER_BATCH_STRATEGY"]) == (
        "3",
        "MULTI_RECORD",
    )


@pytest.mark.parametrize(
    ("strategy", "output"),
    [("SingleRecord", b"one\ntwo\nthree\n"), ("MultiRecord", b"one\nstatus 200 two\nstatus 200 three\n")],
)
def test_lines_are_sent_as_the_strategy_says_and_come_back_in_order(
    door: LocalDoor, strategy: str, output: bytes
) -> None:
    put(door, "in/lines", b"status 200 one\nstatus 200 two\nstatus 200 three\n")

    transform(
        door,
        input={"SplitType": "Line"},
        output={"AssembleWith": "Line"},
        BatchStrategy=strategy,
        MaxConcurrentTransforms=3,
    )

    assert ended(door)["TransformJobStatus"] == "Completed"
    assert outputs(door) == {"lines.out": output}


def test_a_manifest_names_the_objects(door: LocalDoor) -> None:
    put(door, "data/a", b"status 200 a")
    put(door, "data/b", b"status 200 b")
    listing = put(door, "list", json.dumps([{"prefix": "s3://door-models/data/"}, "b"]).encode())

    transform(door, input={"DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": listing}}})

    assert ended(door)["TransformJobStatus"] == "Completed"
    assert outputs(door) == {"b.out": b"b"}


def test_inputs_are_filtered_and_joined_with_their_answers(door: LocalDoor) -> None:
    put(door, "in/rows.csv", b"7,status 200 seven\n8,status 200 eight\n")

    transform(
        door,
        input={"SplitType": "Line", "ContentType": "text/csv"},
        output={"AssembleWith": "Line", "Accept": "text/csv"},
        BatchStrategy="SingleRecord",
        DataProcessing={"InputFilter": "$[1]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"},
    )

    assert ended(door)["TransformJobStatus"] == "Completed"
    assert outputs(door) == {"rows.csv.out": b"7,seven\n8,eight\n"}


def test_an_object_that_fails_fails_the_job_by_its_name_and_the_others_have_their_outputs(door: LocalDoor) -> None:
    put(door, "in/bad", b"status 200 fine\nstatus 400 no such column")
    put(door, "in/good", b"status 200 good")

    transform(door, "failing", input={"SplitType": "Line"}, BatchStrategy="SingleRecord")
    found = ended(door, "failing")

    assert found["TransformJobStatus"] == "Failed"
    assert found["FailureReason"] == (
        "ClientError: See job logs for more information: s3://door-models/in/bad: 400: no such column"
    )
    assert outputs(door) == {"good.out": b"good"}
    assert door.instances.servers == {}
    logs = door.client("logs")
    names = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="failing/")["logStreams"]
    first, second = sorted(each["logStreamName"] for each in names)
    assert (first.startswith("failing/i-"), second) == (True, f"{first}/data-log")
    events = logs.get_log_events(logGroupName=GROUP, logStreamName=second, startFromHead=True)["events"]
    assert events[0]["message"] == "[sagemaker logs]: door-models/in/bad: ClientError: 400: no such column"


@pytest.mark.parametrize(
    ("content", "options", "why"),
    [
        (b"status 500 broken", {}, "AlgorithmError: .*500: broken"),
        (b"die", {"ModelClientConfig": {"InvocationsMaxRetries": 0}}, "AlgorithmError: .*unable to get a response"),
        (
            b"sleep 3",
            {"ModelClientConfig": {"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0}},
            "within 1 s",
        ),
        (b"x" * (1024 * 1024 + 1), {"MaxPayloadInMB": 1}, "record 1 has 1048577 bytes; MaxPayloadInMB allows 1048576"),
        (b"x", {"input": {"CompressionType": "Gzip"}}, "is no gzip file"),
    ],
    ids=["error", "broken", "late", "large", "gzip"],
)
def test_what_keeps_an_object_from_its_output_is_told(
    door: LocalDoor, content: bytes, options: dict[str, Any], why: str
) -> None:
    put(door, "in/one", content)

    transform(door, **options)
    found = ended(door)

    assert found["TransformJobStatus"] == "Failed"
    assert re.search(why, found["FailureReason"]), found
    assert outputs(door) == {}


def test_a_payload_of_any_size_goes_out_in_chunks(door: LocalDoor) -> None:
    put(door, "in/one", b"x" * 100)

    transform(door, MaxPayloadInMB=0)

    assert ended(door)["TransformJobStatus"] == "Completed"
    assert json.loads(outputs(door)["one.out"])["headers"]["transfer-encoding"] == "chunked"


def test_an_input_without_objects_and_a_model_that_fails_fail_the_job(door: LocalDoor) -> None:
    transform(door, "empty")
    assert "No S3 objects found under S3 URL 's3://door-models/in/'" in ended(door, "empty")["FailureReason"]
    put(door, "in/one", b"x")
    door.client("sagemaker").delete_model(ModelName="mod")
    model(door, "mod", FAILS="no such module")
    transform(door, "broken")

    assert ended(door, "broken")["FailureReason"] == "AlgorithmError: no such module"
    assert door.instances.servers == {}


def test_a_job_is_stopped_with_what_it_has_not_written(door: LocalDoor) -> None:
    put(door, "in/one", b"stream")
    sagemaker = door.client("sagemaker")
    transform(door)
    assert eventually(lambda: any(each.streaming for each in door.instances.servers.values()))

    sagemaker.stop_transform_job(TransformJobName="job")

    assert ended(door)["TransformJobStatus"] == "Stopped"
    assert "FailureReason" not in ended(door)
    assert outputs(door) == {}
    assert door.instances.servers == {}
    with pytest.raises(ClientError, match=r"ValidationException.*in status Stopped"):
        sagemaker.stop_transform_job(TransformJobName="job")


def test_a_job_has_the_name_of_an_endpoint_and_neither_harms_the_other(door: LocalDoor) -> None:
    door.client("sagemaker").delete_model(ModelName="mod")
    name = served(door, "same")
    put(door, "in/one", b"stream")
    transform(door, name)
    assert eventually(lambda: any(each.streaming for each in door.instances.servers.values()))

    assert read(invoke(door, name))["length"] == 5
    door.client("sagemaker").delete_endpoint(EndpointName=name)
    assert eventually(lambda: [place.kind for place in door.instances.servers] == ["transform"])
    for server in list(door.instances.servers.values()):
        server.go_on.set()

    assert ended(door, name)["TransformJobStatus"] == "Completed"
    assert outputs(door) == {"one.out": b"one two three"}


def test_jobs_are_described_and_listed_in_the_services_shapes(door: LocalDoor) -> None:
    put(door, "in/one", b"x")
    transform(door, "first", Tags=[{"Key": "k", "Value": "v"}])
    ended(door, "first")
    transform(door, "second")
    ended(door, "second")
    sagemaker, shapes = door.client("sagemaker"), service_model("sagemaker")

    answers = {
        "DescribeTransformJob": sagemaker.describe_transform_job(TransformJobName="first"),
        "ListTransformJobs": sagemaker.list_transform_jobs(SortBy="Name", SortOrder="Ascending"),
    }

    for operation, answer in answers.items():
        shape = shapes.operation_model(operation).output_shape
        assert set(answer) - {"ResponseMetadata"} <= set(shape.members)
        assert set(shape.required_members) <= set(answer)
    names = [each["TransformJobName"] for each in answers["ListTransformJobs"]["TransformJobSummaries"]]
    assert names == ["first", "second"]
    assert sagemaker.list_transform_jobs(StatusEquals="Failed")["TransformJobSummaries"] == []
    assert sagemaker.list_tags(ResourceArn=answers["DescribeTransformJob"]["TransformJobArn"])["Tags"]
    with pytest.raises(ClientError, match=r"ResourceInUse.*must be unique"):
        transform(door, "FIRST")
    with pytest.raises(ClientError, match=r"ValidationException.*Could not find transform job 'arn:"):
        sagemaker.describe_transform_job(TransformJobName="none")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"input": {"SplitType": "RecordIO"}}, "'RecordIO' is not split here"),
        ({"count": 9}, "ResourceLimitExceeded.*8 at most share"),
        ({"MaxPayloadInMB": 101}, "100 MB at most"),
        ({"DataProcessing": {"InputFilter": "$[1:]"}}, "cannot be filtered or joined"),
        ({"ModelName": "none"}, "could not find model 'none'"),
    ],
    ids=str,
)
def test_what_cannot_be_played_is_refused(door: LocalDoor, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ClientError, match=why):
        transform(door, **options)

    assert door.client("sagemaker").list_transform_jobs()["TransformJobSummaries"] == []


def test_jobs_that_wait_outlive_the_door_and_what_ran_has_failed(
    door: LocalDoor, services: MotoServices, tmp_path: Path
) -> None:
    put(door, "in/one", b"stream")
    state = tmp_path / "other"
    instances, turn = FakeInstances(), JobQueue(room_for_all, print)
    turn.close(0)  # nothing gets its turn any more
    plane = ControlPlane(state, instances, services, queue=turn)
    described = {"TransformJobName": "waits"}
    request = dict(door.plane.operations["DescribeTransformJob"]({"TransformJobName": transform(door)}, 0.0))
    create = {name: request[name] for name in ("TransformInput", "TransformOutput", "TransformResources", "ModelName")}
    plane.operations["CreateModel"](
        {"ModelName": "mod", "ExecutionRoleArn": "r", "PrimaryContainer": {"Image": "local/image"}}, 0.0
    )
    plane.operations["CreateTransformJob"]({**described, **create}, 0.0)
    plane.close(stop=True)

    instances.go_on.set()
    plane = ControlPlane(state, instances, services, queue=JobQueue(room_for_all, print))
    plane.recover()
    found = plane.operations["DescribeTransformJob"](described, 10.0)
    plane.close(stop=True)
    door.plane.close(stop=True)
    lost = ControlPlane(door.state, FakeInstances(), services)
    lost.recover()
    ran = lost.operations["DescribeTransformJob"]({"TransformJobName": "job"}, 0.0)
    lost.close(stop=True)

    assert found["TransformJobStatus"] == "Completed"
    assert (ran["TransformJobStatus"], ran["FailureReason"]) == (
        "Failed",
        "InternalServerError: the door ended while the job ran",
    )
