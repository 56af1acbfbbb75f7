"""Every ending of a training job on real hosts: as tests say it, and through the command that users type."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import docker
import pytest
from moto.server import ThreadedMotoServer

from harness.expectations import assert_completed, assert_failed, assert_same_model
from harness.running_job import RunningJob
from tests.docker.conftest import HARNESS, REPOSITORY, Training, Workplace, started

SPOT = "use_spot_instances = true\nmax_run = 600\nmax_wait = 900\n"
PARTS, LONGEST = 8, 5.5  # seconds; a run that nobody interrupts takes about five
SLEEP = """
    import time
    open("/opt/ml/model/so-far", "w").write("x")
    print("sleeping", flush=True)
    time.sleep(600)
"""
COUNT = """
    import os, time
    path = "/opt/ml/checkpoints/starts-" + os.environ["SM_CURRENT_HOST"]
    starts = int(open(path).read()) + 1 if os.path.exists(path) else 1
    open(path + ".part", "w").write(str(starts))
    os.rename(path + ".part", path)
    print("start", starts, sorted(os.listdir("/opt/ml/checkpoints")), os.listdir("/opt/ml/model"), flush=True)
    open("/opt/ml/model/" + os.environ["SM_CURRENT_HOST"], "w").write("after %d starts" % starts)
    time.sleep(600 if starts < 2 else 0)
