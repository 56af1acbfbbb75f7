"""InvokeEndpointAsync: a request as it waits, and the places of what will come of it. Pure.

Members and defaults: botocore's service models; names of results: developer guide, 'Asynchronous inference'.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from harness.wire import Request, ServiceError

MAX_INLINE = 128_000  # bytes of a body in the request itself
MAX_INPUT = 1024**3  # bytes of one in S3 (developer guide)
TTL_SECONDS, TIMEOUT_SECONDS = 21_600, 900
CONCURRENT = 4  # the platform chooses where nothing is said; this machine is one
_PREFIX = "x-amzn-sagemaker-"
_TOPICS = ("SuccessTopic", "ErrorTopic")


@dataclass(frozen=True)
class AsyncRequest:
    """``request_id`` is of our own making, and harmless as a name. ``body`` is base64, '' where ``input_url`` says
    where it is; ``failure_url`` is '' where nobody wants to know. ``headers`` are those for the container.
    """

    request_id: str
    inference_id: str
    endpoint_name: str
    input_url: str
    body: str
    headers: Mapping[str, str]
    output_url: str
    failure_url: str
    accepted: datetime
    ttl_seconds: int
    timeout_seconds: int

    def expired(self, now: datetime) -> bool:
        """Whether it has waited for too long to be begun."""
        return (now - self.accepted).total_seconds() > self.ttl_seconds


def config_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """What of an AsyncInferenceConfig cannot be had here."""
    output = config["OutputConfig"]
    where = "AsyncInferenceConfig.OutputConfig."
    if not output.get("S3OutputPath"):
        yield f"{where}S3OutputPath: is missing; results of InvokeEndpointAsync are put there"
    for name in ("S3OutputPath", "S3FailurePath"):
        if output.get(name) and not _is_place(output[name]):
            yield f"{where}{name}: {output[name]!r} is no s3:// URI"
    if any(output.get("NotificationConfig", {}).get(topic) for topic in _TOPICS):
        yield f"{where}NotificationConfig: no topic of SNS is told; look for the result under S3OutputPath"


def concurrent(config: Mapping[str, Any] | None) -> int:
    """Invocations at once of each instance."""
    found: int = (config or {}).get("ClientConfig", {}).get("MaxConcurrentInvocationsPerInstance", CONCURRENT)
    return found


def async_request(
    name: str, request: Request, config: Mapping[str, Any], request_id: str, accepted: datetime
) -> AsyncRequest:
    """What ``request``, which the service's model has passed, asks of the endpoint. Raises `ServiceError`."""
    url = _header(request, "inputlocation")
    if bool(url) == bool(request.body):
        raise ServiceError("ValidationError", "Exactly one of InputLocation and Body must be given.")
    if url and not _is_place(url):
        raise ServiceError("ValidationError", f"InputLocation {url} is no s3:// URI of an object.")
    if len(request.body) > MAX_INLINE:
        message = f"The body has {len(request.body)} bytes; at most {MAX_INLINE} are taken inline."
        raise ServiceError("ValidationError", message, 413)
    output = config["OutputConfig"]
    file_name = _header(request, "filename") or f"{request_id}.out"
    below = "/".join(part for part in (_header(request, "s3outputpathextension").strip("/"), file_name) if part)
    return AsyncRequest(
        request_id,
        _header(request, "inference-id") or request_id,
        name,
        url,
        base64.b64encode(request.body).decode(),
        _for_container(request),
        f"{output['S3OutputPath'].rstrip('/')}/{below}",
        f"{output['S3FailurePath'].rstrip('/')}/{below.removesuffix('.out')}-error.out"
        if output.get("S3FailurePath")
        else "",
        accepted,
        int(_header(request, "requestttlseconds") or TTL_SECONDS),
        int(_header(request, "invocationtimeoutseconds") or TIMEOUT_SECONDS),
    )


def async_document(request: AsyncRequest) -> dict[str, Any]:
    return {**asdict(request), "accepted": request.accepted.isoformat()}


def read_async(document: Mapping[str, Any]) -> AsyncRequest:
    return AsyncRequest(**{**document, "accepted": datetime.fromisoformat(document["accepted"])})


def place(url: str) -> tuple[str, str]:
    """Bucket and key of an s3:// URI."""
    parts = urlsplit(url, allow_fragments=False)
    key = parts.path + (f"?{parts.query}" if parts.query else "")  # a key may have a question mark
    return parts.netloc, key.lstrip("/")


def _for_container(request: Request) -> dict[str, str]:
    """Type and accept have names of SageMaker's own in this operation."""
    named = {"content-type": _header(request, "content-type"), "accept": _header(request, "accept")}
    own = {_PREFIX + name: _header(request, name) for name in ("custom-attributes", "inference-id")}
    return {name: value for name, value in {**named, **own}.items() if value}


def _header(request: Request, name: str) -> str:
    return request.header(_PREFIX + name) or ""


def _is_place(url: str) -> bool:
    return url.startswith("s3://") and bool(place(url)[0])
