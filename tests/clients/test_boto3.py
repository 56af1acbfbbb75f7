"""A program of boto3."""

from __future__ import annotations

import uuid

from tests.clients.conftest import Machine


def test_jobs_are_created_tagged_listed_stopped_and_completed(machine: Machine) -> None:
    name = f"boto3-{uuid.uuid4().hex[:6]}"

    ran = machine.program("boto3_jobs.py", name)

    assert ran.exit_code == 0, ran
    assert ran.stdout.splitlines() == [
        "caller arn:aws:sts::000000000000:assumed-role/SageMakerHarness/local",
        "tags [{'Key': 'team', 'Value': 'digits'}]",
        "status Training",
        "status Stopped",
        "model ['factor']",
        f"listed {name} Stopped",
        f"listed {name}-2 Completed",
    ], ran
