"""Thousands of malformed requests: always a 4xx in the service's protocol, never a container."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docs.api import answered
from harness.api import TARGET, Api
from harness.control_plane import ControlPlane
from harness.control_plane_training import TrainingExecutor
from harness.moto_services import MotoServices
from harness.service_model import SAGEMAKER, input_shape, operations
from harness.wire import Request, Response
from tests.fake_instances import FakeInstances
from tests.malformed import HOSTILE, as_body, spoilt, structures_of

OURS = [each["operation"] for each in answered()[SAGEMAKER]]  # which a test holds to those that there are
HOST = {"host": "127.0.0.1:80"}


class NothingStarts:
    """An executor that accepts every job and starts none: what gets here is to be played."""

    def check(self, *_: Any) -> None:
        pass

    def start(self, *_: Any) -> None:
        pass

    def stop(self, *_: Any) -> None:
        pass

    def take_up(self, *_: Any) -> bool:
        return True

    def close(self) -> None:
        pass


ROLE = "arn:aws:iam::000000000000:role/SageMakerHarness"
# Requests that are accepted as they stand, but for what they refer to.
RIGHT: dict[str, dict[str, Any]] = {
    "CreateModel": {
        "ModelName": "m",
        "ExecutionRoleArn": ROLE,
        "PrimaryContainer": {
            "Image": "local/image",
            "ModelDataUrl": "s3://bucket/model.tar.gz",
            "Environment": {"A": "b"},
            "ModelDataSource": {"S3DataSource": {"S3Uri": "s3://b/c", "S3DataType": "S3Object"}},
        },
        "VpcConfig": {"Subnets": ["a"], "SecurityGroupIds": ["b"]},
        "Tags": [{"Key": "k", "Value": "v"}],
    },
    "CreateEndpointConfig": {
        "EndpointConfigName": "c",
        "ProductionVariants": [
            {
                "VariantName": "v",
                "ModelName": "there",
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
                "InitialVariantWeight": 1.0,
                "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1},
            }
        ],
        "AsyncInferenceConfig": {
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 1},
            "OutputConfig": {
                "S3OutputPath": "s3://b/c",
                "S3FailurePath": "s3://b/d",
                "NotificationConfig": {"SuccessTopic": "", "IncludeInferenceResponseIn": []},
            },
        },
        "DataCaptureConfig": {
            "EnableCapture": False,
            "InitialSamplingPercentage": 1,
            "DestinationS3Uri": "s3://b/c",
            "CaptureOptions": [{"CaptureMode": "Input"}],
        },
    },
    "CreateTransformJob": {
        "TransformJobName": "t",
        "ModelName": "there",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": "s3://bucket/out", "Accept": "text/csv", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        "DataProcessing": {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"},
        "ModelClientConfig": {"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0},
        "Environment": {"A": "b"},
        "MaxPayloadInMB": 1,
        "MaxConcurrentTransforms": 1,
    },
    "UpdateEndpointWeightsAndCapacities": {
        "EndpointName": "e",
        "DesiredWeightsAndCapacities": [{"VariantName": "v", "DesiredWeight": 1.0, "DesiredInstanceCount": 1}],
    },
    "ListEndpoints": {"NameContains": "a", "MaxResults": 5, "CreationTimeAfter": 1.0, "NextToken": "eA=="},
    "CreateTrainingJob": {
        "TrainingJobName": "j",
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": "local/image",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "n", "Regex": "(.*)"}],
            "ContainerEntrypoint": ["a"],
        },
        "HyperParameters": {
            "sagemaker_program": '"train.py"',
            "sagemaker_mpi_enabled": "true",
            "sagemaker_mpi_num_of_processes_per_host": "1",
            "sagemaker_distribution_instance_groups": '["a"]',
        },
        "InputDataConfig": [
            {
                "ChannelName": "c",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/p"}},
                "ShuffleConfig": {"Seed": 1},
            }
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/"},
        "ResourceConfig": {
            "VolumeSizeInGB": 30,
            "InstanceGroups": [{"InstanceGroupName": "a", "InstanceType": "ml.m5.large", "InstanceCount": 1}],
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "CheckpointConfig": {"S3Uri": "s3://bucket/c", "LocalPath": "/opt/ml/checkpoints"},
        "VpcConfig": {"Subnets": ["a"], "SecurityGroupIds": ["b"]},
        "DebugHookConfig": {"S3OutputPath": "s3://bucket/", "CollectionConfigurations": []},
        "Environment": {"A": "b"},
    },
}
EXECUTOR: TrainingExecutor = NothingStarts()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, services: MotoServices) -> Iterator[tuple[Api, FakeInstances]]:
    instances = FakeInstances()
    plane = ControlPlane(tmp_path_factory.mktemp("door"), instances, services, EXECUTOR)
    yield Api(plane, services.call, print), instances
    plane.close(stop=True)


def well_behaved(answer: Response) -> bool:
    """A success, or an error as the protocol has it."""
    if answer.status == 200:
        return True
    said = json.loads(answer.body)
    return 400 <= answer.status < 500 and bool(said["__type"]) and isinstance(said["message"], str)


@pytest.mark.parametrize("operation", OURS)
def test_an_operation_of_ours_never_breaks(rig: tuple[Api, FakeInstances], operation: str) -> None:
    api, instances = rig

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(structures_of(input_shape(operation)))
    def check(members: dict[str, Any]) -> None:
        answer = api.handle(Request("POST", "/", {**HOST, "x-amz-target": TARGET + operation}, as_body(members)))

        assert well_behaved(answer), answer

    check()
    assert instances.servers == {}


@pytest.mark.parametrize("operation", RIGHT)
def test_an_operation_of_ours_never_breaks_on_what_is_nearly_right(
    rig: tuple[Api, FakeInstances], operation: str
) -> None:
    api, instances = rig
    reached = set()

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    @given(spoilt(RIGHT[operation]))
    def check(members: dict[str, Any]) -> None:
        answer = api.handle(Request("POST", "/", {**HOST, "x-amz-target": TARGET + operation}, as_body(members)))

        assert well_behaved(answer), answer
        reached.add(b"validation error" in answer.body)

    check()
    assert instances.servers == {}
    assert reached == {True, False}, "some are to get past the service's model"


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(operation=st.sampled_from(operations()), members=st.dictionaries(st.text(max_size=12), HOSTILE, max_size=4))
def test_no_operation_breaks_on_members_that_nobody_knows(
    rig: tuple[Api, FakeInstances], operation: str, members: dict[str, Any]
) -> None:
    answer = rig[0].handle(Request("POST", "/", {**HOST, "x-amz-target": TARGET + operation}, as_body(members)))

    assert well_behaved(answer), answer


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=200), target=st.text(st.characters(codec="latin-1"), max_size=30))
def test_no_bytes_break_it(rig: tuple[Api, FakeInstances], body: bytes, target: str) -> None:
    answer = rig[0].handle(Request("POST", "/", {**HOST, "x-amz-target": TARGET + target}, body))

    assert well_behaved(answer), answer


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.text(st.characters(codec="ascii"), max_size=70).map(lambda text: text.replace("/", "%2F")),
    headers=st.dictionaries(
        st.sampled_from(
            [
                "target-variant",
                "custom-attributes",
                "session-id",
                "inference-id",
                "target-model",
                "inputlocation",
                "requestttlseconds",
                "filename",
            ]
        ),
        st.text(st.characters(codec="latin-1"), max_size=1100),
    ),
    body=st.binary(max_size=50),
    how=st.sampled_from(["invocations", "async-invocations", "invocations-response-stream"]),
)
def test_no_invocation_breaks_it(
    rig: tuple[Api, FakeInstances], name: str, headers: dict[str, str], body: bytes, how: str
) -> None:
    named = {f"x-amzn-sagemaker-{header}": value for header, value in headers.items()}
    target = f"/endpoints/{name}/{how}".replace("?", "%3F").replace("#", "%23")

    answer = rig[0].handle(Request("POST", target, {**HOST, **named}, body))

    assert 400 <= answer.status < 500, answer
    assert json.loads(answer.body)["message"]


OREGON = b"<CreateBucketConfiguration><LocationConstraint>us-west-2</LocationConstraint></CreateBucketConfiguration>"
SIGNED_FOR_S3 = {"authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-west-2/s3/aws4_request"}
S3_QUERIES = [
    *("acl", "cors", "delete", "encryption", "lifecycle", "list-type", "location", "notification", "object-lock"),
    *("partNumber", "policy", "restore", "select", "tagging", "uploadId", "uploads", "versionId", "versioning"),
    *("versions", "website", "continuation-token", "max-keys", "prefix", "attributes", "retention", "X-Amz-Signature"),
]
S3_HEADERS = [
    *("range", "content-md5", "x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-copy-source"),
    *("x-amz-copy-source-range", "x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm", "x-amz-trailer"),
    *("x-amz-tagging", "x-amz-acl", "x-amz-storage-class", "x-amz-object-lock-mode", "if-modified-since", "if-match"),
    *("content-encoding", "content-type", "x-amz-checksum-algorithm", "x-amz-metadata-directive"),
]
HOSTILE_TEXT = st.one_of(
    st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=30),
    st.sampled_from(["", "-1", "99999999999999999999", "bytes=1-0", "../../x", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"]),
    st.sampled_from(
        ["hostile/there", "/hostile/there?versionId=x", "hostile", "%", "%ZZ", "SHA256", "aws-chunked", "1"]
    ),
)


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS"]),
    place=st.one_of(
        st.sampled_from(["/hostile", "/hostile/there", "/hostile/", "//there", "/hostile//x", "/no-such-bucket/x"]),
        HOSTILE_TEXT.map(lambda text: "/hostile/" + quote(text)),
        HOSTILE_TEXT.map(lambda text: "/" + quote(text)),
    ),
    query=st.lists(st.tuples(st.sampled_from(S3_QUERIES), HOSTILE_TEXT), max_size=3),
    headers=st.dictionaries(st.sampled_from(S3_HEADERS), HOSTILE_TEXT, max_size=3),
    body=st.one_of(
        st.binary(max_size=80),
        st.sampled_from(
            [b"<a", b"<Delete><Object/></Delete>", b"<CompleteMultipartUpload/>", b"<x>" * 500, b"3\r\nabc"]
        ),
    ),
)
def test_no_request_for_s3_breaks_it(
    rig: tuple[Api, FakeInstances],
    method: str,
    place: str,
    query: list[tuple[str, str]],
    headers: dict[str, str],
    body: bytes,
) -> None:
    api, signed = rig[0], HOST | SIGNED_FOR_S3
    api.handle(Request("PUT", "/hostile", signed, OREGON))
    api.handle(Request("PUT", "/hostile/there", signed, b"content"))

    answer = api.handle(Request(method, f"{place}?{urlencode(query)}", signed | headers, body))

    assert answer.status < 500, answer
    if answer.status >= 400 and method != "HEAD" and answer.body:
        assert b"<Code>" in answer.body, answer
