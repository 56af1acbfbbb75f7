"""The AWS door's one function: a request in, an answer out, whatever service it is for.

SageMaker and its Runtime are held to botocore's models before anything else sees them. All errors are told in the
service's own protocol; what reaches the caller as a 500 is a bug of ours.
"""

from __future__ import annotations

import functools
import json
import re
import traceback
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from harness.control_plane import ControlPlane
from harness.door_environment import ALIVE
from harness.door_server import MAX_HELD
from harness.http_messages import GoneError, RefusedError
from harness.moto_services import knows
from harness.query_protocol import is_query, query_error, simulated_policy
from harness.service_model import RUNTIME, SAGEMAKER, input_shape
from harness.shape_check import checked
from harness.wire import Request, Response, ServiceError, json_answer, json_error, read_json, rest_error, signed_for

TARGET = "SageMaker."
MAX_DOCUMENT = 8 * 1024 * 1024  # of a request of SageMaker; the largest real ones have kilobytes
LONG_SECONDS, SHORT_SECONDS = 45.0, 1.5
# These sleep for 30 s between two Describe calls: the SDK (user_agent.py; botocore makes its '/' a '#'), and botocore's
# waiters (its feature 'B').
_PATIENT = re.compile(r"AWS-SageMaker-Python-SDK[/#]|\bm/[A-Za-z0-9+,-]*\bB\b")
_INVOCATION = re.compile(r"/endpoints/([^/]*)/(invocations|async-invocations|invocations-response-stream)")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_LOOPBACK = re.compile(r"(localhost|[a-zA-Z0-9.-]+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")


class Api:
    """``others`` answers what is for no service of ours. ``note`` is told what goes into the door's log; ``alive`` is
    what `ALIVE` answers."""

    def __init__(
        self,
        plane: ControlPlane,
        others: Callable[[Request], Response],
        note: Callable[[str], None],
        alive: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._plane, self._others, self._note, self._alive = plane, others, note, alive

    def handle(self, request: Request) -> Response:
        """Raises `RefusedError` and `GoneError` of a body that does not come as it should, and nothing else."""
        request_id = str(uuid.uuid4())
        refused = why_refused(request)
        if refused:
            return json_error(ServiceError("AccessDeniedException", refused, 403), request_id)
        invocation = _invocation(request)
        failed = rest_error if invocation else query_error if is_query(request) else json_error
        try:
            if request.path == ALIVE:
                return json_answer(self._alive(), request_id)
            if invocation:
                answer = self._invoke(*invocation, request)
                return replace(answer, headers=(*answer.headers, ("x-amzn-RequestId", request_id)))
            if (request.header("x-amz-target") or "").startswith(TARGET):
                return self._sagemaker(request, request_id)
            return simulated_policy(request, request_id) or self._others(request)
        except ServiceError as error:
            return failed(error, request_id)
        except (RefusedError, GoneError):
            raise
        except Exception as error:
            self._note(traceback.format_exc())
            return failed(ServiceError("InternalFailure", f"the door failed: {error!r}"[:300], 500), request_id)

    def _sagemaker(self, request: Request, request_id: str) -> Response:
        operation = (request.header("x-amz-target") or "").removeprefix(TARGET)
        if request.upload or len(request.body) > MAX_DOCUMENT:
            raise ServiceError("RequestEntityTooLargeException", f"more than {MAX_DOCUMENT} bytes", 413)
        try:
            shape = input_shape(operation, SAGEMAKER)
        except KeyError:
            raise ServiceError("UnknownOperationException", f"SageMaker has no operation {operation[:80]!r}") from None
        given = read_json(request.body)
        members = checked(given, shape) if shape else {}
        ours = self._plane.operations.get(operation)
        if ours is None and self._plane.tags.knows(members.get("ResourceArn", "")):
            ours = self._plane.tags.operations().get(operation)
        if ours is None:
            return self._from_moto(operation, request)
        return json_answer(ours(members, patience(request)), request_id)

    def _from_moto(self, operation: str, request: Request) -> Response:
        if not knows(operation):
            why = f"{operation} is emulated neither by the harness nor by moto; docs/api.md lists what is"
            raise ServiceError("UnsupportedOperation", why)
        self._note(f"{operation}: moto answers; it keeps records, and nothing is run")
        answer = self._others(request)
        if answer.status >= 500:
            raise ServiceError("UnsupportedOperation", f"moto, which answers {operation}, fails on it: {_said(answer)}")
        return answer

    def _invoke(self, name: str, how: str, request: Request) -> Response:
        operation, invoke = self._plane.runtime[how]
        if request.upload is not None:
            raise ServiceError("ValidationError", f"The body has more than the {MAX_HELD} bytes that are read.", 413)
        members: dict[str, Any] = {"Body": "", "EndpointName": name}
        for header, member, kind in _headers_of(operation):
            value = request.headers.get(header)
            if value is not None:
                members[member] = int(value) if kind == "integer" and _NUMBER.fullmatch(value) else value
        try:
            checked(members, input_shape(operation, RUNTIME))
        except ServiceError as error:
            raise ServiceError("ValidationError", error.message) from None
        return invoke(name, request)


@functools.cache
def _headers_of(operation: str) -> tuple[tuple[str, str, str], ...]:
    """The headers of an operation of Runtime, in lower case, with the member that each is and its type."""
    members = [
        (name, shape.serialization, shape.type_name) for name, shape in input_shape(operation, RUNTIME).members.items()
    ]
    return tuple(
        (place["name"].lower(), name, kind) for name, place, kind in members if place.get("location") == "header"
    )


def why_refused(request: Request) -> str:
    """Why a request may not be served, '' where it may: pages in a browser must not drive the user's engine.

    A page's requests tell where they come from, and a name that was made to point here is not a loopback one.
    """
    host = request.header("host") or ""
    if not _LOOPBACK.fullmatch(host):
        return f"host {host[:80]!r} is not this machine's loopback interface"
    if request.header("origin") is not None or request.header("sec-fetch-site") not in (None, "none"):
        return "requests of web pages are not served"
    return ""


def patience(request: Request) -> float:
    """For how long a Describe call may wait for a change, in seconds: those who ask seldom get the end at once."""
    agent = request.header("user-agent") or ""
    return LONG_SECONDS if _PATIENT.search(agent) else SHORT_SECONDS


def _invocation(request: Request) -> tuple[str, str] | None:
    """Endpoint and manner of a request for Runtime; a bucket may be called 'endpoints', and is signed for S3."""
    found = _INVOCATION.fullmatch(request.path)
    if not found or request.method != "POST" or signed_for(request) not in (SAGEMAKER, None):
        return None
    return unquote(found[1]), found[2]


def _said(answer: Response) -> str:
    text = answer.body.decode(errors="replace")
    try:
        return str(json.loads(text).get("message", text))[:300]
    except (ValueError, AttributeError):
        return text[:300]
