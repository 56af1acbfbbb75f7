"""A job in the API's shapes, held to botocore's service model."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate
import pytest

from harness.describe import describe_training_job, training_job_arn
from harness.job import Channel, MetricDefinition, MpiDistribution, TrainingJob
from harness.metrics import MetricValue
from harness.outcome import HostExit
from harness.plan import plan_training
from harness.status import History
from tests.jobs import training_job

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
JOB = training_job(
    base_job_name="Mnist",
    max_run=60,
    hyperparameters={"epochs": 6},
    environment={"A": "b"},
    distribution=MpiDistribution(1),
    metric_definitions=(MetricDefinition("loss", "loss=(.*)"),),
    inputs=(Channel("training", Path("/srv/my data")),),
)
NAME = "Mnist-2026-01-02-03-04-05-678"
COMPLETED = ("Starting", "Downloading", "Training", "Uploading", "Completed")


@pytest.fixture(scope="module")
def model() -> botocore.model.ServiceModel:
    return botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model("sagemaker", "service-2"))


def request(job: TrainingJob = JOB) -> dict[str, Any]:
    plan = plan_training(
        job, NAME, arn="arn:x", region="us-west-2", image="lab:1", launcher="gloo", output_path="file:///runs"
    )
    return dict(plan.request)


def walk(path: tuple[str, ...], seconds: int = 10) -> History:
    history = History()
    for number, name in enumerate(path):
        history = history.move(name, START + timedelta(seconds=seconds * number))
    return history


def strangers(shape: Any, value: Any, where: str = "") -> Iterator[str]:
    """Members of ``value`` that ``shape`` does not know."""
    if shape.type_name == "structure":
        for key, item in value.items():
            if key in shape.members:
                yield from strangers(shape.members[key], item, f"{where}.{key}")
            else:
                yield f"{where}.{key}"
    elif shape.type_name == "list":
        for item in value:
            yield from strangers(shape.member, item, f"{where}[]")


def test_the_request_is_one_the_api_would_take(model: botocore.model.ServiceModel) -> None:
    shape = model.shape_for("CreateTrainingJobRequest")

    report = botocore.validate.ParamValidator().validate(request(), shape)

    assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize("length", range(1, 6))
@pytest.mark.parametrize("reason", [None, "AlgorithmError: x, exit code: 1"])
def test_a_description_has_only_members_that_the_api_has(
    model: botocore.model.ServiceModel, length: int, reason: str | None
) -> None:
    metrics = [MetricValue("loss", 0.5, START, "algo-1")]

    answer = describe_training_job(
        request(), walk(COMPLETED[:length]), START, failure_reason=reason, metrics=metrics, model_artifacts="file:///m"
    )

    shape = model.shape_for("DescribeTrainingJobResponse")
    assert list(strangers(shape, answer)) == []
    assert {str(member) for member in getattr(shape, "required_members", [])} <= set(answer)
    status, secondary = shape.members["TrainingJobStatus"], shape.members["SecondaryStatus"]  # type: ignore[attr-defined]
    assert answer["TrainingJobStatus"] in status.enum
    assert answer["SecondaryStatus"] in secondary.enum


def test_the_request_says_what_the_job_says() -> None:
    made = request()

    assert made["TrainingJobName"] == NAME
    assert made["ResourceConfig"] == {"InstanceType": "ml.p2.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 30}
    assert made["StoppingCondition"] == {"MaxRuntimeInSeconds": 60}
    assert made["HyperParameters"]["epochs"] == "6"
    assert made["Environment"] == {"A": "b"}
    assert made["AlgorithmSpecification"]["MetricDefinitions"] == [{"Name": "loss", "Regex": "loss=(.*)"}]
    (channel,) = made["InputDataConfig"]
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == "file:///srv/my%20data"


def test_what_the_job_does_not_say_is_left_out_of_the_request() -> None:
    made = request(training_job(instance_count=1))

    assert "Environment" not in made
    assert "InputDataConfig" not in made
    assert "MetricDefinitions" not in made["AlgorithmSpecification"]


def test_the_name_is_in_lower_case_in_the_arn_only() -> None:
    assert training_job_arn("Mnist-A") == "arn:aws:sagemaker:us-west-2:000000000000:training-job/mnist-a"


def test_training_time_runs_from_downloading_to_the_end_of_uploading() -> None:
    answer = describe_training_job(request(), walk(COMPLETED), START)

    assert answer["TrainingStartTime"] == START + timedelta(seconds=10)
    assert answer["TrainingEndTime"] == START + timedelta(seconds=40)
    assert answer["TrainingTimeInSeconds"] == answer["BillableTimeInSeconds"] == 30


def test_waiting_for_new_hosts_after_an_interruption_is_training_time_that_is_not_billed() -> None:
    attempt = ("Starting", "Downloading", "Training", "Interrupted")

    answer = describe_training_job(request(), walk((*attempt, *attempt, *COMPLETED)), START)

    assert answer["TrainingStartTime"] == START + timedelta(seconds=10)
    assert answer["TrainingTimeInSeconds"] == 110
    assert answer["BillableTimeInSeconds"] == 20 + 20 + 30


@pytest.mark.parametrize(
    ("path", "training", "billable"),
    [
        (("Starting", "Downloading", "Failed"), 10, 10),
        (("Starting", "Downloading", "Training", "Interrupted", "MaxWaitTimeExceeded"), 30, 20),
        (("Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"), 40, 40),
    ],
    ids=lambda value: ">".join(value) if isinstance(value, tuple) else None,
)
def test_a_job_that_ends_early_has_its_times_too(path: tuple[str, ...], training: int, billable: int) -> None:
    answer = describe_training_job(request(), walk(path), START)

    assert (answer["TrainingTimeInSeconds"], answer["BillableTimeInSeconds"]) == (training, billable)


def test_a_job_that_never_downloaded_has_no_times() -> None:
    answer = describe_training_job(request(), walk(("Starting", "Stopping", "Stopped")), START)

    assert not {"TrainingStartTime", "TrainingEndTime", "TrainingTimeInSeconds"} & set(answer)


def test_every_host_is_told_with_how_it_ended() -> None:
    exits = [HostExit("algo-2", 1, "no"), HostExit("algo-1", 137, out_of_memory=True)]

    answer = describe_training_job(request(), walk(COMPLETED), START, exits=exits)

    assert answer["HostExits"] == [
        {"Host": "algo-2", "ExitCode": 1, "OutOfMemory": False, "Failure": "no"},
        {"Host": "algo-1", "ExitCode": 137, "OutOfMemory": True},
    ]


def test_a_message_that_changes_is_a_modification() -> None:
    history = walk(COMPLETED[:2])

    answer = describe_training_job(request(), history.progress(START + timedelta(seconds=15)), START)

    assert answer["LastModifiedTime"] == START + timedelta(seconds=15)


def test_a_running_job_has_no_end_and_a_starting_one_no_beginning() -> None:
    training = describe_training_job(request(), walk(COMPLETED[:3]), START)
    starting = describe_training_job(request(), walk(COMPLETED[:1]), START)

    assert training["TrainingStartTime"] == START + timedelta(seconds=10)
    assert "TrainingEndTime" not in training
    assert "TrainingStartTime" not in starting


def test_the_last_modification_moves_with_every_transition() -> None:
    moments = [
        describe_training_job(request(), walk(COMPLETED[:length]), START)["LastModifiedTime"] for length in range(1, 6)
    ]

    assert moments == [START + timedelta(seconds=10 * number) for number in range(5)]


def test_metrics_reason_and_model_are_told_when_there_are_any() -> None:
    bare = describe_training_job(request(), walk(COMPLETED), START)
    full = describe_training_job(
        request(),
        walk(COMPLETED),
        START,
        failure_reason="x",
        metrics=[MetricValue("loss", 0.5, START, "algo-1")],
        model_artifacts="file:///m",
    )

    assert "FailureReason" not in bare
    assert bare["FinalMetricDataList"] == []
    assert full["FailureReason"] == "x"
    assert full["FinalMetricDataList"] == [{"MetricName": "loss", "Value": 0.5, "Timestamp": START}]
    assert full["ModelArtifacts"] == {"S3ModelArtifacts": "file:///m"}
