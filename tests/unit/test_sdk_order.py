"""A job file as the arguments that the SDK is given."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from harness.job import JobFile
from harness.job_file import parse_job
from harness.sdk_order import Upload, order_of, without_words

TEXT = """
[training]
base_job_name = "mnist"
entry_point = "mnist.py"
source_dir = "code"
dependencies = ["lib"]
framework_version = "1.12.1"
py_version = "py38"
role = "from-the-file"
instance_type = "ml.p2.xlarge"
instance_count = 2
max_run = 3600
disable_profiler = true
hyperparameters = { epochs = 6, name = "a b", deep = { x = [1, 2] } }
distribution = { mpi = { enabled = true, processes_per_host = 1 } }

[training.inputs]
training = "data"
more = { s3_data = "s3://bucket/more", input_mode = "FastFile" }
"""
HOSTING = """
[hosting]
entry_point = "inference.py"
instance_type = "ml.m5.large"
environment = { A = "1" }
"""


def read(text: str) -> JobFile:
    file, problems = parse_job(tomllib.loads(text), Path("/jobs/job.toml"), lenient=True)
    assert file is not None
    assert problems == []
    return file


def order(text: str = TEXT, **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"role": "arn:aws:iam::1:role/r", "region": "us-west-2", "uploads": {}}
    return order_of(read(text), **(given | more))


def test_the_estimator_is_given_exactly_the_files_arguments_with_whole_paths() -> None:
    arguments = dict(tomllib.loads(TEXT)["training"])
    del arguments["inputs"]

    assert order()["estimator"] == arguments | {
        "source_dir": "/jobs/code",
        "dependencies": ["/jobs/lib"],
        "role": "arn:aws:iam::1:role/r",
    }


def test_a_role_that_nobody_names_is_left_for_the_sdk_to_find() -> None:
    assert "role" not in order(role=None)["estimator"]


def test_a_file_without_source_dir_has_its_own_folder_for_one_as_locally() -> None:
    assert order(TEXT.replace('source_dir = "code"', ""))["estimator"]["source_dir"] == "/jobs"


def test_inputs_keep_their_arguments() -> None:
    assert order()["inputs"] == {
        "training": {"s3_data": "data"},
        "more": {"s3_data": "s3://bucket/more", "input_mode": "FastFile"},
    }


def test_an_upload_goes_under_a_key_of_its_content() -> None:
    made = order(uploads={"training": Upload((("a", "/jobs/data/a", 3),), "0123456789abcdef" * 4)})

    assert made["uploads"]["training"] == {
        "prefix": "harness-inputs/0123456789abcdef0123456789abcdef/",
        "name": "",
        "objects": (("a", "/jobs/data/a", 3),),
    }


def test_hosting_becomes_create_model_and_deploy() -> None:
    made = order(TEXT + HOSTING)

    assert made["actions"] == ["fit", "deploy"]
    assert made["create_model"] == {"entry_point": "inference.py", "source_dir": "/jobs/code", "env": {"A": "1"}}
    assert made["deploy"] == {"initial_instance_count": 1, "instance_type": "ml.m5.large"}


def test_a_file_without_hosting_deploys_nothing() -> None:
    assert order()["actions"] == ["fit"]


def test_tables_that_the_sdk_takes_as_objects_only_are_named() -> None:
    assert without_words({"rules": [{"a": 1}], "debugger_hook_config": False, "epochs": {}}) == ("rules",)
