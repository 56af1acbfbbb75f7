"""HTTP for the AWS door: a thread for each connection, which stays open, and one function behind all of them."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import cache
from http import HTTPStatus

from harness.http_messages import Body, GoneError, Head, Incoming, RefusedError
from harness.wire import Request, Response, ServiceError, json_error

LOOPBACK = "127.0.0.1"
MAX_HELD = 26 * 1024**2  # a larger body is not held in memory: an invocation has 25 MB at most
CONNECTIONS = 256
IDLE_SECONDS = 120.0
HEAD_SECONDS = 20.0
SILENCE_SECONDS = 60.0  # in the middle of a body
_SKIPPED = 1024**2
LINGER_SECONDS = 2.0  # after an answer in the middle of a request: a reset would take the answer away with it
_BODILESS = (204, 304)
_KNOWN = set(HTTPStatus)

Handle = Callable[[Request], Response]


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listens on ``address``, and nowhere else, from its construction on; ``port`` 0 is any free one.

    Of `CONNECTIONS` that are all taken, the one that has been waiting for a request for longest gives way to the next:
    clients that connect and say nothing, or say it slowly, keep nobody out.
    """

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, handle: Handle, port: int = 0, address: str = LOOPBACK) -> None:
        self.handle = handle
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        self._waiting: dict[socket.socket, None] = {}
        self._lock = threading.Lock()
        super().__init__((address, port), _Connection)

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client: object) -> None:
        if not self._slots.acquire(blocking=False):
            self._end_longest_waiting()
            while not self._slots.acquire(timeout=0.05):
                self._end_longest_waiting()
        super().process_request(request, client)

    def process_request_thread(self, request: socket.socket | tuple[bytes, socket.socket], client: object) -> None:
        try:
            super().process_request_thread(request, client)
        finally:
            self._slots.release()

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no error of ours; all else goes into the door's log."""
        if not isinstance(sys.exception(), OSError):
            traceback.print_exc()

    def waits(self, connection: socket.socket) -> None:
        """``connection`` waits for its next request."""
        with self._lock:
            self._waiting[connection] = None

    def works(self, connection: socket.socket) -> None:
        """``connection`` has a request, or is done."""
        with self._lock:
            self._waiting.pop(connection, None)

    def _end_longest_waiting(self) -> None:
        with self._lock:
            connection = next(iter(self._waiting), None)
            if connection is not None:
                del self._waiting[connection]
                with suppress(OSError):  # its client has ended it
                    connection.shutdown(socket.SHUT_RDWR)


class _Connection(socketserver.BaseRequestHandler):
    server: Server
    request: socket.socket

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        incoming = Incoming(self.request)
        try:
            while self._serve_one(incoming):
                pass
        except RefusedError as refused:
            self._send(_refusal(refused), "", stays=False)
            incoming.discard(LINGER_SECONDS)
        except GoneError:
            pass  # and nobody is there to be told

    def _serve_one(self, incoming: Incoming) -> bool:
        """Answer one request; whether there can be another."""
        self.server.waits(self.request)
        try:
            head = incoming.head(IDLE_SECONDS, HEAD_SECONDS)
        finally:
            self.server.works(self.request)
        if head is None:
            return False
        self.request.settimeout(SILENCE_SECONDS)
        body = Body(incoming, head, self._give_leave)
        answer = self.server.handle(_request(head, body))
        skippable = body.can_be_skipped(_SKIPPED)
        stays = head.keeps_open and skippable
        self._send(answer, head.method, stays)
        if not skippable:
            incoming.discard(LINGER_SECONDS)
        elif stays:
            body.skip()
        return stays

    def _give_leave(self) -> None:
        self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _send(self, response: Response, method: str, stays: bool) -> None:
        bodiless = method == "HEAD" or response.status in _BODILESS
        measured = response.status in _BODILESS or response.header("content-length") is not None
        lines = [_status_line(response.status)]
        lines += [f"{name}: {_one_line(value)}" for name, value in response.headers]
        if not measured:
            length = f"Content-Length: {len(response.body)}"
            lines.append(length if response.stream is None else "Transfer-Encoding: chunked")
        if not stays:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        if response.stream is None:
            self.request.sendall(head if bodiless else head + response.body)
            return
        with closing(response.stream) as stream:
            self.request.sendall(head)
            if not bodiless:
                self._send_parts(stream, in_chunks=not measured)

    def _send_parts(self, stream: Iterator[bytes], in_chunks: bool) -> None:
        """Each as it comes."""
        for part in stream:
            if part:
                self.request.sendall(b"%x\r\n%b\r\n" % (len(part), part) if in_chunks else part)
        if in_chunks:
            self.request.sendall(b"0\r\n\r\n")


def _request(head: Head, body: Body) -> Request:
    """What may be large is left to be read by whom it is for: S3's objects are PUT, all else is small."""
    headers = head.headers
    if head.chunked:  # nobody behind us sees chunks
        headers = {name: value for name, value in headers.items() if name != "transfer-encoding"}
    if head.method == "PUT" or head.length > MAX_HELD:
        return Request(head.method, head.target, headers, upload=body)
    return Request(head.method, head.target, headers, body.whole(MAX_HELD))


def _refusal(refused: RefusedError) -> Response:
    code = "".join(word.title() for word in refused.status.phrase.split())
    return json_error(ServiceError(f"{code}Exception", refused.why, refused.status), str(uuid.uuid4()))


def _one_line(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ") if "\n" in value or "\r" in value else value


@cache
def _status_line(status: int) -> str:
    return f"HTTP/1.1 {int(status)} {HTTPStatus(status).phrase if status in _KNOWN else ''}"
