"""A boto3 session in which nothing is ever sent: requests are noted down, and answered as an empty account would.

botocore asks the handlers of ``before-call`` for an answer before it signs, resolves or connects to anything
(botocore, client.py ``_make_api_call``); its own Stubber works by the same event.
"""

from __future__ import annotations

import io
import tarfile
from typing import Any

import boto3
import botocore.session

ACCOUNT = "000000000000"
# Operations whose parameters are what the user came to see; the rest is bookkeeping.
SHOWN = ("CreateTrainingJob", "CreateModel", "CreateEndpointConfig", "CreateEndpoint")


class Recorder:
    """``requests`` are {operation, parameters} of those that are shown, in order."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self._model = empty_model()

    def session(self, region: str) -> boto3.Session:
        """One that sends nothing."""
        core = botocore.session.Session()
        core.set_credentials("none", "none")
        core.register("before-parameter-build", self.note)
        core.register("before-call", self._answer)
        return boto3.Session(botocore_session=core, region_name=region)

    def note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if model.name in SHOWN:
            self.requests.append({"operation": model.name, "parameters": params})

    def _answer(self, model: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        class Http:
            status_code = 200

        answers: dict[str, dict[str, Any]] = {
            "GetCallerIdentity": {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/nobody"},
            "ListBuckets": {"Buckets": []},
            "GetRole": {"Role": {"Arn": f"arn:aws:iam::{ACCOUNT}:role/nobody"}},
            "HeadObject": {"ContentLength": len(self._model), "ETag": '"none"'},
            "GetObject": {
                "Body": io.BytesIO(self._model),
                "ContentLength": len(self._model),
                "ContentRange": f"bytes 0-{len(self._model) - 1}/{len(self._model)}",
                "ETag": '"none"',
            },
            "CreateEndpoint": {"EndpointArn": f"arn:aws:sagemaker:::endpoint/{ACCOUNT}"},
            "CreateMultipartUpload": {"UploadId": "none"},
            "UploadPart": {"ETag": '"none"'},
            "DescribeTrainingJob": {
                "TrainingJobStatus": "Completed",
                "ModelArtifacts": {"S3ModelArtifacts": f"s3://{ACCOUNT}/model.tar.gz"},
            },
        }
        answer = answers.get(model.name, {})
        return Http(), {**answer, "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}}


def empty_model() -> bytes:
    """The model.tar.gz of nothing, which the SDK downloads to put code into it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz"):
        pass
    return out.getvalue()
