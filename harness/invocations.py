"""InvokeEndpoint, whole or in parts: from the endpoint's name to its container and back, as SageMaker Runtime does it.

Headers, errors and limits: botocore's service model of SageMaker Runtime; developer guide, 'Use your own inference
code'; the texts of ModelError as real endpoints word them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

from harness import event_stream
from harness.connections import Asked, BrokenOffError, Connections, NoAnswerError, Opened, TooLateError
from harness.describe import ACCOUNT, REGION
from harness.endpoint_records import IN_SERVICE, ROLLING_BACK, UPDATING, EndpointRecord
from harness.fleet import Fleet
from harness.instances import Instance
from harness.log_shipping import group_of_endpoint, stream_of
from harness.traffic import choose_variant, in_turn
from harness.wire import Request, Response, ServiceError

MAX_BODY = 25 * 1024 * 1024  # SageMaker's hosting FAQ; botocore's model still has the 6 MB of before
SECONDS = 60.0
STREAM_SECONDS = 480.0  # developer guide, 'Use your own inference code': 8 minutes where the answer is streamed
_PREFIX = "x-amzn-sagemaker-"
# What reaches the container; everything else is taken off.
_PASSED = (
    "content-type",
    "accept",
    *(
        _PREFIX + name
        for name in ("custom-attributes", "target-model", "inference-id", "session-id", "enable-explanations")
    ),
)
_RETURNED = ("custom-attributes", "new-session-id", "closed-session-id")


class Invocations:
    """``records`` finds an endpoint's record and ``fleet`` what serves for it; ``chance`` draws a number below 1."""

    def __init__(
        self,
        record: Callable[[str], EndpointRecord | None],
        fleet: Callable[[str], Fleet | None],
        chance: Callable[[], float] = random.random,
        seconds: float = SECONDS,
        stream_seconds: float = STREAM_SECONDS,
    ) -> None:
        self._record, self._fleet, self._chance = record, fleet, chance
        self._seconds, self._stream_seconds = seconds, stream_seconds
        self._connections = Connections()

    def invoke(self, name: str, request: Request) -> Response:
        """Raises `ServiceError`."""
        with ExitStack() as held:
            variant_name, instance, opened = self._begin(held, name, request, self._seconds)
            try:
                answer = opened.whole()
            except (TooLateError, BrokenOffError) as error:
                raise _unanswered(instance, error) from None
        return Response(200, _headers(answer.headers, variant_name), answer.body)

    def stream(self, name: str, request: Request) -> Response:
        """InvokeEndpointWithResponseStream: each part goes out as it comes. Raises `ServiceError`."""
        with ExitStack() as held:
            variant_name, _, opened = self._begin(held, name, request, self._stream_seconds)
            return Response(
                200,
                _stream_headers(opened.headers, variant_name),
                stream=_Held(_events(opened, self._stream_seconds), held.pop_all()),
            )

    def close(self) -> None:
        self._connections.close()

    def _begin(self, held: ExitStack, name: str, request: Request, seconds: float) -> tuple[str, Instance, Opened]:
        """The variant, the instance and the begun answer, a success; ``held`` closes it.

        Raises `ServiceError`.
        """
        record, fleet = self._record(name), self._fleet(name)
        if record is None or fleet is None or record.status not in (IN_SERVICE, UPDATING, ROLLING_BACK):
            raise ServiceError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
        if record.async_config is not None:
            message = f"Endpoint {name} of account {ACCOUNT} is asynchronous; use InvokeEndpointAsync."
            raise ServiceError("ValidationError", message)
        if len(request.body) > MAX_BODY:
            message = f"The body has {len(request.body)} bytes; at most {MAX_BODY} are taken."
            raise ServiceError("ValidationError", message, 413)
        turn = held.enter_context(fleet.using())
        target = request.header(_PREFIX + "target-variant")
        variant = choose_variant(fleet.serving, target, self._chance(), name)
        instance, opened = self._ask(name, in_turn(variant.instances, turn), request, seconds)
        held.enter_context(opened)
        if not 200 <= opened.status < 300:
            try:
                said = opened.whole().body.decode(errors="replace")
            except (TooLateError, BrokenOffError) as error:
                raise _unanswered(instance, error) from None
            raise model_error(instance, opened.status, said)
        return variant.variant_name, instance, opened

    def _ask(self, name: str, instances: list[Instance], request: Request, seconds: float) -> tuple[Instance, Opened]:
        """The answer of the first instance that is there."""
        headers = passed_on(request.headers)
        asked = Asked("POST", "/invocations", request.body, headers)
        for instance in instances:
            try:
                return instance, self._connections.open(instance.route, asked, seconds)
            except NoAnswerError:
                continue
            except (TooLateError, BrokenOffError) as error:
                raise _unanswered(instance, error) from None
        message = f"No instance of endpoint {name} answers; its log says why: {group_of_endpoint(name)}"
        raise ServiceError("ServiceUnavailable", message, 503)


