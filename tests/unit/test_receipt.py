"""The receipt knows every member of the API, and says of every field of a run what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from harness.job import Channel, InstanceGroup, MetricDefinition, MpiDistribution, TorchDistribution
from harness.not_played import NOT_PLAYED
from harness.plan import plan_training
from harness.receipt import closing_lines, receipt
from harness.request_fields import APPROXIMATED, EMULATED, FIELDS, REFUSED, entry_name, fields_of
from tests.jobs import training_job

REQUEST: dict[str, Any] = {
    "TrainingJobName": "mnist-1",
    "HyperParameters": {"epochs": "6"},
    "AlgorithmSpecification": {"TrainingImage": "i:1", "TrainingInputMode": "File"},
}


def leaves() -> list[str]:
    """CreateTrainingJob's members down to those that have none of their own, as dotted paths."""
    model = botocore.session.get_session().get_service_model("sagemaker")

    def walk(shape: Any, path: str) -> Iterator[str]:
        if shape.type_name == "list":
            yield from walk(shape.member, path)
        elif shape.type_name == "structure" and shape.members:
            for name, member in shape.members.items():
                yield from walk(member, f"{path}.{name}" if path else name)
        else:
            yield path

    return list(walk(model.operation_model("CreateTrainingJob").input_shape, ""))


@pytest.mark.parametrize("member", leaves())
def test_every_member_of_the_api_has_been_considered(member: str) -> None:
    assert entry_name(member) is not None, "give it an entry in harness/request_fields.py"


def test_no_entry_is_about_a_member_that_does_not_exist() -> None:
    assert set(FIELDS) == {entry_name(member) for member in leaves()}


def test_no_entry_lies_below_another() -> None:
    assert [name for name in FIELDS if entry_name(name.rpartition(".")[0])] == []


@pytest.mark.parametrize(("name", "entry"), list(FIELDS.items()))
def test_what_is_not_emulated_says_what_happens_instead(name: str, entry: Any) -> None:
    assert entry.status in (EMULATED, APPROXIMATED, REFUSED), name
    assert entry.here or entry.status == EMULATED, name
    assert bool(entry.cloud) == (entry.status == APPROXIMATED), name


@pytest.mark.parametrize("argument", NOT_PLAYED)
def test_an_argument_that_is_not_played_becomes_a_field_that_is_refused(argument: str) -> None:
    field = NOT_PLAYED[argument].field

    assert not field or FIELDS[field].status == REFUSED


def everything() -> dict[str, Any]:
    """The request of a job that says all that a job file can say."""
    job = training_job(
        instance_groups=(InstanceGroup("a", "ml.m5.large", 1), InstanceGroup("b", "ml.m5.xlarge", 1)),
        container_entry_point=("bash",),
        container_arguments=("-c", "true"),
        max_wait=90000,
        use_spot_instances=True,
        max_retry_attempts=2,
        checkpoint_s3_uri="s3://bucket/checkpoints",
        disable_output_compression=True,
        enable_network_isolation=True,
        encrypt_inter_container_traffic=True,
        enable_sagemaker_metrics=True,
        subnets=("subnet-1",),
        security_group_ids=("sg-1",),
        tags={"a": "b"},
        hyperparameters={"epochs": 6},
        environment={"A": "1"},
        distribution=MpiDistribution(),
        metric_definitions=(MetricDefinition("loss", "loss=(.*)"),),
        inputs=(
            Channel(
                "training",
                "s3://bucket/data",
                input_mode="Pipe",
                distribution="ShardedByS3Key",
                s3_data_type="AugmentedManifestFile",
                content_type="text/csv",
                compression="Gzip",
                record_wrapping="RecordIO",
                attribute_names=("a",),
                shuffle_seed=1,
                instance_groups=("a",),
            ),
        ),
    )
    return dict(planned(job).request)


def planned(job: Any, launcher: str = "gloo") -> Any:
    return plan_training(
        job, "mnist-1", arn="arn:x", region="r", image="i:1", launcher=launcher, output_path="file:///"
    )


def test_nothing_that_a_job_file_can_say_is_refused_later_or_unknown() -> None:
    named = {*fields_of(everything()), *fields_of(planned(training_job(keep_alive_period_in_seconds=60)).request)}

    assert named == {name for name, entry in FIELDS.items() if entry.status != REFUSED}


