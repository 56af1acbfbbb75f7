"""Obstacles on the way to AWS: each is found, says what to do, and only what is certain ends the plan with 4."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cloud_plan import GIB, Account, Facts, Finding, LocalRun, findings
from harness.instance_types import InstanceType
from harness.job import Channel, Hosting, JobFile, MpiDistribution
from harness.sdk_order import Upload
from tests.jobs import training_job

TYPES = {
    "ml.g4dn.xlarge": InstanceType(4, 16, gpus=1),
    "ml.m5.large": InstanceType(2, 8),
    "ml.p2.xlarge": InstanceType(4, 61, gpus=1, retired="2025-03"),
}
ACCOUNT = Account(credentials=True, region="us-west-2", role="arn:aws:iam::123456789012:role/sagemaker")
RUN = LocalRun("mnist-1", "Completed", {})
HOROVOD = {"mnist.py": "import horovod.torch as hvd\n"}


def facts(job: dict[str, Any] | None = None, **more: Any) -> Facts:
    """Those of a job that nothing stands in the way of; ``job`` are fields of `TrainingJob`."""
    wanted: dict[str, Any] = {
        "instance_type": "ml.g4dn.xlarge",
        "framework_version": "1.12.1",
        "py_version": "py38",
        "distribution": MpiDistribution(),
        **(job or {}),
    }
    file = JobFile(Path("job.toml"), training_job(**wanted), None, document={"training": more.pop("training", {})})
    given: dict[str, Any] = {
        "file": file,
        "sources": {"mnist.py": "import torch\n"},
        "requirements": (),
        "uploads": {},
        "types": TYPES,
        "account": ACCOUNT,
        "local_run": RUN,
    }
    return Facts(**(given | more))


def the_one(given: Facts) -> Finding:
    (found,) = findings(given)
    return found


def test_nothing_is_found_where_nothing_stands_in_the_way() -> None:
    assert findings(facts()) == ()
    assert findings(facts(sources=HOROVOD)) == ()


def test_hosts_without_distribution_would_train_separate_models() -> None:
    found = the_one(facts({"distribution": None}))

    assert "not training together" in found.text
    assert "distribution = { mpi = { enabled = true } }" in found.text
    assert not found.certain


@pytest.mark.parametrize(("version", "python"), [("2.0.1", "py310"), ("2.1", "py310")])
def test_a_framework_version_without_horovod_ends_a_script_that_imports_it(version: str, python: str) -> None:
    found = the_one(facts({"framework_version": version, "py_version": python}, sources=HOROVOD))

    assert "only 1.3.1 to 1.13.1 have Horovod" in found.text
    assert found.certain


def test_a_script_that_can_do_without_horovod_is_not_certain_to_fail() -> None:
    careful = {"mnist.py": "try:\n    import horovod.torch as hvd\nexcept ImportError:\n    hvd = None\n"}

    assert not the_one(facts({"framework_version": "2.0.1", "py_version": "py310"}, sources=careful)).certain


def test_what_the_sdk_refuses_is_told_in_its_words_with_a_way_out() -> None:
    words = "ValueError: P2 instances have been deprecated for sagemaker jobs starting PyTorch 1.13"

    found = the_one(facts(sdk_error=words))

    assert "P2 instances have been deprecated" in found.text
    assert "INSTANCE_TYPE=ml.g4dn.xlarge" in found.text
    assert found.certain


def test_the_sdks_other_refusals_have_no_such_way_out() -> None:
    assert "INSTANCE_TYPE" not in the_one(facts(sdk_error="ValueError: Unsupported pytorch version: 0.1")).text


def test_a_retired_type_is_an_obstacle_but_not_a_certain_one() -> None:
    found = findings(facts({"instance_type": "ml.p2.xlarge"}))

    assert any("EC2 had ceased to offer it by 2025-03" in each.text for each in found)
    assert any("make cloud-plan INSTANCE_TYPE=ml.g4dn.xlarge" in each.text for each in found)
    assert not any(each.certain for each in found)


def test_the_endpoints_type_is_looked_at_too() -> None:
    given = facts()
    hosting = Hosting("inference.py", Path("code"), "ml.p2.xlarge")

    assert "ml.p2.xlarge is retired" in the_one(replace(given, file=replace(given.file, hosting=hosting))).text


def test_an_unknown_type_is_named() -> None:
    assert "'ml.x9.large' is in no table" in the_one(facts({"instance_type": "ml.x9.large"})).text


def test_code_that_the_images_python_does_not_take_is_certain_to_fail() -> None:
    found = the_one(facts(sources={"mnist.py": "match 1:\n    case _: pass\n"}))

    assert "AWS's image has Python 3.8" in found.text
    assert found.certain


def test_an_image_of_the_users_own_has_what_it_has() -> None:
    own = {"image_uri": "123456789012.dkr.ecr.us-west-2.amazonaws.com/mine:1"}

    assert findings(facts(own, sources={"mnist.py": "match 1:\n    case _: pass\nimport lightning\n"})) == ()


def test_an_image_that_is_only_here_must_be_pushed_first() -> None:
    found = the_one(facts({"image_uri": "my-image:1"}))

    assert "harness push my-image:1" in found.text
    assert found.certain


def test_a_package_that_is_neither_in_the_image_nor_in_the_requirements_is_named() -> None:
    source = {"mnist.py": "import lightning\n"}

    assert "lightning is not known to be in AWS's image" in the_one(facts(sources=source)).text
    assert findings(facts(sources=source, requirements=("lightning>=2",))) == ()


def test_requirements_cannot_be_installed_in_isolation() -> None:
    found = the_one(facts({"enable_network_isolation": True}, requirements=("lightning",)))

    assert "installs nothing" in found.text
    assert found.certain


def test_data_bigger_than_the_volume_is_certain_to_fail() -> None:
    inputs = {"volume_size": 30, "inputs": (Channel("training", Path("data")),), "instance_type": "ml.m5.large"}
    big = {"training": Upload((("file", "data/file", 31 * GIB),), "abc")}

    found = the_one(facts(inputs, uploads=big))

    assert "31.0 GiB and volume_size is 30" in found.text
    assert "volume_size = 38" in found.text
    assert found.certain
    assert findings(facts({**inputs, "input_mode": "FastFile"}, uploads=big)) == ()
    assert findings(facts({**inputs, "instance_type": "ml.g4dn.xlarge"}, uploads=big)) == ()  # has disks of its own


@pytest.mark.parametrize(
    ("lacking", "fix"),
    [
        ({"credentials": False}, "aws configure"),
        ({"region": None}, "AWS_DEFAULT_REGION=us-west-2"),
        ({"role": None}, "SAGEMAKER_ROLE=arn:aws:iam::…:role/…"),
    ],
)
def test_what_the_account_lacks_is_certain_to_end_it(lacking: dict[str, Any], fix: str) -> None:
    found = the_one(facts(account=replace(ACCOUNT, **lacking)))

    assert fix in found.text
    assert found.certain


def test_a_hyperparameter_that_arrives_otherwise_is_named() -> None:
    assert "hyperparameter 'layers' is a list" in the_one(facts({"hyperparameters": {"layers": [1, 2]}})).text


def test_a_table_that_the_sdk_cannot_be_given_is_named() -> None:
    found = the_one(facts(training={"profiler_config": {"a": 1}, "debugger_hook_config": False}))

    assert found.text.startswith("profiler_config: ")
    assert found.certain


def test_a_job_that_was_not_run_locally_is_to_be_run_first() -> None:
    assert "make local-train JOB=job.toml" in the_one(facts(local_run=None)).text


def test_a_local_run_that_failed_is_told() -> None:
    assert "mnist-1 is Failed" in the_one(facts(local_run=replace(RUN, status="Failed"))).text


def test_a_local_run_older_than_the_code_is_told_with_the_files() -> None:
    changed = replace(RUN, changed=("a.py", "b.py", "c.py", "d.py"))

    assert "older than the code (a.py, b.py, c.py and 1 more)" in the_one(facts(local_run=changed)).text


def test_what_is_certain_comes_first() -> None:
    found = findings(facts({"instance_type": "ml.p2.xlarge"}, account=replace(ACCOUNT, role=None), local_run=None))

    assert [each.certain for each in found] == sorted((each.certain for each in found), reverse=True)
    assert found[0].certain
