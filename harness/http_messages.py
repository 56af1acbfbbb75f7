"""HTTP/1.1 as the AWS door reads and writes it (RFC 9110 and 9112): strict, and quick enough to stand before a server.

Python's own http.server takes a third of a millisecond for a request, as it reads headers as if they were mail's.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

MAX_HEAD = 64 * 1024
MAX_HEADERS = 200
_RECEIVE = 256 * 1024
_MAX_LINE = 8192  # of a chunk's size, or a trailer
_REQUEST_LINE = re.compile(r"([A-Z]{1,20}) ([!-\xff]+) HTTP/(1\.[01])")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROLS = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")
_ONCE = ("host", "content-length", "transfer-encoding", "authorization", "x-amz-target")


class RefusedError(Exception):
    """A request that is none; the connection cannot be used after it."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        self.status, self.why = status, why
        super().__init__(why)


class GoneError(OSError):
    """The client went away, or fell silent, in the middle of its request."""


@dataclass(frozen=True)
class Head:
    """A request before its body; names in ``headers`` are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    keeps_open: bool

    @property
    def chunked(self) -> bool:
        return "transfer-encoding" in self.headers

    @property
    def length(self) -> int:
        """Of the body in bytes; of one in chunks only its end tells."""
        return int(self.headers.get("content-length", "0"))

    @property
    def awaits_leave(self) -> bool:
        """Whether the body is sent only after the server has said so."""
        return self.headers.get("expect", "").lower() == "100-continue"


class Incoming:
    """What comes in over a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def head(self, idle: float, seconds: float) -> Head | None:
        """The next head: begun within ``idle`` seconds, whole ``seconds`` later. None where there is no other.

        However slowly it drips, it does not hold a thread for longer. Raises `RefusedError` and `GoneError`.
        """
        if not self._buffer and not self._more(idle):
            return None
        end = time.monotonic() + seconds
        while (length := self._buffer.find(b"\r\n\r\n")) < 0 or length > MAX_HEAD:
            if len(self._buffer) > MAX_HEAD:
                raise RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {MAX_HEAD} bytes of headers")
            left = end - time.monotonic()
            if left <= 0:
                raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, f"the headers took more than {seconds:g} s")
            if not self._more(left):
                raise GoneError("in the middle of the headers")
        head, self._buffer = self._buffer[:length], self._buffer[length + 4 :]
        return parse_head(head)

    def read(self, size: int) -> bytes:
        """At least one byte and at most ``size``. Raises `GoneError`."""
        if not self._buffer and not self._more():
            raise GoneError("in the middle of the body")
        if len(self._buffer) <= size:
            taken, self._buffer = self._buffer, b""
        else:
            taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def line(self) -> bytes:
        """Without its end. Raises `RefusedError` and `GoneError`."""
        while b"\r\n" not in self._buffer:
            if len(self._buffer) > _MAX_LINE:
                raise RefusedError(HTTPStatus.BAD_REQUEST, f"a line of more than {_MAX_LINE} bytes among the chunks")
            if not self._more():
                raise GoneError("in the middle of the body")
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def discard(self, seconds: float) -> None:
        """Take what still comes, for at most ``seconds``, and drop it."""
        end = time.monotonic() + seconds
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
            while (left := end - time.monotonic()) > 0 and self._more(left):
                self._buffer = b""

    def _more(self, seconds: float | None = None) -> bool:
        if seconds is not None:
            self._connection.settimeout(max(0.01, seconds))
        try:
            received = self._connection.recv(_RECEIVE)
        except TimeoutError:
            return False
        except OSError as error:
            raise GoneError(str(error)) from error
        self._buffer = self._buffer + received if self._buffer else received
        return bool(received)


class Body:
    """The body of one request, read as it comes (`harness.wire.Upload`).

    ``leave`` is called before the first byte, where the client waits for it.
    """

    def __init__(self, incoming: Incoming, head: Head, leave: Callable[[], None]) -> None:
        self._incoming, self._leave = incoming, leave if head.awaits_leave else None
        self._chunked, self._left = head.chunked, 0 if head.chunked else head.length
        self._ended = not self._chunked and not self._left

    def read(self, size: int) -> bytes:
        """Raises `RefusedError` and `GoneError`."""
        if self._ended:
            return b""
        if self._leave:
            self._leave()
            self._leave = None
        if self._chunked and not self._left and not self._next_chunk():
            return b""
        taken = self._incoming.read(min(size, self._left))
        self._left -= len(taken)
        if not self._left and self._chunked and self._incoming.line():
            raise RefusedError(HTTPStatus.BAD_REQUEST, "a chunk that is longer than its size")
        self._ended = not self._left and not self._chunked
        return taken

    def whole(self, limit: int) -> bytes:
        """All of it. Raises `RefusedError` where it has more than ``limit`` bytes."""
        parts, total = [], 0
        while part := self.read(limit + 1):
            total += len(part)
            if total > limit:
                raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body of more than {limit} bytes")
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def can_be_skipped(self, limit: int) -> bool:
        """Whether the next request can follow: what nobody read is at most ``limit`` bytes, and is being sent."""
        return self._ended or (self._leave is None and not self._chunked and self._left <= limit)

    def skip(self) -> None:
        """Read what nobody wanted. Raises `GoneError`."""
        while self.read(self._left or 1):
            pass

    def _next_chunk(self) -> bool:
        size = self._incoming.line().partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,12}", size):
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"{size[:20]!r} is no size of a chunk")
        self._left = int(size, 16)
        if not self._left:
            while self._incoming.line():  # trailers
                pass
            self._ended = True
        return bool(self._left)


def parse_head(head: bytes) -> Head:
    """Raises `RefusedError`. What could be read in two ways is refused."""
    first, *lines = head.decode("latin-1").split("\r\n")
    found = _REQUEST_LINE.fullmatch(first)
    if found is None:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"{first[:80]!r} is no request of HTTP/1.1")
    if len(lines) > MAX_HEADERS:
        raise RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {MAX_HEADERS} headers")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name) or _CONTROLS.search(value):
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"{line[:80]!r} is no header")
        name, value = name.lower(), value.strip(" \t")
        if name in headers:
            if name in _ONCE:
                raise RefusedError(HTTPStatus.BAD_REQUEST, f"{name} comes twice")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    _check_framing(headers)
    if found[3] == "1.0":
        raise RefusedError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.0 is not spoken here")
    return Head(found[1], found[2], headers, headers.get("connection", "").lower() != "close")


def _check_framing(headers: Mapping[str, str]) -> None:
    """Where the body ends must be beyond doubt: else one request could hide in another."""
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if coding is not None and (length is not None or coding.lower() != "chunked"):
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"transfer-encoding {coding[:40]!r} is not chunked alone")
    if length is not None and not re.fullmatch(r"[0-9]{1,18}", length):
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"content-length {length[:40]!r} is no length")
