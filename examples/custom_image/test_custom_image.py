"""What the image must do, on real hosts."""

from pathlib import Path

import docker
import pytest

from harness.expectations import assert_completed, assert_failed, assert_model_has

FOLDER = Path(__file__).parent
JOB = FOLDER / "job.toml"


@pytest.fixture(scope="module", autouse=True)
def image():
    """The image that the job names, built from this folder."""
    client = docker.from_env()
    client.images.build(path=str(FOLDER), tag="custom-train:1", rm=True)
    client.close()


def test_every_host_keeps_its_lines(training):
    result = training(JOB).wait()

    assert_completed(result)
    assert_model_has(result, "words-algo-1.txt", "words-algo-2.txt")
    assert result.model.members["words-algo-2.txt"] == b"one\ntwo\n"


def test_the_images_own_words_are_the_failure_reason(training, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "other.txt").write_text("x")
    job = tmp_path / "job.toml"
    job.write_text(JOB.read_text())

    result = training(job).wait()

    assert_failed(result, because="found no words")
