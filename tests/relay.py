"""An engine's socket that can go away and come back, as a restart of the engine looks from outside."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self


class Relay:
    """Passes on what comes in at ``address`` to the socket ``engine``, both ways, until it is cut."""

    def __init__(self, address: Path, engine: str) -> None:
        self._address = address
        self._engine = engine
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listening: socket.socket | None = None

    def listen(self) -> None:
        """Take connections, from now until `cut`."""
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(self._address))
        listening.listen(64)
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def cut(self) -> None:
        """End every connection; whoever asks for a new one is refused until it listens again."""
        listening, self._listening = self._listening, None
        self._address.unlink(missing_ok=True)
        if listening:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        with self._lock:
            for each in self._open:
                _end(each)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return  # cut
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._engine)
            with self._lock:
                self._open += [near, far]
            threading.Thread(target=self._connect, args=(near, far), daemon=True).start()

    def _connect(self, near: socket.socket, far: socket.socket) -> None:
        there = threading.Thread(target=_pass_on, args=(near, far), daemon=True)
        there.start()
        _pass_on(far, near)
        there.join()
        with self._lock:
            self._open = [each for each in self._open if each not in (near, far)]
            near.close()
            far.close()

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.cut()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        _end(source)
        _end(target)


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended already
