"""The story of a job on AWS: send it, watch it to its end, bring home what it leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from harness.cloud_account import CloudAccount, JobLogs
from harness.cloud_errors import AwsError, CloudFailed, Where, explain
from harness.cloud_record import FINAL, REFUSED, SENDING, SENT, CloudRecord, CloudRun, change_run, write_run
from harness.cloud_sdk import SdkRefused, carry_out
from harness.metrics import MetricReader
from harness.prices import HOUR
from harness.record import write_json
from harness.sdk_order import Order

# Without a connection for longer, the watch ends; the job does not.
PATIENCE = 600.0
# CloudWatch has a job's last lines some seconds after its end; read until nothing more has come, this many times.
SETTLED = 2


class Activity(Protocol):
    ok: bool

    def detail(self, text: str) -> None: ...


class Reporter(Protocol):
    """What someone watching a job is told."""

    def step(self, title: str) -> AbstractContextManager[Activity]: ...

    def note(self, text: str) -> None: ...

    def lines(self, host: str, texts: Sequence[str]) -> None: ...


@dataclass(frozen=True)
class Watch:
    """A job that is looked at ``every`` so many seconds. ``per_hour`` are dollars, None where no price is known.

    ``logs`` and ``told`` remember what has been read and shown: a watch can be taken up again.
    """

    account: CloudAccount
    record: CloudRecord
    name: str
    metrics: MetricReader
    reporter: Reporter
    per_hour: float | None
    logs: JobLogs
    told: set[tuple[str, str]] = field(default_factory=set)
    every: float = 10.0
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


def send(python: Path, order: Order, folder: Path, run: CloudRun, where: Where) -> None:
    """Have the SDK make the job. Raises `CloudFailed`; cloud.json says what is known, whatever happens.

    A connection that is lost on the way leaves open whether there is a job by now: AWS is asked, so that nothing is
    sent, and paid, twice.
    """
    write_run(folder, run)
    try:
        answer = carry_out(python, order)
    except (SdkRefused, KeyboardInterrupt) as error:
        there = _is_there(where, run.training_job_name)
        if there:
            change_run(folder, state=SENT)
            return  # it is watched like any other, and Ctrl-C asks what to do with it
        text = _told(error, where)
        change_run(folder, state=SENDING if there is None else REFUSED, error=text)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise CloudFailed(AwsError.of(error.error), text) from error
    (request,) = (each["parameters"] for each in answer["requests"] if each["operation"] == "CreateTrainingJob")
    write_json(folder / "request.json", request)
    change_run(folder, state=SENT)


def _told(error: SdkRefused | KeyboardInterrupt, where: Where) -> str:
    return explain(AwsError.of(error.error), where) if isinstance(error, SdkRefused) else "interrupted"


def _is_there(where: Where, name: str) -> bool | None:
    """None where AWS cannot be asked."""
    try:
        CloudAccount(where).describe_job(name)
    except CloudFailed as error:
        return False if error.error.is_unknown_name else None
    return True


def watch(given: Watch) -> dict[str, Any]:
    """Follow the job to its end; its description. Raises `CloudFailed`, which never is the job's own end."""
    silent, quiet = 0.0, 0
    with given.reporter.step(f"training on AWS: {given.name}") as step:
        while True:
            try:
                description = given.account.describe_job(given.name)  # first: what was printed until then is read below
                heard = _read_logs(given)
            except CloudFailed as error:
                silent += given.every
                if not error.error.is_lost_connection or silent > PATIENCE:
                    raise
                step.detail("no connection to AWS; the job goes on, trying again")
                given.sleep(given.every)
                continue
            silent = 0.0
            given.record.describe(description)
            _tell_transitions(given, description)
            step.detail(progress(description, given.per_hour, given.now()))
            if description["TrainingJobStatus"] in FINAL:
                quiet = 0 if heard else quiet + 1
                if quiet == SETTLED:
                    step.ok = description["TrainingJobStatus"] == "Completed"
                    return description
            given.sleep(min(given.every, 2.0) if description["TrainingJobStatus"] in FINAL else given.every)


def _read_logs(given: Watch) -> bool:
    heard = False
    for host, lines in given.logs.read():
        heard = True
        given.record.lines(host, lines, given.metrics)
        given.reporter.lines(host, [line.text for line in lines])
    return heard


def _tell_transitions(given: Watch, description: Mapping[str, Any]) -> None:
    for each in description.get("SecondaryStatusTransitions", ()):
        now = (each["Status"], each.get("StatusMessage", ""))
        if now not in given.told:
            given.told.add(now)
            given.reporter.note(": ".join(part for part in now if part))


def progress(description: Mapping[str, Any], per_hour: float | None, now: datetime) -> str:
    """``Training, 3 min, $0.11 so far``; what is billed begins with the download of inputs."""
    parts = [str(description["SecondaryStatus"])]
    started, ended = description.get("TrainingStartTime"), description.get("TrainingEndTime")
    if started:
        seconds = ((ended or now) - started).total_seconds()
        parts.append(f"{seconds / 60:.0f} min")
        if per_hour is not None:
            parts.append(f"about ${per_hour * seconds / HOUR:.2f} so far")
    return ", ".join(parts)


def bring_home(account: CloudAccount, description: Mapping[str, Any], folder: Path) -> list[str]:
    """Download the archives; the names of those that there are."""
    uri = description.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
    if not uri.endswith("model.tar.gz"):
        return []  # the files themselves, where the job asked for no archive: they stay in S3
    names = ("model.tar.gz", "output.tar.gz")
    found = []
    for name in names:
        part = folder / f"{name}.part"
        if account.download(uri.removesuffix("model.tar.gz") + name, part):
            part.replace(folder / name)
            found.append(name)
    return found
