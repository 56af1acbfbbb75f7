"""The local AWS door: served in the foreground, started behind, stopped, and programs run against it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from harness import process
from harness.deadline import Deadline
from harness.door_environment import Door, own_client, program_environment, servers_own, shell_lines
from harness.door_state import StateFolder
from harness.errors import BadInput, CommandFailed

if TYPE_CHECKING:
    from docker import DockerClient

CLIENT = Path(__file__).parent / "client"
START_SECONDS = 30.0
STOP_SECONDS = 90.0  # jobs have 50 s for their end (`training_executor`), then instances, together, 30 s
_TAIL = 15


def serve(folder: StateFolder, port: int) -> None:
    """Serve until a signal ends it. Training jobs are stopped then; endpoints end and come up with the next door."""
    from harness.api import Api
    from harness.budget import hold
    from harness.control_plane import ControlPlane
    from harness.docker_instances import DockerInstances
    from harness.docker_training import DockerTraining
    from harness.door_server import Server
    from harness.engine import connect
    from harness.job_queue import JobQueue
    from harness.log_shipping import Shipper
    from harness.moto_services import MotoServices
    from harness.s3_objects import s3_client
    from harness.training_executor import Executor
    from harness.wanted_answers import WantedAnswers

    with folder.locked():
        own = servers_own(os.environ, str(folder.path))
        os.environ.clear()
        os.environ.update(own)
        services = MotoServices(folder.path)
        wanted = WantedAnswers(folder.path)
        try:
            server = Server(lambda request: wanted.answer(request, api.handle), port)
        except OSError as error:
            raise BadInput(f"port {port}: {error.strerror}; name another one, or none for any free one") from error
        instances, runs = DockerInstances(connect, own_image, folder.door_id()), folder.path / "runs"
        hosts = DockerTraining(
            connect,
            lambda image: instances.resolve(image)[0],
            runs,
            lambda request: api.handle(request),
            urlsplit(server.url).netloc,
        )
        executor = Executor(
            hosts,
            JobQueue(hold, _note),
            runs,
            cache(lambda: s3_client(**own_client(server.url))),
            Shipper(services.put_log_events),
            services.make_log_stream,
            _note,
        )
        plane = ControlPlane(folder.path, instances, services, executor, queue=JobQueue(hold, _note))
        api = Api(plane, services.call, _note, lambda: {"pid": os.getpid()})
        services.restore(_note)
        serving = threading.Thread(target=server.serve_forever, name="door", daemon=True)
        with server, folder.serving(server.url, os.getpid()):
            try:  # a signal may come at any moment from here on, and nothing of ours may keep the process alive then
                plane.recover()  # before there can be new jobs and endpoints, which need no recovery
                serving.start()
                _note(f"serving at {server.url}")
                threading.Event().wait()
            except KeyboardInterrupt:  # what SIGTERM becomes, too
                _note("stopping")
            finally:
                plane.close(stop=True)  # it still serves: jobs that end upload what they have
                if serving.is_alive():
                    server.shutdown()


def own_image(client: DockerClient) -> str:
    """The image of the hosts. Raises `BadInput` where it is not built: that takes minutes, and callers wait seconds."""
    from docker.errors import ImageNotFound

    from harness.image_build import image_tag, read_context

    tag = image_tag(read_context())
    try:
        client.images.get(tag)
    except ImageNotFound:
        raise BadInput(f"the image of the hosts, {tag}, is not built yet: run harness build") from None
    return tag


def up(folder: StateFolder, port: int) -> tuple[Door, bool]:
    """The door of ``folder``, and whether it was started now: in a session of its own, which outlives us.

    Raises `CommandFailed` with the end of its log when it does not come up.
    """
    door = folder.door()
    if door is not None:
        if port and not door.url.endswith(f":{port}"):
            raise BadInput(f"--port {port}: the door serves at {door.url} already; harness down stops it")
        return door, False
    argv = [sys.executable, "-m", "harness", "up", "--foreground", "--state", str(folder.path), "--port", str(port)]
    started = process.start_detached(argv, folder.log)
    deadline = Deadline(START_SECONDS, "waiting for the door")
    while True:
        door = folder.door()
        if door is not None:
            if started.pid != door.pid:
                # Another process was quicker to start one. Ours, which may not have looked at the folder yet, would
                # take it over whenever that door ends.
                started.kill()
                started.wait()
            return door, True
        # Another process may have been quicker to start one: ours has left it the folder then.
        if (started.poll() is not None and not folder.held()) or deadline.expired():
            why = "ended at once" if started.poll() is not None else f"does not serve after {START_SECONDS:g} s"
            said = "\n".join(folder.log.read_text(errors="replace").splitlines()[-_TAIL:])
            raise CommandFailed(argv, f"the door {why}; its log is {str(folder.log)!r}", said)
        time.sleep(0.02)


def down(folder: StateFolder) -> bool:
    """Stop the door of ``folder``, its jobs and its endpoints; whether there was one."""
    door = folder.door()
    if door is None:
        return False
    os.kill(door.pid, signal.SIGTERM)
    deadline = Deadline(STOP_SECONDS, "waiting for the door to end its jobs and endpoints")
    while folder.held():
        deadline.check(f"process {door.pid} still serves")
        time.sleep(0.02)
    return True


def execute(folder: StateFolder, door: Door, command: Sequence[str]) -> NoReturn:
    """Become ``command``, whose AWS calls come to ``door``. Raises `CommandFailed` when there is no such program."""
    environment = program_environment(door, str(folder.path), str(CLIENT), os.environ)
    try:
        os.execvpe(command[0], list(command), environment)
    except OSError as error:
        raise CommandFailed(command, f"cannot be run: {error.strerror}") from error


def export_lines(folder: StateFolder, door: Door) -> list[str]:
    return shell_lines(door, str(folder.path), str(CLIENT), os.environ)


def _note(text: str) -> None:
    """A line of the door's log."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()
