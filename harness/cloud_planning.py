"""The story of a plan: read the job, let the SDK make its requests without sending them, compare, estimate, find."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import cloud_facts
from harness.cloud_difference import Difference, differences
from harness.cloud_errors import CloudFailed
from harness.cloud_look import look
from harness.cloud_plan import Account, Facts, Finding, LocalRun, findings
from harness.cloud_sdk import SdkRefused, carry_out, ensure_sdk
from harness.cloud_seen import ENDPOINT, TRAINING, Seen, findings_of
from harness.describe import REGION, create_training_job_request
from harness.job import JobFile, encoded_hyperparameters
from harness.machine import read_catalogue
from harness.prices import Estimate, Prices, estimate
from harness.sdk_order import NO_ROLE, Upload, order_of
from harness.sources import python_sources
from harness.steps import Steps


@dataclass(frozen=True)
class CloudPlan:
    """All that is shown before anything is sent. ``requests`` are {operation, parameters}, in order.

    ``seen`` is what AWS was asked; None where it was not, for the reason ``unseen``.
    """

    file: JobFile
    region: str
    account: Account
    requests: tuple[Mapping[str, Any], ...]
    uploads: Mapping[str, Upload]
    local_run: LocalRun | None
    local_request: Mapping[str, Any]
    differences: tuple[Difference, ...]
    estimate: Estimate
    prices: Prices
    findings: tuple[Finding, ...]
    seen: Seen | None = None
    unseen: str = ""

    @property
    def would_fail(self) -> bool:
        return any(finding.certain for finding in self.findings)


@dataclass(frozen=True)
class Look:
    """What came of looking at the account: what was seen, or why nothing was, and the obstacles in it."""

    seen: Seen | None = None
    unseen: str = ""
    findings: tuple[Finding, ...] = ()


def make_plan(file: JobFile, runs: Path, steps: Steps, *, offline: bool = False) -> CloudPlan:
    """The plan of ``file``; needs neither AWS settings nor an engine. Raises `HarnessError`.

    Where there are credentials, AWS is asked what it would say, unless ``offline``; nothing there is changed.
    """
    job = file.training
    python = ensure_sdk()
    account = cloud_facts.account(file)
    region = account.region or cloud_facts.DEFAULT_REGION
    with steps.step("reading the inputs"):
        uploads = cloud_facts.read_uploads(job)
    run = cloud_facts.newest_local_run(runs, job)
    requests: tuple[Mapping[str, Any], ...] = ()
    refusal = None
    with steps.step("letting the SageMaker SDK make the requests, sending nothing") as step:
        try:
            order = order_of(file, role=account.role or NO_ROLE, region=region, uploads=uploads)
            requests = tuple(carry_out(python, order)["requests"])
        except SdkRefused as error:
            refusal, step.ok = f"{error.error['kind']}: {error}", False
    looked = look_at(file, account, steps, offline=offline)
    local_request = _local_request(file, run)
    types = {**read_catalogue(), **file.instance_types}
    prices = (live_prices(file, looked.seen, region) if looked.seen else None) or cloud_facts.read_prices()
    facts = Facts(
        file=file,
        sources=python_sources(job),
        requirements=cloud_facts.read_requirements(job),
        uploads=uploads,
        types=types,
        account=account,
        local_run=run,
        sdk_error=refusal,
        said_by_aws=looked.findings,
    )
    return CloudPlan(
        file=file,
        region=region,
        account=account,
        requests=requests,
        uploads=uploads,
        local_run=run,
        local_request=local_request,
        differences=differences(local_request, requests[0]["parameters"]) if requests else (),
        estimate=estimate(job, file.hosting, prices, measured_seconds(file, run)),
        prices=prices,
        findings=findings(facts),
        seen=looked.seen,
        unseen=looked.unseen,
    )


def look_at(file: JobFile, account: Account, steps: Steps, *, offline: bool) -> Look:
    """Ask AWS what it would say, where this machine's settings allow it."""
    if offline or not account.credentials or not account.region:
        return Look(unseen="it was not to be asked" if offline else "there are no credentials, or no region")
    role = None if account.role == cloud_facts.EXECUTION_ROLE else account.role
    with steps.step("asking AWS about the account, changing nothing") as step:
        try:
            seen = look(file.training, file.hosting, region=account.region, role=role)
        except CloudFailed as error:
            step.ok = False
            return Look(unseen=str(error), findings=(Finding(str(error), True),) if error.error.is_of_caller else ())
    return Look(seen, findings=findings_of(seen, file.training, file.hosting, account.region))


def live_prices(file: JobFile, seen: Seen, region: str) -> Prices | None:
    """Today's prices, None unless all that the job needs are known."""
    by_use: dict[str, dict[str, float]] = {TRAINING: {}, ENDPOINT: {}}
    for (kind, use), price in (seen.prices or {}).items():
        by_use[use][kind] = price
    wanted = {(kind, TRAINING) for kind in file.training.instance_types}
    wanted |= {(file.hosting.instance_type, ENDPOINT)} if file.hosting else set()
    if not wanted <= set(seen.prices or {}):
        return None
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    return Prices(by_use[TRAINING], (region,), "AWS's price list, as it is now", today, by_use[ENDPOINT])


def measured_seconds(file: JobFile, run: LocalRun | None) -> float | None:
    """What the local run took; where it had another number of epochs, as many as this job has of its own."""
    if run is None or run.status != "Completed" or not run.training_seconds:
        return None
    try:
        here, there = (float(json.loads(run.hyperparameters["epochs"])), float(file.training.hyperparameters["epochs"]))
    except (KeyError, TypeError, ValueError):
        return run.training_seconds
    return run.training_seconds * there / here if here else run.training_seconds


def _local_request(file: JobFile, run: LocalRun | None) -> Mapping[str, Any]:
    """The request that the local run stood for, or would."""
    if run is not None:
        return run.request
    job = file.training
    hyperparameters = encoded_hyperparameters(job, "<TrainingJobName>", REGION, "/opt/ml/code")
    image = job.image_uri or "harness-pytorch"
    return create_training_job_request(job, "<TrainingJobName>", image, hyperparameters, "file://runs")