class _Held(Generator[bytes, None, None]):
    """``events``, and an end to what they hold also where nobody has asked for the first of them."""

    def __init__(self, events: Generator[bytes, None, None], held: ExitStack) -> None:
        self._events, self._held = events, held

    def send(self, value: None, /) -> bytes:
        return self._events.send(value)

    def throw(self, *error: Any) -> bytes:
        return self._events.throw(*error)

    def close(self) -> None:
        self._events.close()
        self._held.close()


def passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    """Those that reach the container; ``accept`` has a name of SageMaker's where the answer is not a plain one."""
    passed = {each: value for each, value in headers.items() if each in _PASSED}
    accept = headers.get(_PREFIX + "accept")
    return passed if accept is None else {**passed, "accept": accept}


def _events(opened: Opened, seconds: float) -> Generator[bytes, None, None]:
    """The answer's parts as events; what goes wrong after the first is an event as well."""
    try:
        for part in opened.parts():
            yield event_stream.part(part)
    except TooLateError:
        message = f"The model did not finish sending its response within {seconds:g} seconds."
        yield event_stream.failure("ModelStreamError", {"Message": message, "ErrorCode": "ModelInvocationTimeExceeded"})
    except BrokenOffError as error:
        message = f"The connection to the model was closed: {error}"
        yield event_stream.failure("ModelStreamError", {"Message": message, "ErrorCode": "StreamBroken"})


def _unanswered(instance: Instance, error: TooLateError | BrokenOffError) -> ServiceError:
    if isinstance(error, BrokenOffError):
        return model_error(instance, 0, f"The container ended the connection: {error}")
    why = "Your invocation timed out while waiting for a response from container primary."
    return model_error(instance, 0, f"{why} Review the latency metrics for each container")


def model_error(instance: Instance, status: int, said: str) -> ServiceError:
    who = "client" if 400 <= status < 500 else "server"
    name = instance.place.endpoint_name
    group = group_of_endpoint(name)
    console = f"https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}#logEventViewer:group={group}"
    message = (
        f'Received {who} error ({status}) from primary with message "{said}". '
        f"See {console} in account {ACCOUNT} for more information."
    )
    members: Mapping[str, object] = {
        "OriginalStatusCode": status,
        "OriginalMessage": said,
        "LogStreamArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:{stream_of(instance)}",
    }
    return ServiceError("ModelError", message, 424, members)


def _headers(headers: Mapping[str, str], variant_name: str) -> tuple[tuple[str, str], ...]:
    return (("Content-Type", _content_type(headers)), *_returned(headers, variant_name))


def _stream_headers(headers: Mapping[str, str], variant_name: str) -> tuple[tuple[str, str], ...]:
    own = ("Content-Type", event_stream.EVENT_STREAM)
    return (own, (f"{_PREFIX}Content-Type", _content_type(headers)), *_returned(headers, variant_name))


def _content_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "application/octet-stream")


def _returned(headers: Mapping[str, str], variant_name: str) -> list[tuple[str, str]]:
    passed = [
        (f"X-Amzn-SageMaker-{name.title()}", headers[_PREFIX + name]) for name in _RETURNED if _PREFIX + name in headers
    ]
    return [("x-Amzn-Invoked-Production-Variant", quote(variant_name)), *passed]
