"""The [training] table of a job file: a `TrainingJob` out of the arguments of ``sagemaker.pytorch.PyTorch``. Pure.

Limits and patterns: API reference, CreateTrainingJob (botocore's service model); names: SDK v2, estimator.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.channel_table import INPUT_MODES, read_channels
from harness.contract import HOMOGENEOUS_GROUP
from harness.job import (
    CHECKPOINT_DIR,
    InstanceGroup,
    MetricDefinition,
    MpiDistribution,
    TorchDistribution,
    TrainingJob,
    encoded_hyperparameters,
)
from harness.not_played import NOT_PLAYED
from harness.table import Table

MAX_HOSTS = 8  # hosts share this machine's cores; more of them only wait for each other
DAY = 86400
_JOB_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_VARIABLE_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,511}")
_STAMP_LENGTH = len("-2026-11-23-01-01-30-544")  # what the SDK appends to base_job_name
_PLACE = re.compile(r"s3://[^/]+(/.*)?|file:///.+")
_ENTRY_POINTS = (".py", ".sh")  # what the toolkit runs (entry_point.py)
# Folders of the platform's own, which a checkpoint must not be put into (developer guide, 'Use checkpoints').
_RESERVED = ("/opt/ml/input", "/opt/ml/model", "/opt/ml/output", "/opt/ml/code")


def read_training(table: Table, folder: Path, *, lenient: bool = False) -> TrainingJob:
    """The job of ``table``, whose paths are relative to ``folder``; what is wrong with it is in the table's problems.

    ``source_dir`` is ``folder`` where the table has none, unless the image brings its own `train`. Arguments that no
    local host plays are a problem, or, with ``lenient``, among the job's ``ignored``.
    """
    groups = _instance_groups(table)
    names = [group.instance_group_name for group in groups]
    input_mode = table.choice("input_mode", INPUT_MODES) or "File"
    source_dir = table.text("source_dir")
    image_uri = table.text("image_uri") or None
    entry_point = table.text("entry_point", required=image_uri is None) or None
    distribution, distribution_groups = _distribution(table)
    job = TrainingJob(
        entry_point=entry_point,
        source_dir=folder / source_dir if source_dir else None,
        base_job_name=table.text("base_job_name", default="pytorch-training"),
        instance_groups=groups,
        framework_version=table.text("framework_version") or None,
        py_version=table.text("py_version") or None,
        image_uri=image_uri,
        container_entry_point=table.list_of_texts("container_entry_point"),
        container_arguments=table.list_of_texts("container_arguments"),
        role=table.text("role") or None,
        max_run=table.whole("max_run", default=DAY, at_least=1, at_most=28 * DAY),
        max_wait=table.whole("max_wait", at_least=1, at_most=28 * DAY) or None,
        use_spot_instances=table.flag("use_spot_instances"),
        max_retry_attempts=table.whole("max_retry_attempts", at_least=1, at_most=30) or None,
        keep_alive_period_in_seconds=table.whole("keep_alive_period_in_seconds", at_least=0, at_most=3600) or None,
        volume_size=table.whole("volume_size", default=30, at_least=1, at_most=16384),
        input_mode=input_mode,
        checkpoint_s3_uri=_place(table.text("checkpoint_s3_uri"), folder),
        checkpoint_local_path=table.text("checkpoint_local_path", default=CHECKPOINT_DIR),
        output_path=table.text("output_path") or None,
        disable_output_compression=table.flag("disable_output_compression"),
        enable_network_isolation=table.flag("enable_network_isolation"),
        encrypt_inter_container_traffic=table.flag("encrypt_inter_container_traffic"),
        subnets=table.list_of_texts("subnets"),
        security_group_ids=table.list_of_texts("security_group_ids"),
        tags=_tags(table),
        hyperparameters=table.encodable("hyperparameters"),
        environment=table.texts("environment"),
        dependencies=tuple(folder / path for path in table.list_of_texts("dependencies")),
        distribution=distribution,
        distribution_groups=distribution_groups,
        metric_definitions=_metrics(table),
        enable_sagemaker_metrics=table.flag("enable_sagemaker_metrics"),
        inputs=read_channels(table, folder, input_mode, names),
    )
    not_played = _not_played(table)
    if not lenient:
        for key in not_played:
            table.problem(key, f"is not emulated ({NOT_PLAYED[key].why}); remove it, or go on without it: --lenient")
    for key, problem in problems_of(job):
        table.problem(key, problem)
    table.close()
    default = folder if entry_point or not image_uri else None
    return replace(job, source_dir=job.source_dir or default, ignored=not_played)


def _not_played(table: Table) -> tuple[str, ...]:
    """The arguments that ask for something no local host plays."""
    return tuple(key for key, argument in NOT_PLAYED.items() if table.given(key) not in (None, argument.off))


def _instance_groups(table: Table) -> tuple[InstanceGroup, ...]:
    items = table.tables("instance_groups")
    if not items:
        instance_type = _instance_type(table)
        count = table.whole("instance_count", required=True, at_least=1, at_most=MAX_HOSTS)
        return (InstanceGroup(HOMOGENEOUS_GROUP, instance_type, count),)
    groups = []
    for item in items:
        name = item.text("instance_group_name", required=True)
        count = item.whole("instance_count", required=True, at_least=1, at_most=MAX_HOSTS)
        groups.append(InstanceGroup(name, _instance_type(item), count))
        if not re.fullmatch(r".+", name) or len(name) > 64:
            item.problem("instance_group_name", f"{name!r} is not 1 to 64 characters")
        item.close()
    table.refuse(("instance_type", "instance_count"), "is said by each of instance_groups; remove it")
    names = [group.instance_group_name for group in groups]
    if len(set(names)) < len(names):
        table.problem("instance_groups", f"{names}: each needs a name of its own")
    if len(groups) > 5:
        table.problem("instance_groups", f"{len(groups)} of them; the API takes 5 at most")
    if sum(group.instance_count for group in groups) > MAX_HOSTS:
        table.problem("instance_groups", f"more than {MAX_HOSTS} hosts in all; they share this machine")
    return tuple(groups)


def _instance_type(table: Table) -> str:
    instance_type = table.text("instance_type", required=True)
    if instance_type and not re.fullmatch(r"ml\.[a-z0-9\-]+\.[a-z0-9\-]+", instance_type):
        table.problem("instance_type", f"{instance_type!r} is no instance type, such as 'ml.p2.xlarge'")
    return instance_type


def _distribution(table: Table) -> tuple[MpiDistribution | TorchDistribution | None, tuple[str, ...]]:
    distribution = table.table("distribution")
    if distribution is None:
        return None, ()
    mpi = distribution.table("mpi")
    torch = distribution.table("torch_distributed")
    groups = distribution.list_of_texts("instance_groups")
    distribution.close("is not supported; use mpi or torch_distributed")
    found: MpiDistribution | TorchDistribution | None = None
    if torch is not None:
        found = TorchDistribution() if torch.flag("enabled", required=True) else None
        torch.close()
    if mpi is not None:
        enabled = mpi.flag("enabled", required=True)
        per_host = mpi.whole("processes_per_host", default=0, at_least=1, at_most=64)
        options = mpi.text("custom_mpi_options")
        mpi.close()
        if enabled and found:
            distribution.problem("", "mpi and torch_distributed are both enabled; choose one")
        found = MpiDistribution(per_host or None, options) if enabled else found
    return found, groups


def _metrics(table: Table) -> tuple[MetricDefinition, ...]:
    metrics = []
    for item in table.tables("metric_definitions"):
        metric = MetricDefinition(item.text("Name", required=True), item.text("Regex", required=True))
        item.close()
        for key, value, limit in (("Name", metric.name, 255), ("Regex", metric.regex, 500)):
            if len(value) > limit:
                item.problem(key, f"{value[:20]!r}… has {len(value)} characters; the API takes {limit} at most")
        try:
            groups = re.compile(metric.regex).groups
        except re.error as error:
            item.problem("Regex", f"{metric.regex!r} is not a regular expression: {error}")
        else:
            if not groups:
                item.problem("Regex", f"{metric.regex!r} has no group (…) to take the value from")
        metrics.append(metric)
    if len(metrics) > 40:
        table.problem("metric_definitions", f"{len(metrics)} of them; the API takes 40 at most")
    return tuple(metrics)


def _tags(table: Table) -> dict[str, str]:
    """A list of Key and Value, as the SDK takes it."""
    tags = {}
    for item in table.tables("tags"):
        tags[item.text("Key", required=True)] = item.text("Value")
        item.close()
    if len(tags) > 50:
        table.problem("tags", f"{len(tags)} of them; the API takes 50 at most")
    return tags


def problems_of(job: TrainingJob) -> Iterator[tuple[str, str]]:
    """What contradicts the API's rules, as key and problem."""
    if not _JOB_NAME.fullmatch(job.base_job_name) or len(job.base_job_name) > 63 - _STAMP_LENGTH:
        most = 63 - _STAMP_LENGTH
        yield (
            "base_job_name",
            f"{job.base_job_name!r} is not letters, digits and inner hyphens, {most} characters at most",
        )
    yield from _code_problems(job)
    yield from _time_problems(job)
    yield from _checkpoint_problems(job)
    yield from _group_problems(job)
    yield from _hyperparameter_problems(job)
    yield from _environment_problems(job)
    if bool(job.subnets) != bool(job.security_group_ids):
        yield "subnets", "go with security_group_ids; give both or neither"
    if len(job.container_arguments) > 100:
        yield "container_arguments", f"{len(job.container_arguments)} of them; the API takes 100 at most"
    if job.output_path and not job.output_path.startswith(("s3://", "file://")):
        yield "output_path", f"{job.output_path!r} is no s3:// URI; local archives stay in the run's folder"


