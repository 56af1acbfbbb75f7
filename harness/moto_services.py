"""S3, STS, IAM, CloudWatch Logs and ECR: what moto has of them, with the contents of S3's objects on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.describe import ACCOUNT
from harness.kept_buckets import KeptBuckets
from harness.kept_logs import KeptLogs
from harness.moto_dispatch import Moto, signed
from harness.moto_objects import install, put_old_log_events
from harness.s3_requests import for_s3, object_target, path_style
from harness.wire import JSON_1_1, Request, Response, ServiceError, signed_for, to_json

ROLE = "SageMakerHarness"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"
ASSUMED_ROLE_ARN = f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/local"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
# Whoever moto does not know is this user to it; SageMaker's callers are a role (SDK v2, `get_execution_role`).
_NOBODY = f"arn:aws:sts::{ACCOUNT}:user/moto".encode()


_LOGS = "Logs_20140328."


class MotoServices:
    """Everything is asked by `call`; objects and logs are kept in ``folder``.

    One for each process, as moto's state is.
    """

    def __init__(self, folder: Path) -> None:
        install()
        self._moto = Moto()
        self.buckets = KeptBuckets(folder / "s3", self._moto.call)
        self.kept_logs = KeptLogs(folder / "logs")
        trust = quote(json.dumps(_TRUST), safe="")
        self._form("iam", f"Action=CreateRole&Version=2010-05-08&RoleName={ROLE}&AssumeRolePolicyDocument={trust}")

    def call(self, request: Request) -> Response:
        """What moto cannot do, and breaks on, is said to be that: an error of status 400. Raises `ServiceError`."""
        request = path_style(request)
        if request.path.startswith("/moto-api"):
            why = "moto's own interface is not served: it would change what is kept on disk behind the door's back"
            raise ServiceError("UnsupportedOperation", why)
        if for_s3(request):
            return self.buckets.call(request)
        answer = self._moto.call(request)
        self._forget_logs(request, answer)
        if signed_for(request) == "sts" or b"GetCallerIdentity" in request.body:
            return replace(answer, body=answer.body.replace(_NOBODY, ASSUMED_ROLE_ARN.encode()))
        return answer

    def read_object(self, bucket: str, key: str) -> bytes:
        """The content of an object. Raises `FileNotFoundError` where there is none."""
        return b"".join(self.buckets.find(bucket, key).read())

    def has_object(self, bucket: str, key: str) -> bool:
        return self.call(Request("HEAD", object_target(bucket, key), signed("s3"))).status == 200

    def make_log_stream(self, group: str, stream: str) -> None:
        """With its group, unless they are there; kept even while it is empty."""
        self.kept_logs.add(group, stream, [])
        self._logs("CreateLogGroup", {"logGroupName": group})
        self._logs("CreateLogStream", {"logGroupName": group, "logStreamName": stream})

    def put_log_events(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Append ``events``, each of milliseconds since 1970 and a line; group and stream are made where missing.

        They are kept, and those left out that an earlier door had of the same stream.
        """
        lines = _lines(self.kept_logs.add(group, stream, events))
        told = {"logGroupName": group, "logStreamName": stream}
        if lines and self._logs("PutLogEvents", {**told, "logEvents": lines}).status != 200:
            self.make_log_stream(group, stream)
            self._logs("PutLogEvents", {**told, "logEvents": lines})

    def restore(self, note: Callable[[str], None]) -> None:
        """What an earlier door has kept, before anything is asked; ``note`` is told of it."""
        self.buckets.restore(note)
        for group, stream, events in self.kept_logs.restore():
            self.make_log_stream(group, stream)
            put_old_log_events(group, stream, _lines(events))

    def _forget_logs(self, request: Request, answer: Response) -> None:
        """Of groups and streams that the user has deleted."""
        operation = (request.header("x-amz-target") or "").removeprefix(_LOGS)
        if operation in ("DeleteLogGroup", "DeleteLogStream") and answer.status == 200:
            members = json.loads(request.body)
            self.kept_logs.drop(members["logGroupName"], members.get("logStreamName"))

    def _logs(self, operation: str, members: Mapping[str, Any]) -> Response:
        headers = {**signed("logs"), "x-amz-target": _LOGS + operation, "content-type": JSON_1_1}
        return self.call(Request("POST", "/", headers, to_json(members)))

    def _form(self, service: str, body: str) -> Response:
        headers = {**signed(service), "content-type": "application/x-www-form-urlencoded"}
        return self.call(Request("POST", "/", headers, body.encode()))


def _lines(events: Sequence[tuple[int, str]]) -> list[dict[str, Any]]:
    return [{"timestamp": at, "message": text or " "} for at, text in events]


def knows(operation: str) -> bool:
    """Whether moto's SageMaker has ``operation``."""
    from botocore import xform_name
    from moto.sagemaker.responses import SageMakerResponse

    return hasattr(SageMakerResponse, xform_name(operation))
