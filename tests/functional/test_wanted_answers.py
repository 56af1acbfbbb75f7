"""Answers that are wanted of the door: each arrives as boto3 knows it from AWS, once or for as long as it stands."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from harness.door_server import Server
from harness.errors import BadInput
from harness.wanted_answers import Wanted, WantedAnswers, read_wanted
from harness.wire import Request, Response
from tests.functional.test_door_commands import Place

JOB = {
    "TrainingJobName": "mine",
    "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
    "RoleArn": "arn:aws:iam::000000000000:role/SageMakerHarness",
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/"},
    "ResourceConfig": {"InstanceType": "ml.p2.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 30},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
}
DESCRIBED = b'{"TrainingJobName": "mine", "TrainingJobStatus": "InProgress"}'


class Asked:
    """A server that describes one running job whatever it is asked, and the answers wanted of it."""

    def __init__(self, state: Path) -> None:
        self.wanted = WantedAnswers(state)
        self.seen: list[Request] = []
        self.server = Server(lambda request: self.wanted.answer(request, self._own))

    def _own(self, request: Request) -> Response:
        self.seen.append(request)
        return Response(200, (("Content-Type", "application/x-amz-json-1.1"),), DESCRIBED)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.server.url,
            region_name="us-west-2",
            aws_access_key_id="x",
            aws_secret_access_key="x",  # noqa: S106
            config=Config(retries={"total_max_attempts": 1}),
        )


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    there = Asked(tmp_path)
    threading.Thread(target=there.server.serve_forever, args=(0.05,), daemon=True).start()
    yield there
    there.server.shutdown()
    there.server.server_close()


@pytest.mark.parametrize(
    ("wanted", "service", "call"),
    [
        ("CreateTrainingJob: ResourceLimitExceeded: the limit is 0", "sagemaker", "create_training_job"),
        ("CreateTrainingJob: ValidationException: Could not assume role x", "sagemaker", "create_training_job"),
        ("CreateTrainingJob: InternalFailure", "sagemaker", "create_training_job"),
        ("DescribeTrainingJob: ExpiredTokenException: it is expired", "sagemaker", "describe_training_job"),
        ("GetCallerIdentity: ExpiredToken: it is expired", "sts", "get_caller_identity"),
        ("GetRole: NoSuchEntity: no such role", "iam", "get_role"),
        ("s3:HEAD: 403", "s3", "head_bucket"),
        ("s3:PUT: PermanentRedirect: elsewhere", "s3", "put_object"),
        ("InvokeEndpoint: ModelError: it broke", "sagemaker-runtime", "invoke_endpoint"),
    ],
)
def test_an_error_arrives_in_the_services_own_protocol(asked: Asked, wanted: str, service: str, call: str) -> None:
    arguments: dict[str, Any] = {
        "create_training_job": JOB,
        "describe_training_job": {"TrainingJobName": "mine"},
        "get_role": {"RoleName": "x"},
        "head_bucket": {"Bucket": "bucket"},
        "put_object": {"Bucket": "bucket", "Key": "key", "Body": b"x"},
        "invoke_endpoint": {"EndpointName": "x", "Body": b"x"},
    }
    asked.wanted.add(read_wanted(wanted, 1))

    with pytest.raises(ClientError) as told:
        getattr(asked.client(service), call)(**arguments.get(call, {}))

    expected = wanted.split(": ")
    assert told.value.response["Error"]["Code"] == expected[1]
    if len(expected) > 2:
        assert told.value.response["Error"]["Message"] == expected[2]
    # The door did not do it, either. Where a bucket is said to be elsewhere, botocore looks for it.
    assert [each.method for each in asked.seen if each.method != "HEAD"] == []


def test_members_are_put_into_the_doors_own_answer(asked: Asked) -> None:
    asked.wanted.add(
        read_wanted('DescribeTrainingJob = {"TrainingJobStatus": "Failed", "FailureReason": "CapacityError: none"}', 1)
    )
    sagemaker = asked.client("sagemaker")

    first = sagemaker.describe_training_job(TrainingJobName="mine")
    second = sagemaker.describe_training_job(TrainingJobName="mine")

    assert (first["TrainingJobStatus"], first["FailureReason"]) == ("Failed", "CapacityError: none")
    assert second["TrainingJobStatus"] == "InProgress"


def test_answers_come_in_order_and_as_often_as_they_are_wanted(asked: Asked) -> None:
    sts = asked.client("sts")
    asked.wanted.add(Wanted("GetCallerIdentity", "First", "x", times=2))
    asked.wanted.add(Wanted("GetCallerIdentity", "Then", "x", times=0))
    codes = []

    for _ in range(4):
        with pytest.raises(ClientError) as told:
            sts.get_caller_identity()
        codes.append(told.value.response["Error"]["Code"])

    assert codes == ["First", "First", "Then", "Then"]
    assert [str(each) for each in asked.wanted.all()] == ["GetCallerIdentity: Then: x (always)"]
    asked.wanted.clear()
    assert asked.wanted.all() == []


def test_other_operations_are_the_doors_own(asked: Asked) -> None:
    asked.wanted.add(read_wanted("CreateTrainingJob: ResourceLimitExceeded", 0))

    described = asked.client("sagemaker").describe_training_job(TrainingJobName="mine")

    assert described["TrainingJobStatus"] == "InProgress"


@pytest.mark.parametrize("text", ["", "CreateTrainingJob", "DescribeTrainingJob = {no json}", "= {}", "a b: c"])
def test_what_is_no_answer_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(BadInput, match=r"ResourceLimitExceeded|no JSON"):
        read_wanted(text, 1)


def test_a_door_that_serves_is_told_from_any_shell(tmp_path: Path) -> None:
    place = Place(tmp_path)
    ask = "import boto3\ntry:\n    print(boto3.client('sts').get_caller_identity()['Account'])\n"
    ask += "except Exception as error:\n    print(error.response['Error']['Code'])\n"

    try:
        queued = place.run("fail", "GetCallerIdentity: ExpiredToken: it is expired")
        first, second = (place.run("exec", "--", sys.executable, "-c", ask) for _ in range(2))
        left = place.run("fail")
    finally:
        place.run("down")

    assert queued.stdout == "GetCallerIdentity: ExpiredToken: it is expired (1 x)\n", queued.stderr
    assert (first.stdout, second.stdout) == ("ExpiredToken\n", "000000000000\n"), first.stderr
    assert left.stdout == ""
