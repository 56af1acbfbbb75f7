"""Faults done to real hosts, and undone: through the engine, and through helpers that join a host's own namespaces.

A helper is a container of our image with the labels of the run, so that it goes when the run goes. It needs nothing
of the job's own image. Which helper needs which right is said where it is started.
"""

from __future__ import annotations

import io
import os
import signal
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import contract, faults
from harness.compose import Project
from harness.container_command import run_in
from harness.deadline import Deadline
from harness.engine import PID_FILE
from harness.errors import HarnessError
from harness.faults import Fault, hosts_of
from harness.tar import members

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

Undo = Callable[[], object]
_READY_SECONDS = 20.0
_HEADROOM = 16 << 20  # bytes; far less than what a rank of a framework holds
# The programs of the image, run without the image's own `train`.
_PYTHON = ("env", "PYTHONPATH=/usr/local/lib/harness", "python3", "-m")
# In the mounts of a host: over each folder an overlay whose upper layer is a file system that has just been filled.
_FILL = """
set -e
full=/run/harness-full-disk
mkdir -p $full
mount -t tmpfs -o size=256k tmpfs $full
for folder in /opt/ml/model /opt/ml/output /opt/ml/checkpoints /tmp; do
    if [ -d $folder ]; then
        below=$full/$(basename $folder)
        mkdir -p $below/upper $below/work
        mount -t overlay -o lowerdir=$folder,upperdir=$below/upper,workdir=$below/work overlay $folder
    fi
done
dd if=/dev/zero of=$full/fill bs=4k 2>/dev/null || true
"""


class Effects:
    """What can be done to the hosts of the run ``project``; ``image`` gives ours, which helpers are made of."""

    def __init__(self, client: DockerClient, project: Project, hosts: Sequence[str], image: Callable[[], str]) -> None:
        self._client = client
        self._project = project
        self._hosts = tuple(hosts)
        self._image = image

    def apply(self, fault: Fault) -> Undo:
        """Do it, and return what undoes it, safe to call when the hosts are gone.

        Raises `HarnessError` where this engine or this machine cannot do it.
        """
        from docker.errors import APIError

        try:
            return self._apply(fault)
        except APIError as error:
            raise HarnessError(f"the docker engine refused: {error.explanation or error}") from error

    def _apply(self, fault: Fault) -> Undo:
        match fault:
            case faults.KillHost():
                return self._each(fault, lambda container: container.kill())
            case faults.KillRank():
                return self._kill_rank(fault.rank)
            case faults.Pause():
                return self._pause(fault)
            case faults.Partition() | faults.Delay() | faults.Loss():
                return self._disturb_network(fault)
            case faults.FullDisk():
                return self._each(fault, self._fill)
            case faults.SlowDisk():
                return self._slow_disk(fault)
            case faults.MemoryLimit():
                return self._each(fault, lambda container: _limit_memory(container, fault.mebibytes << 20))
            case faults.Corrupt():
                return self._each(fault, lambda container: _corrupt(container, fault.channel))
            case faults.StallEngine():
                return stall_engine(fault.seconds)
        raise AssertionError(f"{fault!r} is not done to hosts")

    def _disturb_network(self, fault: faults.Partition | faults.Delay | faults.Loss) -> Undo:
        match fault:
            case faults.Partition():
                # What is sent is lost without a word, as behind a broken switch; nobody is told that nobody hears.
                others = fault.others or tuple(host for host in self._hosts if host not in fault.hosts)
                peers = dict.fromkeys(fault.hosts, others) | dict.fromkeys(others, fault.hosts)
                return self._forward(peers, ["--loss", "1"])
            case faults.Delay():
                how = ["--delay", str(fault.seconds)]
            case faults.Loss():
                how = ["--loss", str(fault.percent / 100)]
        chosen = hosts_of(fault, self._hosts)
        return self._forward({here: tuple(host for host in self._hosts if host != here) for here in chosen}, how)

    def _each(self, fault: Fault, action: Callable[[Container], object]) -> Undo:
        for host in hosts_of(fault, self._hosts):
            action(self._container(host))
        return _nothing

    def _container(self, host: str) -> Container:
        return self._client.containers.get(self._project.container(host))

    def _kill_rank(self, rank: int) -> Undo:
        """A helper in each host's process namespace looks for the rank's variables and kills who has them."""
        program = [*_PYTHON, "harness.image.programs.kill_rank", str(rank)]
        killed = 0
        for host in self._hosts:
            inside = f"container:{self._container(host).id}"
            killed += int(self._help(program, pid_mode=inside, network_mode="none", cap_add=["SYS_PTRACE"]))
        if not killed:
            raise HarnessError(f"no process of rank {rank} was found on {', '.join(self._hosts)}")
        return _nothing

    def _pause(self, fault: faults.Pause) -> Undo:
        chosen = [self._container(host) for host in hosts_of(fault, self._hosts)]
        for container in chosen:
            container.pause()

        def go_on() -> None:
            for container in chosen:
                _unless_gone(container.unpause)

        timer = threading.Timer(fault.seconds, go_on)
        timer.daemon = True
        timer.start()
        return go_on

    def _forward(self, peers: Mapping[str, Sequence[str]], how: list[str]) -> Undo:
        """A helper in the network of each host sends on, late or not at all, what goes to the host's ``peers``."""
        helpers: list[Container] = []

        def stop() -> None:
            for helper in helpers:
                _unless_gone(partial(helper.remove, force=True))

        for host, others in peers.items():
            addresses = [self._address(other) for other in others]
            helper = self._client.containers.run(
                self._image(),
                [*_PYTHON, "harness.image.programs.slow_network", *how, *addresses],
                labels=self._project.labels(),
                detach=True,
                network_mode=f"container:{self._container(host).id}",
                devices=["/dev/net/tun"],
                cap_add=["NET_ADMIN"],
            )
            helpers.append(helper)
            if not _is_ready(helper):
                why = helper.logs().decode(errors="replace").strip().rpartition("\n")[2]
                stop()
                raise HarnessError(f"the network of {host} cannot be disturbed: {why}")
        return stop

    def _fill(self, container: Container) -> None:
        """A full file system over each folder, in the host's own mounts, which only the engine's machine may change."""
        pid = str(container.attrs["State"]["Pid"])
        command = ["nsenter", "-t", pid, "-m", "--", "sh", "-c", _FILL]
        self._help(
            command,
            pid_mode="host",
            network_mode="none",
            cap_add=["SYS_ADMIN", "SYS_CHROOT", "SYS_PTRACE"],
            security_opt=["apparmor=unconfined", "seccomp=unconfined"],
        )

    def _slow_disk(self, fault: faults.SlowDisk) -> Undo:
        containers = [self._container(host) for host in hosts_of(fault, self._hosts)]

        def go_on() -> None:
            for container in containers:
                container.reload()
                if container.attrs["State"][
                    "Running"
                ]:  # the control group of one that has ended is gone, limit and all
                    self._set_speed(container, 0)

        for container in containers:
            self._set_speed(container, fault.kibibytes << 10)
        return partial(_unless_gone, go_on)

    def _set_speed(self, container: Container, speed: int) -> None:
        """``speed`` in bytes a second, 0 without limit; control groups are the kernel's, which only it may change."""
        self._help(
            [*_PYTHON, "harness.image.programs.slow_disk", str(container.attrs["State"]["Pid"]), str(speed)],
            pid_mode="host",
            cgroupns="host",
            network_mode="none",
            cap_add=["SYS_ADMIN", "SYS_PTRACE"],
            security_opt=["apparmor=unconfined", "seccomp=unconfined"],
        )

    def _help(self, command: list[str], **how: Any) -> str:
        """What a helper printed that has done its work."""
        from docker.errors import ContainerError

        try:
            printed = self._client.containers.run(
                self._image(), command, labels=self._project.labels(), remove=True, **how
            )
        except ContainerError as error:
            said = str(error.stderr).strip()
            raise HarnessError(f"{' '.join(command)[:80]}…: exit code {error.exit_status}: {said}") from error
        return bytes(printed).decode(errors="replace")

    def _address(self, host: str) -> str:
        networks: Mapping[str, Any] = self._container(host).attrs["NetworkSettings"]["Networks"]
        (network,) = networks.values()
        return str(network["IPAddress"])


