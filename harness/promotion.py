"""The face of a job on AWS: what is asked before money is spent, what is shown meanwhile, and how it ended."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import cloud_facts
from harness.cloud_account import CloudAccount
from harness.cloud_difference import SAME, differences
from harness.cloud_errors import CloudFailed, Where, why_it_failed
from harness.cloud_planning import CloudPlan
from harness.cloud_record import (
    FINAL,
    REFUSED,
    CloudRecord,
    CloudRun,
    change_run,
    cloud_runs,
    find_run,
    held,
    is_held,
    read_status,
    write_run,
)
from harness.cloud_report import summary_lines
from harness.cloud_sdk import ensure_sdk
from harness.cloud_training import Watch, bring_home, send, watch
from harness.consent import Terminal
from harness.errors import BadInput, HarnessError
from harness.job import JobFile, MetricDefinition
from harness.metrics import MetricReader
from harness.prices import HOUR
from harness.record import make_run_folder, write_json
from harness.report import Screen, metrics_text
from harness.sdk_order import FIT, order_of
from harness.steps import Printer, Steps

STOP, DETACH, GO_ON = "s", "d", "g"
RECEIPT = "receipt.json"


class WouldFail(BadInput):
    """The plan is certain to fail, and nobody said to send it anyway."""

    exit_code = 4


def train(
    plan: CloudPlan, runs: Path, terminal: Terminal, steps: Steps, *, anyway: bool, every: float
) -> dict[str, Any]:
    """Send the job of ``plan`` after asking, and watch it; its description. Raises `HarnessError`."""
    printer = Printer(sys.stderr, lambda: 80)
    for line in summary_lines(plan):
        printer.line(line)
    if plan.would_fail and not anyway:
        certain = [each.text for each in plan.findings if each.certain]
        raise WouldFail([*certain, "nothing was sent; --anyway (ANYWAY=1) sends it all the same"])
    where = Where(plan.region, plan.account.role)
    _refuse_second(plan.file, runs, where)
    terminal.consent("Start this job on AWS?")
    folder = make_run_folder(runs, plan.file.training.base_job_name)
    with held(folder):  # until AWS has it, nobody else knows of the job
        run = _send(plan, folder, runs, where, steps)
    return attend(folder, run, terminal, steps, metrics=plan.file.training.metric_definitions, every=every)


def _send(plan: CloudPlan, folder: Path, runs: Path, where: Where, steps: Steps) -> CloudRun:
    run = CloudRun(folder.name, plan.region, str(plan.file.path.absolute()), per_hour=plan.estimate.per_hour)
    request = plan.requests[0]["parameters"] if plan.requests else {}
    write_json(folder / "request.json", {**request, "TrainingJobName": folder.name})
    write_run(folder, run)
    try:
        _refuse_second(plan.file, runs, where, before=folder)  # somebody may have begun while we asked
    except HarnessError as error:
        change_run(folder, state=REFUSED, error=str(error))
        raise
    order = order_of(
        plan.file,
        role=_role(plan),
        region=plan.region,
        uploads=plan.uploads,
        actions=(FIT,),
        send=True,
        training_job_name=folder.name,
    )
    with steps.step("uploading inputs and code, and starting the job"):
        send(ensure_sdk(), order, folder, run, where)
    write_json(folder / RECEIPT, _receipt(folder, run, plan))
    return run


def attend(
    folder: Path,
    run: CloudRun,
    terminal: Terminal,
    steps: Steps,
    *,
    metrics: tuple[MetricDefinition, ...],
    every: float,
) -> dict[str, Any]:
    """Watch a job that was sent, to its end or until its watcher leaves; its description as it was last seen."""
    name = run.training_job_name
    account = CloudAccount(Where(run.region, running=name))
    reader = MetricReader(metrics)
    with CloudRecord(folder) as record:
        given = Watch(
            account, record, name, reader, Screen(steps, reader), run.per_hour, account.log_reader(name), every=every
        )
        while True:
            try:
                description = watch(given)
            except KeyboardInterrupt:
                if _on_interrupt(account, name, terminal, steps) == DETACH:
                    steps.note(f"detached: {name} goes on and costs; harness attach {name} watches it again")
                    return account.describe_job(name)
                continue
            break
        with steps.step("fetching what it left"):
            found = bring_home(CloudAccount(Where(run.region)), description, folder)
        _bill(folder, run, description)
    printer = Printer(sys.stderr, lambda: 80)
    for line in _outcome_lines(description, folder, run, found, reader):
        printer.line(line)
    return description


def _on_interrupt(account: CloudAccount, name: str, terminal: Terminal, steps: Steps) -> str:
    """What to do now; the job has been told to stop where that was chosen."""
    answer = terminal.choose(f"\n{name} is running. [s]top it, [d]etach from it, or [g]o on watching? ", DETACH)
    if answer == STOP:
        account.stop_job(name)
        steps.note(f"{name} was told to stop; what it has by then is kept")
    return answer if answer in (STOP, GO_ON) else DETACH


def attach(
    runs: Path, name: str | None, terminal: Terminal, steps: Steps, *, stopping: bool, every: float
) -> dict[str, Any]:
    """Watch the run ``name``, or the newest that went to AWS, from its beginning. Raises `HarnessError`."""
    folder, run = find_run(runs, name)
    if stopping:
        CloudAccount(Where(run.region)).stop_job(run.training_job_name)
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    given = request.get("AlgorithmSpecification", {}).get("MetricDefinitions", [])
    metrics = tuple(MetricDefinition(each["Name"], each["Regex"]) for each in given)
    return attend(folder, run, terminal, steps, metrics=metrics, every=every)


def _refuse_second(file: JobFile, runs: Path, where: Where, *, before: Path | None = None) -> None:
    """Raise `BadInput` where a job of ``file`` is on AWS, or on its way; of those begun ``before`` ours, if given."""
    mine = str(file.path.absolute())
    for folder, run in cloud_runs(runs):
        if run.job_file != mine or run.state == REFUSED or read_status(folder) in FINAL:
            continue
        if before is not None and folder.name >= before.name:
            continue
        if is_held(folder):
            raise BadInput(f"{folder.name}, of the same job file, is being sent to AWS by another command")
        account = CloudAccount(Where(run.region, where.role))
        try:
            status = account.describe_job(run.training_job_name)["TrainingJobStatus"]
        except CloudFailed as error:
            if error.error.is_unknown_name:
                continue  # it never got there
            raise
        if status not in FINAL:
            raise BadInput(
                f"{run.training_job_name}, of the same job file, is {status} on AWS: "
                f"harness attach {run.training_job_name} watches it, harness attach --stop ends it"
            )


def _role(plan: CloudPlan) -> str | None:
    return None if plan.account.role == cloud_facts.EXECUTION_ROLE else plan.account.role


def _receipt(folder: Path, run: CloudRun, plan: CloudPlan) -> dict[str, Any]:
    sent = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    return {
        "TrainingJobName": run.training_job_name,
        "Where": f"SageMaker, {run.region}",
        "PricesOf": plan.prices.date,
        "LocalRun": plan.local_run.name if plan.local_run else None,
        "Differences": [vars(each) for each in differences(plan.local_request, sent) if each.mark != SAME],
        "Advice": [each.text for each in plan.findings],
    }


def _bill(folder: Path, run: CloudRun, description: Mapping[str, Any]) -> None:
    """Complete the receipt with what was billed, as far as it is known."""
    path = folder / RECEIPT
    made = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"TrainingJobName": folder.name}
    seconds = description.get("BillableTimeInSeconds")
    cost = None if seconds is None or run.per_hour is None else round(run.per_hour * seconds / HOUR, 4)
    write_json(path, {**made, "BillableTimeInSeconds": seconds, "EstimatedCost": cost})


def _outcome_lines(
    description: Mapping[str, Any], folder: Path, run: CloudRun, found: list[str], metrics: MetricReader
) -> Iterator[str]:
    status, name = description["TrainingJobStatus"], run.training_job_name
    numbers = metrics_text(metrics)
    yield f"{status}: {name}" + (f" — {numbers}" if numbers and status == "Completed" else "")
    if status == "Failed":
        reason = " ".join(description.get("FailureReason", "").split())
        yield f"  FailureReason: {reason}"
        if hint := why_it_failed(reason, run.region):
            yield f"  next: {hint}"
        yield f"  logs: {folder / 'logs'}"
    seconds = description.get("BillableTimeInSeconds")
    if seconds is not None and run.per_hour is not None:
        yield f"  billed: {seconds} s, about ${run.per_hour * seconds / HOUR:.2f}"
    if "model.tar.gz" in found:
        yield f"  model: {folder / 'model.tar.gz'}"
        yield "  next: make cloud-serve hosts it on AWS, make local-serve here"
    elif status == "Completed":
        yield "  no model.tar.gz was found in S3"
    yield f"  kept: {folder}"
