"""What stands in the way of a job on its way to AWS: one finding for each obstacle, with what to do about it. Pure.

What the job and its sources show is told by `harness.advice` and `harness.python_fit`; here is what only matters
because the job is about to leave this machine.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness import advice, python_fit
from harness.instance_types import InstanceType
from harness.job import JobFile
from harness.sdk_order import Upload, without_words

GIB = 2**30
WAY_OUT = "ml.g4dn.xlarge"
# Types with disks of their own, which a job gets whatever its volume_size says (SDK v2, estimator.py, volume_size).
OWN_DISK = re.compile(r"ml\.(g4dn|g5|g6|g6e|p3dn|p4d|p4de|p5)\.")
_IMPORTS_HOROVOD_AT_ONCE = re.compile(r"^(import|from)\s+horovod\b", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """One obstacle. ``certain`` where the job, or the request for it, would fail."""

    text: str
    certain: bool = False


@dataclass(frozen=True)
class Account:
    """What the usual AWS settings of this machine say; nothing of it has been tried."""

    credentials: bool
    region: str | None
    role: str | None


@dataclass(frozen=True)
class LocalRun:
    """The newest local run of this job. ``changed`` are source files that are newer than it."""

    name: str
    status: str
    request: Mapping[str, Any]
    training_seconds: float | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """All that is known before anything is sent.

    ``sdk_error`` is why the SDK would not make the requests; ``said_by_aws`` is of `harness.cloud_seen`.
    """

    file: JobFile
    sources: Mapping[str, str]
    requirements: Collection[str]
    uploads: Mapping[str, Upload]
    types: Mapping[str, InstanceType]
    account: Account
    local_run: LocalRun | None
    sdk_error: str | None = None
    said_by_aws: tuple[Finding, ...] = ()


def findings(facts: Facts) -> tuple[Finding, ...]:
    """Every obstacle, those first that are certain to end the job."""
    found = (
        *_sdk_refusal(facts),
        *_job(facts),
        *_python(facts),
        *_data(facts),
        *_account(facts.account),
        *facts.said_by_aws,
        *_local_run(facts.local_run, facts.file),
    )
    return tuple(sorted(found, key=lambda each: not each.certain))


def _sdk_refusal(facts: Facts) -> Iterator[Finding]:
    for name in without_words(facts.file.document["training"]):
        yield Finding(f"{name}: a table cannot be handed to the SDK; only true and false are. Leave it out", True)
    if facts.sdk_error:
        way_out = f"; INSTANCE_TYPE={WAY_OUT} takes another type" if re.search(r"\bP2\b", facts.sdk_error) else ""
        yield Finding(f"the SageMaker SDK refuses this job: {' '.join(facts.sdk_error.split())}{way_out}", True)


def _job(facts: Facts) -> Iterator[Finding]:
    job = facts.file.training
    yield from map(Finding, advice.not_together(job))
    without = set(advice.without_horovod(job, facts.sources))
    at_once = any(map(_IMPORTS_HOROVOD_AT_ONCE.search, facts.sources.values()))
    for text in advice.before(job, facts.sources, facts.types):
        yield Finding(text, text in without and at_once)
    yield from _image_elsewhere("image_uri", job.image_uri)
    hosting = facts.file.hosting
    yield from _image_elsewhere("hosting.image_uri", hosting.image_uri if hosting else None)
    kinds = {*job.instance_types, *((hosting.instance_type,) if hosting else ())}
    gone = sorted(name for name in kinds if name in facts.types and facts.types[name].retired)
    if gone:
        yield Finding(
            f"{', '.join(gone)} is retired: make cloud-plan INSTANCE_TYPE={WAY_OUT} plans with one that is not"
        )
    yield from (
        Finding(f"instance_type {name!r} is in no table of this toolkit; see that the region has it")
        for name in sorted(kinds)
        if name not in facts.types
    )


def _image_elsewhere(name: str, uri: str | None) -> Iterator[Finding]:
    """A name without a registry, as docker reads names, is no image that AWS could pull."""
    host, slash, _ = (uri or "").partition("/")
    if uri and not (slash and ("." in host or ":" in host)):
        yield Finding(
            f"{name} {uri!r} is an image of this machine, and AWS takes one from ECR: harness push {uri} sends it "
            "there and says its name",
            True,
        )


def _python(facts: Facts) -> Iterator[Finding]:
    job = facts.file.training
    if job.image_uri:
        return  # an image of the user's own has what it has
    python = python_fit.image_python(job.py_version)
    for misfit in python_fit.misfits(facts.sources, python, facts.requirements):
        yield Finding(misfit.text, misfit.certain)
    if facts.requirements and job.enable_network_isolation:
        yield Finding("requirements.txt: a job with enable_network_isolation installs nothing; bring an image", True)


def _data(facts: Facts) -> Iterator[Finding]:
    job = facts.file.training
    downloaded = [
        facts.uploads[channel.name].bytes
        for channel in job.inputs
        if channel.name in facts.uploads and (channel.input_mode or job.input_mode) == "File"
    ]
    size, volume = sum(downloaded), job.volume_size * GIB
    if size > volume and not all(map(OWN_DISK.match, job.instance_types)):
        yield Finding(
            f"the inputs are {size / GIB:.1f} GiB and volume_size is {job.volume_size}: hosts cannot hold them; "
            f"set volume_size = {int(size / GIB * 1.2) + 1} or input_mode = 'FastFile'",
            True,
        )


def _account(account: Account) -> Iterator[Finding]:
    if not account.credentials:
        yield Finding("no AWS credentials are set up here: run aws configure, or name a profile with AWS_PROFILE", True)
    if not account.region:
        yield Finding("no region is set: name one with AWS_DEFAULT_REGION=us-west-2, or in the profile", True)
    if not account.role:
        yield Finding(
            "no role for the job: name one with SAGEMAKER_ROLE=arn:aws:iam::…:role/… (or role in the job file); "
            "SageMaker must be allowed to assume it",
            True,
        )


def _local_run(run: LocalRun | None, file: JobFile) -> Iterator[Finding]:
    again = f"make local-train JOB={file.path}"
    if run is None:
        yield Finding(f"this job has not been run locally; run it first: {again}")
        return
    if run.status != "Completed":
        yield Finding(f"the local run {run.name} is {run.status}, not Completed; see its logs; {again}")
    if run.changed:
        shown = ", ".join(run.changed[:3]) + (f" and {len(run.changed) - 3} more" if len(run.changed) > 3 else "")
        yield Finding(f"the local run {run.name} is older than the code ({shown}); run it again: {again}")