def _code_problems(job: TrainingJob) -> Iterator[tuple[str, str]]:
    script = job.entry_point or ""
    if script and not script.endswith(_ENTRY_POINTS):
        yield "entry_point", f"{script!r} is neither a Python script (.py) nor a shell script (.sh)"
    if isinstance(job.distribution, TorchDistribution) and script.endswith(".sh"):
        yield "entry_point", f"{script!r}: torch_distributed takes Python scripts (.py) only"
    if job.image_uri and not script:
        for key in ("source_dir", "dependencies", "distribution"):
            if getattr(job, key):
                yield key, "needs entry_point, the script that the image's train is to run"


def _time_problems(job: TrainingJob) -> Iterator[tuple[str, str]]:
    if job.max_wait is not None and not job.use_spot_instances:
        yield "max_wait", "is for managed spot training only; set use_spot_instances = true or remove it"
    if job.use_spot_instances and job.max_wait is None:
        yield "max_wait", "is missing; use_spot_instances needs it, max_run at least"
    if job.max_wait is not None and job.max_wait < job.max_run:
        yield "max_wait", f"{job.max_wait} is less than max_run = {job.max_run}"
    if job.keep_alive_period_in_seconds and (job.use_spot_instances or job.is_heterogeneous):
        yield "keep_alive_period_in_seconds", "goes neither with use_spot_instances nor with instance_groups"


