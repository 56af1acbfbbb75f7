"""Connections to model servers, kept open between invocations: one request's time is then the server's own."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from harness.endpoint_container import Route

_KEPT = 32  # idle connections to one server


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


class Connections:
    """Idle connections by server. Safe to use from several threads."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, int], list[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()

    def post(self, route: Route, path: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
        """Raises `NoAnswerError`, `BrokenOffError` and `TooLateError`."""
        where = (route.host, route.port)
        end = time.monotonic() + seconds
        connection, fresh = self._take(where, seconds)
        try:
            try:
                answer = _ask(connection, path, body, headers)
            except (http.client.RemoteDisconnected, ConnectionError) as gone:
                connection.close()
                if fresh:
                    raise BrokenOffError(str(gone)) from gone
                # The server had closed it while it was idle; a new one tells whether there still is a server.
                connection = _connected(where, max(0.01, end - time.monotonic()))
                answer = _ask(connection, path, body, headers)
            content = _read(answer, connection, end)
        except TimeoutError as late:
            connection.close()
            raise TooLateError(f"no answer in {seconds:g} s") from late
        except (OSError, http.client.HTTPException) as gone:
            connection.close()
            raise BrokenOffError(str(gone) or type(gone).__name__) from gone
        if not answer.will_close:
            self._keep(where, connection)
        else:
            connection.close()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)

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


def _ask(
    connection: http.client.HTTPConnection, path: str, body: bytes, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    connection.request("POST", path, body, dict(headers))
    return connection.getresponse()


def _read(answer: http.client.HTTPResponse, connection: http.client.HTTPConnection, end: float) -> bytes:
    """All of the body, in what is left of the time."""
    parts: list[bytes] = []
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if connection.sock is not None:  # None once the last of a closing connection has come
            connection.sock.settimeout(left)
        part = answer.read1(1 << 20)
        if not part:
            answer.close()  # the connection is then free for the next request
            return b"".join(parts)
        parts.append(part)
