"""The hosts of one session of tests: each job and each cluster finds its own made ready, where one like it was before.

A cold session has none made beforehand: its hosts are made and removed while their test waits.

Which they will be is not known; the next is taken to be like the last, until that was wrong: then only hosts like some
that were needed twice are made beforehand.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from harness.compose import Project
from harness.data_objects import ChannelData
from harness.errors import HarnessError
from harness.idle_hosts import IdleCluster
from harness.image_build import cache_folder, ensure_image
from harness.plan import ClusterPlan
from harness.spares import Spares
from harness.steps import Steps
from harness.warm_cluster import WarmCluster, stamp
from harness.warm_key import WarmKey, warm_key

if TYPE_CHECKING:
    from docker import DockerClient


class Tally:
    """How many hosts have been started, and how many jobs found theirs running; several sessions' add up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.hosts = 0
        self.warm_jobs = 0

    def add(self, hosts: int, warm_jobs: int = 0) -> None:
        with self._lock:
            self.hosts += hosts
            self.warm_jobs += warm_jobs

    def __str__(self) -> str:
        warm = f", {self.warm_jobs} job{'s' * (self.warm_jobs != 1)} on warm hosts" if self.warm_jobs else ""
        return f"{self.hosts} host{'s' * (self.hosts != 1)} started{warm}"


class WarmHosts:
    """Spare hosts, labelled with ``marks``: of the two kinds asked for last, one set each; none is left at the end.

    Without ``beforehand`` there are no spares. ``tally`` counts the hosts of either kind of session.
    """

    def __init__(
        self, marks: Mapping[str, str], steps: Steps, *, beforehand: bool = True, tally: Tally | None = None
    ) -> None:
        self.beforehand = beforehand
        self._tally = tally or Tally()
        self._marks = marks
        self._steps = steps
        self._jobs = Spares[WarmCluster](steps.note)
        self._idle = Spares[IdleCluster](steps.note)
        self._lock = threading.Lock()
        self._closing = ExitStack()
        self._engine: tuple[DockerClient, Sequence[str], str] | None = None

    def for_job(
        self, plan: ClusterPlan, project: Project, inputs: Sequence[ChannelData], *, another: bool
    ) -> WarmCluster:
        """Hosts for ``plan``: spare ones that fit it, under their own project, or else new ones of ``project``.

        ``another`` says that more jobs are to come: when this one is over, spares for the next are made.
        """
        key = self._key(plan, inputs) if self.beforehand else None
        cluster = self._jobs.claim(key) if key else None
        if cluster:
            self._tally.add(0, warm_jobs=1)
            cluster.assign(plan, inputs)
        else:
            cluster = self._cluster(plan, project, inputs)
        if key and another:
            cluster.when_removed(lambda: self._jobs.provide(key, lambda: self._warm(key, plan, inputs)))
        return cluster

    def idle(self, count: int, *, another: bool) -> IdleCluster:
        """``count`` idle hosts; with ``another`` the next that asks for so many finds them ready."""
        client, compose, image = self._tools()

        def make() -> IdleCluster:
            made = IdleCluster(client, compose, image, count, self._marks)
            self._tally.add(count)
            return made

        cluster = self._idle.claim(count) or make()
        if another and self.beforehand:
            self._idle.provide(count, make)
        return cluster

    def remove(self, action: Callable[[], None]) -> Future[None]:
        """Do ``action`` while tests go on, or at once in a cold session; it is over when the session is."""
        if self.beforehand:
            return self._jobs.in_background(action)
        done: Future[None] = Future()
        action()
        done.set_result(None)
        return done

    def close(self) -> None:
        """Return once nothing of the session is left in the engine but what was to be retained."""
        with self._closing:
            try:
                self._jobs.close()
            finally:
                self._idle.close()

    def _cluster(self, plan: ClusterPlan, project: Project, inputs: Sequence[ChannelData]) -> WarmCluster:
        client, compose, _ = self._tools()
        cache = cache_folder(os.environ)
        return WarmCluster(client, compose, plan, project, inputs, cache, self.remove, self._tally.add)

    def _warm(self, key: WarmKey, plan: ClusterPlan, inputs: Sequence[ChannelData]) -> WarmCluster:
        name = f"warm-{secrets.token_hex(4)}"
        cluster = self._cluster(plan, Project(name, name, self._marks), inputs)
        cluster.warm_up()
        if self._key(plan, inputs) != key:
            cluster.discard()
            raise HarnessError("files of a channel have changed meanwhile")
        return cluster

    def _key(self, plan: ClusterPlan, inputs: Sequence[ChannelData]) -> WarmKey | None:
        return warm_key(plan, self._tools()[2], inputs, stamp(inputs))

    def _tools(self) -> tuple[DockerClient, Sequence[str], str]:
        """The engine, compose, and the image of the hosts; looked up once."""
        from harness.compose_command import ensure_compose
        from harness.engine import ensure_engine

        with self._lock:
            if self._engine is None:
                client = ensure_engine(self._steps)
                self._closing.callback(client.close)
                self._engine = client, ensure_compose(self._steps), ensure_image(client, self._steps)
            return self._engine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