def _place(text: str, folder: Path) -> str | None:
    """The place of checkpoints as a URI: the harness keeps them in local folders, too."""
    if not text or "://" in text:
        return text or None
    return (folder / text).absolute().as_uri()


def _checkpoint_problems(job: TrainingJob) -> Iterator[tuple[str, str]]:
    path = job.checkpoint_local_path
    if not path.startswith("/") or ".." in path.split("/") or path.rstrip("/") in ("", "/opt", "/opt/ml"):
        yield "checkpoint_local_path", f"{path!r} is not an absolute path to a folder of its own"
    elif any(path == folder or path.startswith(f"{folder}/") for folder in _RESERVED):
        yield "checkpoint_local_path", f"{path!r} lies in a folder that is the platform's; take {CHECKPOINT_DIR!r}"
    if job.checkpoint_s3_uri and not _PLACE.fullmatch(job.checkpoint_s3_uri):
        yield "checkpoint_s3_uri", f"{job.checkpoint_s3_uri!r} is neither an s3:// URI nor a folder of this machine"
    if job.checkpoint_local_path != CHECKPOINT_DIR and not job.checkpoint_s3_uri:
        yield "checkpoint_local_path", "needs checkpoint_s3_uri, the place that checkpoints are kept in"


def _group_problems(job: TrainingJob) -> Iterator[tuple[str, str]]:
    names = [group.instance_group_name for group in job.instance_groups]
    if job.distribution_groups and not job.is_heterogeneous:
        yield "distribution.instance_groups", "needs training.instance_groups"
        return
    for name in job.distribution_groups:
        if name not in names:
            yield "distribution.instance_groups", f"no group {name!r} in training.instance_groups"


def _hyperparameter_problems(job: TrainingJob) -> Iterator[tuple[str, str]]:
    encoded: dict[str, Any]
    try:
        encoded = encoded_hyperparameters(job, "", "", "")
    except (TypeError, ValueError):
        return  # already reported, by name
    if len(encoded) > 100:
        yield "hyperparameters", f"{len(encoded)} of them, the SDK's own included; the API takes 100 at most"
    for name, value in encoded.items():
        if len(name) > 256:
            yield "hyperparameters", f"the name {name[:20]!r}… has {len(name)} characters; the API takes 256"
        if len(value) > 2500:
            yield f"hyperparameters.{name}", f"{len(value)} characters; the API takes 2500 at most"


def _environment_problems(job: TrainingJob) -> Iterator[tuple[str, str]]:
    if len(job.environment) > 100:
        yield "environment", f"{len(job.environment)} variables; the API takes 100 at most"
    for name, value in job.environment.items():
        if not _VARIABLE_NAME.fullmatch(name):
            yield "environment", f"{name!r} is not a variable name the API takes"
        if len(value) > 512:
            yield f"environment.{name}", f"{len(value)} characters; the API takes 512 at most"
