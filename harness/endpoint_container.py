"""One model server in the docker engine: made, given its model, asked whether it is ready, reached, removed.

Everything goes through the engine's API; no path and no port of this machine has to be the engine's.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import tar
from harness.container_command import run_in
from harness.errors import BadInput

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

MODEL_DIR = "/opt/ml/model"
PORT = "8080"  # unless SAGEMAKER_BIND_TO_PORT says otherwise (inference toolkit, environment.py)
STOP_SECONDS = 30  # from SIGTERM to SIGKILL (developer guide, 'Use your own inference code')
LOOPBACK = "127.0.0.1"
MOUNTS = Path("/proc/self/mountinfo")
_OWN_FILE = re.compile(r"/containers/([0-9a-f]{64})/\S+ /etc/(?:hosts|hostname|resolv\.conf) ")


@dataclass(frozen=True)
class Description:
    """What a model server's container is made from. ``host_port`` None is any free one."""

    image: str
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    host_port: int | None = None
    shm_size: str = "1g"
    mem_limit: str | None = None


@dataclass(frozen=True)
class Route:
    """Where requests go. ``why_not`` says why they cannot, when the engine is on another machine."""

    host: str
    port: int
    why_not: str = field(default="", compare=False)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


def create(client: DockerClient, wanted: Description) -> Container:
    """A container that runs `serve`, not started. Raises `BadInput` when the image is not there."""
    from docker.errors import ImageNotFound
    from docker.types import LogConfig

    network = next(iter(own_networks(client)), None)
    inside = wanted.environment.get("SAGEMAKER_BIND_TO_PORT", PORT)
    if not inside.isdecimal():
        raise BadInput(f"SAGEMAKER_BIND_TO_PORT is {inside!r}, not a port")
    ports: dict[str, Any] = {f"{inside}/tcp": (LOOPBACK, wanted.host_port)}  # None: any free one
    # No network when there is none to share: the engine's default one.
    options: dict[str, Any] = {"network": network} if network else {}
    if wanted.mem_limit:
        options["mem_limit"] = wanted.mem_limit
    try:
        return client.containers.create(
            wanted.image,
            ["serve"],
            environment=dict(wanted.environment),
            labels=dict(wanted.labels),
            ports=ports,
            shm_size=wanted.shm_size,
            log_config=LogConfig(type=LogConfig.types.JSON),  # readable whatever the engine's default is
            **options,
        )
    except ImageNotFound as error:
        raise BadInput(f"no image {wanted.image!r} in the engine: build or pull it first") from error


def put_model(container: Container, archive: Path) -> None:
    """Unpack ``archive`` into /opt/ml/model of a container that has not started, as the platform does."""
    from docker.errors import APIError

    container.put_archive("/", tar.folders(["opt", "opt/ml", MODEL_DIR]))
    try:
        with archive.open("rb") as stream:  # the engine unpacks .tar.gz itself, as it arrives
            container.put_archive(MODEL_DIR, stream)
    except FileNotFoundError as error:
        raise BadInput(f"no model archive {str(archive)!r}") from error
    except APIError as error:
        raise BadInput(f"model archive {str(archive)!r} cannot be unpacked: {error.explanation}") from error


def start(container: Container, host_port: int | None) -> None:
    """Start it. Raises `BadInput` when the engine cannot have the port."""
    from docker.errors import APIError

    try:
        container.start()
    except APIError as error:
        text = str(error.explanation)
        if "port is already allocated" in text or "address already in use" in text:
            raise BadInput(_taken(host_port)) from error
        raise


def check_port(client: DockerClient, host_port: int | None, mounts: Path = MOUNTS) -> None:
    """Raise `BadInput` when ``host_port`` of this machine, where the engine will publish it, is taken."""
    if host_port is None:
        return
    if not 0 < host_port < 65536:
        raise BadInput(f"port {host_port} is not a port: 1 to 65535")
    if _engine_is_elsewhere(client) or own_networks(client, mounts):
        return  # not this machine's loopback interface
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the engine does it
        try:
            attempt.bind((LOOPBACK, host_port))
        except PermissionError:
            return  # not ours to have, but perhaps the engine's
        except OSError as error:
            raise BadInput(_taken(host_port)) from error


