"""InvokeEndpointAsync: requests that wait until an instance has room, and whose answers go into S3.

What waits is kept on disk until its result is there: a door that starts again asks anew what had no answer, so that a
container may see a request twice, as on the platform.
"""

from __future__ import annotations

import base64
import random
import threading
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime

from harness.async_request import MAX_INPUT, AsyncRequest, async_request, concurrent, place
from harness.connections import Answer, BrokenOffError, Connections, NoAnswerError, TooLateError
from harness.describe import ACCOUNT
from harness.door_objects import Objects
from harness.endpoint_records import DELETING, FAILED, IN_SERVICE, ROLLING_BACK, UPDATING, EndpointRecord
from harness.fleet import Fleet
from harness.instances import Instance, Place
from harness.log_shipping import Sink, group_of_endpoint, stream_of
from harness.records import Records
from harness.traffic import choose_variant
from harness.wire import JSON, Request, Response, ServiceError, to_json

LOOK_SECONDS = 0.2  # between two looks at endpoints that have no room, or are not there yet
TEXT = "text/plain"
_SERVING = (IN_SERVICE, UPDATING, ROLLING_BACK)


class _FailedError(Exception):
    """No result will come: why, in words or as the container said it."""

    def __init__(self, body: bytes, content_type: str = TEXT) -> None:
        self.body, self.content_type = body, content_type
        super().__init__(body.decode(errors="replace"))