"""


def statuses(workplace: Workplace) -> list[str]:
    return [entry["Status"] for entry in workplace.describe()["SecondaryStatusTransitions"]]


# Stopped.


def test_harness_stop_ends_a_job_that_runs_elsewhere_and_waits_until_it_is_over(
    workplace: Workplace, left_over: Callable[[], list[str]]
) -> None:
    job = workplace.job(SLEEP)
    with started(workplace, job, until="sleeping") as running:
        full = (workplace.folder / "runs/latest").readlink().name
        beginning = full[:11]

        stopped = workplace.harness("stop", beginning)

        assert stopped.exit_code == 0, stopped
        assert stopped.stdout == f"Stopped: {full}\n"
        assert statuses(workplace)[-3:] == ["Stopping", "Uploading", "Stopped"]
        assert left_over() == []
        running.communicate(timeout=60)

    assert running.returncode == 3
    for name in (beginning, full, "latest"):
        again = workplace.harness("stop", name)
        assert (again.exit_code, again.stdout) == (0, f"Stopped: {full}\n")


def test_harness_stop_ends_a_job_whose_own_process_was_killed(
    workplace: Workplace, left_over: Callable[[], list[str]]
) -> None:
    job = workplace.job(SLEEP)
    # Retained, as any other start would sweep hosts that have lost their process.
    with started(workplace, job, "--grace", "2s", "--retain", until="sleeping") as running:
        running.kill()
        running.communicate(timeout=60)
    assert workplace.describe()["TrainingJobStatus"] == "InProgress"
    assert left_over() != []

    stopped = workplace.harness("stop", "latest")

    assert stopped.exit_code == 0, stopped
    assert "is gone; stopping its hosts" in stopped.stderr
    assert statuses(workplace)[-3:] == ["Stopping", "Uploading", "Stopped"]
    assert "sleeping" in workplace.log("algo-2")
    with tarfile.open(workplace.folder / "runs/latest/model.tar.gz") as model:
        assert model.getnames() == ["so-far"]
    assert left_over() == []


def test_stop_after_ends_a_script_with_sigterm_and_then_sigkill(
    workplace: Workplace, left_over: Callable[[], list[str]]
) -> None:
    job = workplace.job(
        """
        import signal, time
        signal.signal(signal.SIGTERM, lambda *_: print("asked to end", flush=True))
        while True:
            time.sleep(1)
        """,
        instance_count=1,
    )

    ran = workplace.harness("train", str(job), "--stop-after", "10s", "--grace", "2s")

    assert ran.exit_code == 3, ran
    assert "asked to end" in workplace.log("algo-1")
    assert workplace.describe()["HostExits"][0]["ExitCode"] == 137
    assert left_over() == []


@pytest.mark.parametrize("part", range(PARTS))
def test_a_job_that_is_interrupted_by_hand_at_any_moment_leaves_a_description_and_no_host(
    workplace: Workplace, left_over: Callable[[], list[str]], part: int
) -> None:
    (workplace.folder / "data").mkdir()
    (workplace.folder / "data/x").write_text(str(part))
    job = workplace.job("import time; time.sleep(1)", table='inputs = { training = "data" }\n')
    moment = (part + random.Random(part).random()) * LONGEST / PARTS  # noqa: S311
    with subprocess.Popen(
        [HARNESS, "train", str(job)], cwd=workplace.folder, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        until(lambda: (workplace.folder / "runs/latest/describe.json").exists())
        time.sleep(moment)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=120)

    assert running.returncode in (0, 3), said
    described = workplace.describe()
    assert described["TrainingJobStatus"] == {0: "Completed", 3: "Stopped"}[running.returncode], (moment, said)
    assert left_over() == [], (moment, said)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 300  # the engine may be busy with others
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# Failed.


def test_an_image_without_train_fails_the_job_in_the_platforms_words(
    workplace: Workplace, left_over: Callable[[], list[str]], engine: docker.DockerClient
) -> None:
    base = engine.containers.create("harness-pytorch:latest", ["true"])
    try:
        name = base.commit("harness-test-without-train", changes=["ENV PATH=/bin"]).tags[0]
    finally:
        base.remove(force=True)
    try:
        job = workplace.job("print('never')", table=f'image_uri = "{name}"\n')

        ran = workplace.harness("train", str(job))
    finally:
        engine.images.remove(name, force=True)

    assert ran.exit_code == 1, ran
    reason = workplace.describe()["FailureReason"]
    assert reason.startswith(
        "AlgorithmError: CannotStartContainerError. Please make sure the container can be run with"
    )
    assert "train" in reason.split("docker run <image> train")[1]
    assert "Traceback" not in ran.stderr
    assert left_over() == []


def test_how_every_host_of_a_failed_job_ended_is_told(training: Training, workplace: Workplace) -> None:
    job = workplace.job(
        """
        import os, sys, time
        if os.environ["SM_CURRENT_HOST"] == "algo-2":
            sys.exit(3)
        time.sleep(600)
        """
    )

    result = training(job).wait()

    assert_failed(result, because="(algo-2)")
    assert result.exit_codes["algo-2"] == 1  # the script's own code is in the text, as in the cloud
    assert result.exit_codes["algo-1"] is not None


# Managed spot training and checkpoints.


def test_an_interrupted_job_resumes_on_new_hosts_from_what_it_has_checkpointed(
    training: Training, workplace: Workplace
) -> None:
    place = workplace.folder / "my checkpoints"
    job = training(workplace.job(COUNT, table=SPOT + 'checkpoint_s3_uri = "my checkpoints"\n'))
    until(lambda: all((place / f"starts-algo-{number}").exists() for number in (1, 2)))
    job.after_log("start 1").interrupt()

    result = job.wait()

    assert_completed(result)
    assert result.statuses == [
        *("Starting", "Downloading", "Training", "Interrupted"),
        *("Starting", "Downloading", "Training", "Uploading", "Completed"),
    ]
    first = (result.folder / "logs/attempt-1/algo-1.log").read_text()
    assert "start 1 ['starts-algo-1'] []" in first
    # Both hosts see what either has uploaded, and nothing is left in the model folder.
    assert result.host("algo-2").log.contains("start 2 ['starts-algo-1', 'starts-algo-2'] []")
    assert {path.name: path.read_text() for path in place.iterdir()} == {"starts-algo-1": "2", "starts-algo-2": "2"}
    assert {path.stat().st_uid for path in place.iterdir()} == {os.getuid()}
    assert result.model.members == {"algo-1": b"after 2 starts", "algo-2": b"after 2 starts"}
    assert result.description["BillableTimeInSeconds"] <= result.description["TrainingTimeInSeconds"]


def test_harness_train_interrupts_a_job_after_so_much_training_and_leaves_no_host_of_either_attempt(
    workplace: Workplace, left_over: Callable[[], list[str]]
) -> None:
    job = workplace.job("import time; time.sleep(3)", table=SPOT, instance_count=1)

    ran = workplace.harness("train", str(job), "--interrupt-after", "1s")

    assert ran.exit_code == 0, ran
    assert statuses(workplace).count("Training") == 2
    assert statuses(workplace).count("Interrupted") == 1
    assert left_over() == []


@pytest.fixture
def s3_environment() -> Iterator[dict[str, str]]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    server.stop()


def test_checkpoints_in_s3_are_restored_and_uploaded_also_without_spot(
    workplace: Workplace, s3_environment: dict[str, str]
) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=s3_environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="ckpt/starts-algo-1", Body=b"4")
    table = 'checkpoint_s3_uri = "s3://bucket/ckpt"\n'
    job = workplace.job(COUNT, table=table, instance_count=1)

    ran = workplace.harness("train", str(job), env=s3_environment)

    assert ran.exit_code == 0, ran
    assert "start 5" in workplace.log("algo-1")
    assert client.get_object(Bucket="bucket", Key="ckpt/starts-algo-1")["Body"].read() == b"5"
    client.close()


def test_checkpoints_that_cannot_be_read_fail_the_job_without_a_traceback(
    workplace: Workplace, s3_environment: dict[str, str], left_over: Callable[[], list[str]]
) -> None:
    job = workplace.job(COUNT, table='checkpoint_s3_uri = "s3://no-such-bucket/ckpt"\n', instance_count=1)

    ran = workplace.harness("train", str(job), env=s3_environment)

    assert ran.exit_code == 1, ran
    reason = workplace.describe()["FailureReason"]
    assert reason.startswith("ClientError: Data download failed: checkpoints in s3://no-such-bucket/ckpt: ")
    assert "Traceback" not in ran.stderr
    assert left_over() == []


@pytest.fixture
def digits(workplace: Workplace) -> Path:
    """The job file of mnist_job, with the few digits that stand in for its data, which can be had everywhere."""
    folder = workplace.folder / "mnist_job"
    shutil.copytree(REPOSITORY / "mnist_job", folder, ignore=shutil.ignore_patterns("data", "__pycache__"))
    program = "import prepare_data as p; p.stand_in(p.DataFolder('data'))"
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True)
    return folder / "job.toml"


def test_mnist_that_is_interrupted_twice_ends_with_the_model_of_a_run_that_is_not(
    training: Training, digits: Path
) -> None:
    manner: dict[str, Any] = {"hyperparameters": {"epochs": 25, "batch-size": 8}, "limits": "off"}
    undisturbed = training(digits, **manner).wait()
    digits.write_text(digits.read_text().replace("max_run = 3600", SPOT + 'checkpoint_s3_uri = "checkpoints"'))

    job = training(digits, **manner)
    for attempt in (1, 2):
        until(lambda: trainings(job) == attempt)  # noqa: B023  it is over by then
        before = uploaded(digits)
        until(lambda: uploaded(digits) != before)  # noqa: B023  likewise
        job.interrupt()
    result = job.wait()

    assert_completed(undisturbed)
    assert result.statuses == [
        *("Starting", "Downloading", "Training", "Interrupted") * 2,
        *("Starting", "Downloading", "Training", "Uploading", "Completed"),
    ]
    assert result.host("algo-1").log.search(r"resuming after epoch \d+")
    assert_same_model(result, undisturbed)


def trainings(job: RunningJob) -> int:
    """How often the job has begun to train."""
    described = job.folder / "describe.json"
    entries = json.loads(described.read_text())["SecondaryStatusTransitions"] if described.exists() else ()
    return sum(entry["Status"] == "Training" for entry in entries)


def uploaded(job: Path) -> int | None:
    """When the checkpoint was uploaded last."""
    path = job.parent / "checkpoints/checkpoint.pt"
    return path.stat().st_ctime_ns if path.exists() else None


def test_without_compression_artifacts_are_folders(training: Training, workplace: Workplace) -> None:
    job = workplace.job(
        "open('/opt/ml/model/so-far', 'w').write('x')", table="disable_output_compression = true\n", instance_count=1
    )

    result = training(job).wait()

    assert_completed(result)
    assert (result.folder / "model/so-far").read_text() == "x"
    assert not (result.folder / "model.tar.gz").exists()