def test_a_receipt_lists_the_fields_of_the_request_and_no_others() -> None:
    request = REQUEST | {
        "ResourceConfig": {"InstanceCount": 2, "InstanceType": "ml.p2.xlarge"},
        "InputDataConfig": [{"ChannelName": "a"}, {"ChannelName": "b", "ShuffleConfig": {"Seed": 1}}],
        "Environment": {"A": "1"},
    }

    answer = receipt(request, "gloo", 2, advice=["think"])

    assert [(field["Field"], field["Status"]) for field in answer["Fields"]] == [
        ("AlgorithmSpecification.TrainingImage", APPROXIMATED),
        ("AlgorithmSpecification.TrainingInputMode", EMULATED),
        ("Environment", EMULATED),
        ("HyperParameters", EMULATED),
        ("InputDataConfig.ChannelName", EMULATED),
        ("InputDataConfig.ShuffleConfig", APPROXIMATED),
        ("ResourceConfig.InstanceCount", EMULATED),
        ("ResourceConfig.InstanceType", APPROXIMATED),
        ("TrainingJobName", EMULATED),
    ]
    assert answer["Advice"] == ["think"]


def test_an_approximation_says_what_is_done_here_and_in_the_cloud() -> None:
    (role,) = receipt(REQUEST | {"RoleArn": "arn:role"}, "gloo", 1)["Fields"][3:4]

    assert role["Note"].startswith(
        "recorded; hosts have no credentials, at the AWS door keys of their job's own; in the cloud: the role's"
    )


def test_a_field_that_nobody_has_considered_is_not_passed_over() -> None:
    with pytest.raises(KeyError, match=r"ResourceConfig\.Hovercraft"):
        receipt(REQUEST | {"ResourceConfig": {"Hovercraft": 1}}, "gloo", 1)


def test_what_lenient_let_pass_is_refused_and_said_to_be_ignored() -> None:
    fields = receipt(REQUEST, "gloo", 1, ignored=["rules", "git_config"])["Fields"]

    assert fields[-2:] == [
        {
            "Field": "DebugRuleConfigurations",
            "Argument": "rules",
            "Status": REFUSED,
            "Note": "Debugger rules are a service of AWS's own; ignored because of --lenient",
        },
        {
            "Argument": "git_config",
            "Status": REFUSED,
            "Note": "check the code out and name its folder as source_dir; ignored because of --lenient",
        },
    ]


@pytest.mark.parametrize(
    ("given", "launcher", "said"),
    [
        ({}, "mpi", "emulated: every host runs the script alone"),
        ({"distribution": MpiDistribution()}, "gloo", "approximated: horovodrun --gloo, where AWS's toolkit"),
        ({"distribution": MpiDistribution()}, "mpi", "approximated: horovodrun --mpi, where AWS's toolkit"),
        ({"distribution": MpiDistribution()}, "toolkit", "emulated: AWS's own toolkit"),
        ({"distribution": TorchDistribution()}, "gloo", "emulated: torchrun on every host"),
        ({"container_arguments": ("true",)}, "gloo", "emulated: the job's own ContainerEntrypoint"),
    ],
)
def test_how_the_script_was_launched_is_told(given: dict[str, Any], launcher: str, said: str) -> None:
    request = planned(training_job(**given), launcher).request

    assert receipt(request, launcher, 2)["Launcher"].startswith(said)


def test_channels_and_limits_are_taken_over() -> None:
    shards = {"training": {"algo-1": ["a"], "algo-2": ["b"]}}

    answer = receipt(REQUEST, "gloo", 2, channels=shards, limits=["memory is scaled by 0.5"])

    assert (answer["Channels"], answer["Limits"]) == (shards, ["memory is scaled by 0.5"])


# The end of a run.


PATH = Path("runs/mnist-1/receipt.json")


def test_the_end_of_a_run_counts_what_was_emulated_and_names_what_was_ignored() -> None:
    made = receipt(REQUEST, "gloo", 1, ignored=["rules", "disable_profiler"])

    assert closing_lines(made, PATH, ["think"]) == [
        "  receipt: 3 emulated, 1 approximated (runs/mnist-1/receipt.json)",
        "  ignored: rules, disable_profiler (--lenient)",
        "  advice: think",
    ]


def test_a_run_that_gave_no_cause_for_advice_ends_with_one_line() -> None:
    assert len(closing_lines(receipt(REQUEST, "gloo", 1), PATH, [])) == 1


def test_much_advice_does_not_bury_the_outcome() -> None:
    lines = closing_lines(receipt(REQUEST, "gloo", 1), PATH, [str(number) for number in range(9)])

    assert len(lines) == 6
    assert lines[-1] == "  advice: 5 more in the receipt"
