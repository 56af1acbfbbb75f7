"""What a plan for AWS is made of, read from this machine: inputs, the newest local run, AWS's settings.

Sends nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from harness.channel_table import S3_PREFIX
from harness.cloud_plan import Account, LocalRun
from harness.cloud_record import CLOUD
from harness.errors import BadInput
from harness.job import JobFile, TrainingJob
from harness.prices import Prices, parse_prices
from harness.sdk_order import Upload

DEFAULT_REGION = "us-west-2"
ROLE_VARIABLE = "SAGEMAKER_ROLE"
# On SageMaker's own notebooks the SDK finds the role it runs under (SDK v2, session.py ``get_execution_role``).
_ON_SAGEMAKER = Path("/opt/ml/metadata/resource-metadata.json")
EXECUTION_ROLE = "the execution role of this notebook"


def read_prices() -> Prices:
    return parse_prices(files("harness").joinpath("prices.toml").read_text(encoding="utf-8"))


def account(file: JobFile, environ: Mapping[str, str] = os.environ) -> Account:
    """Region, credentials and role as the SDK will find them; nothing is tried."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.Session()
        found, region = session.get_credentials() is not None, session.region_name
    except BotoCoreError:  # a profile that is not there
        found, region = False, None
    role = environ.get(ROLE_VARIABLE) or file.training.role or (EXECUTION_ROLE if _ON_SAGEMAKER.exists() else None)
    return Account(found, region, role)


def region(given: str | None) -> str:
    """``given``, or that of the usual AWS settings. Raises `BadInput` where there is none."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        found = given or boto3.Session().region_name
    except BotoCoreError as error:
        raise BadInput(f"{error}; name a profile that is there with AWS_PROFILE") from error
    if not found:
        raise BadInput("no region is set: name one with AWS_DEFAULT_REGION=us-west-2, or in the profile")
    return str(found)


def read_uploads(job: TrainingJob, environ: Mapping[str, str] = os.environ) -> dict[str, Upload]:
    """The channels that are on this machine, with the digest of what they hold. Raises `BadInput`."""
    from harness.data_objects import content_digest
    from harness.data_sources import local_objects
    from harness.file_digests import file_digests
    from harness.image_build import cache_folder

    found = {}
    for channel in job.inputs:
        if not isinstance(channel.source, Path):
            continue
        if not channel.source.exists():
            raise BadInput(f"training.inputs.{channel.name}: {str(channel.source)!r} is no folder or file; name one")
        listed = [(each.key, each.path, each.size) for each in local_objects(channel.source) if each.path]
        digests = file_digests([path for _, path, _ in listed], cache_folder(environ))
        found[channel.name] = Upload(
            objects=tuple((key, str(path.absolute()), size) for key, path, size in listed),
            digest=content_digest((key, digests[path]) for key, path, _ in listed),
            # A manifest is named as the one object that it is, data by the prefix that all of it has.
            name="" if channel.s3_data_type == S3_PREFIX else channel.source.name,
        )
    return found


def read_requirements(job: TrainingJob) -> tuple[str, ...]:
    """The lines of requirements.txt beside the script that name something."""
    path = (job.source_dir or Path()) / "requirements.txt"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return tuple(line for line in lines if line.strip() and not line.strip().startswith("#"))


def newest_local_run(runs: Path, job: TrainingJob) -> LocalRun | None:
    """The newest run in ``runs`` of this job, by its name and script, that was run here."""
    candidates = sorted(runs.glob("*/request.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in candidates:
        folder = path.parent
        request = _read(path)
        if folder.is_symlink() or (folder / CLOUD).exists() or not _is_of(request, job):
            continue
        described = _read(folder / "describe.json")
        return LocalRun(
            name=folder.name,
            status=str(described.get("TrainingJobStatus", "unfinished")),
            request=request,
            training_seconds=described.get("TrainingTimeInSeconds"),
            hyperparameters=request["HyperParameters"],
            changed=_newer_files(job, described.get("CreationTime")),
        )
    return None


def _is_of(request: Mapping[str, Any], job: TrainingJob) -> bool:
    given = request.get("HyperParameters", {})
    named = str(request.get("TrainingJobName", "")).startswith(f"{job.base_job_name}-")
    return named and given.get("sagemaker_program") == json.dumps(job.entry_point)


def _newer_files(job: TrainingJob, created: str | None) -> tuple[str, ...]:
    if not created:
        return ()
    began = datetime.fromisoformat(created).timestamp()
    found: list[str] = []
    for place in (job.source_dir or Path(), *job.dependencies):
        top = place if place.is_dir() else place.parent
        found += [
            str(path.relative_to(top))
            for path in (sorted(place.rglob("*")) if place.is_dir() else [place])
            if path.is_file() and "__pycache__" not in path.parts and path.stat().st_mtime > began
        ]
    return tuple(found)


def _read(path: Path) -> dict[str, Any]:
    """The JSON document at ``path``, empty where there is none, or half of one."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document
