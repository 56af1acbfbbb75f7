"""Reads a job file: TOML in, `JobFile` out, or one `BadInput` that lists every problem it has.

`parse_job` is pure and reports what the text says wrong; `read_job_file` adds what the disk says wrong.
Limits and patterns: API reference, CreateTrainingJob (botocore's service model).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from harness.errors import BadInput
from harness.job import (
    Channel,
    Hosting,
    JobFile,
    MetricDefinition,
    MpiDistribution,
    TrainingJob,
    encoded_hyperparameters,
)
from harness.table import Table

# Arguments of the SDK that change what runs, which no local host plays yet: refused, never dropped.
_NOT_EMULATED = (
    "checkpoint_local_path",
    "checkpoint_s3_uri",
    "use_spot_instances",
    "max_wait",
    "input_mode",
    "instance_groups",
    "subnets",
    "security_group_ids",
    "enable_network_isolation",
    "encrypt_inter_container_traffic",
    "keep_alive_period_in_seconds",
    "dependencies",
    "code_location",
    "output_path",
    "output_kms_key",
    "volume_kms_key",
    "model_uri",
    "rules",
    "debugger_hook_config",
    "tensorboard_output_config",
    "profiler_config",
    "max_retry_attempts",
    "tags",
    "git_config",
    "container_entry_point",
    "container_arguments",
    "compiler_config",
    "training_repository_access_mode",
)
_CHANNEL_NAME = re.compile(r"[A-Za-z0-9.\-_]{1,64}")
_JOB_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_VARIABLE_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,511}")
_STAMP_LENGTH = len("-2026-11-23-01-01-30-544")  # what the SDK appends to base_job_name
_MAX_HOSTS = 8  # hosts share this machine's cores; more of them only wait for each other


def read_job_file(
    path: Path,
    *,
    instance_count: int | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    for_hosting: bool = False,
) -> JobFile:
    """Read and check ``path``; ``instance_count`` and ``hyperparameters`` override what it says.

    ``for_hosting`` leaves the inputs of training unchecked: a trained model is hosted without them.

    Raises `BadInput` with all problems of the file, the folders it names included.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such job file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {_reason(error)}") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path}: not valid TOML: {error}") from error
    training = document.get("training")
    if isinstance(training, dict):
        if instance_count is not None:
            training["instance_count"] = instance_count
        given = training.get("hyperparameters", {})
        if hyperparameters and isinstance(given, dict):
            training["hyperparameters"] = {**given, **hyperparameters}
    job, problems = parse_job(document, path)
    if job is not None:
        problems += _source_problems_of(job)
        if not for_hosting:
            problems += [problem for channel in job.training.inputs for problem in _channel_problems(channel)]
    if job is None or problems:
        raise BadInput(f"{path}: {problem}" for problem in problems)
    return job


def parse_job(document: Mapping[str, Any], path: Path) -> tuple[JobFile | None, list[str]]:
    """The job that ``document`` describes, and its problems; paths in it are relative to ``path``.

    With problems the job is still returned where it can be made, so that its files can be checked as well.
    """
    top = Table(document, "")
    training_table = top.table("training", required=True)
    hosting_table = top.table("hosting")
    top.close()
    if training_table is None:
        return None, top.problems
    training = _training(training_table, path.parent)
    hosting = _hosting(hosting_table, training, path.parent) if hosting_table else None
    return JobFile(path, training, hosting), top.problems


def _training(table: Table, folder: Path) -> TrainingJob:
    entry_point = table.text("entry_point", required=True)
    source_dir = table.text("source_dir")
    job = TrainingJob(
        entry_point=entry_point,
        source_dir=folder / source_dir if source_dir else None,
        base_job_name=table.text("base_job_name", default="pytorch-training"),
        instance_type=table.text("instance_type", required=True),
        instance_count=table.whole("instance_count", required=True, at_least=1, at_most=_MAX_HOSTS),
        framework_version=table.text("framework_version") or None,
        py_version=table.text("py_version") or None,
        image_uri=table.text("image_uri") or None,
        role=table.text("role") or None,
        max_run=table.whole("max_run", default=86400, at_least=1, at_most=28 * 86400),
        volume_size=table.whole("volume_size", default=30, at_least=1, at_most=16384),
        hyperparameters=table.encodable("hyperparameters"),
        environment=table.texts("environment"),
        distribution=_distribution(table),
        metric_definitions=_metrics(table),
        inputs=_channels(table, folder),
    )
    table.refuse(_NOT_EMULATED, "is not emulated; remove it")
    _check_training(table, job)
    table.close()
    return replace(job, source_dir=job.source_dir or folder)


