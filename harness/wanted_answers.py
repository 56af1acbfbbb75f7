"""Answers that somebody wants of the AWS door instead of its own, to see what a program makes of them.

A file each in a folder of the door's state, taken in the order they were asked for. Whoever may write there may ask:
nothing on the network can.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from harness.errors import BadInput
from harness.query_protocol import is_query, query_error
from harness.record import write_json
from harness.wire import Request, Response, ServiceError, json_error, rest_error, signed_for

FOLDER = "wanted-answers"
# Codes of the services' own models that do not go with a 400, which is what SageMaker and IAM mostly say.
_STATUS = {"InternalFailure": 500, "ServiceUnavailable": 503, "SlowDown": 503, "AccessDenied": 403, "ExpiredToken": 403}
_SYNTAX = (
    "OPERATION: CODE: MESSAGE is an error, as 'CreateTrainingJob: ResourceLimitExceeded: the limit is 0'; "
    "OPERATION = {…} puts members into the door's own answer, as 'DescribeTrainingJob = {\"TrainingJobStatus\": "
    '"Failed"}\'; operations of S3 are s3:GET, s3:HEAD, s3:PUT, their codes may be a status, as 403'
)
_ERROR = re.compile(r"(?P<operation>(s3:)?\w+)\s*:\s*(?P<code>\w+)\s*(:\s*(?P<message>.*))?", re.DOTALL)
_MEMBERS = re.compile(r"(?P<operation>\w+)\s*=\s*(?P<members>\{.*\})", re.DOTALL)


@dataclass(frozen=True)
class Wanted:
    """``code`` empty puts ``members`` into the door's own answer; ``times`` 0 is for as long as it stands."""

    operation: str
    code: str = ""
    message: str = ""
    members: str = "{}"
    times: int = 1

    def __str__(self) -> str:
        what = f": {self.code}: {self.message}" if self.code else f" = {self.members}"
        return f"{self.operation}{what} ({f'{self.times} x' if self.times else 'always'})"


def read_wanted(text: str, times: int) -> Wanted:
    """Raises `BadInput` for what is neither an error nor members."""
    if found := _MEMBERS.fullmatch(text.strip()):
        try:
            json.loads(found["members"])
        except ValueError as error:
            raise BadInput(f"{text!r}: its members are no JSON: {error}") from error
        return Wanted(found["operation"], members=found["members"], times=times)
    if found := _ERROR.fullmatch(text.strip()):
        message = found["message"] or f"as wanted: {found['code']}"
        return Wanted(found["operation"], found["code"], message, times=times)
    raise BadInput(f"{text!r} is no wanted answer: {_SYNTAX}")


class WantedAnswers:
    """The queue in a door's state folder ``state``."""

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER

    def add(self, wanted: Wanted) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        number = max((int(path.name[:6]) for path in self._files()), default=0) + 1
        write_json(self._folder / f"{number:06d}-{uuid.uuid4().hex[:8]}.json", asdict(wanted))

    def all(self) -> list[Wanted]:
        return [wanted for _, wanted in self._read()]

    def clear(self) -> None:
        for path in self._files():
            path.unlink(missing_ok=True)

    def answer(self, request: Request, own: Callable[[Request], Response]) -> Response:
        """What is wanted of ``request``, or what ``own`` answers."""
        if not self._folder.is_dir():
            return own(request)
        wanted = self._take(operation_of(request))
        if wanted is None:
            return own(request)
        if wanted.code:
            return refusal(request, wanted)
        answer = own(request)
        if answer.status != 200:
            return answer
        body = json.dumps({**json.loads(answer.body), **json.loads(wanted.members)}).encode()
        headers = tuple(each for each in answer.headers if each[0].lower() != "content-length")
        return Response(answer.status, headers, body)

    def _take(self, operation: str) -> Wanted | None:
        for path, wanted in self._read():
            if wanted.operation != operation:
                continue
            if wanted.times > 1:
                write_json(path, asdict(wanted) | {"times": wanted.times - 1})
            elif wanted.times == 1 and not _gone_by_us(path):
                continue
            return wanted
        return None

    def _read(self) -> Iterator[tuple[Path, Wanted]]:
        for path in self._files():
            try:
                yield path, Wanted(**json.loads(path.read_text(encoding="utf-8")))
            except FileNotFoundError:  # cleared, or taken by another request
                continue

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*.json"))


def _gone_by_us(path: Path) -> bool:
    """Whether it was this request that took it, of several at once."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def operation_of(request: Request) -> str:
    """``CreateTrainingJob``, ``GetCallerIdentity``; of S3, whose operations are in the path, ``s3:PUT``."""
    if target := request.header("x-amz-target"):
        return target.rpartition(".")[2]
    if request.path.startswith("/endpoints/") and signed_for(request) == "sagemaker":
        return "InvokeEndpoint"
    named = parse_qs(urlsplit(request.target).query).get("Action", [])
    if not named and is_query(request):
        named = parse_qs(request.body.decode("utf-8", errors="replace")).get("Action", [])
    return named[0] if named else f"s3:{request.method}"


def refusal(request: Request, wanted: Wanted) -> Response:
    """The error in the protocol of the service that was asked: JSON, REST with JSON, query or S3's XML."""
    status = int(wanted.code) if wanted.code.isdecimal() else _STATUS.get(wanted.code, 400)
    error, request_id = ServiceError(wanted.code, wanted.message, status), str(uuid.uuid4())
    if request.header("x-amz-target"):
        return json_error(error, request_id)
    if wanted.operation == "InvokeEndpoint":
        return rest_error(error, request_id)
    if not wanted.operation.startswith("s3:"):
        return query_error(error, request_id)
    text = f"<Error><Code>{escape(wanted.code)}</Code><Message>{escape(wanted.message)}</Message></Error>"
    return Response(status, (("Content-Type", "text/xml"),), b"" if request.method == "HEAD" else text.encode())
