"""A fixed sample of the fault matrix (docs/reliability.md has all of it)."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from benchmarks.reliability import Cell, Lab

SAMPLE = [
    Cell(2, "gloo", "mid-epoch", "kill leader"),
    Cell(2, "mpi", "mid-epoch", "kill follower"),
    Cell(4, "gloo", "start-up", "kill follower"),
    Cell(2, "gloo", "mid-epoch", "partition"),
    Cell(2, "mpi", "start-up", "5 % loss"),
    Cell(2, "gloo", "mid-epoch", "full disk"),
    Cell(2, "mpi", "mid-epoch", "memory kill"),
    Cell(2, "gloo", "last upload", "kill leader"),
]


@pytest.fixture
def lab(tmp_path: Path, engine: docker.DockerClient) -> Lab:
    folder = tmp_path / "lab"
    folder.mkdir()
    return Lab(folder, engine)


@pytest.mark.parametrize("cell", SAMPLE, ids=lambda cell: f"{cell.fault} {cell.moment} {cell.hosts} {cell.controller}")
def test_what_becomes_of_a_job_is_as_it_must_be(lab: Lab, cell: Cell) -> None:
    seen = lab.run(cell)

    assert seen.wrong == (), seen
