"""The face of endpoints on AWS: made after asking, asked, listed with what they cost, removed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import cloud_facts, payload
from harness.cloud_account import CloudAccount
from harness.cloud_errors import LEFT_ENDPOINT, CloudFailed, Where
from harness.cloud_hosting import clean, deploy, wait_in_service
from harness.cloud_look import endpoint_price
from harness.cloud_record import FINAL, SENT, CloudRun, cloud_runs, find_run, read_status
from harness.cloud_sdk import ensure_sdk
from harness.consent import Terminal
from harness.errors import BadInput
from harness.job import Hosting, JobFile
from harness.prices import Prices
from harness.process import start_detached
from harness.sdk_order import DEPLOY, order_of
from harness.steps import Printer, Steps

REMOVE, DETACH, GO_ON = "r", "d", "g"
DAY = 24 * 3600.0


def serve(
    file: JobFile,
    runs: Path,
    name: str | None,
    terminal: Terminal,
    steps: Steps,
    *,
    every: float,
    remove_after: float | None = None,
) -> bool:
    """Host the model of a run on AWS, after asking, or wait again for an endpoint that was left; whether it is in
    service. With ``remove_after`` seconds a process of its own removes it then. Raises `HarnessError`."""
    folder, run = find_run(runs, name)
    if file.hosting is None:
        raise BadInput(f"{file.path}: no [hosting] table, so there is no code to host the model with; add one")
    if read_status(folder) != "Completed":
        raise BadInput(f"{run.training_job_name} is {read_status(folder)}, not Completed: harness attach watches it")
    printer = Printer(sys.stderr, lambda: 80)
    try:
        if run.endpoint_name and _is_there(run):
            printer.line(f"endpoint {run.endpoint_name} of this run is there already")
        else:
            run = _start(file, file.hosting, folder, run, terminal, steps)
        if remove_after is not None:  # before it is waited for: whatever ends that
            printer.line(remove_later(folder, run, remove_after))
        return _attend(run, runs, terminal, steps, every=every)
    except KeyboardInterrupt:  # while it was being made
        printer.line("interrupted: make cloud-clean removes what was made")
        return False


def _is_there(run: CloudRun) -> bool:
    try:
        status = CloudAccount(Where(run.region)).describe_endpoint(str(run.endpoint_name))["EndpointStatus"]
    except CloudFailed as error:
        if error.error.is_unknown_name:
            return False
        raise
    return bool(status != "Deleting")


def _start(file: JobFile, hosting: Hosting, folder: Path, run: CloudRun, terminal: Terminal, steps: Steps) -> CloudRun:
    kind, count = hosting.instance_type, hosting.initial_instance_count
    price = endpoint_price(kind, run.region) or cloud_facts.read_prices().of_endpoint(kind)
    per_hour = None if price is None else price * count
    Printer(sys.stderr, lambda: 80).line(
        f"endpoint: {count} x {kind} in {run.region}, {_dollars(per_hour)} until it is removed"
    )
    terminal.consent("Start this endpoint on AWS?")
    endpoint = f"{file.training.base_job_name}-{datetime.now(UTC):%Y-%m-%d-%H-%M-%S-%f}"[:63]
    account = cloud_facts.account(file)
    run = replace(run, endpoint_name=endpoint, model_name=endpoint, endpoint_per_hour=per_hour)
    order = order_of(
        file,
        role=None if account.role == cloud_facts.EXECUTION_ROLE else account.role,
        region=run.region,
        uploads={},
        actions=(DEPLOY,),
        send=True,
        training_job_name=run.training_job_name,
        endpoint_name=endpoint,
    )
    with steps.step("making model and endpoint"):
        deploy(ensure_sdk(), order, folder, run, Where(run.region, account.role))
    return run


def _attend(run: CloudRun, runs: Path, terminal: Terminal, steps: Steps, *, every: float) -> bool:
    """Wait until the endpoint is in service, or its watcher leaves or removes it; whether it is in service."""
    name = str(run.endpoint_name)
    account = CloudAccount(Where(run.region, serving=name))
    while True:
        try:
            with steps.step(f"waiting for endpoint {name}") as step:
                wait_in_service(account, run, step, every=every)
        except KeyboardInterrupt:
            question = f"\n{name} costs from now on. [r]emove it, [d]etach from it, or [g]o on waiting? "
            answer = terminal.choose(question, DETACH)
            if answer == GO_ON:
                continue
            if answer == REMOVE:
                for line in clean(CloudAccount(Where(run.region)), runs, name):
                    steps.note(line)
            else:
                steps.note(f"detached: {name} goes on and costs; {LEFT_ENDPOINT}")
            return False
        steps.note(f"InService: {name}, {_dollars(run.endpoint_per_hour)}")
        steps.note("next: make local-predict ENDPOINT=cloud, make cloud-clean")
        return True


def remove_later(folder: Path, run: CloudRun, seconds: float) -> str:
    """Start a process that outlives this shell and removes the endpoint; what it can and cannot do."""
    log = folder / "logs" / "cloud-clean.log"
    log.parent.mkdir(exist_ok=True)
    command = (str(Path(sys.executable).with_name("harness")), "cloud-clean", str(run.endpoint_name))
    where = ("--runs", str(folder.parent), "--region", run.region, "--after", str(seconds))
    started = start_detached((*command, *where), log)
    return (
        f"  in {seconds / 60:g} min process {started.pid} of this machine removes it (log: {log}). It outlives this "
        "shell; it cannot if the machine is off then, or the credentials have expired: look with harness ps --cloud"
    )


def invoke(
    source: Path,
    *,
    index: int | None,
    shape: tuple[int, ...] | None,
    endpoint_name: str | None,
    content_type: str,
    accept: str,
    runs: Path = Path("runs"),
) -> tuple[Any, Any]:
    """Send ``source`` to an endpoint on AWS; the values sent and the answer. Raises `CloudFailed`."""
    values = payload.read_input(source, shape=shape, index=index)
    deployed = [run for _, run in cloud_runs(runs) if run.endpoint_name]
    run = next((run for run in deployed if endpoint_name in (None, run.endpoint_name)), None)
    known = endpoint_name or (run.endpoint_name if run else None)
    if known is None:
        raise BadInput("no endpoint on AWS: make cloud-serve makes one (harness cloud-serve)")
    account = CloudAccount(Where(run.region if run else cloud_facts.region(None)))
    body, answered = account.invoke(known, payload.as_body(values, content_type), content_type, accept)
    return values, payload.read_answer(body, answered)


def remove(runs: Path, name: str | None, region: str, *, again_after: float | None = None) -> Iterator[str]:
    """What was removed, then what else costs or remains.

    With ``again_after`` seconds it tries again for a day where AWS cannot be reached: nobody is there to do so.
    """
    account = CloudAccount(Where(region))
    tried = 0.0
    while True:
        try:
            removed = list(clean(account, runs, name))
            break
        except CloudFailed as error:
            if again_after is None or not error.error.is_lost_connection or tried > DAY:
                raise
            yield str(error)
        time.sleep(again_after)
        tried += again_after
    yield from removed or ["nothing of ours was there to remove"]
    yield from listing(runs, region, account)
    yield "inputs, code and archives remain in S3, under the default bucket sagemaker-REGION-ACCOUNT"


def listing(runs: Path, region: str, account: CloudAccount | None = None) -> Iterator[str]:
    """A line for each job of ours that runs, and for each endpoint of the region, with what it costs."""
    account = account or CloudAccount(Where(region))
    prices = cloud_facts.read_prices()
    ours = set()
    for folder, run in cloud_runs(runs):
        ours.add(run.endpoint_name)
        if run.region == region and run.state == SENT and read_status(folder) not in FINAL:
            status = account.describe_job(run.training_job_name)["TrainingJobStatus"]
            if status not in FINAL:
                yield f"job {run.training_job_name}: {status}, {_dollars(run.per_hour)}"
    for item in account.endpoints():
        whose = "" if item["EndpointName"] in ours else " (not of these runs)"
        cost = _dollars(_cost_of(account, item["EndpointName"], prices))
        yield f"endpoint {item['EndpointName']}: {item['EndpointStatus']}, {cost}{whose}"


def _cost_of(account: CloudAccount, endpoint_name: str, prices: Prices) -> float | None:
    """Dollars per hour, None where they are not known: an endpoint goes on for a while without its configuration."""
    try:
        known = [(prices.of_endpoint(kind), count) for kind, count in account.instances_of(endpoint_name)]
    except CloudFailed as error:
        if error.error.is_unknown_name:
            return None
        raise
    return None if any(price is None for price, _ in known) else sum((price or 0) * count for price, count in known)


def _dollars(per_hour: float | None) -> str:
    return "at a price that is not known" if per_hour is None else f"${per_hour:.3f} per hour"
