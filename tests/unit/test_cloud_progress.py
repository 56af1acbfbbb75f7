"""What is told of a job and of an endpoint while they are waited for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from harness.cloud_account import CloudAccount
from harness.cloud_hosting import wait_in_service
from harness.cloud_record import CloudRun
from harness.cloud_training import progress
from harness.errors import DeadlineExpired, EndpointFailed
from harness.steps import Step

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
RUN = CloudRun("mnist-1", "us-west-2", "job.toml", endpoint_name="digits")


def described(**members: Any) -> dict[str, Any]:
    return {"SecondaryStatus": "Training", **members}


def test_a_job_that_has_not_begun_costs_nothing_yet() -> None:
    assert progress(described(SecondaryStatus="Starting"), 2.25, NOW) == "Starting"


def test_a_job_under_way_has_its_minutes_and_its_cost() -> None:
    began = described(TrainingStartTime=NOW - timedelta(minutes=8))

    assert progress(began, 2.25, NOW) == "Training, 8 min, about $0.30 so far"
    assert progress(began, None, NOW) == "Training, 8 min"


def test_a_job_that_has_ended_costs_no_more() -> None:
    ended = described(TrainingStartTime=NOW - timedelta(hours=9), TrainingEndTime=NOW - timedelta(hours=8))

    assert progress(ended, 2.25, NOW) == "Training, 60 min, about $2.25 so far"


class Endpoint:
    """Answers one status after the other, then the last one for ever."""

    def __init__(self, *statuses: str, reason: str = "") -> None:
        self._statuses = list(statuses)
        self._reason = reason

    def describe_endpoint(self, name: str) -> dict[str, Any]:
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return {"EndpointName": name, "EndpointStatus": status, "FailureReason": self._reason}


class Quiet:
    def detail(self, text: str) -> None:
        """Nobody looks."""


def wait(endpoint: Endpoint) -> dict[str, Any]:
    return wait_in_service(
        cast(CloudAccount, endpoint), RUN, cast(Step, Quiet()), every=30, sleep=lambda _: None, limit=600
    )


def test_an_endpoint_is_waited_for_until_it_is_in_service() -> None:
    assert wait(Endpoint("Creating", "Creating", "InService"))["EndpointName"] == "digits"


def test_an_endpoint_that_never_gets_healthy_is_given_up_with_what_to_do() -> None:
    with pytest.raises(DeadlineExpired, match=r"digits is Creating still after 10 min, and costs; .* make cloud-clean"):
        wait(Endpoint("Creating"))


def test_an_endpoint_that_failed_says_why_and_where_its_log_is() -> None:
    with pytest.raises(EndpointFailed, match=r"did not pass the ping health check.*/aws/sagemaker/Endpoints/digits"):
        wait(Endpoint("Creating", "Failed", reason="It did not pass the ping health check."))
