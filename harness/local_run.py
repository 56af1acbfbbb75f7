"""The fast door: a job file's training job on local hosts, from finding the engine to the last line on screen."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import advice
from harness.abandoned import finish_abandoned
from harness.channel_table import PIPE
from harness.checkpoint_place import checkpoint_place
from harness.checkpoints import CheckpointSync
from harness.control import Control
from harness.data_objects import ChannelData
from harness.describe import REGION, training_job_arn
from harness.errors import BadInput, EngineUnavailable
from harness.fault_injector import FaultInjector, Scene, Watched
from harness.instance_types import InstanceType
from harness.job import TrainingJob
from harness.limits import Limits, decide
from harness.machine import engine_machine, read_catalogue, this_machine
from harness.metrics import MetricReader
from harness.order import Order
from harness.outcome import Outcome
from harness.owner import marks
from harness.plan import ClusterPlan, host_groups, plan_training
from harness.preflight import refuse_full_disk, refuse_what_no_job_meets
from harness.record import RunRecord, make_run_folder, named_run_folder
from harness.report import Screen
from harness.run import Run
from harness.run_report import RunReport
from harness.sources import python_sources
from harness.steps import Steps
from harness.stop_job import note_ownership
from harness.sweep import sweep
from harness.training import insist, run_training
from harness.watch import STOP_GRACE

if TYPE_CHECKING:
    from docker import DockerClient

    from harness.cluster import DockerCluster
    from harness.compose import Project

    HostsFor = Callable[[ClusterPlan, Project, Sequence[ChannelData]], DockerCluster]

_UNNAMED = "<TrainingJobName>"


@dataclass(frozen=True)
class Manner:
    """How a job is run here, beyond what it is: ``limits`` is 'type' or 'off', ``instance_types`` the job file's.

    ``grace`` is in seconds, between SIGTERM and SIGKILL. ``takes_signals`` says that this process is there for the job
    alone, so that `harness stop` may end the job by a signal to it; others have the job's `Control`.
    """

    launcher: str
    limits: str
    instance_types: Mapping[str, InstanceType]
    grace: float = STOP_GRACE
    takes_signals: bool = False


@dataclass(frozen=True)
class Attendance:
    """Who attends a run: what stops and interrupts it, what does faults to its hosts, who is told of its folder.

    ``hosts_for`` has hosts for a plan, which may have names of their own; without it they are made for the job.
    """

    control: Control
    injector: FaultInjector
    named: Callable[[Path], object] = lambda _: None
    hosts_for: HostsFor | None = None


def dry_run(job: TrainingJob, manner: Manner) -> dict[str, Any]:
    """The plan of ``job`` as plain data, under a placeholder for the name it has not got yet.

    Limits are those of the engine's machine, or of this one where no engine answers.
    """
    from harness.engine import connect
    from harness.image_build import image_tag, read_context

    image = job.image_uri or image_tag(read_context())
    try:
        client = connect()
    except EngineUnavailable:
        client = None
    plan = _plan(job, _UNNAMED, image, manner, "runs", _limits(client, job, image, manner))
    return asdict(plan) | {
        "hyperparameters": plan.request.get("HyperParameters", {}),
        "channels": {c.name: str(c.source) for c in job.inputs},
        "source_dir": str(job.source_dir),
        "dependencies": [str(path) for path in job.dependencies],
        "ignored": job.ignored,
        "advice": _advice(job, manner),
    }


def train(
    job: TrainingJob,
    manner: Manner,
    attendance: Attendance,
    *,
    runs: Path,
    retain: bool,
    steps: Steps,
    order: Order | None = None,
) -> dict[str, Any]:
    """Run ``job``; its description, in the shape of DescribeTrainingJob. Raises `BadInput` before anything starts.

    ``order`` is how it came to the AWS door; others have the words of a job file.

    May run in any thread; from others ``attendance`` stops, interrupts and disturbs it.
    """
    from harness.engine import ensure_engine

    refuse_full_disk(runs)
    refuse_what_no_job_meets(job, attendance.injector.faults, interrupted=bool(attendance.control.interrupt_after))
    with closing(ensure_engine(steps)) as client:
        return _train(client, job, manner, attendance, runs=runs, retain=retain, steps=steps, order=order)


def _train(
    client: DockerClient,
    job: TrainingJob,
    manner: Manner,
    attendance: Attendance,
    *,
    runs: Path,
    retain: bool,
    steps: Steps,
    order: Order | None,
) -> dict[str, Any]:
    from harness.compose_command import ensure_compose
    from harness.data_sources import list_inputs
    from harness.inventory import has_hosts

    compose = ensure_compose(steps)
    for name in sweep(client):
        steps.note(f"removed what an earlier process had left: {name}")
    for name in () if order else finish_abandoned(runs, partial(has_hosts, client)):
        steps.note(f"{name} is Failed: its process was killed, and its hosts are gone")
    image = _image(client, job, order.image if order else job.image_uri, steps)
    inputs = list_inputs(job, order.s3, "InputDataConfig") if order else list_inputs(job)
    limits, known = _limits(client, job, image, manner), _advice(job, manner)
    folder = named_run_folder(runs, order.name) if order else make_run_folder(runs, job.base_job_name)
    plan = _plan(job, folder.name, image, manner, folder.parent.absolute().as_uri(), limits, order)
    metrics = MetricReader(job.metric_definitions)
    entered = attendance.injector.status
    if order:
        record = RunRecord(folder, plan.request, entered=entered, told=order.told, created=order.created)
        record.model_artifacts = ""
    else:
        record = RunRecord(folder, plan.request, entered=entered)
    report = RunReport(job, plan, inputs, manner.launcher, known, record, ordered=order is not None)
    for text in report.opening_lines():
        steps.note(text)
    report.write_receipt()
    attendance.named(folder)
    screen = Screen(steps, metrics, shows_logs=order is None)
    engine = _Engine(client, compose, plan, inputs, order)
    outcome = _carry_out(engine, record, metrics, screen, manner, attendance, retain=retain)
    # The job is over: what somebody interrupts now is not the job, and must not make it look as if it were.
    insist(lambda: report.close(outcome, metrics, limits, steps))
    return record.description


@dataclass(frozen=True)
class _Engine:
    """What hosts of a plan are made with, and of."""

    client: DockerClient
    compose: Sequence[str]
    plan: ClusterPlan
    inputs: Sequence[ChannelData]
    order: Order | None


def _carry_out(
    engine: _Engine,
    record: RunRecord,
    metrics: MetricReader,
    screen: Screen,
    manner: Manner,
    attendance: Attendance,
    *,
    retain: bool,
) -> Outcome:
    """Run the planned job on hosts of its own, faults and all."""
    from harness.cluster import DockerCluster
    from harness.compose import Project
    from harness.fault_effects import Effects
    from harness.image_build import cache_folder, ensure_image

    plan, injector = engine.plan, attendance.injector
    name = plan.training_job_name
    # Two runs may get the same name, in two run folders: what they make in the engine must not.
    project = Project(f"{name.lower()}-{secrets.token_hex(2)}", name, marks(retain=retain))
    if attendance.hosts_for:
        cluster = attendance.hosts_for(plan, project, engine.inputs)
    else:
        cluster = DockerCluster(engine.client, engine.compose, plan, project, engine.inputs, cache_folder(os.environ))
    if manner.takes_signals:
        note_ownership(record.folder, cluster.project.name, manner.grace)
    hosts = tuple(host.name for host in plan.hosts)
    helpers = partial(ensure_image, engine.client, Steps())
    effects = Effects(engine.client, cluster.project, hosts, helpers)
    injector.attach(Scene(effects, screen.note, attendance.control.interrupt))
    run = Run(hosts, cluster, record, metrics, Watched(screen, injector), _checkpoints(engine, screen))
    if engine.order:
        run = replace(run, heard=engine.order.heard, upload=engine.order.upload)
    try:
        return run_training(
            run,
            max_run=plan.max_run,
            max_wait=plan.max_wait,
            retain=retain,
            grace=manner.grace,
            control=attendance.control,
        )
    finally:
        for line in injector.close():
            screen.note(line)
        if injector.fired and not retain:
            cluster.remove()  # a fault that fired while hosts were removed may have made a helper since


def _advice(job: TrainingJob, manner: Manner) -> tuple[str, ...]:
    return advice.before(job, python_sources(job), _types(manner))


def _checkpoints(engine: _Engine, screen: Screen) -> CheckpointSync | None:
    wanted, order = engine.plan.checkpoints, engine.order
    if not wanted:
        return None
    place = checkpoint_place(wanted.place, order.s3_client if order else None)
    return CheckpointSync(place, wanted.local_path, screen.note)


def _plan(
    job: TrainingJob,
    name: str,
    image: str,
    manner: Manner,
    output_path: str,
    limits: Limits,
    order: Order | None = None,
) -> ClusterPlan:
    return plan_training(
        job,
        name,
        arn=training_job_arn(name),
        region=REGION,
        image=image,
        launcher=manner.launcher,
        output_path=job.output_path or output_path,
        limits=limits,
        request=order.request if order else None,
    )


def _limits(client: DockerClient | None, job: TrainingJob, image: str, manner: Manner) -> Limits:
    types = _types(manner)
    hosts = {name: group.instance_type for group in host_groups(job) for name in group.hosts}
    gpus = any(types[name].gpus for name in hosts.values() if name in types)
    machine = engine_machine(client, image, count_gpus=gpus) if client else this_machine()
    return decide(hosts, types, machine, enforce=manner.limits != "off")


def _types(manner: Manner) -> Mapping[str, InstanceType]:
    return {**read_catalogue(), **manner.instance_types}


def _image(client: DockerClient, job: TrainingJob, image_uri: str | None, steps: Steps) -> str:
    from docker.errors import ImageNotFound

    from harness.image_build import ensure_image

    if image_uri is None:
        return ensure_image(client, steps)
    if any((channel.input_mode or job.input_mode) == PIPE for channel in job.inputs):
        ensure_image(client, steps)  # feeds the pipes, beside hosts of whatever image
    try:
        client.images.get(image_uri)
    except ImageNotFound as error:
        raise BadInput(f"training.image_uri: the engine has no image {image_uri!r}; pull or build it first") from error
    return image_uri