def _check_training(table: Table, job: TrainingJob) -> None:
    if not _JOB_NAME.fullmatch(job.base_job_name) or len(job.base_job_name) > 63 - _STAMP_LENGTH:
        table.problem(
            "base_job_name",
            f"{job.base_job_name!r} is not letters, digits and inner hyphens, {63 - _STAMP_LENGTH} characters at most",
        )
    if job.entry_point and not job.entry_point.endswith(".py"):
        table.problem("entry_point", f"{job.entry_point!r} is not a Python script (.py)")
    _check_hyperparameters(table, job)
    for name, value in job.environment.items():
        if not _VARIABLE_NAME.fullmatch(name):
            table.problem("environment", f"{name!r} is not a variable name the API takes")
        if len(value) > 512:
            table.problem(f"environment.{name}", f"{len(value)} characters; the API takes 512 at most")


def _check_hyperparameters(table: Table, job: TrainingJob) -> None:
    try:
        encoded = encoded_hyperparameters(job, "", "", "")
    except (TypeError, ValueError):
        return  # already reported, by name
    if len(encoded) > 100:
        table.problem("hyperparameters", f"{len(encoded)} of them, the SDK's own included; the API takes 100 at most")
    for name, value in encoded.items():
        if len(name) > 256:
            table.problem("hyperparameters", f"the name {name[:20]!r}… has {len(name)} characters; the API takes 256")
        if len(value) > 2500:
            table.problem(f"hyperparameters.{name}", f"{len(value)} characters; the API takes 2500 at most")


def _distribution(table: Table) -> MpiDistribution | None:
    distribution = table.table("distribution")
    if distribution is None:
        return None
    mpi = distribution.table("mpi")
    distribution.close("is not supported; use mpi")
    if mpi is None:
        return None
    enabled = mpi.flag("enabled")
    per_host = mpi.whole("processes_per_host", default=0, at_least=1, at_most=64)
    options = mpi.text("custom_mpi_options")
    mpi.close()
    return MpiDistribution(per_host or None, options) if enabled else None


def _metrics(table: Table) -> tuple[MetricDefinition, ...]:
    metrics = []
    for item in table.tables("metric_definitions"):
        metric = MetricDefinition(item.text("Name", required=True), item.text("Regex", required=True))
        item.close()
        try:
            groups = re.compile(metric.regex).groups
        except re.error as error:
            item.problem("Regex", f"{metric.regex!r} is not a regular expression: {error}")
        else:
            if not groups:
                item.problem("Regex", f"{metric.regex!r} has no group (…) to take the value from")
        metrics.append(metric)
    return tuple(metrics)


def _channels(table: Table, folder: Path) -> tuple[Channel, ...]:
    inputs = table.table("inputs")
    if inputs is None:
        return ()
    channels = []
    for name in inputs:
        source = inputs.text(name, required=True)
        if not _CHANNEL_NAME.fullmatch(name):
            inputs.problem(name, "is no channel name: letters, digits, '.', '-' and '_', 64 characters at most")
        if "://" in source and not source.startswith("file://"):
            inputs.problem(name, f"{source!r}: only a folder, a file or a file:// URI can be staged")
        elif source:
            path = unquote(urlsplit(source).path) if source.startswith("file://") else source
            channels.append(Channel(name, folder / path))
    if len(channels) > 20:
        inputs.problem("", f"{len(channels)} channels; the API takes 20 at most")
    return tuple(channels)


def _hosting(table: Table, training: TrainingJob, folder: Path) -> Hosting:
    source_dir = table.text("source_dir")
    hosting = Hosting(
        entry_point=table.text("entry_point", required=True),
        source_dir=folder / source_dir if source_dir else training.source_dir or folder,
        instance_type=table.text("instance_type", required=True),
        initial_instance_count=table.whole("initial_instance_count", default=1, at_least=1, at_most=1),
        image_uri=table.text("image_uri") or None,
        environment=table.texts("environment"),
    )
    table.close()
    return hosting


def _source_problems_of(job: JobFile) -> list[str]:
    problems = _source_problems("training", job.training.entry_point, job.training.source_dir or Path())
    if job.hosting:
        problems += [
            problem
            for problem in _source_problems("hosting", job.hosting.entry_point, job.hosting.source_dir)
            if problem not in problems
        ]
    return problems


def _source_problems(section: str, entry_point: str, source_dir: Path) -> list[str]:
    if not source_dir.is_dir():
        return [f"{section}.source_dir: no folder {str(source_dir)!r}"]
    script = source_dir / entry_point
    if not script.resolve().is_relative_to(source_dir.resolve()):
        return [f"{section}.entry_point: {entry_point!r} lies outside source_dir {str(source_dir)!r}"]
    if entry_point and not script.is_file():
        return [f"{section}.entry_point: no file {entry_point!r} in {str(source_dir)!r}"]
    return []


def _channel_problems(channel: Channel) -> list[str]:
    where = f"training.inputs.{channel.name}"
    if not channel.source.exists():
        return [f"{where}: no folder or file {str(channel.source)!r}"]
    if channel.source.is_dir() and not any(item.is_file() for item in channel.source.rglob("*")):
        return [f"{where}: folder {str(channel.source)!r} holds no file"]
    return []


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
