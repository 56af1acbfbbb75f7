"""The proof that a job is promoted unchanged: the same file, run here and through the SDK, ends in the same model.

By default 'the cloud' is the local AWS door: the real SageMaker SDK, real hosts, real endpoints, for nothing. With
``HARNESS_PROOF_DOLLARS=1`` the same body goes to the AWS account of the usual settings, if what it costs at most (the
job until its max_run, and the endpoint for an hour) is below so many dollars.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.job_file import read_job_file
from harness.training_request import training_job_from_request
from tests.docker.conftest import HARNESS, Ran, Workplace

DOLLARS = os.environ.get("HARNESS_PROOF_DOLLARS")
ROLE = "arn:aws:iam::000000000000:role/SageMakerHarness"
EVERY = "1" if DOLLARS else "0.2"  # seconds between two looks; the door may be asked as often as one likes
JOB = Path(__file__).parent / "promoted_job"
# Of a run, wherever it was.
LEFT = {"describe.json", "logs", "metrics.csv", "model.tar.gz", "output.tar.gz", "receipt.json", "request.json"}
# What a rank may see otherwise, by its path: names and places that the platform gives, and how a host reaches S3.
MAPPED = {
    *("documents/hyperparameters.json/" + name for name in ("sagemaker_job_name", "sagemaker_submit_directory")),
    "documents/init-config.json/channels/training/s3DataSource/s3Uri",
    "documents/trainingjobconfig.json",  # the request itself, which is compared by what it means
    *("variables/" + name for name in ("SAGEMAKER_JOB_NAME", "SM_MODULE_DIR", "TRAINING_JOB_ARN", "TRAINING_JOB_NAME")),
    *("variables/SM_TRAINING_ENV/" + name for name in ("job_name", "module_dir")),
    # Addresses of the run's own network.
    *("variables/" + name for name in ("HOROVOD_GLOO_RENDEZVOUS_ADDR", "HOROVOD_GLOO_RENDEZVOUS_PORT")),
    *("variables/" + name for name in ("SSH_CLIENT", "SSH_CONNECTION")),
    *("variables/AWS_" + name for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "DEFAULT_REGION", "ENDPOINT_URL")),
    *("variables/" + name for name in ("AWS_EC2_METADATA_DISABLED", "S3_ENDPOINT_URL")),
}
# On AWS also what its image brings: another Python and PyTorch, mpirun for horovodrun, GPUs.
OF_ITS_IMAGE = ("python", "torch", "variables", "documents/resourceconfig.json", "arguments")


class Cloud:
    """Commands in ``workplace`` whose AWS is the door, or the real one where dollars were given."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._through = () if DOLLARS else ("exec", "--", HARNESS)

    def harness(self, *arguments: str) -> Ran:
        # The door has slots of its own (`budget`), as the jobs of other tests may want all there are.
        env = {} if DOLLARS else {"SAGEMAKER_ROLE": ROLE, "TMPDIR": str(self._workplace.folder)}
        seconds = 3600 if DOLLARS else 600  # instances take minutes to come
        return self._workplace.harness(*self._through, *arguments, env=env, seconds=seconds)


@pytest.fixture
def cloud(workplace: Workplace) -> Iterator[Cloud]:
    shutil.copytree(JOB, workplace.folder, dirs_exist_ok=True)
    points = [[math.sin(n), math.cos(n), 3 * math.sin(n) - 2 * math.cos(n) + 1] for n in range(16)]
    (workplace.folder / "data").mkdir()
    (workplace.folder / "data/points.json").write_text(json.dumps(points))
    there = Cloud(workplace)
    try:
        yield there
    finally:
        there.harness("cloud-clean")
        workplace.harness("down")


