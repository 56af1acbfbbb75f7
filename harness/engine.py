"""The docker engine: found where the docker command would find it, started when that is ours to do.

Three questions, each answered in one place: where is it (`find_target`), why does it not answer (`reach`),
and what is to be done about that (`decide`, pure). An engine that somebody chose, by DOCKER_HOST or by a
docker context, is never replaced by one of our own.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness import debian, process
from harness.deadline import Deadline
from harness.errors import EngineLost, EngineUnavailable
from harness.steps import Steps

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.tls import TLSConfig

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
PID_FILE = Path("/var/run/docker.pid")
LOG_FILE = Path("/var/log/dockerd.log")
ANSWER_SECONDS = 10  # an engine that is there says so at once; a dead address must not cost a minute
CALL_SECONDS = 120
START_SECONDS = 60.0
BACK_SECONDS = 45.0  # a restart takes some 5, of which the containers' end is the most
# apparmor: where the kernel has it, containers do not start without its parser.
PACKAGES = ("docker.io", "apparmor", "ca-certificates", "iptables")


@dataclass(frozen=True)
class Target:
    """Where an engine is expected, and who said so (``chosen`` is empty for the default socket)."""

    url: str
    chosen: str = ""
    tls: TLSConfig | bool = False

    def __str__(self) -> str:
        return self.chosen if self.url in self.chosen else f"{self.url} ({self.chosen or 'the default socket'})"


@dataclass(frozen=True)
class Facts:
    """What `decide` needs to know about this machine, once no engine has answered."""

    chosen: str  # the setting that names an engine, "" when none does
    denied: bool  # the socket is there, and not for us
    root: bool
    debian: bool
    dockerd: bool  # an engine is installed
    systemd: bool  # systemd runs this machine
    system: str  # platform.system()


@dataclass(frozen=True)
class Remedy:
    """What to do: either ``advice`` for the user, or our own installing and starting."""

    advice: str = ""
    install: bool = False
    start: tuple[str, ...] = ()


def decide(facts: Facts) -> Remedy:
    """What helps when no engine answers. Pure; the only place where this is decided."""
    if facts.chosen:
        return Remedy(advice=f"start that engine, or unset {facts.chosen.split('=')[0]}")
    if facts.denied:
        return Remedy(advice="run: sudo usermod -aG docker $USER && newgrp docker")
    if facts.system == "Darwin":
        return Remedy(advice="run: open -a Docker (https://docs.docker.com/desktop/ when it is not installed)")
    if facts.system != "Linux" or not (facts.dockerd or facts.debian):
        return Remedy(advice="install docker as https://docs.docker.com/engine/install/ says")
    start = ("systemctl", "start", "docker") if facts.systemd else ("dockerd",)
    if facts.root:
        return Remedy(install=not facts.dockerd, start=start)
    install = "" if facts.dockerd else f"sudo apt-get install -y {PACKAGES[0]} && "
    by_hand = "sudo systemctl start docker" if facts.systemd else "sudo service docker start"
    return Remedy(advice=f"run: {install}{by_hand}")


def find_target(environ: Mapping[str, str]) -> Target:
    """Where the docker command would go: DOCKER_HOST, then DOCKER_CONTEXT or the current context, then the
    default socket (docs.docker.com, "Docker contexts").

    Raises `EngineUnavailable` when the context does not exist.
    """
    from docker.context import ContextAPI
    from docker.context.config import get_current_context_name
    from docker.tls import TLSConfig

    if host := environ.get("DOCKER_HOST"):
        folder = Path(environ.get("DOCKER_CERT_PATH") or "~/.docker").expanduser()
        verify = bool(environ.get("DOCKER_TLS_VERIFY"))
        client_cert = (str(folder / "cert.pem"), str(folder / "key.pem"))
        tls = TLSConfig(client_cert=client_cert, ca_cert=str(folder / "ca.pem"), verify=True) if verify else False
        return Target(host, f"DOCKER_HOST={host}", tls)
    name = environ.get("DOCKER_CONTEXT") or get_current_context_name()
    if name in ("", "default"):
        return Target(DEFAULT_SOCKET)
    context = ContextAPI.get_context(name)
    if context is None or not context.Host:
        raise EngineUnavailable(f"the docker context {name!r} does not exist; run: docker context use default")
    return Target(context.Host, f"DOCKER_CONTEXT={name}", context.TLSConfig or False)


def connect(environ: Mapping[str, str] = os.environ) -> DockerClient:
    """A client of the engine that the docker command would use.

    Raises `EngineUnavailable` in one line: what was tried, what came back, what to do.
    """
    target = find_target(environ)
    try:
        return reach(target)
    except NoAnswerError as error:
        remedy = decide(_facts(target, error))
        raise EngineUnavailable(f"{error}; {remedy.advice or 'run: make setup, which starts one'}") from None


def back_again(client: DockerClient, seconds: float = BACK_SECONDS) -> None:
    """Return once the engine of ``client`` answers: at once, or when one that has gone away is back.

    Raises `EngineLost` after ``seconds``.
    """
    from docker.errors import APIError

    deadline = Deadline(seconds, "waiting for the docker engine to come back")
    while True:
        try:
            client.ping()
        except (OSError, APIError) as error:
            if deadline.expired():
                raise EngineLost(f"the docker engine went away and was not back after {seconds:g} s") from error
            time.sleep(0.1)
        else:
            return


def ensure_engine(steps: Steps, environ: Mapping[str, str] = os.environ) -> DockerClient:
    """A client of the engine, which is installed and started first when none answers and we may do so.

    Raises `EngineUnavailable` with the exact command where we may not, or when it does not come up.
    """
    target = find_target(environ)
    try:
        return reach(target)
    except NoAnswerError as error:
        remedy = decide(_facts(target, error))
        if remedy.advice:
            raise EngineUnavailable(f"{error}; {remedy.advice}") from None
        steps.note(f"{error}; as root on this machine it is set up now")
    if remedy.install:
        with steps.step(f"installing {PACKAGES[0]}"):
            debian.install(PACKAGES)
    with steps.step("starting the docker engine"):
        return start(remedy.start, lambda: reach(target))


class NoAnswerError(Exception):
    """Nothing usable at the target; ``denied`` when it is there and not for us."""

    def __init__(self, message: str, denied: bool) -> None:
        self.denied = denied
        super().__init__(message)


def reach(target: Target) -> DockerClient:
    import docker
    import requests

    try:
        _knock(target.url)
        client = docker.DockerClient(
            base_url=target.url,
            tls=target.tls,
            timeout=ANSWER_SECONDS,
            use_ssh_client=target.url.startswith("ssh://"),
        )
        client.ping()
    except (docker.errors.DockerException, requests.RequestException, OSError, ValueError) as error:
        cause = _innermost(error)
        why = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
        message = f"no docker engine answers at {target}: {why.strip().splitlines()[0].lower()}"
        raise NoAnswerError(message, isinstance(cause, PermissionError)) from error
    client.api.timeout = CALL_SECONDS
    return client


def _knock(url: str) -> None:
    """Connect to a local socket ourselves first: the SDK hides the system's error under three of its own, and
    leaves the socket open that failed. An address for ssh without a host it would give to ssh all the same."""
    if url.startswith("ssh://") and not urlsplit(url).hostname:
        raise ValueError("it names no host")
    if url.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(url.removeprefix("unix://"))


def _innermost(error: BaseException) -> BaseException:
    """The operating system's own words under the layers of requests and urllib3."""
    seen = error
    while True:
        inner = seen.__cause__ or seen.__context__
        if inner is None or (isinstance(seen, OSError) and seen.strerror):
            return seen
        seen = inner


