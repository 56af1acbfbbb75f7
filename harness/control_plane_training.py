"""SageMaker's operations on training jobs, as methods; no HTTP, and no hosts: those are the executor's.

An executor runs jobs as the command line does and tells of each change in the shape of DescribeTrainingJob. Without
one nothing is pretended: jobs are checked and then refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from harness.describe import describe_training_job, training_job_arn
from harness.errors import BadInput
from harness.job import TrainingJob
from harness.listing import listed
from harness.records import Records
from harness.status import FAILED, read_history
from harness.tags import Tags
from harness.training_request import training_job_from_request
from harness.training_table import MAX_HOSTS
from harness.training_update import updated_request
from harness.wire import ServiceError, validation

Members = dict[str, Any]
RUNNING = ("InProgress", "Stopping")
PATIENCE_SECONDS = 1.5  # the SDK reads logs between two Describe calls, and must not wait long for either


class TrainingExecutor(Protocol):
    """Runs jobs. Used from several threads at once."""

    def check(self, job: TrainingJob, request: Mapping[str, Any]) -> None:
        """What only the engine and S3 can tell, as an image or a prefix without an object. Raises `BadInput`."""

    def start(
        self, job: TrainingJob, request: Mapping[str, Any], created: datetime, tell: Callable[[Members], None]
    ) -> None:
        """Begin to run it and return. ``tell`` is called with the description at every change, from any thread.

        Hosts are given ``request["HyperParameters"]`` as they are: ``job`` has them decoded.
        """

    def stop(self, training_job_name: str) -> None:
        """Begin to stop it and return; the end is told as any change is."""

    def take_up(
        self, job: TrainingJob, request: Mapping[str, Any], created: datetime, tell: Callable[[Members], None]
    ) -> bool:
        """Go on with a job that an earlier door accepted; whether that can be."""

    def close(self) -> None:
        """Stop all jobs, and return when they are over."""


@dataclass(frozen=True)
class TrainingRecord:
    """``description`` is the answer of DescribeTrainingJob."""

    name: str
    request: Mapping[str, Any]
    description: Mapping[str, Any]

    @property
    def status(self) -> str:
        return str(self.description["TrainingJobStatus"])

    @property
    def created(self) -> datetime:
        at: datetime = self.description["CreationTime"]
        return at


class TrainingOperations:
    def __init__(
        self,
        records: Records[TrainingRecord],
        executor: TrainingExecutor | None,
        tags: Tags,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._records, self._executor, self._tags, self._now = records, executor, tags, now

    def operations(self) -> dict[str, Callable[[Members, float], Members]]:
        return {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": self.describe,
            "ListTrainingJobs": self.list,
            "StopTrainingJob": self.stop,
            "DeleteTrainingJob": self.delete,
            "UpdateTrainingJob": self.update,
        }

    def create(self, request: Members, _: float) -> Members:
        name = request["TrainingJobName"]
        arn = training_job_arn(name)
        if self._records.get(name) is not None:
            raise _in_use(arn)
        _refuse_too_many_hosts(request.get("ResourceConfig", {}))
        try:
            job = training_job_from_request(request)
            if self._executor is not None:
                self._executor.check(job, request)
        except BadInput as error:
            raise validation("; ".join(error.problems)) from error
        if self._executor is None:
            why = "there is nothing here to run training jobs with: harness train runs them from a job file"
            raise ServiceError("UnsupportedOperation", why)
        record = TrainingRecord(name, request, self._beginning(request, arn))
        if not self._records.add(name, record, lambda other: other == name):
            raise _in_use(arn)
        self._tags.put(arn, request.get("Tags", []))
        self._executor.start(job, request, record.created, lambda description: self._tell(name, description))
        return {"TrainingJobArn": arn}

    def describe(self, request: Members, patience: float) -> Members:
        name = request["TrainingJobName"]
        seen = self._records.get(name)
        wait = min(patience, PATIENCE_SECONDS)
        record = self._records.settled(name, lambda now: now is seen and now.status in RUNNING, wait)
        if record is None:
            raise _not_found()
        return {key: value for key, value in record.description.items() if key != "Tags"}

    def list(self, request: Members, _: float) -> Members:
        members = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingEndTime", "LastModifiedTime")
        shown = (*members, "TrainingJobStatus", "SecondaryStatus")
        found = [
            {key: each.description[key] for key in shown if key in each.description} for each in self._records.all()
        ]
        ordered = {"SortOrder": "Ascending", **request}  # the default here, and nowhere else (botocore's model)
        return listed(found, ordered, name="TrainingJobName", status="TrainingJobStatus", member="TrainingJobSummaries")

    def stop(self, request: Members, _: float) -> Members:
        record = self._found(request["TrainingJobName"])
        if record.status not in RUNNING:
            raise validation(f"The request was rejected because the training job is in status {record.status}.")
        if self._executor is not None and record.status == "InProgress":
            self._executor.stop(record.name)
        return {}

    def delete(self, request: Members, _: float) -> Members:
        record = self._found(request["TrainingJobName"])
        if record.status in RUNNING:
            raise ServiceError("ResourceInUse", f"The training job is in status {record.status}; stop it first.")
        self._records.remove(record.name)
        self._tags.drop(training_job_arn(record.name))
        return {}

    def update(self, request: Members, _: float) -> Members:
        def change(record: TrainingRecord) -> TrainingRecord:
            asked = updated_request(record.request, request, over=record.status not in RUNNING)
            modified = {"ResourceConfig": asked["ResourceConfig"], "LastModifiedTime": self._now()}
            return TrainingRecord(record.name, asked, {**record.description, **modified})

        record = self._found(request["TrainingJobName"])
        self._records.change(record.name, change)
        return {"TrainingJobArn": training_job_arn(record.name)}

    def recover(self) -> None:
        """Take up what an earlier door has begun; what cannot be taken up has failed."""
        for record in sorted(self._records.all(), key=lambda record: record.created):
            if record.status in RUNNING and not self._taken_up(record):
                self._tell(record.name, self._lost(record))

    def close(self) -> None:
        """Stop what runs, where there is somebody to run it."""
        if self._executor is not None:
            self._executor.close()

    def _taken_up(self, record: TrainingRecord) -> bool:
        def tell(description: Members) -> None:
            self._tell(record.name, description)

        try:
            job = training_job_from_request(record.request)
        except BadInput:
            return False  # the door that accepted it played more than this one
        return self._executor is not None and self._executor.take_up(job, record.request, record.created, tell)

    def _tell(self, name: str, description: Mapping[str, Any]) -> None:
        def change(record: TrainingRecord) -> TrainingRecord:
            """The executor knows the job as it was created, UpdateTrainingJob what has become of it."""
            now = {**description, "ResourceConfig": record.request["ResourceConfig"]}
            return TrainingRecord(name, record.request, now)

        self._records.change(name, change)

    def _found(self, name: str) -> TrainingRecord:
        record = self._records.get(name)
        if record is None:
            raise _not_found()
        return record

    def _beginning(self, request: Mapping[str, Any], arn: str) -> Members:
        """Before the executor has said a word."""
        now = self._now()
        message = "Starting the training job"
        return {
            **request,
            "TrainingJobArn": arn,
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Starting",
            "SecondaryStatusTransitions": [{"Status": "Starting", "StartTime": now, "StatusMessage": message}],
            "CreationTime": now,
            "LastModifiedTime": now,
        }

    def _lost(self, record: TrainingRecord) -> Members:
        history = read_history(record.description["SecondaryStatusTransitions"]).move(FAILED, self._now())
        reason = "InternalServerError: the door ended while the job ran"
        return describe_training_job(record.request, history, record.created, failure_reason=reason)


def training_document(record: TrainingRecord) -> Members:
    return {"name": record.name, "request": dict(record.request), "description": dict(record.description)}


def read_training(document: Mapping[str, Any]) -> TrainingRecord:
    return TrainingRecord(document["name"], document["request"], _with_times(document["description"]))


def _with_times(value: Any, member: str = "") -> Any:
    """What JSON has made texts of, as times again: the members that the API gives such names to."""
    if isinstance(value, dict):
        return {name: _with_times(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_times(each) for each in value]
    return datetime.fromisoformat(value) if isinstance(value, str) and member.endswith(("Time", "Timestamp")) else value


def _refuse_too_many_hosts(resources: Mapping[str, Any]) -> None:
    """In the words of a real account, whose limits are its service quotas."""
    groups = resources.get("InstanceGroups") or [resources]
    count = sum(group.get("InstanceCount", 0) for group in groups)
    if count > MAX_HOSTS:
        kind = " and ".join(dict.fromkeys(str(group.get("InstanceType", "")) for group in groups))
        raise ServiceError(
            "ResourceLimitExceeded",
            f"The account-level service limit '{kind} for training job usage' is {MAX_HOSTS} Instances, with current "
            f"utilization of 0 Instances and a request delta of {count} Instances. "
            f"Here it is that {MAX_HOSTS} hosts at most share this machine.",
        )


def _in_use(arn: str) -> ServiceError:
    message = "Training job names must be unique within an AWS account and region, and a training job with this name"
    return ServiceError("ResourceInUse", f"{message} already exists ({arn})")


def _not_found() -> ServiceError:
    """A job that does not exist is bad input to the platform, whatever its model declares."""
    return validation("Requested resource not found.")
