"""How the hosts of one job find each other and end together.

Every follower keeps one connection to the leader: it says 'ready <host>' once it can do its part, and the leader
says 'over' when its script is. A follower that runs a script of its own says 'over' when that has ended.
A connection that breaks without that word means its other end is gone, so a lost host is noticed at once, in both
directions. The toolkit polls and sleeps instead (mpi.py): 30 s and more.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence

PORT = 7299
_OVER = "over"
_SECONDS_FOR_A_WORD = 5.0  # a host says that it is ready as soon as it is connected


class HostLost(Exception):
    """A host went away, or never came."""


class Leader:
    """The leader's end of all connections."""

    def __init__(self, followers: Sequence[str], port: int = PORT, address: str = "") -> None:
        self._expected = set(followers)
        self._connections: dict[str, socket.socket] = {}
        self._dismissed = False
        self._listener = socket.create_server((address, port), backlog=64)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def wait_for_followers(self, seconds: float) -> None:
        """Return once every follower is ready. Raises `HostLost`, naming those that never came."""
        end = time.monotonic() + seconds
        while missing := self._expected - set(self._connections):
            self._listener.settimeout(max(0.01, end - time.monotonic()))
            try:
                connection, _ = self._listener.accept()
            except TimeoutError as error:
                raise HostLost(f"{', '.join(sorted(missing))} did not come within {seconds:g} s") from error
            connection.settimeout(max(0.01, min(_SECONDS_FOR_A_WORD, end - time.monotonic())))
            name = _read_line(connection).removeprefix("ready ")
            if name in missing:
                self._connections[name] = connection
            else:
                connection.close()  # gone before it said its word, or none of ours

    def watch(self, lost: Callable[[str], None]) -> None:
        """From now on, call ``lost`` from a thread with the name of the first follower that goes away."""
        if not self._connections:
            return
        # Registered before the thread runs: `dismiss` may close the connections before it does.
        selector = selectors.DefaultSelector()
        for name, connection in self._connections.items():
            selector.register(connection, selectors.EVENT_READ, name)
        threading.Thread(target=self._watch, args=(selector, lost), daemon=True).start()

    def _watch(self, selector: selectors.BaseSelector, lost: Callable[[str], None]) -> None:
        with selector:
            while selector.get_map():
                for key, _ in selector.select():
                    if _read_line(self._connections[key.data]) == _OVER:
                        selector.unregister(key.fileobj)
                        continue
                    if not self._dismissed:
                        lost(str(key.data))
                    return

    def dismiss(self) -> None:
        """Let every follower end."""
        self._dismissed = True
        for connection in self._connections.values():
            try:
                connection.sendall(f"{_OVER}\n".encode())
            except OSError:
                continue  # that host is gone already; its own exit tells the platform so
            finally:
                connection.close()
        self._listener.close()


class Follower:
    """A follower's end of its connection, for a host that runs a script of its own."""

    def __init__(self, leader: str, host: str, seconds: float, port: int = PORT) -> None:
        """Report ``host`` as ready. Raises `HostLost` when ``leader`` cannot be reached in ``seconds``."""
        self._leader = leader
        self._dismissed = False
        self._connection = _connect(leader, seconds, port)
        self._connection.settimeout(None)
        self._connection.sendall(f"ready {host}\n".encode())

    def wait(self) -> None:
        """Return when the leader says that the job is over. Raises `HostLost` when it goes away."""
        with self._connection:
            if _read_line(self._connection) != _OVER:
                raise HostLost(f"lost {self._leader}, the host that leads the job")

    def watch(self, lost: Callable[[str], None]) -> None:
        """From now on, call ``lost`` from a thread with the leader's name when it goes away."""
        threading.Thread(target=self._watch, args=(lost,), daemon=True).start()

    def _watch(self, lost: Callable[[str], None]) -> None:
        if _read_line(self._connection) != _OVER and not self._dismissed:
            lost(self._leader)

    def dismiss(self) -> None:
        """Let the leader know that this host has come to its end."""
        self._dismissed = True
        with contextlib.suppress(OSError):  # a leader that is gone needs no word
            self._connection.sendall(f"{_OVER}\n".encode())
        self._connection.close()


def _connect(leader: str, seconds: float, port: int) -> socket.socket:
    end = time.monotonic() + seconds
    while True:
        try:
            # Name resolution may lag behind the start of a host (developer guide): it is simply tried again.
            return socket.create_connection((leader, port), timeout=5)
        except OSError as error:
            if time.monotonic() > end:
                raise HostLost(f"{leader} was not reached within {seconds:g} s: {error}") from error
            time.sleep(0.05)


def _read_line(connection: socket.socket) -> str:
    """The next line, and not a byte more, as another may follow; empty when there is none."""
    line = b""
    try:
        while not line.endswith(b"\n"):
            byte = connection.recv(1)
            if not byte:
                return ""
            line += byte
    except (OSError, ValueError):  # broken, late, or closed by our own side meanwhile
        return ""
    return line.decode(errors="replace").strip()
