"""An AWS account for tests: moto behind one loopback address, with a queue of answers that a test wants instead.

The seam is the wire. What moto does not play is played here: StopTrainingJob, and hosts that print and leave a model.
Whatever else answers at an address can take its place, as all that the tests know of it is that address.
"""

from __future__ import annotations

import io
import json
import re
import socket
import tarfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.cloud.asked import ROLE_NAME, Answers, trust

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-west-2"}
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
LOGS = "/aws/sagemaker/TrainingJobs"


@dataclass(frozen=True)
class Refusal:
    """An error as AWS would answer it; ``after`` it has done what was asked all the same."""

    code: str
    message: str
    status: int = 400
    after: bool = False


@dataclass(frozen=True)
class Cut:
    """The connection is lost before there is an answer; ``after`` it has done what was asked all the same."""

    after: bool = False


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        """Tests are told of failures by their assertions."""


class Account:
    """A context manager. ``operations`` are the names of all that was asked, in order; of S3 its method, as s3:PUT."""

    def __init__(self) -> None:
        self.operations: list[str] = []
        self.requests: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.on_create: Callable[[str], None] = self.hosts_that_train
        self.always: dict[str, dict[str, Any]] = {}  # members of every answer to an operation
        self.answers = Answers()
        self._wanted: dict[str, deque[Refusal | Cut | dict[str, Any]]] = defaultdict(deque)
        self._held: dict[str, threading.Event] = {}
        self._stopped: set[str] = set()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._app, threaded=True, request_handler=Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Account:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.client("s3").list_buckets()
        self._reset()
        self.client("iam").create_role(RoleName=ROLE_NAME, AssumeRolePolicyDocument=trust())
        self.operations.clear()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _reset(self) -> None:
        """moto keeps its state in this process, whatever address it answers at."""
        from moto.core.base_backend import BackendDict

        for backends in list(BackendDict._instances):
            backends.reset()
        self.operations.clear()

    @property
    def changes(self) -> list[str]:
        """Those of ``operations`` that change something there."""
        reads = ("Describe", "Get", "List", "Simulate", "s3:GET", "s3:HEAD")
        return [each for each in self.operations if not each.startswith(reads)]

    @property
    def settings(self) -> dict[str, str]:
        """What a command needs to find this account and no other."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.url, "SAGEMAKER_ROLE": ROLE, "AWS_MAX_ATTEMPTS": "1"}

    def client(self, service: str, region: str = "us-west-2") -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106
        )

    def job(self, name: str) -> None:
        """A training job as if some command had made it."""
        self.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        hosts, self.on_create = self.on_create, lambda _: None
        self.client("sagemaker").create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification={"TrainingImage": "image", "TrainingInputMode": "File"},
            RoleArn=ROLE,
            OutputDataConfig={"S3OutputPath": "s3://bucket/"},
            ResourceConfig={"InstanceType": "ml.p2.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 30},
            StoppingCondition={"MaxRuntimeInSeconds": 3600},
        )
        self.on_create = hosts
        self.operations.clear()

    def wants(self, operation: str, *answers: Refusal | Cut | dict[str, Any]) -> None:
        """The next answers to ``operation``: a refusal, or members that replace those of moto's own answer."""
        self._wanted[operation].extend(answers)

    def hold(self, operation: str) -> threading.Event:
        """The next ``operation`` waits for the event."""
        self._held[operation] = threading.Event()
        return self._held[operation]

    def hosts_that_train(self, name: str, lines: Iterable[tuple[str, str]] = (("algo-1", "loss 0.5"),)) -> None:
        """Hosts print ``lines`` and leave a model."""
        logs = self.client("logs")
        for number, (host, line) in enumerate(lines):
            stream = f"{name}/{host}-1699307977"
            for make in (
                lambda: logs.create_log_group(logGroupName=LOGS),
                lambda stream=stream: logs.create_log_stream(logGroupName=LOGS, logStreamName=stream),
            ):
                try:
                    make()
                except logs.exceptions.ResourceAlreadyExistsException:
                    continue
            event = {"timestamp": int(time.time() * 1000) + number, "message": line}
            logs.put_log_events(logGroupName=LOGS, logStreamName=stream, logEvents=[event])
        place = self.client("sagemaker").describe_training_job(TrainingJobName=name)["ModelArtifacts"]
        bucket, _, key = place["S3ModelArtifacts"].removeprefix("s3://").partition("/")
        self.client("s3").put_object(Bucket=bucket, Key=key, Body=model_archive())

    def _app(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        operation = operation_of(environ, body)
        self.operations.append(operation)
        if body.startswith(b"{"):
            self.requests[operation].append(json.loads(body))
        if operation in self._held:
            self._held.pop(operation).wait(60)
        wanted = self._wanted[operation].popleft() if self._wanted[operation] else None
        if isinstance(wanted, Refusal | Cut):
            if wanted.after:
                self._answer(operation, {}, environ, lambda *_: None, body)
            if isinstance(wanted, Refusal):
                return refuse(wanted, environ, start)
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        if operation == "StopTrainingJob":
            self._stopped.add(json.loads(body)["TrainingJobName"])
            start("200 OK", [("Content-Type", "application/x-amz-json-1.1")])
            return [b"{}"]
        try:
            answered = self.answers.to(operation, body)
        except PermissionError:
            return refuse(Refusal("AccessDeniedException", "not authorized"), environ, start)
        if answered:
            start("200 OK", [("Content-Type", answered[0])])
            return [answered[1]]
        return self._answer(operation, wanted or self.always.get(operation, {}), environ, start, body)

    def _answer(
        self, operation: str, members: dict[str, Any], environ: dict[str, Any], start: Any, body: bytes
    ) -> Iterable[bytes]:
        began: list[Any] = []
        answer = b"".join(self._moto(environ, lambda *arguments: began.extend(arguments)))
        status, headers = began[0], began[1]
        if operation == "DescribeTrainingJob" and json.loads(body)["TrainingJobName"] in self._stopped:
            members = {**members, "TrainingJobStatus": "Stopped", "SecondaryStatus": "Stopped"}
        if members and status.startswith("200"):
            answer = json.dumps({**json.loads(answer), **members}).encode()
            headers = [each for each in headers if each[0].lower() != "content-length"]
        if operation == "CreateTrainingJob" and status.startswith("200"):
            self.on_create(json.loads(body)["TrainingJobName"])
        start(status, headers)
        return [answer]


def operation_of(environ: dict[str, Any], body: bytes) -> str:
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target.rpartition(".")[2])
    if found := re.search(rb"(?:^|&)Action=(\w+)", body):
        return found[1].decode()
    if "/sagemaker/" in environ.get("HTTP_AUTHORIZATION", ""):
        return "InvokeEndpoint"
    return f"s3:{environ['REQUEST_METHOD']}"


def refuse(wanted: Refusal, environ: dict[str, Any], start: Any) -> list[bytes]:
    if environ.get("HTTP_X_AMZ_TARGET"):
        kind, text = "application/x-amz-json-1.1", json.dumps({"__type": wanted.code, "message": wanted.message})
    else:
        inner = f"<Code>{wanted.code}</Code><Message>{wanted.message}</Message>"
        kind = "text/xml"
        text = (
            f"<Error>{inner}</Error>"
            if not parse_qs(environ.get("QUERY_STRING", ""))
            and not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
            else f"<ErrorResponse><Error>{inner}</Error></ErrorResponse>"
        )
    start(f"{wanted.status} Refused", [("Content-Type", kind)])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [text.encode()]


def model_archive() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        entry = tarfile.TarInfo("model.pth")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"model"))
    return out.getvalue()
