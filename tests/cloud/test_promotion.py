"""Promotion against an account that is no account: the real command, the real SDK, moto for AWS."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.account import Account, Refusal
from tests.cloud.conftest import HARNESS, Place, Ran

NAME = "test-2026-11-23-01-01-30-544"
RUNNING = {"TrainingJobStatus": "InProgress", "SecondaryStatus": "Training"}


@pytest.fixture
def account() -> Iterator[Account]:
    with Account() as there:
        yield there


def sent(place: Place, account: Account, **more: Any) -> Path:
    """The run folder of a job that was sent, and the job itself; ``more`` is for cloud.json."""
    account.job(NAME)
    run = {"training_job_name": NAME, "region": "us-west-2", "job_file": str(place.folder / "job.toml")}
    place.write(f"runs/{NAME}/cloud.json", json.dumps(run | {"state": "sent", "per_hour": 2.25} | more))
    metric = {"Name": "loss", "Regex": "loss ([0-9.]+)"}
    request = {
        "TrainingJobName": NAME,
        "AlgorithmSpecification": {"MetricDefinitions": [metric]},
        "ResourceConfig": {"InstanceCount": 2},
    }
    place.write(f"runs/{NAME}/request.json", json.dumps(request))
    return place.folder / "runs" / NAME


def attach(place: Place, account: Account, *options: str) -> Ran:
    return place.harness("attach", NAME, "--every", "0.1", *options, **account.settings)


def last_line(ran: Ran) -> str:
    return [line for line in ran.stderr.splitlines() if line.startswith("harness: ")][-1]


def test_the_whole_way_train_serve_predict_clean(place: Place, account: Account) -> None:
    trained = place.harness("promote", "job.toml", "--yes", "--every", "0.1", **account.settings)

    assert trained.exit_code == 0, trained
    folder = (place.folder / "runs" / "latest").resolve()
    described = json.loads((folder / "describe.json").read_text())
    assert (described["TrainingJobName"], described["TrainingJobStatus"]) == (folder.name, "Completed")
    assert json.loads((folder / "request.json").read_text()) == account.requests["CreateTrainingJob"][0]
    assert (folder / "logs" / "algo-1.log").read_text() == "loss 0.5\n"
    assert "loss,2" in (folder / "metrics.csv").read_text()
    with tarfile.open(folder / "model.tar.gz") as model:
        assert model.getnames() == ["model.pth"]
    receipt = json.loads((folder / "receipt.json").read_text())
    assert receipt["TrainingJobName"] == folder.name
    assert "RoleArn" in {each["field"] for each in receipt["Differences"]}
    assert "at most $2.25" in trained.stderr, trained

    served = place.harness("cloud-serve", "--job", "job.toml", "--yes", "--every", "0.1", **account.settings)

    assert served.exit_code == 0, served
    assert "$0.115 per hour" in served.stderr, served
    assert "endpoint" in place.harness("ps", "--cloud", **account.settings).stdout

    place.write("input.json", "[[1.0]]")
    asked = place.harness("invoke", "input.json", "--cloud", "--content-type", "json", "--json", **account.settings)

    assert "InvokeEndpoint" in account.operations, asked

    cleaned = place.harness("cloud-clean", **account.settings)
    again = place.harness("cloud-clean", **account.settings)

    assert cleaned.exit_code == again.exit_code == 0, cleaned
    assert cleaned.stdout.count("removed ") == 3, cleaned
    assert "nothing of ours was there to remove" in again.stdout, again
    assert account.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert account.client("sagemaker").list_models()["Models"] == []


def test_data_that_is_there_is_not_uploaded_again(place: Place, account: Account) -> None:
    command = ("promote", "job.toml", "--yes", "--every", "0.1")
    first = place.harness(*command, **account.settings)
    uploads = account.operations.count("s3:PUT")
    account.operations.clear()

    second = place.harness(*command, **account.settings)

    assert (first.exit_code, second.exit_code) == (0, 0), second
    # The bucket and two files are there; the code of this run and what the hosts leave are not.
    assert uploads - account.operations.count("s3:PUT") == 3


def test_nothing_is_sent_without_consent(place: Place, account: Account) -> None:
    ran = place.harness("promote", "job.toml", **account.settings)

    assert ran.exit_code == 2, ran
    assert "there is no terminal to ask at: say YES=1 (--yes)" in ran.stderr, ran
    assert account.changes == []
    assert not (place.folder / "runs").exists()


def test_what_would_certainly_fail_is_not_sent_unless_told(place: Place, account: Account) -> None:
    settings = {name: value for name, value in account.settings.items() if name != "SAGEMAKER_ROLE"}

    ran = place.harness("promote", "job.toml", "--yes", **settings)

    assert ran.exit_code == 4, ran
    assert "harness: no role for the job: name one with SAGEMAKER_ROLE" in ran.stderr, ran
    assert "--anyway" in ran.stderr, ran
    assert account.changes == []


def test_without_aws_settings_it_says_all_that_is_missing(place: Place) -> None:
    ran = place.harness("promote", "job.toml", "--yes")

    assert ran.exit_code == 4, ran
    for missing in ("aws configure", "AWS_DEFAULT_REGION", "SAGEMAKER_ROLE"):
        assert missing in ran.stderr, ran


def test_a_second_job_of_the_same_file_is_refused_with_the_running_ones_name(place: Place, account: Account) -> None:
    sent(place, account)
    account.always["DescribeTrainingJob"] = RUNNING

    ran = place.harness("promote", "job.toml", "--yes", **account.settings)

    assert ran.exit_code == 2, ran
    assert f"{NAME}, of the same job file, is InProgress on AWS: harness attach {NAME}" in last_line(ran), ran
    assert "CreateTrainingJob" not in account.operations


@pytest.mark.parametrize(
    ("operation", "refusal", "line"),
    [
        (
            "CreateTrainingJob",
            Refusal("ResourceLimitExceeded", "The account-level service limit 'ml.p2.xlarge' is 0 Instances."),
            "over the account's quota",
        ),
        (
            "CreateTrainingJob",
            Refusal("ValidationException", f"Could not assume role {NAME}."),
            "SageMaker cannot assume arn:aws:iam::123456789012:role/sagemaker",
        ),
        ("GetCallerIdentity", Refusal("ExpiredToken", "The security token is expired", 403), "have expired: log in"),
        ("s3:HEAD", Refusal("403", "Forbidden", 403), "the bucket is another account's"),
        (
            "CreateTrainingJob",
            Refusal("ValidationException", "CapacityError: Unable to provision requested ML compute capacity."),
            "AWS has no such instances free in us-west-2: try later",
        ),
        (
            "CreateTrainingJob",
            Refusal("ValidationException", "Cannot find repository: the image does not exist in the registry."),
            "AWS cannot find the image in us-west-2: check image_uri",
        ),
    ],
    ids=["quota", "role", "expired", "bucket", "capacity", "image"],
)
def test_a_refusal_is_one_line_and_the_run_folder_holds_what_is_known(
    place: Place, account: Account, operation: str, refusal: Refusal, line: str
) -> None:
    if operation != "CreateTrainingJob":
        account.wants(operation, {})  # while it is planned all is well
    account.wants(operation, refusal)

    ran = place.harness("promote", "job.toml", "--yes", **account.settings)

    assert ran.exit_code == 1, ran
    assert line in last_line(ran), ran
    assert "Traceback" not in ran.stderr, ran
    run = json.loads((place.folder / "runs" / "latest" / "cloud.json").read_text())
    assert run["state"] == "refused"
    assert line in run["error"]
    assert "CreateTrainingJob" not in account.operations[:-1] or operation == "CreateTrainingJob"


def test_a_job_whose_answer_was_lost_is_watched_and_not_sent_twice(place: Place, account: Account) -> None:
    account.wants("CreateTrainingJob", Refusal("InternalFailure", "lost on the way", 500, after=True))

    ran = place.harness("promote", "job.toml", "--yes", "--every", "0.1", **account.settings)

    assert ran.exit_code == 0, ran
    assert "Completed: test-" in ran.stderr, ran
    assert account.operations.count("CreateTrainingJob") == 1


def test_a_manifest_on_this_machine_is_named_as_the_object_that_it_is(place: Place) -> None:
    place.write("list.json", '[{"prefix": "s3://bucket/"}, "a"]')
    place.job(('training = "data"', 'training = { s3_data = "list.json", s3_data_type = "ManifestFile" }'))

    plan = place.harness("plan", "job.toml", "--json").json

    (channel,) = plan["Requests"][0]["Parameters"]["InputDataConfig"]
    assert channel["DataSource"]["S3DataSource"]["S3Uri"].endswith("/list.json")


def test_a_failed_job_ends_with_its_reason_its_logs_and_what_it_left(place: Place, account: Account) -> None:
    folder = sent(place, account)
    account.hosts_that_train(NAME, [("algo-1", "loss 1.5"), ("algo-2", "Traceback"), ("algo-1", "loss 0.5")])
    account.always["DescribeTrainingJob"] = {
        "TrainingJobStatus": "Failed",
        "SecondaryStatus": "Failed",
        "FailureReason": "AlgorithmError: it broke, exit code: 1",
        "BillableTimeInSeconds": 80,
    }

    ran = attach(place, account)

    assert ran.exit_code == 1, ran
    assert "FailureReason: AlgorithmError: it broke" in ran.stderr, ran
    assert "billed: 80 s, about $0.05" in ran.stderr, ran
    assert (folder / "logs" / "algo-1.log").read_text() == "loss 1.5\nloss 0.5\n"
    assert (folder / "logs" / "algo-2.log").read_text() == "Traceback\n"
    assert (folder / "model.tar.gz").exists()
    assert json.loads((folder / "receipt.json").read_text())["EstimatedCost"] == 0.05


@pytest.mark.parametrize(
    ("reason", "step"),
    [
        ("CapacityError: Unable to provision requested ML compute capacity.", "try later"),
        ("ClientError: Data download failed: Access denied", "check that the role may read the inputs"),
        ("ClientError: CannotPullContainerError: no such image", "check image_uri"),
    ],
)
def test_a_reason_has_its_next_step(place: Place, account: Account, reason: str, step: str) -> None:
    sent(place, account)
    account.always["DescribeTrainingJob"] = {
        "TrainingJobStatus": "Failed",
        "SecondaryStatus": "Failed",
        "FailureReason": reason,
    }

    ran = attach(place, account)

    assert ran.exit_code == 1, ran
    assert f"next: {step}" in ran.stderr, ran


def test_a_job_is_watched_through_its_statuses_with_its_cost(place: Place, account: Account) -> None:
    sent(place, account)
    account.wants("DescribeTrainingJob", *[RUNNING | {"TrainingStartTime": time.time() - 360}] * 2)

    ran = attach(place, account)

    assert ran.exit_code == 0, ran
    assert f"Completed: {NAME}" in ran.stderr, ran


def test_a_job_that_was_stopped_ends_with_3(place: Place, account: Account) -> None:
    sent(place, account)
    account.always["DescribeTrainingJob"] = RUNNING

    ran = attach(place, account, "--stop")

    assert ran.exit_code == 3, ran
    assert "StopTrainingJob" in account.operations
    assert f"Stopped: {NAME}" in ran.stderr, ran


def test_credentials_that_expire_meanwhile_are_one_line_and_the_job_goes_on(place: Place, account: Account) -> None:
    sent(place, account)
    account.always["DescribeTrainingJob"] = RUNNING
    account.wants("DescribeTrainingJob", RUNNING, Refusal("ExpiredTokenException", "The security token is expired"))

    ran = attach(place, account)

    assert ran.exit_code == 1, ran
    assert "the AWS credentials have expired: log in again" in last_line(ran), ran
    assert f"job {NAME} goes on and costs; afterwards: harness attach {NAME}" in last_line(ran), ran


def test_an_account_that_cannot_be_reached_is_named_by_its_region(place: Place, account: Account) -> None:
    ran = place.harness("cloud-clean", **(account.settings | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}))

    assert ran.exit_code == 1, ran
    assert "AWS cannot be reached in region 'us-west-2'" in last_line(ran), ran


def test_a_run_that_never_went_to_aws_cannot_be_watched(place: Place, account: Account) -> None:
    ran = place.harness("attach", **account.settings)

    assert ran.exit_code == 2, ran
    assert "no run in 'runs' went to AWS yet" in last_line(ran), ran


@pytest.mark.parametrize(
    ("answer", "exit_code", "said"),
    [("s\n", 3, f"Stopped: {NAME}"), ("d\n", 3, f"detached: {NAME} goes on and costs; harness attach {NAME}")],
    ids=["stop", "detach"],
)
def test_ctrl_c_asks_whether_to_stop_or_to_detach(
    place: Place, account: Account, answer: str, exit_code: int, said: str
) -> None:
    sent(place, account)
    account.always["DescribeTrainingJob"] = RUNNING
    keyboard, terminal = pty.openpty()
    command = subprocess.Popen(
        [HARNESS, "attach", NAME, "--every", "0.1"],
        cwd=place.folder,
        env=place.environment(account.settings),
        stdin=terminal,
        stderr=subprocess.PIPE,
        text=True,
    )
    while account.operations.count("DescribeTrainingJob") < 3:
        assert command.poll() is None
        time.sleep(0.02)

    command.send_signal(signal.SIGINT)
    os.write(keyboard, answer.encode())
    _, stderr = command.communicate(timeout=60)
    os.close(keyboard)
    os.close(terminal)

    assert command.returncode == exit_code, stderr
    assert "[s]top it, [d]etach from it, or [g]o on watching?" in stderr
    assert said in stderr
    assert ("StopTrainingJob" in account.operations) == (answer == "s\n")


def test_an_endpoint_that_fails_says_why_and_how_to_be_rid_of_it(place: Place, account: Account) -> None:
    folder = sent(place, account)
    account.hosts_that_train(NAME, ())
    place.write(f"runs/{NAME}/describe.json", '{"TrainingJobStatus": "Completed"}')
    account.always["DescribeEndpoint"] = {
        "EndpointStatus": "Failed",
        "FailureReason": "The primary container for production variant AllTraffic did not pass the ping health check.",
    }

    ran = place.harness("cloud-serve", "--job", "job.toml", "--yes", "--every", "0.1", **account.settings)

    assert ran.exit_code == 1, ran
    assert "is Failed: The primary container" in last_line(ran), ran
    assert "make cloud-clean removes it" in last_line(ran), ran
    assert json.loads((folder / "cloud.json").read_text())["endpoint_name"]


def test_a_job_that_is_not_completed_is_not_hosted(place: Place, account: Account) -> None:
    sent(place, account)

    ran = place.harness("cloud-serve", "--job", "job.toml", "--yes", **account.settings)

    assert ran.exit_code == 2, ran
    assert f"{NAME} is InProgress, not Completed" in last_line(ran), ran
    assert "CreateModel" not in account.operations
