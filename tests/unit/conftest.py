"""The unit tier starts no process and opens no connection: the interpreter itself tells when a test does."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

_FORBIDDEN = {"socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.posix_spawn"}
_guarding = False


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    if _guarding and event in _FORBIDDEN:
        raise AssertionError(f"a unit test does {event} {arguments!r}; it belongs in tests/functional")


sys.addaudithook(_guard)


@pytest.fixture(autouse=True)
def no_process_and_no_connection() -> Iterator[None]:
    global _guarding
    _guarding = True
    yield
    _guarding = False
