"""The reference job, end to end on the real MNIST files where they can be had: train, host, predict."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import numpy as np
import pytest

from harness import payload
from harness.image_build import REPOSITORY as IMAGE
from harness.tar import tree
from tests.docker.conftest import REPOSITORY, Workplace

# What six epochs must reach on MNIST (the published script: 97.85 %), and twenty on scikit-learn's 1,797 digits.
PERCENT = {"MNIST": ("6", 97.5), "stand-in": ("20", 85.0)}


ENDPOINT = f"mnist-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """The job as `make local-train` runs it, in a copy of mnist_job with its data prepared."""
    workplace = Workplace(tmp_path_factory.mktemp("mnist"))
    job = workplace.folder / "mnist_job"
    shutil.copytree(REPOSITORY / "mnist_job", job, ignore=shutil.ignore_patterns("data", "__pycache__"))
    subprocess.run([sys.executable, str(job / "prepare_data.py")], check=True, env=dict(os.environ))
    epochs, _ = PERCENT[kind_of_data(workplace)]
    ran = workplace.harness("train", "mnist_job/job.toml", "--hp", f"epochs={epochs}")
    assert ran.exit_code == 0, ran
    yield workplace
    workplace.harness("stop", ENDPOINT)  # not those of other tests


def kind_of_data(workplace: Workplace) -> str:
    size = (workplace.folder / "mnist_job/data/MNIST/raw/t10k-images-idx3-ubyte").stat().st_size
    return "MNIST" if size == 16 + 10000 * 28 * 28 else "stand-in"


def test_two_hosts_reach_the_accuracy_of_the_published_job_in_one_world(trained: Workplace) -> None:
    metrics = {item["MetricName"]: item["Value"] for item in trained.describe()["FinalMetricDataList"]}

    assert "Horovod world: rank 1 of 2 on algo-2" in trained.log("algo-1")
    assert metrics["test:accuracy"] >= PERCENT[kind_of_data(trained)][1]
    assert set(metrics) == {"train:loss", "test:loss", "test:accuracy"}


def test_the_endpoint_answers_what_the_model_says_itself(trained: Workplace, engine: docker.DockerClient) -> None:
    images = Path("mnist_job/data/MNIST/raw/t10k-images-idx3-ubyte")
    served = trained.harness("serve", "--name", ENDPOINT)
    assert served.exit_code == 0, served
    arguments = ("invoke", str(images), "--index", "7", "--shape", "1,28,28", "--endpoint", ENDPOINT)

    as_json = trained.harness(*arguments, "--json")
    as_npy = trained.harness(*arguments, "--json", "--accept", "npy", "--content-type", "json")
    shown = trained.harness(*arguments)

    assert as_json.exit_code == 0, as_json
    expected = in_process(trained, engine, images)
    np.testing.assert_allclose(json.loads(as_json.stdout), expected, atol=1e-5)
    np.testing.assert_allclose(json.loads(as_npy.stdout), expected, atol=1e-5)
    assert len(re.findall(r"\d\.\d\d %", shown.stdout)) == 10, shown
    assert trained.harness("stop", ENDPOINT).exit_code == 0
    assert ENDPOINT not in trained.harness("ps", "--json").stdout


def in_process(trained: Workplace, engine: docker.DockerClient, images: Path) -> list[list[float]]:
    """The trained network's own output for digit 7, computed in the image without any server."""
    program = """
import json, numpy, sys, tarfile, torch
sys.path.insert(0, "/code")
from model_def import load_weights, normalise
tarfile.open("/model.tar.gz").extractall("/model")
model = load_weights("/model/model.pth", torch.device("cpu")).eval()
with torch.no_grad():
    print(json.dumps(model(normalise(torch.tensor(numpy.load("/digit.npy")))).tolist()))
"""
    digit = trained.folder / "digit.npy"
    np.save(digit, payload.read_input(trained.folder / images, index=7, shape=(1, 28, 28)))
    container = engine.containers.create(f"{IMAGE}:latest", ["python3", "-c", program])
    try:
        code = REPOSITORY / "mnist_job/code"
        for source, target in ((code, "/code"), (digit, "/"), (trained.folder / "runs/latest/model.tar.gz", "/")):
            with tree(source, target) as archive:
                container.put_archive("/", archive)
        container.start()
        assert container.wait()["StatusCode"] == 0, container.logs().decode()
        answer: list[list[float]] = json.loads(container.logs(stdout=True, stderr=False))
        return answer
    finally:
        container.remove(force=True)
