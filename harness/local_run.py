"""The fast door: a job file's training job on local hosts, from finding the engine to the last line on screen."""

from __future__ import annotations

import secrets
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.describe import REGION, training_job_arn
from harness.errors import BadInput
from harness.job import TrainingJob
from harness.metrics import MetricReader
from harness.plan import ClusterPlan, plan_training
from harness.receipt import receipt
from harness.record import RunRecord, make_run_folder, write_json
from harness.report import Screen, outcome_lines
from harness.run import Run
from harness.steps import Printer, Steps
from harness.training import run_training

if TYPE_CHECKING:
    from docker import DockerClient

_FREE_BYTES = 500 * 10**6  # below this not even logs and a small model would fit
_UNNAMED = "<TrainingJobName>"


def dry_run(job: TrainingJob, launcher: str) -> dict[str, Any]:
    """The plan of ``job`` as plain data, under a placeholder for the name it has not got yet."""
    from harness.image_build import image_tag, read_context

    image = job.image_uri or image_tag(read_context())
    plan = _plan(job, _UNNAMED, image, launcher, "runs")
    return asdict(plan) | {
        "hyperparameters": plan.request["HyperParameters"],
        "channels": {c.name: str(c.source) for c in job.inputs},
        "source_dir": str(job.source_dir),
        "dependencies": [str(path) for path in job.dependencies],
    }


def train(job: TrainingJob, *, launcher: str, runs: Path, retain: bool, steps: Steps) -> dict[str, Any]:
    """Run ``job``; its description, in the shape of DescribeTrainingJob. Raises `BadInput` before anything starts."""
    from harness.cluster import DockerCluster
    from harness.compose import Project
    from harness.compose_command import ensure_compose
    from harness.engine import ensure_engine

    refuse_full_disk(runs)
    client = ensure_engine(steps)
    compose = ensure_compose(steps)
    image = _image(client, job, steps)
    folder = make_run_folder(runs, job.base_job_name)
    name = folder.name
    plan = _plan(job, name, image, launcher, folder.parent.absolute().as_uri())
    for warning in plan.warnings:
        steps.note(f"WARNING: {warning}")
    # Two runs may get the same name, in two run folders: what they make in the engine must not.
    project = Project(f"{name.lower()}-{secrets.token_hex(2)}", name)
    metrics = MetricReader(job.metric_definitions)
    record = RunRecord(folder, plan.request)
    write_json(folder / "receipt.json", receipt(plan.request, launcher, plan.warnings))
    cluster = DockerCluster(client, compose, plan, project)
    hosts = tuple(host.name for host in plan.hosts)
    outcome = run_training(
        Run(hosts, cluster, record, metrics, Screen(steps, metrics)), max_run=plan.max_run, retain=retain
    )
    printer = Printer(sys.stderr, lambda: 80)
    for line in outcome_lines(record.description, folder, outcome.failed_host, metrics):
        printer.line(line)
    return record.description


def refuse_full_disk(folder: Path, free: int | None = None) -> None:
    """Raise `BadInput` when what a run leaves would not fit. ``free`` bytes are looked up unless given."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free if free is None else free
    if free < _FREE_BYTES:
        raise BadInput(
            f"{folder}: only {free // 10**6} MB free on this disk, {_FREE_BYTES // 10**6} MB are needed; "
            "make room, or name another place with --runs"
        )


def _plan(job: TrainingJob, name: str, image: str, launcher: str, output_path: str) -> ClusterPlan:
    return plan_training(
        job,
        name,
        arn=training_job_arn(name),
        region=REGION,
        image=image,
        launcher=launcher,
        output_path=job.output_path or output_path,
    )


def _image(client: DockerClient, job: TrainingJob, steps: Steps) -> str:
    from docker.errors import ImageNotFound

    from harness.image_build import ensure_image

    if job.image_uri is None:
        return ensure_image(client, steps)
    try:
        client.images.get(job.image_uri)
    except ImageNotFound as error:
        raise BadInput(
            f"training.image_uri: the engine has no image {job.image_uri!r}; pull or build it first"
        ) from error
    return job.image_uri
