"""Connections to model servers, kept open between invocations: one request's time is then the server's own."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from harness.endpoint_container import Route

_KEPT = 32  # idle connections to one server
_MOST = 1 << 20  # bytes of one part


class NoAnswerError(Exception):
    """Nobody listens there: no server has seen the request."""


class BrokenOffError(Exception):
    """The server went away while it had the request."""


class TooLateError(Exception):
    """The answer was not there in time."""


@dataclass(frozen=True)
class Answer:
    """What a container answered; names in ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Body = bytes | Sequence[bytes]  # of several parts: in chunks, its length unsaid


@dataclass(frozen=True)
class Asked:
    """A request to a model server."""

    method: str
    path: str
    body: Body = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Opened:
    """An answer whose head is there; a block of it ends with the connection, which is kept where all was read."""

    def __init__(
        self,
        connection: http.client.HTTPConnection,
        answer: http.client.HTTPResponse,
        end: float,
        seconds: float,
        keep: Callable[[], None],
    ) -> None:
        self._connection, self._answer, self._end, self._seconds = connection, answer, end, seconds
        self._keep, self._read, self._missing = keep, False, answer.length or 0
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def parts(self) -> Iterator[bytes]:
        """The body, as it comes. Raises `BrokenOffError` and `TooLateError`."""
        with _told(self._connection, self._seconds):
            while True:
                left = self._end - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                if self._connection.sock is not None:  # None once the last of a closing connection has come
                    self._connection.sock.settimeout(left)
                part = self._answer.read1(_MOST)
                self._missing -= len(part)
                if not part:
                    if self._missing > 0:  # the standard library takes this for the end
                        raise http.client.IncompleteRead(b"", self._missing)
                    self._answer.close()  # the connection is then free for the next request
                    self._read = True
                    return
                yield part

    def whole(self) -> Answer:
        return Answer(self.status, self.headers, b"".join(self.parts()))

    def close(self) -> None:
        """Safe to repeat."""
        if self._read and not self._answer.will_close:
            self._read = False
            self._keep()
        else:
            self._answer.close()  # which has the socket where the server wants no second request
            self._connection.close()


class Connections:
    """Idle connections by server. Safe to use from several threads."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int], list[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()

    def post(self, route: Route, path: str, body: Body, headers: Mapping[str, str], seconds: float) -> Answer:
        """Raises `NoAnswerError`, `BrokenOffError` and `TooLateError`."""
        with self.open(route, Asked("POST", path, body, headers), seconds) as opened:
            return opened.whole()

    def open(self, route: Route, asked: Asked, seconds: float) -> Opened:
        """An answer that has begun; ``seconds`` are for all of it. Raises as `post` does."""
        where = (route.host, route.port)
        end = time.monotonic() + seconds
        connection, fresh = self._take(where, seconds)
        with _told(connection, seconds):
            try:
                answer = _ask(connection, asked)
            except (http.client.RemoteDisconnected, ConnectionError):
                connection.close()
                if fresh:
                    raise
                # The server had closed it while it was idle; a new one tells whether there still is a server.
                connection = _connected(where, max(0.01, end - time.monotonic()))
                with _told(connection, seconds):
                    answer = _ask(connection, asked)
        return Opened(connection, answer, end, seconds, lambda: self._keep(where, connection))

    def close(self) -> None:
        """Close all that are idle."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def _take(self, where: tuple[str, int], seconds: float) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            idle = self._idle.get(where)
            connection = idle.pop() if idle else None
        if connection is None or connection.sock is None:
            return _connected(where, seconds), True
        connection.sock.settimeout(seconds)
        return connection, False

    def _keep(self, where: tuple[str, int], connection: http.client.HTTPConnection) -> None:
        with self._lock:
            idle = self._idle.setdefault(where, [])
            if len(idle) < _KEPT:
                idle.append(connection)
                return
        connection.close()


def _connected(where: tuple[str, int], seconds: float) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(*where, timeout=seconds)
    try:
        connection.connect()
    except OSError as error:
        raise NoAnswerError(str(error)) from error
    # Head and body are two writes: without this the second waits for the server to acknowledge the first.
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _ask(connection: http.client.HTTPConnection, asked: Asked) -> http.client.HTTPResponse:
    connection.request(asked.method, asked.path, asked.body, dict(asked.headers))
    return connection.getresponse()


@contextmanager
def _told(connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """Close the connection on whatever goes wrong in the block, and raise it as one of ours."""
    try:
        yield
    except TimeoutError as late:
        connection.close()
        raise TooLateError(f"no answer in {seconds:g} s") from late
    except (OSError, http.client.HTTPException) as gone:
        connection.close()
        raise BrokenOffError(str(gone) or type(gone).__name__) from gone
