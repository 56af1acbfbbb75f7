"""What one instance of a transform job does: objects read, split, sent, put together and written, one by one.

Requests of several objects are under way at once, as many as the settings say; an object is written whole, or not.
"""

from __future__ import annotations

import gzip
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from harness.async_request import place
from harness.connections import Answer, Asked, BrokenOffError, Connections, NoAnswerError, TooLateError
from harness.data_processing import DataError, data_processing
from harness.door_objects import Objects
from harness.instances import Instance
from harness.transform_records import RecordTooLargeError, assembled, batches, lines, output_url, payload
from harness.transform_request import RETRIES, TIMEOUT_SECONDS, Settings, settings

ASK_SECONDS = 10.0  # for an answer to GET /execution-parameters


@dataclass(frozen=True)
class Item:
    """An object of the input; ``name`` is its path below the input's prefix."""

    bucket: str
    key: str
    name: str


class ObjectError(Exception):
    """An object that has no output: ``kind`` as the platform has it, ClientError or AlgorithmError."""

    def __init__(self, kind: str, what: str) -> None:
        self.kind, self.what = kind, what
        super().__init__(f"{kind}: {what}")


class TransformWork:
    """``stopped`` says that nothing more is wanted; ``failed`` is told of each object that has no output."""

    def __init__(
        self,
        request: Mapping[str, Any],
        objects: Objects,
        connections: Connections,
        stopped: Callable[[], bool],
        failed: Callable[[Instance, Item, ObjectError], None],
    ) -> None:
        self._request, self._objects, self._connections = request, objects, connections
        self._stopped, self._failed = stopped, failed
        self._processing = data_processing(request)
        self._split = request["TransformInput"].get("SplitType") == "Line"
        client = request.get("ModelClientConfig", {})
        self._seconds = client.get("InvocationsTimeoutInSeconds", TIMEOUT_SECONDS)
        self._retries = client.get("InvocationsMaxRetries", RETRIES)
        types = {
            "content-type": request["TransformInput"].get("ContentType"),
            "accept": request["TransformOutput"].get("Accept"),
        }
        self._headers = {name: value for name, value in types.items() if value}

    def settings(self, instance: Instance) -> Settings:
        try:
            asked = Asked("GET", "/execution-parameters")
            with self._connections.open(instance.route, asked, ASK_SECONDS) as opened:
                answer = opened.whole()
        except (NoAnswerError, BrokenOffError, TooLateError):
            return settings(self._request, b"")
        return settings(self._request, answer.body if answer.status == 200 else b"")

    def run(self, instance: Instance, how: Settings, items: Iterable[Item]) -> None:
        """Transform ``items`` on ``instance``; returns early once it is stopped."""
        with ThreadPoolExecutor(how.concurrent, thread_name_prefix="transform") as pool:
            under_way: deque[tuple[Item, list[Future[bytes]]]] = deque()
            for item in items:
                if self._stopped():
                    break
                if len(under_way) > how.concurrent:  # enough to be busy with; each holds its object in memory
                    self._finish(instance, *under_way.popleft())
                try:
                    cut = list(self._cut(item, how))
                except ObjectError as error:
                    self._failed(instance, item, error)
                    continue
                under_way.append((item, [pool.submit(self._ask, instance, how, each) for each in cut]))
            while under_way:
                self._finish(instance, *under_way.popleft())

    def _cut(self, item: Item, how: Settings) -> Iterator[list[bytes]]:
        """The records of each request. Raises `ObjectError`."""
        try:
            content = self._objects.read(item.bucket, item.key)
            if self._request["TransformInput"].get("CompressionType") == "Gzip":
                content = gzip.decompress(content)
        except FileNotFoundError:
            raise ObjectError("ClientError", "is not there") from None
        except (OSError, EOFError, zlib.error) as error:
            raise ObjectError("ClientError", f"is no gzip file: {error}") from None
        records = lines(content) if self._split else [content]
        try:
            yield from batches(records, how.strategy, how.max_bytes or max(1, 2 * len(content)))
        except RecordTooLargeError as error:
            raise ObjectError("ClientError", str(error)) from None

    def _ask(self, instance: Instance, how: Settings, batch: list[bytes]) -> bytes:
        """What becomes of the answer to one request. Raises `ObjectError`."""
        try:
            body = payload(self._processing.sent(record) for record in batch)
            answer = self._answer(instance, [body] if how.max_bytes is None else body)
            return self._processing.kept(batch, answer.body)
        except DataError as error:
            raise ObjectError("ClientError", str(error)) from None

    def _answer(self, instance: Instance, body: bytes | list[bytes]) -> Answer:
        """A success, at the latest at the last attempt; what the container calls the client's fault is not retried."""
        attempt = 0
        while True:
            attempt += 1
            if self._stopped():
                raise ObjectError("ClientError", "the job was stopped")
            try:
                answer = self._connections.post(instance.route, "/invocations", body, self._headers, self._seconds)
                if 200 <= answer.status < 300:
                    return answer
                said = answer.body.decode(errors="replace")
                error = ObjectError(
                    "ClientError" if answer.status < 500 else "AlgorithmError", f"{answer.status}: {said}"
                )
                if answer.status < 500:
                    raise error
            except TooLateError:
                error = ObjectError("ClientError", f"no answer within {self._seconds} s, InvocationsTimeoutInSeconds")
            except (NoAnswerError, BrokenOffError) as broken:
                error = ObjectError("AlgorithmError", f"unable to get a response from the container: {broken}")
            if attempt > self._retries:
                raise error

    def _finish(self, instance: Instance, item: Item, answers: list[Future[bytes]]) -> None:
        """Write the output of an object when all its answers are there."""
        try:
            content = assembled(
                [each.result() for each in answers],
                by_line=self._request["TransformOutput"].get("AssembleWith") == "Line",
            )
            self._objects.put(
                *place(output_url(self._request["TransformOutput"]["S3OutputPath"], item.name)),
                content,
                self._headers.get("accept", "application/octet-stream"),
            )
        except ObjectError as error:
            for each in answers:
                each.cancel()
            self._failed(instance, item, error)
        except FileNotFoundError as error:
            self._failed(instance, item, ObjectError("ClientError", str(error)))