def test_what_is_promoted_is_the_job_that_ran_here(workplace: Workplace, cloud: Cloud) -> None:
    trained = workplace.harness("train", "job.toml")
    here = (workplace.folder / "runs/latest").resolve()
    planned = cloud.harness("plan", "job.toml", "--json")

    assert (trained.exit_code, planned.exit_code) == (0, 0), (trained, planned)
    plan = json.loads(planned.stdout)
    assert plan["LocalRun"] == here.name
    assert plan["Obstacles"] == []
    assert plan["Estimate"]["Ceiling"] + plan["Estimate"]["EndpointPerHour"] < float(DOLLARS or "inf")

    promoted = cloud.harness("promote", "job.toml", "--yes", "--every", EVERY)
    there = (workplace.folder / "runs/latest").resolve()

    assert promoted.exit_code == 0, promoted
    assert names(here) & names(there) >= LEFT
    the_same_job(workplace.folder, here, there)
    the_same_model(here, there)
    the_same_environment(here, there)

    served = cloud.harness("cloud-serve", "--job", "job.toml", "--yes", "--every", EVERY)
    (workplace.folder / "asked.json").write_text("[[1.0, 2.0], [-0.5, 0.25]]")
    asked = cloud.harness("invoke", "asked.json", "--cloud", "--content-type", "json", "--json")
    cleaned, again = cloud.harness("cloud-clean"), cloud.harness("cloud-clean")

    assert (served.exit_code, asked.exit_code, cleaned.exit_code) == (0, 0, 0), (served, asked, cleaned)
    assert flat(json.loads(asked.stdout)) == pytest.approx(predicted(here, [[1.0, 2.0], [-0.5, 0.25]]), abs=1e-4)
    assert cleaned.stdout.count("removed ") == 3, cleaned
    assert "nothing of ours was there to remove" in again.stdout, again


def the_same_job(folder: Path, here: Path, there: Path) -> None:
    """What was sent reads back as the job that ran here, but for the fields that the plan calls mapped."""
    sent = json.loads((there / "request.json").read_text())
    received = folder / "runs/door/training-jobs" / f"{there.name}.json"
    if received.exists():  # the door's own record of what it was sent
        assert json.loads(received.read_text())["request"] == sent
    local = training_job_from_request(json.loads((here / "request.json").read_text()))
    cloud = training_job_from_request(sent)
    of_the_file = read_job_file(folder / "job.toml").training

    (channel,) = local.inputs
    (uploaded,) = cloud.inputs
    mapped = {
        "base_job_name": cloud.base_job_name,
        "image_uri": cloud.image_uri,
        "role": cloud.role,
        "output_path": cloud.output_path,
        "inputs": (replace(channel, source=uploaded.source),),
        # The SDK's own defaults, which change nothing that a host sees.
        "enable_sagemaker_metrics": True,
        "ignored": ("debugger_hook_config", "profiler_config"),
    }
    assert cloud == replace(local, **mapped)
    both = ("entry_point", "instance_groups", "max_run", "hyperparameters", "environment", "distribution")
    assert [getattr(cloud, name) for name in both] == [getattr(of_the_file, name) for name in both]


def the_same_model(here: Path, there: Path) -> None:
    """Bit by bit on the same processors; on AWS, where a GPU sums in another order, what it predicts."""
    if DOLLARS:
        assert losses(there) == pytest.approx(losses(here), abs=1e-3)
    else:
        assert member(there / "model.tar.gz", "model.pth") == member(here / "model.tar.gz", "model.pth")
        assert losses(there) == losses(here)


def the_same_environment(here: Path, there: Path) -> None:
    for rank in ("rank-0.json", "rank-1.json"):
        seen = [dict(leaves(json.loads(member(each / "output.tar.gz", rank)))) for each in (here, there)]
        changed = {path for path in {*seen[0], *seen[1]} if seen[0].get(path) != seen[1].get(path)}
        allowed = tuple(MAPPED) + (OF_ITS_IMAGE if DOLLARS else ())

        assert {path for path in changed if not path.startswith(allowed)} == set()


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, leaf) of what a rank saw; variables that hold JSON are gone into."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        value = json.loads(value)
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, f"{path}/{name}" if path else name)
    else:
        yield path, value


def names(run: Path) -> set[str]:
    return {path.name for path in run.iterdir()}


def losses(run: Path) -> list[float]:
    described = json.loads((run / "describe.json").read_text())
    return [each["Value"] for each in described.get("FinalMetricDataList", ())]


def member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as tar:
        file = tar.extractfile(name)
        assert file
        return file.read()


def predicted(run: Path, rows: list[list[float]]) -> list[float]:
    """What the line that was fitted in ``run`` says of ``rows``: a rank wrote its weights down."""
    fitted = json.loads(member(run / "output.tar.gz", "rank-0.json"))["fitted"]
    return [fitted["weight"][0] * first + fitted["weight"][1] * second + fitted["bias"] for first, second in rows]


def flat(answer: list[list[float]]) -> list[float]:
    return [row[0] for row in answer]
