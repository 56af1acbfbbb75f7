"""What is interrupted goes on where it was, and nothing is paid twice: connections, credentials, shells, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests.cloud.account import Account, Cut, Refusal
from tests.cloud.conftest import HARNESS, Place
from tests.cloud.test_promotion import NAME, RUNNING, attach, last_line, sent

PROMOTE = ("promote", "job.toml", "--yes", "--every", "0.1")
SERVE = ("cloud-serve", "--job", "job.toml", "--yes", "--every", "0.1")
CREATING = {"EndpointStatus": "Creating"}


@pytest.fixture
def account() -> Iterator[Account]:
    with Account() as there:
        yield there


def until(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def completed(place: Place, account: Account, **more: object) -> None:
    """A job that has ended well on AWS, and its run folder."""
    sent(place, account, **more)
    account.hosts_that_train(NAME, ())
    place.write(f"runs/{NAME}/describe.json", '{"TrainingJobStatus": "Completed"}')


def test_an_upload_that_lost_its_connection_goes_on_where_it_was(place: Place, account: Account) -> None:
    account.wants("s3:PUT", {}, {}, Cut())  # the bucket, one of two files, and then

    cut = place.harness(*PROMOTE, **account.settings)
    puts = account.operations.count("s3:PUT")
    account.operations.clear()
    again = place.harness(*PROMOTE, **account.settings)

    assert cut.exit_code == 1, cut
    assert "AWS cannot be reached in region 'us-west-2'" in last_line(cut), cut
    assert "CreateTrainingJob" not in account.operations[:1]
    assert again.exit_code == 0, again
    # The file that was cut off, the code of this run, and the model that the hosts leave.
    assert (puts, account.operations.count("s3:PUT")) == (3, 3)


@pytest.mark.parametrize("attempts", ["1", "3"])
def test_a_connection_lost_on_the_way_to_the_job_makes_one_job(place: Place, account: Account, attempts: str) -> None:
    """With one attempt the answer never comes; with three, botocore asks again and is told that the name is taken."""
    account.wants("CreateTrainingJob", Cut(after=True))

    ran = place.harness(*PROMOTE, **(account.settings | {"AWS_MAX_ATTEMPTS": attempts}))

    assert ran.exit_code == 0, ran
    assert "Completed: test-" in ran.stderr, ran
    assert len(account.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]) == 1
    assert json.loads((place.folder / "runs/latest/cloud.json").read_text())["state"] == "sent"


def test_a_watch_that_loses_its_connection_takes_it_up_again(place: Place, account: Account) -> None:
    sent(place, account)
    account.hosts_that_train(NAME)
    account.wants("DescribeTrainingJob", RUNNING, Cut(), Cut())

    ran = attach(place, account)

    assert ran.exit_code == 0, ran
    assert f"Completed: {NAME}" in ran.stderr, ran
    assert (place.folder / f"runs/{NAME}/logs/algo-1.log").read_text() == "loss 0.5\n"


def test_a_job_that_another_command_is_sending_is_not_sent_twice(place: Place, account: Account) -> None:
    held = account.hold("CreateTrainingJob")
    first = subprocess.Popen(
        [HARNESS, *PROMOTE],
        cwd=place.folder,
        env=place.environment(account.settings),
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: "CreateTrainingJob" in account.operations)

    second = place.harness(*PROMOTE, **account.settings)
    held.set()
    _, stderr = first.communicate(timeout=60)

    assert second.exit_code == 2, second
    assert "of the same job file, is being sent to AWS by another command" in last_line(second), second
    assert first.returncode == 0, stderr
    assert account.operations.count("CreateTrainingJob") == 1


def test_an_endpoint_is_removed_although_the_shell_is_gone(place: Place, account: Account) -> None:
    completed(place, account)
    account.always["DescribeEndpoint"] = CREATING
    shell = subprocess.Popen(
        [HARNESS, *SERVE, "--for", "2s"],
        cwd=place.folder,
        env=place.environment(account.settings),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: account.operations.count("DescribeEndpoint") > 2)

    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()

    log = place.folder / f"runs/{NAME}/logs/cloud-clean.log"
    until(lambda: log.exists() and "removed endpoint test-" in log.read_text())
    assert account.operations.count("DeleteModel") == 1
    assert account.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert account.client("sagemaker").list_models()["Models"] == []


@pytest.mark.parametrize(("answer", "left"), [("r\n", 0), ("d\n", 1)], ids=["remove", "detach"])
def test_ctrl_c_while_an_endpoint_comes_up_asks_what_becomes_of_it(
    place: Place, account: Account, answer: str, left: int
) -> None:
    completed(place, account)
    account.always["DescribeEndpoint"] = CREATING
    keyboard, terminal = pty.openpty()
    command = subprocess.Popen(
        [HARNESS, *SERVE],
        cwd=place.folder,
        env=place.environment(account.settings),
        stdin=terminal,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: account.operations.count("DescribeEndpoint") > 2)

    command.send_signal(signal.SIGINT)
    os.write(keyboard, answer.encode())
    _, stderr = command.communicate(timeout=60)
    os.close(keyboard)
    os.close(terminal)

    assert command.returncode == 3, stderr
    assert "[r]emove it, [d]etach from it, or [g]o on waiting?" in stderr
    assert len(account.client("sagemaker").list_endpoints()["Endpoints"]) == left
    if left:
        assert "goes on and costs; harness cloud-serve waits for it again, harness cloud-clean removes it" in stderr


def test_an_endpoint_that_was_left_is_waited_for_again_and_not_made_twice(place: Place, account: Account) -> None:
    completed(place, account)
    account.wants("DescribeEndpoint", CREATING, Refusal("ExpiredTokenException", "The security token is expired"))

    expired = place.harness(*SERVE, **account.settings)
    again = place.harness(*SERVE, **account.settings)

    assert expired.exit_code == 1, expired
    assert "have expired: log in again" in last_line(expired), expired
    assert "goes on and costs: harness cloud-serve waits for it again" in last_line(expired), expired
    assert again.exit_code == 0, again
    assert "of this run is there already" in again.stderr, again
    assert account.operations.count("CreateEndpoint") == 1


def test_an_endpoint_is_listed_while_its_parts_go(place: Place, account: Account) -> None:
    """AWS takes minutes to delete one, whose configuration is gone by then."""
    completed(place, account)
    place.harness(*SERVE, **account.settings)
    gone = Refusal("ValidationException", "Could not find endpoint configuration")
    account.wants("DescribeEndpointConfig", gone)

    listed = place.harness("ps", "--cloud", **account.settings)

    assert listed.exit_code == 0, listed
    assert "at a price that is not known" in listed.stdout, listed
