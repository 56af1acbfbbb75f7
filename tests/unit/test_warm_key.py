"""Which jobs may have hosts that were made before they were known, and what those hosts are told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.data_objects import ChannelData, DataObject
from harness.describe import REGION, training_job_arn
from harness.image.programs import warm
from harness.job import Channel, MpiDistribution, TorchDistribution
from harness.limits import HostLimits, Limits
from harness.plan import ClusterPlan, plan_training
from harness.warm_key import GO_FILE, JOB_FILE, Stamp, spare_plan, told, warm_key
from tests.jobs import training_job

IMAGE = "harness-pytorch:0123456789ab"
CHANNEL = Channel("training", Path("data"))
INPUTS = (ChannelData(CHANNEL, "File", (DataObject("a", 1, "file:///data/a", Path("data/a")),)),)
STAMP: Stamp = (("data/a", 1, 2, 3),)


def plan(*, name: str = "job-1", image: str = IMAGE, limits: Limits | None = None, **more: Any) -> ClusterPlan:
    return plan_training(
        training_job(**more),
        name,
        arn=training_job_arn(name),
        region=REGION,
        image=image,
        launcher="gloo",
        output_path="file:///runs",
        limits=limits,
    )


def limits(memory: int) -> Limits:
    return Limits({host: HostLimits((0,), memory_bytes=memory) for host in ("algo-1", "algo-2")})


def test_jobs_that_differ_in_what_hosts_are_told_later_share_hosts() -> None:
    other = plan(
        name="job-2",
        entry_point="other.py",
        source_dir=Path("elsewhere"),
        hyperparameters={"epochs": 7},
        environment={"A": "b"},
        max_run=5,
    )

    assert warm_key(plan(), IMAGE, (), ())
    assert warm_key(plan(), IMAGE, (), ()) == warm_key(other, IMAGE, (), ())


@pytest.mark.parametrize(
    "other",
    [
        plan(instance_count=3),
        plan(enable_network_isolation=True),
        plan(limits=limits(2**30)),
        plan(limits=limits(2**31)),
        plan(distribution=MpiDistribution()),
    ],
    ids=["hosts", "network", "limits", "other limits", "keys"],
)
def test_jobs_that_differ_in_what_hosts_are_made_with_do_not(other: ClusterPlan) -> None:
    assert warm_key(other, IMAGE, (), ())
    assert warm_key(other, IMAGE, (), ()) != warm_key(plan(), IMAGE, (), ())


def test_a_channel_is_part_of_a_host_and_so_are_its_files() -> None:
    job = plan(inputs=(CHANNEL,))
    sharded = replace(INPUTS[0], channel=replace(CHANNEL, distribution="ShardedByS3Key"))
    newer = replace(INPUTS[0].objects[0], path=None, uri="s3://bucket/a", etag="2")

    keys = [
        warm_key(job, IMAGE, INPUTS, STAMP),
        warm_key(job, IMAGE, (), ()),
        warm_key(job, IMAGE, INPUTS, (("data/a", 1, 9, 3),)),
        warm_key(job, IMAGE, (sharded,), STAMP),
        warm_key(job, IMAGE, (replace(INPUTS[0], objects=(newer,)),), ()),
    ]

    assert len(set(keys)) == len(keys)
    assert keys[0] == warm_key(job, IMAGE, INPUTS, STAMP)


@pytest.mark.parametrize(
    "cold",
    [
        plan(image="somebody/else:1"),
        plan(container_entry_point=("my-entry-point",)),
        plan(container_arguments=("serve",)),
    ],
    ids=["image", "entry point", "arguments"],
)
def test_what_no_running_host_can_become_has_hosts_of_its_own(cold: ClusterPlan) -> None:
    assert warm_key(cold, IMAGE, (), ()) is None


def test_pipes_are_fed_from_the_start() -> None:
    assert warm_key(plan(inputs=(CHANNEL,)), IMAGE, (replace(INPUTS[0], input_mode="Pipe"),), STAMP) is None


def test_a_spare_host_knows_nothing_of_the_job_it_was_modelled_on() -> None:
    job = plan(
        environment={"SECRET": "s"}, dependencies=(Path("lib"),), checkpoint_s3_uri="file:///c", inputs=(CHANNEL,)
    )

    spare = spare_plan(job)

    assert spare.command == ("warm",)
    assert [(host.name, host.files, host.environment) for host in spare.hosts] == [
        ("algo-1", {}, {}),
        ("algo-2", {}, {}),
    ]
    assert (spare.source_dir, spare.dependencies, spare.checkpoints) == (None, (), None)
    assert spare.channels == job.channels


@pytest.mark.parametrize(
    ("distribution", "command"),
    [(MpiDistribution(), ("warm", "--ssh-keys")), (TorchDistribution(), ("warm",)), (None, ("warm",))],
)
def test_keys_are_made_where_the_job_would_make_them(distribution: Any, command: tuple[str, ...]) -> None:
    assert spare_plan(plan(distribution=distribution)).command == command


def test_a_host_is_told_its_environment_and_then_to_go() -> None:
    job = plan(environment={"A": "$B"})

    files = told(job, "algo-2")

    assert list(files) == [JOB_FILE, GO_FILE]
    assert json.loads(files[JOB_FILE]) == {"command": ["train"], "environment": dict(job.hosts[1].environment)}


def test_the_program_in_the_image_looks_for_these_files() -> None:
    assert (str(warm.FOLDER / warm.JOB), str(warm.FOLDER / warm.GO)) == (JOB_FILE, GO_FILE)
    assert spare_plan(plan(distribution=MpiDistribution())).command[1] == warm.WITH_KEYS
