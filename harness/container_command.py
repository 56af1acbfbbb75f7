"""Commands in a running container: all of what they print, and the exit code that they really ended with."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docker.models.containers import Container

_FRAME = struct.Struct(">4xL")  # after which stream it is, how many bytes follow (Docker Engine API, "Stream format")
_LOOK_AGAIN_SECONDS = 0.01


@dataclass(frozen=True)
class Ended:
    """How a command ended; ``output`` is its standard output and error as they came."""

    exit_code: int
    output: bytes


def run_in(container: Container, argv: Sequence[str], env: Mapping[str, str] | None = None, user: str = "") -> Ended:
    """Run a command to its end in ``container``.

    Not by `Container.exec_run`: that reads past what came together with the head of the answer, and so loses the
    output of a quick command now and then (docker-py, issue 3332). Nor is the code there as soon as the output ends.
    Raises `docker.errors.APIError`.
    """
    import requests
    from docker.errors import create_api_error_from_http_exception

    api = container.client.api if container.client else None
    if api is None:
        raise ValueError("a container without its client")
    execution = api.exec_create(container.id, list(argv), environment=dict(env or {}), user=user)["Id"]
    start = f"{api.base_url}/v{api.api_version}/exec/{execution}/start"
    with api.post(start, json={"Detach": False, "Tty": False}, stream=True, timeout=None) as answer:
        try:
            answer.raise_for_status()
        except requests.HTTPError as error:
            create_api_error_from_http_exception(error)
        output = b"".join(_frames(answer.raw.read))
    while (state := api.exec_inspect(execution))["Running"]:
        time.sleep(_LOOK_AGAIN_SECONDS)
    return Ended(int(state["ExitCode"]), output)


def _frames(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while head := read(_FRAME.size):
        (length,) = _FRAME.unpack(head)
        yield read(length)
