"""How the hosts of one job find each other and end together.

Every follower keeps one connection to the leader: it says 'here <host>' when it has started and 'ready' once it can do
its part, which may be long after where packages have to be installed; the leader says 'over' when its script is. A
follower that runs a script of its own says 'over' when that has ended. A connection that breaks without that word
means its other end is gone, so a lost host is noticed at once, in both directions. The toolkit polls and sleeps
instead (mpi.py): 30 s and more. A host that is cut off breaks nothing: the kernels of both ends ask each other every
few seconds, and no answer for 20 s is a loss too. A host that stands still for a while does answer, as its
kernel does.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence

PORT = 7299
_HERE = "here "
_READY = "ready"
_OVER = "over"
_SECONDS_FOR_A_WORD = 5.0  # a host says who it is as soon as it is connected
_PROBE_SECONDS = 4  # of silence, then between questions; gloo itself gives up after 30 s, naming nobody
_PROBES = 4  # without an answer: lost packets alone do not lose a host
SILENCE_SECONDS = _PROBE_SECONDS * (_PROBES + 1)
WENT_AWAY = "went away"
_SILENCE = "\0"  # read where the other end has fallen silent


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
        """Return once every follower is ready; each must have come within ``seconds``.

        Raises `HostLost`, naming those that never came or that went away before they were ready.
        """
        end = time.monotonic() + seconds
        while missing := self._expected - set(self._connections):
            self._listener.settimeout(max(0.01, end - time.monotonic()))
            try:
                connection, _ = self._listener.accept()
            except TimeoutError as error:
                raise HostLost(f"{', '.join(sorted(missing))} did not come within {seconds:g} s") from error
            connection.settimeout(max(0.01, min(_SECONDS_FOR_A_WORD, end - time.monotonic())))
            name = _read_line(connection).removeprefix(_HERE)
            if name in missing:
                _ask_when_silent(connection)
                connection.settimeout(None)
                self._connections[name] = connection
            else:
                connection.close()  # gone before it said its word, or none of ours
        for name, connection in self._connections.items():
            word = _read_line(connection)
            if word != _READY:
                raise HostLost(f"{name} {_fate(word)} before it was ready")

    def watch(self, lost: Callable[[str], None]) -> None:
        """From now on, call ``lost`` from a thread when a follower is: with its name and what it did."""
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
                    word = _read_line(self._connections[key.data])
                    if word == _OVER:
                        selector.unregister(key.fileobj)
                        continue
                    if not self._dismissed:
                        lost(f"{key.data} {_fate(word)}")
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
    """A follower's end of its connection."""

    def __init__(self, leader: str, host: str, seconds: float, port: int = PORT) -> None:
        """Let ``leader`` know that ``host`` has come. Raises `HostLost` when it cannot be reached in ``seconds``."""
        self._leader = leader
        self._dismissed = False
        self._connection = _connect(leader, seconds, port)
        self._connection.settimeout(None)
        _ask_when_silent(self._connection)
        self._connection.sendall(f"{_HERE}{host}\n".encode())

    def ready(self) -> None:
        """Let the leader know that this host can do its part."""
        with contextlib.suppress(OSError):  # a leader that is gone is noticed by whoever waits for it
            self._connection.sendall(f"{_READY}\n".encode())

    def wait(self) -> None:
        """Return when the leader says that the job is over. Raises `HostLost` when it goes away."""
        with self._connection:
            word = _read_line(self._connection)
        if word != _OVER:
            raise HostLost(f"lost {self._leader}, the host that leads the job: it {_fate(word)}")

    def watch(self, lost: Callable[[str], None]) -> None:
        """From now on, call ``lost`` from a thread when the leader is: with its name and what it did."""
        threading.Thread(target=self._watch, args=(lost,), daemon=True).start()

    def _watch(self, lost: Callable[[str], None]) -> None:
        word = _read_line(self._connection)
        if word != _OVER and not self._dismissed:
            lost(f"{self._leader} {_fate(word)}")

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


def _ask_when_silent(connection: socket.socket) -> None:
    """Have the kernel ask the other end whether it is there; unanswered, reading fails with ETIMEDOUT (man 7 tcp)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)


def _fate(word: str) -> str:
    if word != _SILENCE:
        return WENT_AWAY
    return f"has not answered {socket.gethostname()} for {SILENCE_SECONDS} s: nothing passes between the two"


def _read_line(connection: socket.socket) -> str:
    """The next line, and not a byte more, as another may follow; empty, or `_SILENCE`, when there is none."""
    line = b""
    try:
        while not line.endswith(b"\n"):
            byte = connection.recv(1)
            if not byte:
                return ""
            line += byte
    except TimeoutError:
        return _SILENCE
    except (OSError, ValueError):  # broken, or closed by our own side meanwhile
        return ""
    return line.decode(errors="replace").strip()
