"""InvokeEndpoint: from the endpoint's name to its container and back, as SageMaker Runtime does it.

Headers, errors and limits: botocore's service model of SageMaker Runtime; developer guide, 'Use your own inference
code'; the texts of ModelError as real endpoints word them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from urllib.parse import quote

from harness.connections import Answer, BrokenOffError, Connections, NoAnswerError, TooLateError
from harness.describe import ACCOUNT, REGION
from harness.endpoint_records import IN_SERVICE, ROLLING_BACK, UPDATING, EndpointRecord
from harness.fleet import Fleet
from harness.instances import Instance
from harness.log_shipping import group_of, stream_of
from harness.traffic import choose_variant, in_turn
from harness.wire import Request, Response, ServiceError

MAX_BODY = 25 * 1024 * 1024  # SageMaker's hosting FAQ; botocore's model still has the 6 MB of before
SECONDS = 60.0
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
    ) -> None:
        self._record, self._fleet, self._chance, self._seconds = record, fleet, chance, seconds
        self._connections = Connections()

    def invoke(self, name: str, request: Request) -> Response:
        """Raises `ServiceError`."""
        record, fleet = self._record(name), self._fleet(name)
        if record is None or fleet is None or record.status not in (IN_SERVICE, UPDATING, ROLLING_BACK):
            raise ServiceError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
        if len(request.body) > MAX_BODY:
            message = f"The body has {len(request.body)} bytes; at most {MAX_BODY} are taken."
            raise ServiceError("ValidationError", message, 413)
        with fleet.using() as turn:
            target = request.header(_PREFIX + "target-variant")
            variant = choose_variant(fleet.serving, target, self._chance(), name)
            instance, answer = self._ask(name, in_turn(variant.instances, turn), request)
        if not 200 <= answer.status < 300:
            raise _model_error(instance, answer.status, answer.body.decode(errors="replace"))
        return Response(200, _headers(answer, variant.variant_name), answer.body)

    def close(self) -> None:
        self._connections.close()

    def _ask(self, name: str, instances: list[Instance], request: Request) -> tuple[Instance, Answer]:
        """The answer of the first instance that is there."""
        headers = {each: value for each, value in request.headers.items() if each in _PASSED}
        for instance in instances:
            try:
                return instance, self._connections.post(
                    instance.route, "/invocations", request.body, headers, self._seconds
                )
            except NoAnswerError:
                continue
            except TooLateError:
                why = "Your invocation timed out while waiting for a response from container primary."
                raise _model_error(instance, 0, f"{why} Review the latency metrics for each container") from None
            except BrokenOffError as error:
                raise _model_error(instance, 0, f"The container ended the connection: {error}") from None
        message = f"No instance of endpoint {name} answers; its log says why: {group_of(name)}"
        raise ServiceError("ServiceUnavailable", message, 503)


def _model_error(instance: Instance, status: int, said: str) -> ServiceError:
    who = "client" if 400 <= status < 500 else "server"
    name = instance.place.endpoint_name
    group = group_of(name)
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


def _headers(answer: Answer, variant_name: str) -> tuple[tuple[str, str], ...]:
    passed = [
        (f"X-Amzn-SageMaker-{name.title()}", answer.headers[_PREFIX + name])
        for name in _RETURNED
        if _PREFIX + name in answer.headers
    ]
    content_type = answer.headers.get("content-type", "application/octet-stream")
    return (("Content-Type", content_type), ("x-Amzn-Invoked-Production-Variant", quote(variant_name)), *passed)
