"""Requests and answers of the AWS door without sockets, and the two protocols it speaks itself. Pure.

SageMaker is JSON 1.1 (one URL, the operation in X-Amz-Target); SageMaker Runtime is REST with JSON errors
(botocore's service models; Smithy specification, 'AWS JSON 1.1' and 'AWS restJson1').
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

JSON, JSON_1_1 = "application/json", "application/x-amz-json-1.1"
MAX_DEPTH = 100  # of a document; the deepest request of SageMaker has a dozen levels


class Upload(Protocol):
    """A body that is still on its way."""

    def read(self, size: int, /) -> bytes:
        """At least one byte and at most ``size``, b'' at the end. Raises `OSError` where the sender goes away."""


@dataclass(frozen=True)
class Request:
    """``target`` is path and query as they were sent; names in ``headers`` are in lower case.

    What may be large comes as an ``upload``, and ``body`` is empty then.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    upload: Upload | None = None

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    def header(self, name: str) -> str | None:
        return self.headers.get(name.lower())


@dataclass(frozen=True)
class Response:
    """With a ``stream`` the body is what that yields, sent as it comes: in chunks, unless the headers have a length.

    Whoever sends it closes the stream, to its end or not; a generator finds out by its ``finally``.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    stream: Generator[bytes, None, None] | None = None

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class ServiceError(Exception):
    """An error that the service answers with, in its own protocol; ``members`` are those beside the message."""

    def __init__(self, code: str, message: str, status: int = 400, members: Mapping[str, Any] | None = None) -> None:
        self.code, self.message, self.status = code, message, status
        self.members = dict(members or {})
        super().__init__(f"{code}: {message}")


def validation(message: str) -> ServiceError:
    """What SageMaker says to bad input, and to names that do not exist (contract of its control plane)."""
    return ServiceError("ValidationException", message)


def signed_for(request: Request) -> str | None:
    """The service whose credential scope a request is signed with, as 'sagemaker'; None of an unsigned one."""
    _, found, scope = (request.header("authorization") or "").partition("Credential=")
    parts = scope.split(",")[0].strip().split("/")
    return parts[3] if found and len(parts) == 5 else None


def read_json(body: bytes) -> dict[str, Any]:
    """The members of a JSON 1.1 request; an empty body has none. Raises `ServiceError`."""
    if not body.strip():
        return {}
    try:
        # Numbers that are none, as NaN, are no JSON; Python would take them.
        document = json.loads(body.decode("utf-8"), parse_constant=_no_number)
        _check_depth(document)
    except (ValueError, RecursionError) as error:
        raise ServiceError("SerializationException", f"the body is no JSON document: {error}"[:300]) from None
    if not isinstance(document, dict):
        raise ServiceError("SerializationException", "the body is no JSON object")
    return document


def json_answer(members: Mapping[str, Any], request_id: str) -> Response:
    body = to_json(members)
    return Response(200, (("Content-Type", JSON_1_1), ("x-amzn-RequestId", request_id)), body)


def json_error(error: ServiceError, request_id: str) -> Response:
    body = to_json({"__type": error.code, "message": error.message, **error.members})
    headers = (("Content-Type", JSON_1_1), ("x-amzn-RequestId", request_id), ("x-amzn-ErrorType", error.code))
    return Response(error.status, headers, body)


def rest_error(error: ServiceError, request_id: str) -> Response:
    headers = (
        ("Content-Type", JSON),
        ("x-amzn-RequestId", request_id),
        ("x-amzn-ErrorType", error.code),
    )
    return Response(
        error.status, headers, to_json({"Message": error.message, "message": error.message} | error.members)
    )


def to_json(document: Mapping[str, Any]) -> bytes:
    """As the services write it: times are seconds since 1970 with milliseconds."""
    return json.dumps(document, default=_encode, separators=(",", ":")).encode()


def _encode(value: Any) -> Any:
    if isinstance(value, datetime):
        return round(value.timestamp(), 3)
    raise TypeError(f"{value!r} cannot be sent")


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number that JSON has")


def _check_depth(document: Any) -> None:
    """Raise `ValueError` where it is nested so deeply that no code of ours should walk it."""
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [child for item in level if isinstance(item, dict | list) for child in _children(item)]
        if not level:
            return
    raise ValueError("it is nested too deeply")


def _children(item: Any) -> list[Any]:
    return list(item.values()) if isinstance(item, dict) else list(item)
