"""A transform job as the door keeps it: its request, what it runs on, and how far it is. Pure.

Statuses: API reference, DescribeTransformJob.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from harness.describe import ACCOUNT, REGION
from harness.endpoint_records import Variant

IN_PROGRESS, STOPPING = "InProgress", "Stopping"
COMPLETED, FAILED, STOPPED = "Completed", "Failed", "Stopped"
MOVING = (IN_PROGRESS, STOPPING)
_MOST = 1024  # characters of a FailureReason
_TIMES = ("created", "modified", "started", "ended")


@dataclass(frozen=True)
class TransformRecord:
    """``variant`` is what its instances are, whatever becomes of the model. ``started`` is None while it waits."""

    name: str
    request: Mapping[str, Any]
    variant: Variant
    status: str
    created: datetime
    modified: datetime
    started: datetime | None = None
    ended: datetime | None = None
    failure_reason: str = ""

    def begun(self, at: datetime) -> TransformRecord | None:
        """None of one that is to stop, or has been begun."""
        moves = self.status == IN_PROGRESS and self.started is None
        return replace(self, started=at, modified=at) if moves else None

    def stopping(self, at: datetime) -> TransformRecord | None:
        """None of one that has ended, or is to stop already."""
        return replace(self, status=STOPPING, modified=at) if self.status == IN_PROGRESS else None

    def over(self, at: datetime, failure_reason: str) -> TransformRecord | None:
        """As it ended, with a reason where it has failed; None of one that has ended before."""
        if self.status not in MOVING:
            return None
        status = STOPPED if self.status == STOPPING else FAILED if failure_reason else COMPLETED
        reason = failure_reason[:_MOST] if status == FAILED else ""
        return replace(self, status=status, modified=at, ended=at, failure_reason=reason)


def transform_job_arn(name: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:transform-job/{name.lower()}"


def transform_description(record: TransformRecord) -> dict[str, Any]:
    """The answer of DescribeTransformJob, with what the platform adds to the request."""
    request = {name: value for name, value in record.request.items() if name != "Tags"}
    return {
        **request,
        "TransformInput": {"CompressionType": "None", "SplitType": "None", **request["TransformInput"]},
        "TransformOutput": {"AssembleWith": "None", **request["TransformOutput"]},
        "DataProcessing": {
            "InputFilter": "$",
            "OutputFilter": "$",
            "JoinSource": "None",
            **request.get("DataProcessing", {}),
        },
        **transform_summary(record),
        **({"TransformStartTime": record.started} if record.started else {}),
    }


def transform_summary(record: TransformRecord) -> dict[str, Any]:
    more = {"TransformEndTime": record.ended, "FailureReason": record.failure_reason}
    return {
        "TransformJobName": record.name,
        "TransformJobArn": transform_job_arn(record.name),
        "TransformJobStatus": record.status,
        "CreationTime": record.created,
        **{member: value for member, value in more.items() if value},
    }


def transform_document(record: TransformRecord) -> dict[str, Any]:
    times = {name: at.isoformat() if at else None for name in _TIMES for at in (getattr(record, name),)}
    return {**asdict(record), **times}


def read_transform(document: Mapping[str, Any]) -> TransformRecord:
    times = {name: datetime.fromisoformat(document[name]) for name in _TIMES if document[name]}
    return TransformRecord(**{**document, **times, "variant": Variant(**document["variant"])})
