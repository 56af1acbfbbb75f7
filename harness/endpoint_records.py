"""What the door knows of models, endpoint configurations and endpoints, as frozen data and as documents. Pure.

The table of an endpoint's statuses is here as well (API reference, DescribeEndpoint: EndpointStatus).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

CREATING, UPDATING, IN_SERVICE = "Creating", "Updating", "InService"
ROLLING_BACK, DELETING, FAILED = "RollingBack", "Deleting", "Failed"
MOVING = (CREATING, UPDATING, ROLLING_BACK, DELETING)
# A door that starts again brings up what was in service: to be made again is to be Creating.
MOVES: Mapping[str, tuple[str, ...]] = {
    CREATING: (IN_SERVICE, FAILED, DELETING),
    IN_SERVICE: (UPDATING, DELETING, CREATING),
    UPDATING: (IN_SERVICE, ROLLING_BACK, DELETING, CREATING),
    ROLLING_BACK: (IN_SERVICE, DELETING, CREATING),
    FAILED: (DELETING,),
    DELETING: (),
}


class IllegalEndpointMove(RuntimeError):
    """A bug of ours: a status that cannot follow the one before."""


@dataclass(frozen=True)
class Requested:
    """A model or an endpoint configuration: the request that made it."""

    name: str
    request: Mapping[str, Any]
    created: datetime


@dataclass(frozen=True)
class Variant:
    """A production variant as it is to be hosted, whatever becomes of its model and configuration later.

    ``image`` is the local one that ``specified_image`` stands for; ``model_url`` says where the model's archive was, ''
    where the image has all that it needs. ``count`` and ``weight`` are those that are wanted.
    """

    variant_name: str
    model_name: str
    specified_image: str
    image: str
    resolved_image: str
    environment: Mapping[str, str]
    model_url: str
    count: int
    weight: float
    health_check_seconds: float


@dataclass(frozen=True)
class EndpointRecord:
    """``generation`` is the deployment that serves: what `labels.RUN` says on its containers. ``async_config`` is the
    AsyncInferenceConfig of an endpoint that is invoked asynchronously.
    """

    name: str
    config_name: str
    status: str
    created: datetime
    modified: datetime
    generation: str
    variants: tuple[Variant, ...] = ()
    failure_reason: str = ""
    async_config: Mapping[str, Any] | None = None

    def move(self, status: str, at: datetime, **changes: Any) -> EndpointRecord:
        """The record in ``status``. Raises `IllegalEndpointMove`."""
        if status not in MOVES[self.status]:
            raise IllegalEndpointMove(f"endpoint {self.name!r} cannot go from {self.status} to {status}")
        return replace(self, status=status, modified=at, **changes)


def requested_document(record: Requested) -> dict[str, Any]:
    return {"name": record.name, "request": dict(record.request), "created": record.created.isoformat()}


def read_requested(document: Mapping[str, Any]) -> Requested:
    return Requested(document["name"], document["request"], datetime.fromisoformat(document["created"]))


def endpoint_document(record: EndpointRecord) -> dict[str, Any]:
    times = {"created": record.created.isoformat(), "modified": record.modified.isoformat()}
    return {**asdict(record), **times}


def read_endpoint(document: Mapping[str, Any]) -> EndpointRecord:
    times = {name: datetime.fromisoformat(document[name]) for name in ("created", "modified")}
    variants = tuple(Variant(**each) for each in document["variants"])
    return EndpointRecord(**{**document, **times, "variants": variants})