def _facts(target: Target, error: NoAnswerError) -> Facts:
    return Facts(
        chosen=target.chosen,
        denied=error.denied,
        root=os.geteuid() == 0,
        debian=debian.on_debian(),
        dockerd=shutil.which("dockerd") is not None,
        systemd=Path("/run/systemd/system").is_dir(),
        system=platform.system(),
    )


def start(
    argv: tuple[str, ...],
    answer: Callable[[], DockerClient],
    *,
    pid_file: Path = PID_FILE,
    log: Path = LOG_FILE,
    seconds: float = START_SECONDS,
) -> DockerClient:
    """Start an engine with ``argv`` and wait until ``answer`` gives a client of it.

    Raises `EngineUnavailable` with the engine's last words when it ends or does not answer in time.
    """
    deadline = Deadline(seconds, "waiting for the docker engine")
    if argv[0] == "systemctl":
        process.run(argv, seconds=seconds)
        return _await_answer(answer, None, deadline, "journalctl -u docker")
    remove_stale_pid_file(pid_file)
    daemon = process.start_detached(argv, log)
    return _await_answer(answer, daemon, deadline, str(log))


def _await_answer(
    answer: Callable[[], DockerClient], daemon: subprocess.Popen[bytes] | None, deadline: Deadline, log: str
) -> DockerClient:
    while True:
        try:
            return answer()
        except NoAnswerError as error:
            ended = daemon is not None and daemon.poll() is not None
            if ended or deadline.expired():
                why = "ended at once" if ended else f"does not answer after {deadline.seconds:g} s"
                msg = f"the docker engine {why}; its log: {log}{_tail(Path(log))}"
                raise EngineUnavailable(msg) from error
            _pause(daemon)


def _pause(daemon: subprocess.Popen[bytes] | None, seconds: float = 0.1) -> None:
    """Wait a moment, less when the daemon ends in it."""
    if daemon is None:
        time.sleep(seconds)
        return
    try:
        daemon.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-5:] if log.is_file() else []
    return "".join(f"\n{line}" for line in lines)


def remove_stale_pid_file(pid_file: Path, proc: Path = Path("/proc")) -> None:
    """Remove the pid file of an engine that is gone: after a hard kill it stands in the way of the next one,
    also when its number has been given to another program since."""
    if not pid_file.is_file():
        return
    comm = proc / pid_file.read_text().strip() / "comm"
    if not comm.is_file() or comm.read_text().strip() != "dockerd":
        pid_file.unlink()


def is_local(client: DockerClient) -> bool:
    """Whether the engine is reached through a socket of this machine."""
    return str(client.api.base_url) in ("http+docker://localhost", "http+docker://localnpipe")
