"""Hosts in the docker engine do what the fake of the functional tier does."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import docker
import pytest

from harness import labels
from harness.cluster import Cluster, DockerCluster
from harness.compose import Project
from harness.compose_command import ensure_compose
from harness.data_objects import ChannelData
from harness.data_sources import list_inputs
from harness.describe import REGION, training_job_arn
from harness.image_build import image_tag, read_context
from harness.job import Channel
from harness.plan import ClusterPlan, plan_training
from harness.steps import Steps
from harness.warm_cluster import WarmCluster
from tests.cluster_contract import ClusterContract, Make
from tests.jobs import training_job

NAME = "Contract-1"
# One script for all hosts, as in any job: it looks up what the test wants its host to do.
DISPATCH = """
import json, os, pathlib
scripts = json.loads(pathlib.Path("scripts.json").read_text())
exec(compile(scripts[os.environ["SM_CURRENT_HOST"]], "script", "exec"))
"""


class TestDockerCluster(ClusterContract):
    @pytest.fixture
    def make(self, engine: docker.DockerClient, tmp_path: Path) -> Iterator[Make]:
        made: list[Cluster] = []

        def make(scripts: Mapping[str, str]) -> Cluster:
            (tmp_path / "code").mkdir()
            (tmp_path / "code" / "script.py").write_text(DISPATCH)
            (tmp_path / "code" / "scripts.json").write_text(json.dumps(dict(scripts)))
            (tmp_path / "data").mkdir()
            (tmp_path / "data" / "file").write_text("staged")
            job = training_job(
                entry_point="script.py",
                source_dir=tmp_path / "code",
                base_job_name="contract",
                instance_count=len(scripts),
                inputs=(Channel("training", tmp_path / "data"),),
            )
            image = image_tag(read_context())
            plan = plan_training(
                job,
                NAME,
                arn=training_job_arn(NAME),
                region=REGION,
                image=image,
                launcher="gloo",
                output_path="file:///runs",
            )
            project = Project(f"contract-{secrets.token_hex(4)}", NAME)
            self.engine, self.run_label = engine, project.name
            compose = ensure_compose(Steps())
            made.append(self.cluster_of(engine, compose, plan, project, list_inputs(job), tmp_path))
            return made[-1]

        yield make
        for cluster in made:
            cluster.remove()

    def cluster_of(
        self,
        engine: docker.DockerClient,
        compose: Sequence[str],
        plan: ClusterPlan,
        project: Project,
        inputs: Sequence[ChannelData],
        cache: Path,
    ) -> DockerCluster:
        return DockerCluster(engine, compose, plan, project, inputs, cache)

    def assert_gone(self, cluster: Cluster) -> None:
        assert isinstance(cluster, DockerCluster)
        chosen: dict[str, Any] = {"label": f"{labels.RUN}={self.run_label}"}

        assert self.engine.containers.list(all=True, filters=chosen, ignore_removed=True) == []
        assert self.engine.networks.list(filters=chosen) == []
        assert self.engine.volumes.list(filters=chosen) == []


class TestWarmCluster(TestDockerCluster):
    """All that is expected of hosts is expected of those that were up before their job was known."""

    def cluster_of(
        self,
        engine: docker.DockerClient,
        compose: Sequence[str],
        plan: ClusterPlan,
        project: Project,
        inputs: Sequence[ChannelData],
        cache: Path,
    ) -> DockerCluster:
        def at_once(action: Callable[[], None]) -> Future[None]:
            done: Future[None] = Future()
            done.set_result(action())
            return done

        cluster = WarmCluster(engine, compose, plan, project, inputs, cache, at_once)
        cluster.warm_up()
        cluster.assign(plan, inputs)
        return cluster
