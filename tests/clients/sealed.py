"""A program in a network of its own that holds nothing but the AWS door: the kernel refuses it all else.

`python sealed.py PATH PORT COMMAND...`, started by `unshare --net`, brings the loopback interface of its network up,
serves the door's PORT there, and runs COMMAND. What comes to the port goes through the socket at PATH, which leads out
as files have no network; there `way_out` hands it on. Standard library only.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
_SIOCSIFFLAGS, _UP = 0x8914, 0x1  # netdevice(7)


def relay(listening: socket.socket, connect: Callable[[], socket.socket]) -> None:
    """Hand every connection on to a new one, in threads, until ``listening`` is closed."""

    def accept() -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=_join, args=(near, connect()), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def _join(near: socket.socket, far: socket.socket) -> None:
    with near, far:
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other direction has ended it


@contextmanager
def way_out(path: Path, port: int) -> Iterator[None]:
    """While the block runs, what connects to the socket at ``path`` reaches the loopback ``port`` of this network."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(64)
        relay(listening, lambda: socket.create_connection((LOOPBACK, port)))
        yield
        listening.shutdown(socket.SHUT_RDWR)


def _to(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(path)
    return made


def main() -> int:
    path, port, *command = sys.argv[1:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _UP))
    relay(socket.create_server((LOOPBACK, int(port)), backlog=64), lambda: _to(path))
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
