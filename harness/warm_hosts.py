"""The hosts of one session of tests: each job and each cluster finds its own made ready, where one like it was before.

Which they will be is not known; the next is taken to be like the last.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
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


class WarmHosts:
    """Spare hosts, labelled with ``marks``: of the two kinds asked for last, one set each; none is left at the end."""

    def __init__(self, marks: Mapping[str, str], steps: Steps) -> None:
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
        key = self._key(plan, inputs)
        cluster = self._jobs.claim(key) if key else None
        if cluster:
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
            return IdleCluster(client, compose, image, count, self._marks)

        cluster = self._idle.claim(count) or make()
        if another:
            self._idle.provide(count, make)
        return cluster

    def in_background(self, action: Callable[[], None]) -> None:
        """Do ``action`` while tests go on; it is over when the session is."""
        self._jobs.in_background(action)

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
        return WarmCluster(client, compose, plan, project, inputs, cache, self._jobs.in_background)

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
