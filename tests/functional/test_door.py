"""The AWS door through boto3: services from moto, protocol, and what it refuses."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.parse
from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness.moto_services import ROLE, ROLE_ARN, knows
from harness.service_model import operations
from tests.functional.conftest import LocalDoor


def send(door: LocalDoor, method: str, target: str, body: bytes = b"", **headers: str) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(door.url).netloc, timeout=10)
    connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def test_objects_go_into_s3_and_come_out_whatever_they_are_called(local_door: LocalDoor) -> None:
    s3 = local_door.client("s3")
    s3.create_bucket(Bucket="things", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})

    s3.put_object(Bucket="things", Key="a/b c+ü%2F", Body=b"hello", Metadata={"my_key": "value"})

    assert s3.get_object(Bucket="things", Key="a/b c+ü%2F")["Body"].read() == b"hello"
    head = s3.head_object(Bucket="things", Key="a/b c+ü%2F")
    assert (head["ContentLength"], head["Metadata"]) == (5, {"my_key": "value"})
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="things")["Contents"]] == ["a/b c+ü%2F"]


def test_a_bucket_may_be_called_as_the_runtimes_paths_begin(local_door: LocalDoor) -> None:
    s3 = local_door.client("s3")
    s3.create_bucket(Bucket="endpoints", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})

    s3.put_object(Bucket="endpoints", Key="x/invocations", Body=b"mine")

    assert s3.get_object(Bucket="endpoints", Key="x/invocations")["Body"].read() == b"mine"
    upload = s3.create_multipart_upload(Bucket="endpoints", Key="x/invocations")  # a POST
    assert upload["Key"] == "x/invocations"


def test_the_caller_is_an_assumed_role_that_exists(local_door: LocalDoor) -> None:
    caller = local_door.client("sts").get_caller_identity()
    role = local_door.client("iam").get_role(RoleName=ROLE)["Role"]

    assert caller["Arn"] == f"arn:aws:sts::{caller['Account']}:assumed-role/{ROLE}/local"
    assert role["Arn"] == ROLE_ARN
    assert ROLE_ARN.split(":")[4] == caller["Account"]


def test_iam_simulates_that_everything_is_allowed(local_door: LocalDoor) -> None:
    iam = local_door.client("iam")

    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=ROLE_ARN, ActionNames=["s3:PutObject", "s3:GetObject"], ResourceArns=["arn:aws:s3:::a/<b>"]
    )

    found = [
        (each["EvalActionName"], each["EvalResourceName"], each["EvalDecision"])
        for page in pages
        for each in page["EvaluationResults"]
    ]
    assert found == [
        ("s3:PutObject", "arn:aws:s3:::a/<b>", "allowed"),
        ("s3:GetObject", "arn:aws:s3:::a/<b>", "allowed"),
    ]


def test_an_operation_of_iam_that_nobody_emulates_says_so_in_its_own_protocol(local_door: LocalDoor) -> None:
    with pytest.raises(ClientError, match=r"UnsupportedOperation.*moto, which answers this, fails on it") as caught:
        local_door.client("iam").generate_organizations_access_report(EntityPath="o-1234567890/r-1234")

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_logs_and_repositories_are_there(local_door: LocalDoor) -> None:
    local_door.client("logs").create_log_group(logGroupName="/mine")
    repository = local_door.client("ecr").create_repository(repositoryName="mine")["repository"]

    found = local_door.client("logs").describe_log_groups(logGroupNamePrefix="/mine")["logGroups"]
    assert [group["logGroupName"] for group in found] == ["/mine"]
    assert repository["repositoryName"] == "mine"


def test_a_request_that_is_missing_a_member_is_told_in_the_platforms_words(local_door: LocalDoor) -> None:
    status, headers, body = send(local_door, "POST", "/", b"{}", X_Amz_Target="SageMaker.CreateEndpoint")

    said = json.loads(body)
    assert (status, said["__type"]) == (400, "ValidationException")
    assert headers["x-amzn-ErrorType"] == "ValidationException"
    assert headers["x-amzn-RequestId"]
    assert said["message"] == (
        "2 validation errors detected: Value 'null' at 'endpointName' failed to satisfy constraint: Member must not be "
        "null; Value 'null' at 'endpointConfigName' failed to satisfy constraint: Member must not be null"
    )


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "SerializationException"),
        (b"[]", "SerializationException"),
        (b"\xff\xfe", "SerializationException"),
        (b'{"EndpointName": NaN}', "SerializationException"),
        (b"[" * 100_000, "SerializationException"),
        (b'{"EndpointName": "x", "Colour": 1}', "ValidationException"),
        (b'{"EndpointName": ["x"]}', "ValidationException"),
        (b'{"EndpointName": "\\ud800"}', "ValidationException"),
        (b'{"EndpointName": "' + b"x" * 100_000 + b'"}', "ValidationException"),
        (b'{"EndpointName": "../../etc/passwd"}', "ValidationException"),
    ],
    ids=lambda value: str(value[:24]),
)
def test_a_body_that_is_none_is_refused(local_door: LocalDoor, body: bytes, why: str) -> None:
    status, _, said = send(local_door, "POST", "/", body, X_Amz_Target="SageMaker.DescribeEndpoint")

    assert (status, json.loads(said)["__type"]) == (400, why)


def test_an_operation_that_nobody_emulates_says_so(local_door: LocalDoor) -> None:
    unknown = [each for each in operations() if not knows(each)]

    with pytest.raises(ClientError, match=r"UnsupportedOperation.*emulated neither by the harness nor by moto"):
        local_door.client("sagemaker").list_studio_lifecycle_configs()

    assert "ListStudioLifecycleConfigs" in unknown
    status, _, body = send(local_door, "POST", "/", b"{}", X_Amz_Target="SageMaker.MakeCoffee")
    assert (status, json.loads(body)["__type"]) == (400, "UnknownOperationException")


def test_an_operation_that_moto_answers_is_marked_in_the_log(local_door: LocalDoor) -> None:
    assert local_door.client("sagemaker").list_notebook_instances()["NotebookInstances"] == []

    assert local_door.notes == ["ListNotebookInstances: moto answers; it keeps records, and nothing is run"]


def test_a_training_job_is_checked_and_not_pretended(local_door: LocalDoor) -> None:
    sagemaker = local_door.client("sagemaker")
    request: dict[str, Any] = {
        "TrainingJobName": "job",
        "AlgorithmSpecification": {"TrainingImage": "local/image", "TrainingInputMode": "File"},
        "RoleArn": ROLE_ARN,
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 30},
    }

    with pytest.raises(ClientError, match=r"ValidationException.*MaxWaitTimeInSeconds: is for managed spot training"):
        sagemaker.create_training_job(**request)
    del request["StoppingCondition"]["MaxWaitTimeInSeconds"]
    with pytest.raises(ClientError, match=r"UnsupportedOperation.*there is nothing here to run training jobs with"):
        sagemaker.create_training_job(**request)
    with pytest.raises(ClientError, match=r"ValidationException.*Requested resource not found"):
        sagemaker.describe_training_job(TrainingJobName="job")
    assert sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.com"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "example.com"},
        {"Host": "127.0.0.1.example.com:80"},
        {"Host": ""},
    ],
    ids=str,
)
def test_web_pages_cannot_drive_it(local_door: LocalDoor, headers: dict[str, str]) -> None:
    target = {"X-Amz-Target": "SageMaker.ListEndpoints", "Content-Type": "text/plain"}

    status, _, body = send(local_door, "POST", "/", b"{}", **target, **headers)

    assert (status, json.loads(body)["__type"]) == (403, "AccessDeniedException")


def test_a_preflight_of_a_browser_is_not_allowed_either(local_door: LocalDoor) -> None:
    status, headers, _ = send(local_door, "OPTIONS", "/bucket/key", Origin="https://example.com")

    assert status == 403
    assert headers["Access-Control-Allow-Origin"] is None


def test_it_listens_on_the_loopback_interface_only(local_door: LocalDoor) -> None:
    assert urllib.parse.urlsplit(local_door.url).hostname == "127.0.0.1"


def test_a_body_in_chunks_arrives_whole(local_door: LocalDoor) -> None:
    s3 = local_door.client("s3")
    s3.create_bucket(Bucket="chunked", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(local_door.url).netloc, timeout=10)

    connection.request("PUT", "/chunked/key", iter([b"one ", b"two"]), encode_chunked=True)
    status = connection.getresponse().status
    connection.close()

    assert status == 200
    assert s3.get_object(Bucket="chunked", Key="key")["Body"].read() == b"one two"


def test_an_upload_that_asks_first_is_told_to_go_on_before_it_sends_anything(local_door: LocalDoor) -> None:
    address = urllib.parse.urlsplit(local_door.url)
    head = f"PUT /asked HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(head.encode())
        told = connection.recv(100)
        connection.sendall(b"<a/>\n")
        answer = connection.recv(100)

    assert told == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize("length", ["-1", "x", "99999999999999"])
def test_a_length_that_cannot_be_is_refused_without_reading(local_door: LocalDoor, length: str) -> None:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(local_door.url).netloc, timeout=10)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", length)
    connection.endheaders()

    status = connection.getresponse().status
    connection.close()

    assert status in (400, 413)


def test_tags_follow_what_they_are_on(local_door: LocalDoor) -> None:
    sagemaker = local_door.client("sagemaker")
    arn = sagemaker.create_model(
        ModelName="tagged",
        ExecutionRoleArn=ROLE_ARN,
        PrimaryContainer={"Image": "local/image"},
        Tags=[{"Key": "a", "Value": "1"}],
    )["ModelArn"]

    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"])

    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
