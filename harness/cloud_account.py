"""The door to a running job or endpoint on AWS: what it is, what it says, what it leaves. One method, one call.

What makes jobs and endpoints goes through the SageMaker SDK (harness/cloud_sdk.py); what watches and removes them is
here, so that a watch can be left and taken up again. AWS_ENDPOINT_URL leads all of it elsewhere, as everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.cloud_errors import AwsError, CloudFailed, Where, explain
from harness.engine_log import Line

TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"
_HOST = re.compile(r"(algo-\d+)")


@contextmanager
def told(where: Where) -> Iterator[None]:
    """What botocore raises in the block becomes `CloudFailed`, in one line."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        answer = error.response["Error"]
        message, code = answer.get("Message", str(error)), answer.get("Code", "")
        found = AwsError(type(error).__name__, message, code, error.operation_name)
        raise CloudFailed(found, explain(found, where)) from error
    except (BotoCoreError, ResponseParserError) as error:  # the latter is what others than AWS answer, as a proxy
        found = AwsError(type(error).__name__, str(error))
        raise CloudFailed(found, explain(found, where)) from error


class CloudAccount:
    """Every method raises `CloudFailed`, in one line."""

    def __init__(self, where: Where) -> None:
        import boto3

        self.where = where
        with told(self.where):
            self._session = boto3.Session(region_name=where.region)
            self._sagemaker = self._session.client("sagemaker")

    def describe_job(self, name: str) -> dict[str, Any]:
        with told(self.where):
            return _plain(self._sagemaker.describe_training_job(TrainingJobName=name))

    def stop_job(self, name: str) -> None:
        with told(self.where):
            self._sagemaker.stop_training_job(TrainingJobName=name)

    def describe_endpoint(self, name: str) -> dict[str, Any]:
        with told(self.where):
            return _plain(self._sagemaker.describe_endpoint(EndpointName=name))

    def endpoints(self) -> list[dict[str, Any]]:
        """Those of the region, whoever made them."""
        with told(self.where):
            pages = self._sagemaker.get_paginator("list_endpoints").paginate()
            return [item for page in pages for item in page["Endpoints"]]

    def instances_of(self, endpoint_name: str) -> list[tuple[str, int]]:
        """(instance type, count) of each variant of an endpoint."""
        with told(self.where):
            config = self._sagemaker.describe_endpoint(EndpointName=endpoint_name)["EndpointConfigName"]
            variants = self._sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        return [(each.get("InstanceType", ""), each.get("InitialInstanceCount", 0)) for each in variants]

    def remove(self, kind: str, name: str) -> bool:
        """Delete the 'endpoint', 'endpoint_config' or 'model' ``name``; false where it is gone already."""
        argument = {"endpoint": "EndpointName", "endpoint_config": "EndpointConfigName", "model": "ModelName"}[kind]
        try:
            with told(self.where):
                getattr(self._sagemaker, f"delete_{kind}")(**{argument: name})
        except CloudFailed as error:
            if error.error.is_unknown_name:
                return False
            raise
        return True

    def invoke(self, endpoint_name: str, body: bytes, content_type: str, accept: str) -> tuple[bytes, str]:
        """The answer and its content type."""
        with told(self.where):
            answer = self._session.client("sagemaker-runtime").invoke_endpoint(
                EndpointName=endpoint_name, Body=body, ContentType=content_type, Accept=accept
            )
            return answer["Body"].read(), answer["ContentType"]

    def download(self, uri: str, to: Path) -> bool:
        """The object at an s3:// URI into the file ``to``; false where there is none."""
        place = urlsplit(uri)
        try:
            with told(self.where):
                self._session.client("s3").download_file(place.netloc, place.path.lstrip("/"), str(to))
        except CloudFailed as error:
            if error.error.code in ("404", "NoSuchKey", "NotFound"):
                return False
            raise
        return True

    def log_reader(self, name: str) -> JobLogs:
        with told(self.where):
            return JobLogs(self._session.client("logs"), name, self.where)


class JobLogs:
    """Reads what hosts of a job printed, each line once, from the first one on."""

    def __init__(self, client: Any, name: str, where: Where) -> None:
        self._client = client
        self._name = name
        self._where = where
        self._tokens: dict[str, str] = {}

    def read(self) -> Iterator[tuple[str, list[Line]]]:
        """(host, its new lines), for every host that has some."""
        for stream in self._streams():
            found = _HOST.search(stream.rpartition("/")[2])
            host = found[1] if found else "algo-1"
            while lines := self._page(stream):
                yield host, lines

    def _streams(self) -> list[str]:
        names: list[str] = []
        token: dict[str, str] = {}
        while True:
            try:
                with told(self._where):
                    page = self._client.describe_log_streams(
                        logGroupName=TRAINING_LOGS, logStreamNamePrefix=f"{self._name}/", **token
                    )
            except CloudFailed as error:
                if error.error.code == "ResourceNotFoundException":
                    return []  # the first job of an account: the group is made when a host first speaks
                raise
            names += [stream["logStreamName"] for stream in page["logStreams"]]
            if "nextToken" not in page:
                return sorted(names)
            token = {"nextToken": page["nextToken"]}

    def _page(self, stream: str) -> list[Line]:
        token = {"nextToken": self._tokens[stream]} if stream in self._tokens else {}
        with told(self._where):
            page = self._client.get_log_events(
                logGroupName=TRAINING_LOGS, logStreamName=stream, startFromHead=True, **token
            )
        self._tokens[stream] = page["nextForwardToken"]
        return [_line(event["timestamp"], event["message"]) for event in page["events"]]


def _line(milliseconds: int, message: str) -> Line:
    at = datetime.fromtimestamp(milliseconds // 1000, UTC)
    time = f"{at:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}000000Z"
    return Line(time.encode(), message.removesuffix("\n").encode() + b"\n")


def _plain(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}
