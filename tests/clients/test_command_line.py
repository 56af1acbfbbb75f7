"""A script of the AWS CLI, version 2."""

from __future__ import annotations

import re
import uuid

from tests.clients.conftest import PROGRAMS, Machine
from tests.clients.tools import aws_cli


def test_a_job_and_an_endpoint_by_the_command_line_alone(machine: Machine) -> None:
    name, aws = f"cli-{uuid.uuid4().hex[:6]}", aws_cli()
    assert aws, "no AWS CLI of version 2: run python -m tests.clients.tools aws"

    ran = machine.exec("bash", str(PROGRAMS / "command_line.sh"), name, str(PROGRAMS / "code"), bin_folder=aws.parent)

    assert ran.exit_code == 0, ran
    assert f"arn:aws:sagemaker:us-west-2:000000000000:training-job/{name}" in ran.stdout, ran
    assert f"{name}\tCompleted" in ran.stdout, ran
    assert "The request was rejected because the training job is in status Completed" in ran.stderr, ran
    assert f"{name}:latest" not in ran.stderr, ran
    for host in ("algo-1", "algo-2"):  # aws logs tail: the time, and the line
        said = rf"^[0-9T:-]+ this is {host} of algo-1 algo-2, which sees \['numbers.txt'\]$"
        assert re.search(said, ran.stdout, re.MULTILINE), ran
    assert "answer [4.0, 10.0]" in ran.stdout, ran
