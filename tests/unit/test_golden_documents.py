"""All documents of whole jobs, as they are in `golden`.

Of real jobs are the names of the files, their keys and the case of their values (dumps made inside jobs of 2020 and
2023, with input sharded by S3 key, spot instances and checkpoints); names, places and numbers are ours. Of channels in
FastFile and Pipe mode, and of instance groups, no dump is known: there the same rules go on.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import documents
from harness.describe import REGION, training_job_arn
from harness.job import Channel, InstanceGroup, MetricDefinition, MpiDistribution, TrainingJob
from harness.plan import HostPlan, plan_training
from tests.jobs import training_job

GOLDEN = Path(__file__).parent / "golden"
CONFIG = "/opt/ml/input/config/"
NAME = "Mnist-2026-11-23-04-05-17-283"
CHANNELS = (
    Channel("training", "s3://bucket/mnist/training", distribution="ShardedByS3Key"),
    Channel("labels", "s3://bucket/mnist/labels", input_mode="FastFile", content_type="text/csv", compression="Gzip"),
    Channel(
        "stream",
        "s3://bucket/mnist/manifest",
        input_mode="Pipe",
        s3_data_type="AugmentedManifestFile",
        record_wrapping="RecordIO",
        attribute_names=("image-ref", "label"),
        shuffle_seed=7,
    ),
)
HOMOGENEOUS = training_job(
    role="arn:aws:iam::000000000000:role/Training",
    hyperparameters={
        "epochs": 6,
        "lr": 0.01,
        "backend": "gloo",
        "verbose": True,
        "resume": None,
        "betas": [0.9, 0.999],
    },
    inputs=CHANNELS,
    distribution=MpiDistribution(processes_per_host=1),
    use_spot_instances=True,
    max_run=900,
    max_wait=1800,
    checkpoint_s3_uri="s3://bucket/mnist/state",
    checkpoint_local_path="/state",
    metric_definitions=(MetricDefinition("train:loss", "loss ([0-9.]+)"),),
    tags={"project": "mnist"},
    environment={"MINE": "$x"},
)
HETEROGENEOUS = training_job(
    role="arn:aws:iam::000000000000:role/Training",
    instance_groups=(InstanceGroup("gpu", "ml.p2.xlarge", 2), InstanceGroup("cpu", "ml.c5.large", 9)),
    inputs=(
        Channel("training", "s3://bucket/mnist/training"),
        Channel("extra", "s3://bucket/mnist/extra", instance_groups=("gpu",)),
    ),
)


def host_of(job: TrainingJob, name: str) -> HostPlan:
    plan = plan_training(
        job,
        NAME,
        arn=training_job_arn(NAME),
        region=REGION,
        image="harness-pytorch:1",
        launcher="gloo",
        output_path="s3://bucket/output",
    )
    return next(host for host in plan.hosts if host.name == name)


@pytest.mark.parametrize(
    ("folder", "job", "host"),
    [("homogeneous", HOMOGENEOUS, "algo-2"), ("heterogeneous", HETEROGENEOUS, "algo-10")],
    ids=["homogeneous", "heterogeneous"],
)
def test_a_host_is_given_the_documents_of_a_real_job(folder: str, job: TrainingJob, host: str) -> None:
    golden = {path.name: json.loads(path.read_text()) for path in (GOLDEN / folder).glob("*.json")}

    given = {path.removeprefix(CONFIG): json.loads(text) for path, text in host_of(job, host).files.items()}

    assert sorted(given) == sorted(golden)
    for name, document in golden.items():
        assert given[name] == document, name


def test_the_arn_has_the_jobs_name_in_lower_case_and_the_name_itself_keeps_its_own() -> None:
    variables = host_of(HOMOGENEOUS, "algo-1").environment

    assert variables["TRAINING_JOB_NAME"] == NAME
    assert variables["TRAINING_JOB_ARN"].endswith(":training-job/mnist-2026-11-23-04-05-17-283")


def test_a_channels_manifest_names_the_prefix_and_every_object_also_those_of_other_hosts() -> None:
    objects = [f"s3://bucket/mnist/training/part-{number}" for number in range(3)]

    assert documents.channel_manifest("mnist/training", objects) == (GOLDEN / "training-manifest").read_text()
    assert documents.channel_manifest("mnist/state", []) == (GOLDEN / "checkpoints-manifest").read_text()
