"""The story of an endpoint on AWS: made by the SDK, waited for, removed with all that belongs to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.cloud_account import CloudAccount
from harness.cloud_errors import AwsError, CloudFailed, Where, explain, why_it_failed
from harness.cloud_record import CloudRun, change_run, cloud_runs
from harness.cloud_sdk import SdkRefused, carry_out
from harness.errors import DeadlineExpired, EndpointFailed
from harness.sdk_order import Order
from harness.steps import Step

# AWS gives up on an endpoint that answers no ping after about half an hour (reports of users).
HEALTHY_SECONDS = 45 * 60.0
ENDPOINT_LOGS = "/aws/sagemaker/Endpoints"


def deploy(python: Path, order: Order, folder: Path, run: CloudRun, where: Where) -> None:
    """Have the SDK make model, configuration and endpoint, their names being written down before.

    Raises `CloudFailed`.
    """
    change_run(
        folder,
        endpoint_name=run.endpoint_name,
        model_name=run.model_name,
        endpoint_per_hour=run.endpoint_per_hour,
    )
    try:
        carry_out(python, order)
    except SdkRefused as error:
        found = AwsError.of(error.error)
        raise CloudFailed(found, f"{explain(found, where)}; make cloud-clean removes what was made") from error


def wait_in_service(
    account: CloudAccount,
    run: CloudRun,
    step: Step,
    *,
    every: float,
    sleep: Callable[[float], None] = time.sleep,
    limit: float = HEALTHY_SECONDS,
) -> dict[str, Any]:
    """The endpoint's description once it is InService. Raises `EndpointFailed`, `DeadlineExpired`: it still costs."""
    name, waited = str(run.endpoint_name), 0.0
    look = f"its log is {ENDPOINT_LOGS}/{name} in CloudWatch; make cloud-clean removes it"
    while True:
        try:
            description = account.describe_endpoint(name)
            status = description["EndpointStatus"]
        except CloudFailed as error:
            if not error.error.is_lost_connection:
                raise
            status = "out of sight, without a connection to AWS,"
        step.detail(f"{status}, {waited / 60:.0f} min")
        if status == "InService":
            return description
        if status in ("Failed", "OutOfService", "Deleting"):
            reason = " ".join(description.get("FailureReason", "").split())
            hint = why_it_failed(reason, run.region)
            told = (f"endpoint {name} is {status}: {reason}", hint, look)
            raise EndpointFailed("; ".join(part for part in told if part))
        if waited >= limit:
            raise DeadlineExpired(f"endpoint {name} is {status} still after {limit / 60:.0f} min, and costs; {look}")
        sleep(every)
        waited += every


def clean(account: CloudAccount, runs: Path, name: str | None) -> Iterator[str]:
    """Remove what was deployed from runs of this region, or from the run or endpoint ``name``; a line for each.

    Safe to run twice: what is gone already is not missed.
    """
    for folder, run in cloud_runs(runs):
        if run.region != account.where.region or name not in (None, run.training_job_name, run.endpoint_name):
            continue
        for kind, known in (
            ("endpoint", run.endpoint_name),
            ("endpoint_config", run.endpoint_name),  # the SDK gives both one name
            ("model", run.model_name),
        ):
            if known and account.remove(kind, known):
                yield f"removed {kind.replace('_', ' ')} {known}"
        if run.endpoint_name or run.model_name:
            change_run(folder, endpoint_name=None, model_name=None, endpoint_per_hour=None)
