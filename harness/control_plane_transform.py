"""SageMaker's operations on transform jobs, as methods; no HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from harness.endpoint_records import Requested
from harness.errors import HarnessError
from harness.instances import Instances
from harness.listing import listed
from harness.records import Records
from harness.tags import Tags
from harness.transform_life import TransformLife
from harness.transform_request import too_many, transform_problems, transform_variant
from harness.transform_status import (
    IN_PROGRESS,
    MOVING,
    STOPPING,
    TransformRecord,
    transform_description,
    transform_job_arn,
    transform_summary,
)
from harness.wire import ServiceError, validation

Members = dict[str, Any]


class TransformOperations:
    def __init__(
        self,
        life: TransformLife,
        models: Records[Requested],
        instances: Instances,
        tags: Tags,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._life, self._models, self._instances, self._tags, self._now = life, models, instances, tags, now
        self._records = life.records

    def operations(self) -> dict[str, Callable[[Members, float], Members]]:
        return {
            "CreateTransformJob": self.create,
            "DescribeTransformJob": self.describe,
            "ListTransformJobs": self.list,
            "StopTransformJob": self.stop,
        }

    def create(self, request: Members, _: float) -> Members:
        name = request["TransformJobName"]
        problems = list(transform_problems(request))
        model = self._models.get(request["ModelName"])
        if model is None:
            problems.append(f"ModelName: could not find model {request['ModelName']!r}")
        if problems or model is None:
            raise validation("; ".join(problems))
        why = too_many(request)
        if why:
            raise ServiceError("ResourceLimitExceeded", why)
        image = model.request["PrimaryContainer"]["Image"]
        try:
            variant = transform_variant(request, model, *self._instances.resolve(image))
        except HarnessError as error:
            raise validation(str(error)) from error
        now = self._now()
        record = TransformRecord(name, request, variant, IN_PROGRESS, now, now)
        arn = transform_job_arn(name)
        if not self._records.add(name, record, lambda other: other.lower() == name.lower()):
            raise ServiceError("ResourceInUse", f"Job name must be unique; there is {arn} already")
        self._tags.put(arn, request.get("Tags", []))
        self._life.start(record)
        return {"TransformJobArn": arn}

    def describe(self, request: Members, patience: float) -> Members:
        name = request["TransformJobName"]
        record = self._records.settled(name, lambda found: found.status in MOVING, patience)
        if record is None:
            raise _not_found(name)
        return transform_description(record)

    def list(self, request: Members, _: float) -> Members:
        found = [{**transform_summary(each), "LastModifiedTime": each.modified} for each in self._records.all()]
        members = {"name": "TransformJobName", "status": "TransformJobStatus", "member": "TransformJobSummaries"}
        return listed(found, request, **members)

    def stop(self, request: Members, _: float) -> Members:
        name = request["TransformJobName"]
        record = self._records.get(name)
        if record is None:
            raise _not_found(name)
        if record.status not in MOVING:
            raise validation(f"The request was rejected because the transform job is in status {record.status}.")
        moved = self._records.change(name, lambda found: found.stopping(self._now()))
        if moved and moved.status == STOPPING:
            self._life.stop(name)
        return {}


def _not_found(name: str) -> ServiceError:
    return validation(f"Could not find transform job '{transform_job_arn(name)}'.")