class AsyncInvocations:
    """``requests`` are those without a result; ``record`` and ``fleet`` find an endpoint and what serves for it."""

    def __init__(
        self,
        requests: Records[AsyncRequest],
        record: Callable[[str], EndpointRecord | None],
        fleet: Callable[[str], Fleet | None],
        objects: Objects,
        log: Sink,
        chance: Callable[[], float] = random.random,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._requests, self._record, self._fleet = requests, record, fleet
        self._objects, self._log, self._chance, self._now = objects, log, chance, now
        self._connections = Connections()
        self._queue: list[AsyncRequest] = []
        self._busy: Counter[Place] = Counter()
        self._changed = threading.Condition()
        self._closed = False
        self._dispatcher = threading.Thread(target=self._dispatch, name="asynchronous", daemon=True)
        self._dispatcher.start()

    def submit(self, name: str, request: Request) -> Response:
        """Accept ``request`` and answer where its result will be. Raises `ServiceError`."""
        record = self._record(name)
        if record is None or record.status not in _SERVING:
            raise ServiceError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
        if record.async_config is None:
            message = f"Endpoint {name} has no AsyncInferenceConfig; use InvokeEndpoint."
            raise ServiceError("ValidationError", message)
        accepted = async_request(name, request, record.async_config, str(uuid.uuid4()), self._now())
        self._requests.add(accepted.request_id, accepted, lambda _: False)
        with self._changed:
            self._queue.append(accepted)
            self._changed.notify_all()
        places = [("X-Amzn-SageMaker-OutputLocation", accepted.output_url)]
        if accepted.failure_url:
            places.append(("X-Amzn-SageMaker-FailureLocation", accepted.failure_url))
        return Response(202, (("Content-Type", JSON), *places), to_json({"InferenceId": accepted.inference_id}))

    def recover(self) -> None:
        """Go on with what an earlier door has accepted."""
        with self._changed:
            self._queue += sorted(self._requests.all(), key=lambda each: each.accepted)
            self._changed.notify_all()

    def close(self) -> None:
        """Begin nothing more; what is under way stays for the next door, unless it ends before this one."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._dispatcher.join()
        self._connections.close()

    def _dispatch(self) -> None:
        with self._changed:
            while not self._closed:
                for request in list(self._queue):
                    self._begin(request)
                self._changed.wait(LOOK_SECONDS if self._queue else None)

    def _begin(self, request: AsyncRequest) -> None:
        """Hand it to an instance that has room, or fail it; where neither can be it waits on."""
        record, fleet = self._record(request.endpoint_name), self._fleet(request.endpoint_name)
        if record is None or record.status in (DELETING, FAILED):
            self._start(request, lambda: self._hopeless(f"endpoint {request.endpoint_name} is gone"))
        elif request.expired(self._now()):
            why = f"it waited for longer than RequestTTLSeconds, {request.ttl_seconds} s"
            self._start(request, lambda: self._hopeless(why))
        elif fleet is not None and record.status in _SERVING:
            instance = self._with_room(record, fleet)
            if instance is not None:
                held = ExitStack()
                held.enter_context(fleet.using())
                self._busy[instance.place] += 1
                self._start(request, lambda: self._invoke(request, instance), instance, held)

    def _with_room(self, record: EndpointRecord, fleet: Fleet) -> Instance | None:
        chosen = choose_variant(fleet.serving, None, self._chance(), record.name)
        free = [each for each in chosen.instances if self._busy[each.place] < concurrent(record.async_config)]
        return min(free, key=lambda each: self._busy[each.place], default=None)

    def _start(
        self,
        request: AsyncRequest,
        work: Callable[[], Answer],
        instance: Instance | None = None,
        held: ExitStack | None = None,
    ) -> None:
        self._queue.remove(request)
        thread = threading.Thread(target=self._run, args=(request, work, instance, held), daemon=True)
        thread.start()

    def _run(
        self, request: AsyncRequest, work: Callable[[], Answer], instance: Instance | None, held: ExitStack | None
    ) -> None:
        again = False
        try:
            again = self._finish(request, work, instance)
        except Exception:  # a bug of ours, or a disk that is full; the door's log has it
            traceback.print_exc()
        finally:
            if held:
                held.close()
            with self._changed:
                if instance:
                    self._busy[instance.place] -= 1
                if again:
                    self._queue.insert(0, request)
                self._changed.notify_all()

    def _finish(self, request: AsyncRequest, work: Callable[[], Answer], instance: Instance | None) -> bool:
        """Bring the result to its place; whether there is none and the request is to be made again."""
        try:
            try:
                answer = work()
            except (NoAnswerError, BrokenOffError) as error:
                if self._closed:
                    return False  # it was our own end that broke it off: the next door has it
                if instance is not None and self._retired(instance):
                    return True
                raise _FailedError(f"the container ended the connection: {error}".encode()) from None
            content_type = answer.headers.get("content-type", "application/octet-stream")
            try:
                self._objects.put(*place(request.output_url), answer.body, content_type)
            except FileNotFoundError as error:
                raise _FailedError(str(error).encode()) from None
        except _FailedError as failed:
            self._tell(request, instance, failed)
        self._requests.remove(request.request_id)
        return False

    def _retired(self, instance: Instance) -> bool:
        """Whether it went because the endpoint has others now."""
        fleet = self._fleet(instance.place.endpoint_name)
        return fleet is not None and instance not in fleet.instances()

    def _invoke(self, request: AsyncRequest, instance: Instance) -> Answer:
        """Raises `_FailedError`, and as `Connections.post` does."""
        body = self._body(request)
        try:
            answer = self._connections.post(
                instance.route, "/invocations", body, request.headers, request.timeout_seconds
            )
        except TooLateError:
            why = f"the container did not answer within InvocationTimeoutSeconds, {request.timeout_seconds} s"
            raise _FailedError(why.encode()) from None
        if not 200 <= answer.status < 300:
            raise _FailedError(answer.body, answer.headers.get("content-type", TEXT))
        return answer

    def _body(self, request: AsyncRequest) -> bytes:
        if not request.input_url:
            return base64.b64decode(request.body)
        try:
            body = self._objects.read(*place(request.input_url))
        except FileNotFoundError:
            raise _FailedError(f"could not find the input at {request.input_url}".encode()) from None
        if len(body) > MAX_INPUT:
            raise _FailedError(f"{request.input_url} has {len(body)} bytes; at most {MAX_INPUT} are taken".encode())
        return body

    def _hopeless(self, why: str) -> Answer:
        raise _FailedError(why.encode())

    def _tell(self, request: AsyncRequest, instance: Instance | None, failed: _FailedError) -> None:
        """Into the place for failures, where there is one, and into the log that the platform has for these."""
        said = f"Inference request {request.inference_id} failed: {failed}"
        stream = f"{stream_of(instance)}/data-log" if instance else "data-log"
        self._log(group_of_endpoint(request.endpoint_name), stream, [(int(time.time() * 1000), said)])
        if request.failure_url:
            try:
                self._objects.put(*place(request.failure_url), failed.body, failed.content_type)
            except FileNotFoundError as error:
                self._log(group_of_endpoint(request.endpoint_name), stream, [(int(time.time() * 1000), str(error))])
