"""Hosts of a session of many jobs: started before their job is known, and removed while the next one runs.

They are never used twice. A job gets hosts made for nobody, by the code that makes all hosts, with a network, volumes
and names of their own: there is nothing of an earlier job to be cleaned up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

import docker
from docker.models.containers import Container

from harness.cluster import LISTENS_AFTER, DockerCluster
from harness.compose import Project
from harness.data_objects import ChannelData
from harness.plan import ClusterPlan
from harness.tar import text_files
from harness.warm_key import Stamp, spare_plan, told

Background = Callable[[Callable[[], None]], Future[None]]


class WarmCluster(DockerCluster):
    """A cluster whose removal is left to ``in_background``, and which may be `warm` before it has a job."""

    def __init__(
        self,
        client: docker.DockerClient,
        compose: Sequence[str],
        plan: ClusterPlan,
        project: Project,
        inputs: Sequence[ChannelData],
        cache: Path,
        in_background: Background,
        started: Callable[[int], object] = lambda _: None,
    ) -> None:
        """``started`` is told of each number of hosts that have been started."""
        super().__init__(client, compose, plan, project, inputs, cache)
        self._started = started
        self._in_background = in_background
        self._removal: Future[None] | None = None
        self._is_warm = False
        self._told_at: float | None = None
        self._then: Callable[[], None] | None = None

    def when_removed(self, then: Callable[[], None]) -> None:
        """Call ``then`` once, when the job has its hosts."""
        self._then = then

    def warm_up(self) -> None:
        """Make hosts for a job like that of the plan, and start them; nothing is left where that fails."""
        self._plan = spare_plan(self._plan)
        try:
            self.make()
            self._start_hosts()
        except BaseException:
            self.discard()
            raise
        self._is_warm = True

    def assign(self, plan: ClusterPlan, inputs: Sequence[ChannelData]) -> None:
        """Give the warm hosts to the job of ``plan``, which must have the key of the one they were made for."""
        self._plan, self._inputs = plan, inputs

    def prepare(self) -> None:
        if self._removal:
            self._removal.result()  # hosts of the same names are on their way out
        if self._is_warm:
            self.fill()
        else:
            super().prepare()

    def start(self) -> None:
        if self._is_warm:
            self._tell_job()
        else:
            self._start_hosts()

    def _start_hosts(self) -> None:
        super().start()
        self._started(len(self._plan.hosts))

    def _tell_job(self) -> None:
        def tell(container: Container) -> None:
            container.put_archive("/", text_files(told(self._plan, container.attrs["Config"]["Hostname"])))

        self._each([host.name for host in self._plan.hosts], tell)
        self._told_at = time.monotonic()

    def remove(self) -> None:
        self._is_warm, self._told_at = False, None
        self._removal = self._in_background(self.discard)
        if self._then:
            then, self._then = self._then, None
            then()

    def discard(self) -> None:
        """Remove it, at once."""
        super().remove()

    def _seconds_until_it_listens(self, container: Container) -> float:
        # Its age is not that of the program in it, which deals with signals from its own beginning only.
        if self._told_at is None:
            return super()._seconds_until_it_listens(container)
        return (
            max(0.0, LISTENS_AFTER - (time.monotonic() - self._told_at)) if container.attrs["State"]["Running"] else 0.0
        )


def stamp(inputs: Sequence[ChannelData]) -> Stamp:
    """What tells whether a file of ``inputs`` has changed; an object of S3 has its version in itself."""
    paths = [item.path for data in inputs for item in data.objects if item.path]
    return tuple((str(path), is_.st_size, is_.st_ctime_ns, is_.st_ino) for path, is_ in ((p, p.stat()) for p in paths))
