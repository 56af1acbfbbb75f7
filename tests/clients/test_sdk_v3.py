"""Programs of SageMaker SDK v3, which launches scripts by drivers of its own, past the image's entrypoint."""

from __future__ import annotations

import uuid

import pytest

from tests.clients.conftest import SDK_V3, Machine


@pytest.mark.parametrize("driver", ["torchrun", "mpi"])
def test_two_hosts_are_one_world_by_the_sdks_own_driver(machine: Machine, driver: str) -> None:
    ran = machine.program("sdk_v3_training.py", f"v3-{uuid.uuid4().hex[:6]}", driver, "2", bin_folder=SDK_V3)

    assert ran.exit_code == 0, ran
    assert "status Completed s3://" in ran.stdout, ran
    for rank, host in enumerate(("algo-1", "algo-2")):
        assert f"rank {rank} of 2 on {host}: factor 5 name a b data ['numbers.txt']" in ran.stdout, ran
