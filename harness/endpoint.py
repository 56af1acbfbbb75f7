"""An endpoint that exists: an address, a container behind it, and what can be asked of both."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from harness import endpoint_container as server
from harness import labels
from harness.endpoint_log import last_words
from harness.errors import BadInput, DeadlineExpired, EndpointFailed

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

PING_SECONDS = 2.0  # for each try (developer guide, 'Use your own inference code')
INVOCATION_SECONDS = 60.0  # same page


@dataclass(frozen=True)
class Endpoint:
    """An endpoint that exists, in service or not; of the AWS door's endpoints one instance."""

    endpoint_name: str
    image: str
    created: datetime
    route: server.Route
    container: Container = field(repr=False, compare=False)

    @property
    def url(self) -> str:
        return self.route.url

    @property
    def invocations_url(self) -> str:
        return f"{self.url}/invocations"


@dataclass(frozen=True)
class Response:
    """What the container answered: any status, as it came."""

    status: int
    content_type: str
    body: bytes


def from_container(client: DockerClient, container: Container) -> Endpoint:
    attributes = container.attrs
    return Endpoint(
        endpoint_name=container.labels[labels.JOB],
        image=attributes["Config"]["Image"],
        created=time_of(attributes["Created"]),
        route=server.route(client, container),
        container=container,
    )


def time_of(engine_time: str) -> datetime:
    """The engine's RFC 3339 in nanoseconds, which Python 3.11 does not read."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", engine_time).replace("Z", "+00:00"))


def invoke(
    endpoint: Endpoint,
    body: bytes,
    content_type: str,
    accept: str | None = None,
    seconds: float = INVOCATION_SECONDS,
) -> Response:
    """POST /invocations, with the container's answer whatever its status is.

    Raises `EndpointFailed` with its last words when the container has ended, `DeadlineExpired` when it does not
    answer in time, `BadInput` when it cannot be reached from here.
    """
    headers = {"Content-Type": content_type, "Accept": accept or content_type}
    return _request(endpoint, "POST", "/invocations", seconds, body, headers)


def ping(endpoint: Endpoint, seconds: float = PING_SECONDS) -> bool:
    """Whether GET /ping answers 200. Raises as `invoke` does."""
    return _request(endpoint, "GET", "/ping", seconds).status == 200


def logs(endpoint: Endpoint) -> str:
    """Everything the container has printed so far."""
    return server.log(endpoint.container)


class NotAnsweringError(EndpointFailed):
    """The container runs, and no answer came from it."""


def _request(
    endpoint: Endpoint,
    method: str,
    path: str,
    seconds: float,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    if endpoint.route.why_not:
        raise BadInput(f"endpoint {endpoint.endpoint_name!r} cannot be reached: {endpoint.route.why_not}")
    connection = http.client.HTTPConnection(endpoint.route.host, endpoint.route.port, timeout=seconds)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Response(answer.status, answer.getheader("Content-Type", ""), answer.read())
    except TimeoutError as error:
        check_running(endpoint)
        message = f"no answer from endpoint {endpoint.endpoint_name!r} in {seconds:g} s"
        raise DeadlineExpired(message) from error
    except (OSError, http.client.HTTPException) as error:
        check_running(endpoint)
        message = f"endpoint {endpoint.endpoint_name!r} runs and does not answer at {endpoint.url}: {error}"
        raise NotAnsweringError(message) from error
    finally:
        connection.close()


def check_running(endpoint: Endpoint) -> None:
    """Raise `EndpointFailed` with its last words when the container has ended, `BadInput` when it never began."""
    if not running(endpoint):
        if not begun(endpoint):
            raise BadInput(f"endpoint {endpoint.endpoint_name!r} is still being created: wait for it")
        raise EndpointFailed(ended(endpoint))


def running(endpoint: Endpoint) -> bool:
    from docker.errors import NotFound

    try:
        endpoint.container.reload()
    except NotFound as error:
        raise BadInput(f"endpoint {endpoint.endpoint_name!r} has been deleted") from error
    return bool(endpoint.container.attrs["State"]["Running"])


def begun(endpoint: Endpoint) -> bool:
    return bool(endpoint.container.attrs["State"]["Status"] != "created")


def ended(endpoint: Endpoint) -> str:
    state = endpoint.container.attrs["State"]
    how = "was out of memory" if state["OOMKilled"] else f"ended with exit code {state['ExitCode']}"
    return f"endpoint {endpoint.endpoint_name!r}: its container {how}\n{last_words(logs(endpoint))}"