def model_ready(container: Container, seconds: float) -> int:
    """The exit code of the image's `model-ready`: 0 loaded, 1 failed, 3 not yet, 127 no such command, -1 ended."""
    from docker.errors import APIError

    try:
        code = run_in(container, ["model-ready", f"{seconds:g}"]).exit_code
    except APIError as error:
        if error.status_code == 400 or "executable file not found" in str(error):
            return 127
        if error.status_code in (404, 409):  # it has ended before or while we asked
            return -1
        raise
    if code in (126, 127):
        return 127
    return code if code in (0, 1, 3) else -1


def route(client: DockerClient, container: Container, mounts: Path = MOUNTS) -> Route:
    """How requests from here reach ``container``, which runs.

    The engine publishes on its own machine's loopback interface. From a container next to it, as on CI
    runners that have only the engine's socket, that is someone else's; there both share a network.
    """
    settings = container.attrs["NetworkSettings"]
    inside = next(iter(container.attrs["HostConfig"]["PortBindings"])).split("/")[0]
    for name in own_networks(client, mounts):
        if name in settings["Networks"]:
            return Route(settings["Networks"][name]["IPAddress"], int(inside))
    published = settings["Ports"].get(f"{inside}/tcp") or [{"HostPort": "0"}]
    port = int(published[0]["HostPort"])
    if _engine_is_elsewhere(client):
        engine = client.api.base_url
        forward = f"ssh -N -L {port}:{LOOPBACK}:{port} <that machine>"
        return Route(LOOPBACK, port, f"it is published on the engine's machine ({engine}) only: {forward}")
    return Route(LOOPBACK, port)


def own_networks(client: DockerClient, mounts: Path = MOUNTS) -> tuple[str, ...]:
    """Networks of the container this process runs in, if it is one of this engine's; else none.

    The engine mounts /etc/hosts and others from a folder named by the container's id, whatever its host name is. On the
    engine's own machine the same files are seen below other folders, while it copies something into a container.
    """
    from docker.errors import NotFound

    with contextlib.suppress(OSError):
        for found in _OWN_FILE.finditer(mounts.read_text()):
            try:
                networks = client.containers.get(found[1]).attrs["NetworkSettings"]["Networks"]
            except NotFound:  # of an engine around this one
                continue
            return tuple(name for name in networks if name not in ("host", "none"))
    return ()


def await_end(container: Container, seconds: float) -> None:
    """Return when it has ended, or after ``seconds``."""
    from requests.exceptions import ConnectionError as Interrupted
    from requests.exceptions import ReadTimeout

    with contextlib.suppress(ReadTimeout, Interrupted):  # which of them the client raises depends on its version
        container.wait(timeout=max(1, round(seconds)))


def log(container: Container) -> str:
    return bytes(container.logs()).decode(errors="replace")


def remove(container: Container, *, stop_seconds: int = 0) -> None:
    """Remove it in whatever state it is; ``stop_seconds`` are given to it after SIGTERM. Safe to repeat."""
    from docker.errors import APIError, NotFound

    try:
        if stop_seconds:
            container.stop(timeout=stop_seconds)
        container.remove(force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        if "already in progress" not in str(error.explanation):  # somebody else removes it
            raise


def _engine_is_elsewhere(client: DockerClient) -> bool:
    url = str(client.api.base_url)
    local = ("http+docker://localhost", "http+docker://localunixsocket", "http+docker://localnpipe")
    return not url.startswith(local) and re.match(r"https?://(localhost|127\.[\d.]+|\[::1\])(:|/|$)", url) is None


def _taken(host_port: int | None) -> str:
    return f"port {host_port} is taken: name another one, or none for any free one"
