"""Each piece of advice is given to the job that needs it and to no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.advice import Facts, after, before, not_together
from harness.instance_types import InstanceType
from harness.job import InstanceGroup, MetricDefinition, MpiDistribution, TorchDistribution, TrainingJob
from harness.job_file import read_job_file
from harness.machine import read_catalogue
from harness.sources import python_sources
from tests.jobs import training_job

REPOSITORY = Path(__file__).parents[2]
TYPES = {"ml.p2.xlarge": InstanceType(4, 61, retired="2025-03"), "ml.m5.large": InstanceType(2, 8)}
HOROVOD = "import horovod.torch as hvd\n"


def job(**more: Any) -> TrainingJob:
    return training_job(**({"instance_type": "ml.g4dn.xlarge", "distribution": MpiDistribution()} | more))


def advice(script: str = "", **more: Any) -> list[str]:
    return list(before(job(**more), {"train.py": script}, TYPES))


def test_a_job_without_fault_gets_none() -> None:
    assert advice(HOROVOD, framework_version="1.12.1") == []
    assert after(job(), Facts(completed=True)) == ()


def test_the_example_job_is_told_of_its_instance_type_and_of_nothing_else(tmp_path: Path) -> None:
    text = (REPOSITORY / "mnist_job/job.toml").read_text().replace('training = "data"', 'training = "job.toml"')
    (tmp_path / "job.toml").write_text(text)
    (tmp_path / "code").symlink_to(REPOSITORY / "mnist_job/code")
    example = read_job_file(tmp_path / "job.toml").training

    (text,) = (*not_together(example), *before(example, python_sources(example), read_catalogue()))

    assert text.startswith("instance_type 'ml.p2.xlarge': EC2 had ceased to offer it by 2025-03")


# Hosts that do not train together.


def test_several_hosts_without_a_distribution_do_not_train_together() -> None:
    (text,) = not_together(job(distribution=None))

    assert "each of the 2 hosts runs mnist.py alone" in text
    assert not_together(job(distribution=None, instance_count=1)) == ()
    assert not_together(job()) == not_together(job(distribution=TorchDistribution())) == ()


# Code that takes its host for its rank.

COMPARISONS = {
    "variable": 'import os\nif os.environ["SM_CURRENT_HOST"] == "algo-1":\n    save()\n',
    "argument": "args = parse()\nif args.current_host == args.hosts[0]:\n    save()\n",
    "name": 'import os\nif (os.getenv("SM_CURRENT_HOST") or "x") != leader:\n    sys.exit()\n',
    "set before": 'me = os.environ.get("SM_CURRENT_HOST")\nis_chief = me in chiefs\n',
}


@pytest.mark.parametrize("script", COMPARISONS.values(), ids=COMPARISONS)
def test_code_that_compares_its_host_under_mpi_is_named_with_its_line(script: str) -> None:
    (text,) = advice(script)

    assert text.startswith("train.py:2: compares the current host; under mpi every rank is told that of the leader")
    assert "hvd.rank()" in text


@pytest.mark.parametrize("script", COMPARISONS.values(), ids=COMPARISONS)
def test_where_each_host_is_told_its_own_name_it_may_be_compared(script: str) -> None:
    assert advice(script, distribution=None) == []
    assert advice(script, distribution=TorchDistribution()) == []
    assert advice(script, instance_count=1) == []


@pytest.mark.parametrize(
    "script",
    [
        'print("on", os.environ["SM_CURRENT_HOST"])',
        '# if SM_CURRENT_HOST == "algo-1"',
        "if rank == 0: pass",
        "if current_host == (",
    ],
)
def test_code_that_does_not_compare_its_host_is_left_alone(script: str) -> None:
    assert advice(script) == []


def test_a_script_that_python_warns_of_is_read_in_silence() -> None:
    assert len(advice('pattern = "\\d"\nif current_host == "algo-1": pass')) == 1


# Metrics.


@pytest.mark.parametrize("regex", ["^loss=(.*)", "(?m)^loss=(.*)", "(^loss|^cost)=(.*)"])
def test_a_regex_that_begins_with_a_caret_misses_the_lines_of_mpi(regex: str) -> None:
    metrics = (MetricDefinition("loss", regex),)

    (text,) = advice(metric_definitions=metrics)

    assert text.startswith("metric 'loss': its Regex begins with '^'")
    assert "[1,0]<stdout>:" in text
    assert advice(metric_definitions=metrics, distribution=None) == []


def test_a_caret_elsewhere_is_none_of_our_business() -> None:
    assert advice(metric_definitions=(MetricDefinition("loss", "loss=([^;]*)"),)) == []


def test_metrics_that_never_got_a_value_are_named_after_a_run_that_was_completed() -> None:
    metrics = (MetricDefinition("loss", "loss=(.*)"), MetricDefinition("accuracy", "accuracy=(.*)"))

    (text,) = after(job(metric_definitions=metrics), Facts(completed=True, metrics=["loss"]))

    assert text == "no line of any log gave a value for 'accuracy': see Regex in metric_definitions"
    assert after(job(metric_definitions=metrics), Facts(completed=False)) == ()


# What a run leaves.


def test_an_empty_model_is_told_after_a_run_that_was_completed() -> None:
    (text,) = after(job(), Facts(completed=True, model_is_empty=True))

    assert text == "nothing was written to /opt/ml/model (SM_MODEL_DIR): model.tar.gz is empty"
    assert after(job(), Facts(completed=False, model_is_empty=True)) == ()


def test_names_that_several_hosts_wrote_are_told_but_not_all_of_many() -> None:
    few, many = (after(job(), Facts(completed=False, clashes={"model.tar.gz": names})) for names in (["a"], [*"abcde"]))

    assert few[0].startswith("model.tar.gz: several hosts wrote a; which of them the cloud keeps is not documented")
    assert many[0].startswith("model.tar.gz: several hosts wrote a, b, c and 2 more;")


# Instance types and images.


def test_a_retired_instance_type_is_told_with_what_to_take_instead() -> None:
    instance_type = "ml.p2.xlarge"

    (text,) = advice(instance_type=instance_type)

    assert text.startswith(f"instance_type {instance_type!r}: EC2 had ceased to offer it by 2025-03")
    assert "ml.g4dn.xlarge" in text


def test_each_retired_type_of_several_groups_is_told_once() -> None:
    groups = tuple(InstanceGroup(name, "ml.p2.xlarge", 1) for name in "ab")

    assert len(advice(instance_groups=groups)) == 1


@pytest.mark.parametrize("instance_type", ["ml.m5.large", "ml.p99.xlarge"])
def test_a_type_that_is_not_retired_is_not_said_to_be(instance_type: str) -> None:
    assert advice(instance_type=instance_type) == []


def test_a_version_that_the_sdk_refuses_on_p2_is_told() -> None:
    assert "the SDK refuses ml.p2 from 1.13 on" in advice(instance_type="ml.p2.xlarge", framework_version="1.13.1")[1]
    assert len(advice(instance_type="ml.p2.xlarge", framework_version="1.12.1")) == 1


@pytest.mark.parametrize("version", ["2.0.1", "1.2.0", "2.1"])
def test_a_horovod_job_is_told_of_a_version_whose_image_has_none(version: str) -> None:
    (text,) = advice(HOROVOD, framework_version=version)

    assert text.startswith(f"framework_version {version!r}: of AWS's images only 1.3.1 to 1.13.1 have Horovod")
    assert advice("import torch", framework_version=version) == []


@pytest.mark.parametrize("version", ["1.3.1", "1.6", "1.12.1", "1.13", "1.13.1", None])
def test_a_version_whose_image_has_horovod_is_well(version: str | None) -> None:
    assert advice(HOROVOD, framework_version=version) == []


def test_a_horovod_job_is_told_that_images_for_cpus_have_none() -> None:
    (text,) = advice(HOROVOD, instance_type="ml.m5.large", framework_version="1.12.1")

    assert text.startswith("instance_type 'ml.m5.large': AWS's images for CPUs have no Horovod")


def test_an_image_of_aws_is_judged_by_its_tag_and_any_other_not_at_all() -> None:
    registry = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training"

    assert "images for CPUs" in advice(HOROVOD, image_uri=f"{registry}:1.12.1-cpu-py38")[0]
    assert "'2.0.0'" in advice(HOROVOD, image_uri=f"{registry}:2.0.0-gpu-py310")[0]
    assert advice(HOROVOD, image_uri=f"{registry}:1.12.1-gpu-py38") == []
    assert advice(HOROVOD, image_uri="my-own:1", instance_type="ml.m5.large") == []


# Hyperparameters.


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "hyperparameter 'h' is null: the script is given an empty argument"),
        ([1, "a"], "hyperparameter 'h' is a list: the script is given it as the text \"[1, 'a']\""),
        ({"b": 2, "a": [1]}, "hyperparameter 'h' is a table: the script is given it as the text 'a=[1],b=2'"),
    ],
)
def test_a_hyperparameter_that_arrives_changed_is_told(value: Any, said: str) -> None:
    assert advice(hyperparameters={"h": value, "epochs": 6, "name": "x", "flag": True}) == [said]


def test_a_false_that_argparse_would_read_as_true_is_told() -> None:
    script = "parser.add_argument('--fast', type=bool)\n"

    (said,) = advice(script, hyperparameters={"fast": False, "slow": True})

    assert "hyperparameter 'fast' is false" in said
    assert advice("parser.add_argument('--fast')\n", hyperparameters={"fast": False}) == []
