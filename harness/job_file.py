"""Reads a job file: TOML in, `JobFile` out, or one `BadInput` that lists every problem it has.

`parse_job` is pure and reports what the text says wrong; `read_job_file` adds what the disk says wrong.
Limits and patterns: API reference, CreateTrainingJob (botocore's service model).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.channel_table import S3_PREFIX
from harness.errors import BadInput
from harness.instance_types import InstanceType
from harness.job import Channel, Hosting, JobFile, TrainingJob
from harness.table import Table
from harness.training_table import read_training


def read_job_file(
    path: Path,
    *,
    instance_count: int | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    instance_type: str | None = None,
    for_hosting: bool = False,
    lenient: bool = False,
) -> JobFile:
    """Read and check ``path``; the first three override what it says, ``instance_type`` for hosts and endpoint.

    ``for_hosting`` leaves the inputs of training unchecked: a trained model is hosted without them. ``lenient`` goes
    on without the arguments that no local host plays.

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
    _override(document, instance_count, hyperparameters, instance_type)
    job, problems = parse_job(document, path, lenient=lenient or for_hosting)
    if job is not None:
        problems += _source_problems_of(job)
        if not for_hosting:
            problems += [problem for channel in job.training.inputs for problem in _channel_problems(channel)]
    if job is None or problems:
        raise BadInput(f"{path}: {problem}" for problem in problems)
    return job


def _override(
    document: dict[str, Any],
    instance_count: int | None,
    hyperparameters: Mapping[str, Any] | None,
    instance_type: str | None,
) -> None:
    training, hosting = document.get("training"), document.get("hosting")
    if isinstance(training, dict):
        if instance_count is not None:
            training["instance_count"] = instance_count
        if instance_type is not None:
            training["instance_type"] = instance_type
        given = training.get("hyperparameters", {})
        if hyperparameters and isinstance(given, dict):
            training["hyperparameters"] = {**given, **hyperparameters}
    if isinstance(hosting, dict) and instance_type is not None:
        hosting["instance_type"] = instance_type


def parse_job(document: Mapping[str, Any], path: Path, *, lenient: bool = False) -> tuple[JobFile | None, list[str]]:
    """The job that ``document`` describes, and its problems; paths in it are relative to ``path``.

    With problems the job is still returned where it can be made, so that its files can be checked as well.
    """
    top = Table(document, "")
    training_table = top.table("training", required=True)
    hosting_table = top.table("hosting")
    instance_types = _instance_types(top)
    top.close()
    if training_table is None:
        return None, top.problems
    training = read_training(training_table, path.parent, lenient=lenient)
    hosting = _hosting(hosting_table, training, path.parent) if hosting_table else None
    return JobFile(path, training, hosting, instance_types, document), top.problems


def _instance_types(top: Table) -> dict[str, InstanceType]:
    """``[instance_types."ml.x.y"]``: types that the catalogue does not have, or has otherwise."""
    given = top.table("instance_types")
    types = {}
    for name in given or ():
        if given and (facts := given.table(name)):
            types[name] = InstanceType(
                vcpu=facts.whole("vcpu", required=True, at_least=1, at_most=1024),
                memory_gib=facts.number("memory_gib", required=True, at_least=0.01, at_most=65536),
                gpus=facts.whole("gpus", default=0, at_least=0, at_most=64),
                shm_gib=facts.number("shm_gib", at_least=0.01, at_most=65536) or None,
            )
            facts.close()
    return types


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
    training = job.training
    problems = (
        _source_problems("training", training.entry_point or "", training.source_dir) if training.source_dir else []
    )
    missing = [path for path in training.dependencies if not path.exists()]
    problems += [f"training.dependencies: no folder or file {str(path)!r}" for path in missing]
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
    if not isinstance(channel.source, Path):
        return []  # what is in S3 is looked at when the job starts
    if not channel.source.exists() and not _begins_names(channel):
        return [f"{where}: no folder or file {str(channel.source)!r}"]
    if channel.source.is_dir() and not any(item.is_file() for item in channel.source.rglob("*")):
        return [f"{where}: folder {str(channel.source)!r} holds no file"]
    return []


def _begins_names(channel: Channel) -> bool:
    """Whether the source, which is no file itself, is the beginning of some names, as a prefix in S3 is of keys."""
    source = Path(channel.source)
    if channel.s3_data_type != S3_PREFIX or not source.parent.is_dir():
        return False
    return any(path.name.startswith(source.name) for path in source.parent.iterdir())


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