def _is_ready(helper: Container) -> bool:
    """Whether the helper has said so, which it does in a moment, or has ended first."""
    deadline = Deadline(_READY_SECONDS, "waiting for a helper")
    while not deadline.expired():
        if helper.logs().strip() == b"ready":
            return True
        helper.reload()
        if helper.status == "exited":
            return False
        time.sleep(0.02)
    return False


def _nothing() -> None:
    """Undoes what cannot be undone: the host that was killed stays so, the job decides what becomes of it."""


def _unless_gone(action: Undo) -> None:
    from docker.errors import APIError

    # Undone at the end, when hosts may have ended, or been removed, in the meantime: then there is nothing to undo.
    with suppress(APIError, HarnessError):
        action()


def _limit_memory(container: Container, limit: int) -> None:
    """Give the container ``limit`` bytes; where it uses more, the kernel kills its largest process.

    A kernel with control groups of version 1 refuses a limit below what is in use: then the limit is what is in use,
    and something small asks for more.
    """
    from docker.errors import APIError

    try:
        container.update(mem_limit=limit, memswap_limit=limit)
    except APIError:
        now: Any = container.stats(stream=False)
        used = int(now["memory_stats"]["usage"]) + _HEADROOM
        container.update(mem_limit=used, memswap_limit=used)
        run_in(container, ["sh", "-c", f"head -c {3 * _HEADROOM} /dev/zero | tail -c {3 * _HEADROOM} > /dev/null"])


def _corrupt(container: Container, channel: str) -> None:
    """Invert the bytes of the first file of the channel, in the order of names."""
    folder = f"{contract.DATA_DIR}/{channel}"
    stream: Iterator[bytes]
    stream, _ = container.get_archive(folder)
    files = {str(path): content.read() for path, _, content in members(stream) if content}
    if not files:
        raise HarnessError(f"channel {channel!r} of {container.name} has no file to corrupt")
    name = min(files)
    container.put_archive(folder, _one_file(name, bytes(byte ^ 0xFF for byte in files[name])))


def _one_file(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), 0o644
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def stall_engine(seconds: float, pid_file: Path = PID_FILE) -> Undo:
    """Stop the engine's process for a while: only where it runs on this machine and is ours to stop."""
    try:
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGSTOP)
    except (OSError, ValueError) as error:
        raise HarnessError(f"the engine cannot be stalled from here: {error}") from error
    timer = threading.Timer(seconds, os.kill, [pid, signal.SIGCONT])
    timer.start()

    def go_on() -> None:
        timer.cancel()
        os.kill(pid, signal.SIGCONT)

    return go_on
