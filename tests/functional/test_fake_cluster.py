"""The fake that the stories are tested on does what the real cluster does (tests/docker/test_cluster.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness.cluster import Cluster
from tests.cluster_contract import ClusterContract, Make
from tests.fake_cluster import FakeCluster


class TestFakeCluster(ClusterContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Iterator[Make]:
        made: list[FakeCluster] = []

        def make(scripts: Mapping[str, str]) -> Cluster:
            made.append(FakeCluster(tmp_path / "hosts", scripts))
            return made[-1]

        yield make
        for cluster in made:
            cluster.remove()

    def assert_gone(self, cluster: Cluster) -> None:
        assert isinstance(cluster, FakeCluster)
        assert not cluster.exists
