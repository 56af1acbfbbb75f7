"""Promotion to the local AWS door when it answers as AWS does where something is wrong: `harness fail`."""

from __future__ import annotations

import json

from tests.cloud.conftest import HARNESS, Place

ROLE = "arn:aws:iam::000000000000:role/SageMakerHarness"


def test_what_the_door_is_told_to_refuse_is_one_line_with_the_next_step(place: Place) -> None:
    promote = ("exec", "--", HARNESS, "promote", "job.toml", "--yes", "--every", "0.1")
    try:
        place.harness("fail", "CreateTrainingJob: ResourceLimitExceeded: The limit is 0 Instances.")
        quota = place.harness(*promote, SAGEMAKER_ROLE=ROLE)
        place.harness("fail", "GetCallerIdentity: ExpiredToken: it is expired")
        expired = place.harness(*promote, SAGEMAKER_ROLE=ROLE)
    finally:
        place.harness("down")

    assert quota.exit_code == 1, quota
    assert "harness: over the account's quota: The limit is 0 Instances. Ask Service Quotas for more" in quota.stderr
    assert json.loads((place.folder / "runs/latest/cloud.json").read_text())["state"] == "refused"
    assert expired.exit_code == 4, expired
    assert "harness: the AWS credentials have expired: log in again" in expired.stderr, expired
