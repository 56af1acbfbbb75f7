"""Hosts have what their instance type has, as the engine and the script see it."""

from __future__ import annotations

import json
from pathlib import Path

import docker
import pytest

from harness.expectations import assert_completed, assert_failed
from harness.limits import GIB
from tests.docker.conftest import MPI, Training, Workplace

SMALL = """
[instance_types."ml.p2.xlarge"]
vcpu = 1
memory_gib = 0.5
shm_gib = 0.25
"""


def small(workplace: Workplace, script: str, *, table: str = "", instance_count: int = 2) -> Path:
    """A job on hosts with one CPU and half a GiB of memory."""
    job = workplace.job(script, table=table, instance_count=instance_count)
    job.write_text(job.read_text() + SMALL)
    return job


def test_a_host_has_the_memory_the_cpus_and_the_shared_memory_of_its_instance_type(
    workplace: Workplace, engine: docker.DockerClient
) -> None:
    job = small(workplace, "import os; print('shm', os.statvfs('/dev/shm').f_blocks * 4096)", instance_count=1)

    ran = workplace.harness("train", str(job), "--retain")

    assert ran.exit_code == 0, ran
    assert "limits: ml.p2.xlarge x 1 host: 1 cpu, 0.5 GiB" in ran.stderr
    assert f"shm {GIB // 4}" in workplace.log("algo-1")
    name = (workplace.folder / "runs/latest").readlink().name
    (host,) = engine.containers.list(all=True, filters={"label": f"sagemaker-harness.job={name}"})
    held = host.attrs["HostConfig"]
    workplace.harness("clean")
    assert held["Memory"] == held["MemorySwap"] == GIB // 2
    assert held["NanoCpus"] == (10**9 if engine.info()["NCPU"] > 1 else 0)
    assert "limits: ml.p2.xlarge" in (workplace.folder / "runs/latest/receipt.json").read_text()


def test_limits_off_gives_a_host_all_that_the_machine_has(
    training: Training, workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    job = small(workplace, "block = bytearray(700 << 20); print('fits')", instance_count=1)

    result = training(job, limits="off").wait()

    assert_completed(result)
    assert result.host("algo-1").log.contains("fits")
    assert "limits:" not in capsys.readouterr().err


def test_a_rank_that_outgrows_its_hosts_memory_fails_the_job_and_is_named(
    training: Training, workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    job = small(
        workplace,
        """
        import time
        import horovod.torch as hvd

        hvd.init()
        print("together", hvd.size(), flush=True)
        if hvd.rank() == 1:
            block = bytearray(700 << 20)
        time.sleep(600)
        """,
        table=MPI,
    )

    result = training(job).wait()

    assert_failed(result, "OutOfMemoryError: a process on algo-2 was killed because the host ran out of memory")
    assert result.host("algo-1").log.contains("together 2")
    shown = capsys.readouterr().err
    assert "Failed: algo-2: " in shown
    assert "algo-2 had 0.5 GiB, as its instance type has; --limits off" in shown


def test_a_script_alone_on_its_host_that_outgrows_the_memory_is_named_too(
    training: Training, workplace: Workplace
) -> None:
    result = training(small(workplace, "block = bytearray(700 << 20)", instance_count=1)).wait()

    assert_failed(result, "OutOfMemoryError: a process on algo-1")


def test_gpus_that_this_machine_has_not_are_told_on_screen_and_in_the_receipt(
    training: Training, workplace: Workplace, engine: docker.DockerClient, capsys: pytest.CaptureFixture[str]
) -> None:
    result = training(workplace.job("print('done')", instance_count=1)).wait()

    told = "ml.p2.xlarge has 1 GPU, this machine none: the script finds no GPU here"
    without = "nvidia" not in engine.info()["Runtimes"]
    assert_completed(result)
    assert (told in capsys.readouterr().err) is without
    assert (told in json.dumps(result.receipt)) is without
