"""Hosts in the docker engine: made from a plan, filled, started, watched, emptied and removed.

Compose makes the containers, the network and the volumes, as docker-compose.yml describes them. Everything else
goes through the engine's API, in tar streams and volumes, never through paths of this machine: the engine may be
on another one, and nothing it writes ends up here with root as its owner.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, Protocol

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from urllib3.exceptions import HTTPError

from harness import contract, labels, process
from harness.batches import batches
from harness.compose import Project, run_document
from harness.compose_command import base_document
from harness.data_objects import ChannelData
from harness.endpoint import time_of
from harness.engine import back_again
from harness.engine_log import EngineLog, Line
from harness.errors import CannotStartContainer, EngineLost, HarnessError
from harness.pipes import create_feeder, failure_of, start_feeder
from harness.plan import ClusterPlan
from harness.removal import ignoring_absence, remove_run
from harness.s3_objects import S3
from harness.staging import HostInputs, stage_channels
from harness.tar import file_stream, text_files, tree

_COMPOSE_SECONDS = 120
_COMPOSE_PATIENCE = 20  # it takes one on an idle machine
_MADE_BY_THE_PLATFORM = (contract.MODEL_DIR, contract.OUTPUT_DIR, contract.OUTPUT_DATA_DIR, contract.DATA_DIR)
_PORTION = 1 << 16
LISTENS_AFTER = 2.0  # seconds; a host takes 0.1 on an idle machine


class Cluster(Protocol):
    """The hosts of one training job. Every method takes hosts by their names in the plan."""

    def prepare(self) -> None:
        """Make all hosts and give them their files and channels; nothing runs yet."""

    def put(self, host: str, archive: IO[bytes]) -> None:
        """Unpack a tar, whose members are paths from the root, in ``host``, which is prepared and not started."""

    def start(self) -> None:
        """Start all hosts. Raises `CannotStartContainer` where that is because of the image or its command."""

    def follow(self, host: str) -> Iterator[list[Line]]:
        """Every line that ``host`` prints, from its first, until it has ended; those that arrive together at once."""

    def wait(self, host: str) -> int:
        """Block until ``host`` has ended; its exit code."""

    def out_of_memory(self, host: str) -> bool:
        """Whether the kernel killed anything on ``host`` for want of memory."""

    def fetch(self, host: str, path: str) -> Iterator[bytes] | None:
        """A tar stream of ``path`` in ``host``, which need not be running; None when there is no such path."""

    def stop(self, hosts: Iterable[str], grace: float) -> None:
        """SIGTERM to all ``hosts`` at once, SIGKILL to those still there after ``grace`` seconds.

        With no grace they are killed without a SIGTERM. Hosts that have ended are left as they are.
        """

    def remove(self) -> None:
        """Remove all that `prepare` made, in whatever state it is; safe to repeat. Then it can be prepared anew."""


class MadeHosts:
    """Hosts that are in the engine already, found by the names and labels of ``project``."""

    def __init__(self, client: docker.DockerClient, project: Project) -> None:
        self._client = client
        self._project = project

    def prepare(self) -> None:
        raise NotImplementedError("these hosts were made by another process")

    def start(self) -> None:
        raise NotImplementedError("these hosts were started by another process")

    def put(self, host: str, archive: IO[bytes]) -> None:
        self._container(host).put_archive("/", archive)

    def follow(self, host: str) -> Iterator[list[Line]]:
        with self._in_sight(host):
            yield from self._follow(self._container(host))

    def _follow(self, container: Container) -> Iterator[list[Line]]:
        log = EngineLog()
        for data in batches(_log(self._client, container, follow=True)):
            yield log.feed(data)
        # The engine stops following when the container ends, wherever it is in the log by then: of 100,000 lines
        # printed by a process that ends at once 15,000 arrived (docker 20.10). The log itself is complete.
        container.wait(timeout=None)
        if not log.ends_with(b"".join(_log(self._client, container, tail=1))):
            log.again()
            for data in batches(_log(self._client, container)):
                yield log.feed(data)
        yield log.rest()

    def wait(self, host: str) -> int:
        with self._in_sight(host):
            return int(self._container(host).wait(timeout=None)["StatusCode"])

    @contextmanager
    def _in_sight(self, host: str) -> Iterator[None]:
        """An engine that goes away meanwhile takes the job along: what its hosts did then, nobody has seen."""
        try:
            yield
        except APIError:
            raise  # it answers
        except (OSError, HTTPError) as error:
            back_again(self._client)
            raise EngineLost(f"the docker engine went away while {host} ran") from error

    def out_of_memory(self, host: str) -> bool:
        # True also where the victim was not the container's first process, which may then have ended with 0.
        return bool(self._container(host).attrs["State"]["OOMKilled"])

    def fetch(self, host: str, path: str) -> Iterator[bytes] | None:
        try:
            stream: Iterator[bytes]
            stream, _ = self._container(host).get_archive(path)
        except NotFound:
            return None
        return stream

    def stop(self, hosts: Iterable[str], grace: float) -> None:
        def end(container: Container) -> None:
            if not grace:
                _kill(container)
                return
            time.sleep(self._seconds_until_it_listens(container))
            container.stop(timeout=max(1, round(grace)))

        self._each(list(hosts), end)

    def remove(self) -> None:
        back_again(self._client)
        remove_run(self._client, self._project.name)

    def _seconds_until_it_listens(self, container: Container) -> float:
        return seconds_until_it_listens(container, self._client.info())

    def _container(self, host: str) -> Container:
        return self._client.containers.get(self._project.container(host))

    def _each(self, hosts: list[str], action: Any) -> None:
        with ThreadPoolExecutor(max(1, len(hosts))) as pool:
            try:
                list(pool.map(lambda host: action(self._container(host)), hosts))
            except APIError as error:
                raise HarnessError(f"the docker engine refused: {error.explanation or error}") from error


class DockerCluster(MadeHosts):
    """A `Cluster` of containers, made from a plan. Raises `HarnessError` where the engine or compose refuses.

    ``inputs`` is what its channels hold; downloads and digests of it are kept in the folder ``cache``. ``layered``
    says whether volumes can be layered; None asks the engine.
    """

    _network: str | None = None  # that of the hosts, where it is made before them
    _s3: Callable[[], S3] = S3

    def __init__(
        self,
        client: docker.DockerClient,
        compose: Sequence[str],
        plan: ClusterPlan,
        project: Project,
        inputs: Sequence[ChannelData],
        cache: Path,
        *,
        layered: bool | None = None,
    ) -> None:
        super().__init__(client, project)
        self._compose = compose
        self._plan = plan
        self._inputs = inputs
        self._cache = cache
        self._layered = layered
        self._given: dict[str, HostInputs] = {}
        self._feeders: dict[str, Container] = {}

    @property
    def project(self) -> Project:
        """The names in the engine of all that it makes."""
        return self._project

    def prepare(self) -> None:
        self.make()
        self.fill()

    def make(self) -> None:
        """The containers, with a view of each channel and nothing else of the job; they are not started."""
        wanted = (self._client, self._plan, self._project, self._inputs, self._cache)
        self._given = stage_channels(*wanted, layered=self._layered, s3=self._s3)
        views = tuple(view for inputs in self._given.values() for view in inputs.views)
        self._up(run_document(base_document(), self._plan, self._project, views, self._network))

    def fill(self) -> None:
        """What the job gives its hosts: documents, code, dependencies, pipes, and channels where there are no views."""
        with ThreadPoolExecutor(len(self._plan.hosts)) as pool:
            list(pool.map(lambda host: self._fill(host.name, host.files, self._given[host.name]), self._plan.hosts))
        self._feeders = {
            host: create_feeder(self._client, self._project, host, inputs.pipes)
            for host, inputs in self._given.items()
            if inputs.pipes
        }

    def start(self) -> None:
        for host, feeder in self._feeders.items():
            start_feeder(feeder)
            threading.Thread(target=self._fail_with, args=(host, feeder), daemon=True).start()
        self._each([host.name for host in self._plan.hosts], _start)

    def wait(self, host: str) -> int:
        code = super().wait(host)
        if host in self._feeders:
            ignoring_absence(lambda: self._feeders[host].stop(timeout=0))
        return code

    def _fail_with(self, host: str, feeder: Container) -> None:
        """End ``host`` when its feeder fails: its script would wait for data that never comes."""
        why = failure_of(feeder)
        if why is not None:
            failure = text_files({contract.FAILURE_FILE: f"Data download failed: {why}"})
            ignoring_absence(lambda: self._container(host).put_archive("/", failure))
            ignoring_absence(lambda: self._container(host).stop(timeout=0))

    def _up(self, document: dict[str, Any]) -> None:
        argv = [*self._compose, "-p", self._project.name, "-f", "-", "up", "--no-start"]
        # A compose that is killed leaves the engine at work, on what appears after everything has been removed.
        process.run(argv, seconds=_COMPOSE_SECONDS, stdin=json.dumps(document), patience=_COMPOSE_PATIENCE)

    def _fill(self, host: str, texts: Mapping[str, str], given: HostInputs) -> None:
        container = self._container(host)
        # The platform has made these folders before any image's `train` starts (dumps of real jobs). In one archive, as
        # each costs the engine some 20 ms.
        container.put_archive("/", text_files({**texts, **given.texts}, _MADE_BY_THE_PLATFORM))
        trees = [(self._plan.source_dir, contract.CODE_DIR)] if self._plan.source_dir else []
        # Folders go in under their own names, as the SDK packs them (fw_utils.py tar_and_upload_dir).
        trees += [(path, _folder_of(path)) for path in self._plan.dependencies]
        for source, target in trees:
            with tree(source, target) as archive:
                container.put_archive("/", archive)
        for channel, copied in given.copies.items():
            container.put_archive("/", file_stream(copied, f"{contract.DATA_DIR}/{channel}"))


def hosts_of(client: docker.DockerClient, run: str) -> tuple[str, ...]:
    """Names of the hosts of ``run`` that have been started, in order."""
    found = client.containers.list(all=True, filters={"label": f"{labels.RUN}={run}"}, ignore_removed=True)
    begun = [item for item in found if item.attrs["State"]["Status"] != "created" and labels.HOST in item.labels]
    return tuple(sorted(item.labels[labels.HOST] for item in begun))


def _start(container: Container) -> None:
    try:
        container.start()
    except APIError as error:
        # The engine's answer where a container's command cannot be found or executed; any other trouble is its own.
        if error.status_code == HTTPStatus.BAD_REQUEST:
            raise CannotStartContainer(str(error.explanation or error)) from error
        raise


def _kill(container: Container) -> None:
    try:
        container.kill()
    except APIError as error:
        if error.status_code != HTTPStatus.CONFLICT:  # it does not run, which is what was wanted
            raise


def _log(
    client: docker.DockerClient, container: Container, *, follow: bool = False, tail: int | str = "all"
) -> Iterator[bytes]:
    """The engine's log as `EngineLog` reads it; the SDK's own way takes it apart, at three times the cost."""
    api = client.api
    answer = api.get(
        f"{api.base_url}/v{api.api_version}/containers/{container.id}/logs",
        params={"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow), "tail": tail},
        stream=True,
        timeout=None,
    )
    answer.raise_for_status()
    pieces: Iterator[bytes] = answer.iter_content(_PORTION)
    return pieces


def seconds_until_it_listens(container: Container, info: Mapping[str, Any]) -> float:
    """How long to wait with a signal for a container that has only just started; ``info`` is the engine's.

    The first process of a container ignores SIGTERM until it has said what to do with it, and Python takes a moment
    to start: a signal before that is lost, and the host would live on for the whole grace period.
    """
    state = container.attrs["State"]
    if not state["Running"]:
        return 0.0
    age = (time_of(info["SystemTime"]) - time_of(state["StartedAt"])).total_seconds()
    return min(LISTENS_AFTER, max(0.0, LISTENS_AFTER - age))


def _folder_of(dependency: Path) -> str:
    return f"{contract.CODE_DIR}/{dependency.name}" if dependency.is_dir() else contract.CODE_DIR
