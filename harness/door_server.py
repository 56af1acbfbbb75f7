"""HTTP for the AWS door: a thread for each connection, which stays open, and one function behind all of them."""

from __future__ import annotations

import http.server
import socket
import socketserver
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from http import HTTPStatus
from io import BufferedIOBase

from harness.wire import Request, Response

LOOPBACK = "127.0.0.1"
MAX_BODY = 6 * 1024**3  # moto holds objects in memory; the parts of a larger one are smaller
MAX_INVOCATION = 26 * 1024**2  # above this an invocation is refused without being read
CONNECTIONS = 256
IDLE_SECONDS = 120

Handle = Callable[[Request], Response]


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Listens on ``address``, and nowhere else, from its construction on; ``port`` 0 is any free one."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, handle: Handle, port: int = 0, address: str = LOOPBACK) -> None:
        self.handle = handle
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__((address, port), _Connection)

    def server_bind(self) -> None:
        # HTTPServer would look up the name of the address, which can take seconds where no server answers.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    @property
    def url(self) -> str:
        return f"http://{self.server_name}:{self.server_port}"

    def process_request_thread(self, request: socket.socket | tuple[bytes, socket.socket], client: object) -> None:
        with self._slots:
            super().process_request_thread(request, client)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no error of ours; `Api.handle` tells all others."""


class _Connection(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    wbufsize = -1  # head and body leave together
    disable_nagle_algorithm = True
    server: Server

    def answer(self) -> None:
        try:
            body = self._body()
        except _RefusedError as refused:
            self.close_connection = True
            self._send(Response(refused.status, (("Connection", "close"),), refused.status.phrase.encode()))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        headers.pop("transfer-encoding", None)  # the body is whole by now
        self._send(self.server.handle(Request(self.command, self.path, headers, body)))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = answer  # noqa: N815

    def handle_expect_100(self) -> bool:
        """Uploads wait a second for this before they begin, so it must not wait for the answer."""
        self.send_response_only(HTTPStatus.CONTINUE)
        self.end_headers()
        self.wfile.flush()
        return True

    def log_message(self, *_: object) -> None:
        """Not a line for each request: the log is for what is unusual."""

    def _body(self) -> bytes:
        limit = MAX_INVOCATION if "/invocations" in self.path else MAX_BODY
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return _read_chunks(self.rfile, limit)
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal():
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
        if int(length) > limit:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
        return body

    def _send(self, response: Response) -> None:
        self.send_response_only(response.status)
        for name, value in response.headers:
            self.send_header(name, value.replace("\r", " ").replace("\n", " "))
        if response.stream is not None:
            self._send_parts(response.stream)
            return
        bodiless = self.command == "HEAD" or response.status in (204, 304)
        if response.header("content-length") is None and response.status not in (204, 304):
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if not bodiless:
            self.wfile.write(response.body)
        self.wfile.flush()

    def _send_parts(self, stream: Generator[bytes, None, None]) -> None:
        """Each as it comes, in chunks (RFC 9112, 7.1)."""
        with closing(stream):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.flush()
            for part in stream:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus) -> None:
        self.status = status
        super().__init__(status.phrase)


def _read_chunks(stream: BufferedIOBase, limit: int) -> bytes:
    """A body in chunks (RFC 9112, 7.1), its trailers dropped."""
    parts: list[bytes] = []
    total = 0
    while True:
        try:
            size = int(stream.readline(100).split(b";")[0], 16)
        except ValueError:
            raise _RefusedError(HTTPStatus.BAD_REQUEST) from None
        if size < 0 or (total := total + size) > limit:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not size:
            break
        parts.append(stream.read(size))
        stream.readline(100)
    while stream.readline(8192).strip():
        pass
    return b"".join(parts)
