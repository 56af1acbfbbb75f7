"""Training jobs of the AWS door through boto3, with an executor that does as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness import door_listing, status
from harness.api import Api
from harness.control_plane import ControlPlane
from harness.describe import describe_training_job
from harness.door_server import Server
from harness.errors import BadInput
from harness.job import TrainingJob
from harness.moto_services import ROLE_ARN, MotoServices
from harness.service_model import service_model
from harness.status import History
from tests.fake_instances import FakeInstances
from tests.functional.conftest import LocalDoor

Tell = Callable[[dict[str, Any]], None]


@dataclass
class Obedient:
    """Moves jobs when a test says so, by the same table and in the same shape as real ones move."""

    jobs: dict[str, TrainingJob] = field(default_factory=dict)
    histories: dict[str, History] = field(default_factory=dict)
    tells: dict[str, tuple[Mapping[str, Any], Tell]] = field(default_factory=dict)
    goes_on: bool = False

    def check(self, job: TrainingJob, request: Mapping[str, Any]) -> None:
        if job.image_uri != "local/image":
            raise BadInput(f"no image {job.image_uri!r} in the engine")
        assert request["TrainingJobName"] == job.base_job_name

    def start(self, job: TrainingJob, request: Mapping[str, Any], _: datetime, tell: Tell) -> None:
        name = request["TrainingJobName"]
        self.jobs[name], self.histories[name], self.tells[name] = job, History(), (request, tell)
        self.move(name, status.STARTING)

    def stop(self, training_job_name: str) -> None:
        self.move(training_job_name, status.STOPPING)

    def take_up(self, _: TrainingJob, request: Mapping[str, Any], __: datetime, tell: Tell) -> bool:
        self.tells[request["TrainingJobName"]] = (request, tell)
        return self.goes_on

    def close(self) -> None: ...

    def move(self, name: str, *secondary: str, failure_reason: str | None = None) -> None:
        request, tell = self.tells[name]
        for each in secondary:
            self.histories[name] = self.histories[name].move(each, datetime.now(UTC))
            created = self.histories[name].transitions[0].start
            tell(describe_training_job(request, self.histories[name], created, failure_reason=failure_reason))


@pytest.fixture
def executor() -> Obedient:
    return Obedient()


@pytest.fixture
def door(tmp_path: Path, services: MotoServices, executor: Obedient) -> Iterator[LocalDoor]:
    instances, notes = FakeInstances(), list[str]()
    plane = ControlPlane(tmp_path / "door", instances, services, executor)
    api = Api(plane, services.call, notes.append)
    with Server(api.handle) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        door = LocalDoor(api, server.url, instances, services, notes, tmp_path / "door")
        yield door
        for client in door.clients.values():
            client.close()
        server.shutdown()
    plane.close(stop=True)


def create(door: LocalDoor, name: str, **members: Any) -> str:
    request = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": "local/image", "TrainingInputMode": "File"},
        "RoleArn": ROLE_ARN,
        "HyperParameters": {"epochs": "6", "sagemaker_program": '"train.py"'},
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "Tags": [{"Key": "k", "Value": "v"}],
        **members,
    }
    return str(door.client("sagemaker").create_training_job(**request)["TrainingJobArn"])


def described(door: LocalDoor, name: str) -> dict[str, Any]:
    found: dict[str, Any] = door.client("sagemaker").describe_training_job(TrainingJobName=name)
    return found


def test_jobs_are_listed_whether_a_host_has_begun_or_not_and_after_the_door(
    door: LocalDoor, executor: Obedient, tmp_path: Path
) -> None:
    create(door, "waits")
    create(door, "was")
    executor.move("was", status.DOWNLOADING, status.TRAINING, status.UPLOADING, status.COMPLETED)

    assert list(door_listing.listed(tmp_path / "door")) == [
        {"kind": "training", "name": "waits", "host": "", "state": "InProgress"},
        {"kind": "training", "name": "was", "host": "", "state": "Completed"},
    ]
    assert list(door_listing.listed(tmp_path / "none")) == []


def test_a_job_goes_its_way_as_its_executor_tells(door: LocalDoor, executor: Obedient) -> None:
    arn = create(door, "Job")
    first = described(door, "Job")
    executor.move("Job", status.DOWNLOADING, status.TRAINING, status.UPLOADING, status.COMPLETED)

    last = described(door, "Job")

    assert arn.endswith("training-job/job")
    assert executor.jobs["Job"].hyperparameters == {"epochs": 6}
    assert (first["TrainingJobStatus"], first["SecondaryStatus"]) == ("InProgress", "Starting")
    assert (last["TrainingJobStatus"], last["SecondaryStatus"]) == ("Completed", "Completed")
    assert last["LastModifiedTime"] > first["LastModifiedTime"]
    assert last["HyperParameters"]["sagemaker_program"] == '"train.py"'
    known = service_model("sagemaker").operation_model("DescribeTrainingJob").output_shape.members
    assert set(last) - {"ResponseMetadata"} <= set(known)
    assert door.client("sagemaker").list_tags(ResourceArn=arn)["Tags"] == [{"Key": "k", "Value": "v"}]


def test_a_describe_call_waits_for_the_next_change(door: LocalDoor, executor: Obedient) -> None:
    create(door, "job")
    threading.Timer(0.2, executor.move, ("job", status.DOWNLOADING)).start()

    assert described(door, "job")["SecondaryStatus"] == "Downloading"


def test_a_name_is_used_once_and_what_cannot_be_played_is_refused(door: LocalDoor, executor: Obedient) -> None:
    create(door, "job")

    with pytest.raises(ClientError, match=r"ResourceInUse.*must be unique within an AWS account"):
        create(door, "job")
    with pytest.raises(ClientError, match=r"ValidationException.*no image 'nowhere'"):
        create(door, "other", AlgorithmSpecification={"TrainingImage": "nowhere", "TrainingInputMode": "File"})
    with pytest.raises(ClientError, match=r"ValidationException.*ExperimentConfig: Experiments is a service"):
        create(door, "other", ExperimentConfig={"ExperimentName": "x"})
    assert list(executor.jobs) == ["job"]


def test_jobs_are_listed_by_status(door: LocalDoor, executor: Obedient) -> None:
    for name in ("a", "b"):
        create(door, name)
    executor.move("a", status.FAILED, failure_reason="AlgorithmError: , exit code: 1")
    sagemaker = door.client("sagemaker")

    failed = sagemaker.list_training_jobs(StatusEquals="Failed")["TrainingJobSummaries"]
    all_of_them = sagemaker.list_training_jobs(SortBy="Name", SortOrder="Ascending")["TrainingJobSummaries"]

    assert [each["TrainingJobName"] for each in failed] == ["a"]
    assert [each["TrainingJobStatus"] for each in all_of_them] == ["Failed", "InProgress"]
    by_default = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    assert [each["TrainingJobName"] for each in by_default] == ["a", "b"], "the oldest first, as botocore's model says"
    assert described(door, "a")["FailureReason"] == "AlgorithmError: , exit code: 1"


def test_a_job_is_stopped_once(door: LocalDoor, executor: Obedient) -> None:
    create(door, "job")
    sagemaker = door.client("sagemaker")

    sagemaker.stop_training_job(TrainingJobName="job")
    sagemaker.stop_training_job(TrainingJobName="job")
    executor.move("job", status.STOPPED)

    assert described(door, "job")["TrainingJobStatus"] == "Stopped"
    with pytest.raises(ClientError, match=r"ValidationException.*in status Stopped"):
        sagemaker.stop_training_job(TrainingJobName="job")
    with pytest.raises(ClientError, match=r"ValidationException.*Requested resource not found"):
        sagemaker.stop_training_job(TrainingJobName="none")


def test_a_job_that_has_ended_can_be_deleted(door: LocalDoor, executor: Obedient) -> None:
    create(door, "job")
    sagemaker = door.client("sagemaker")

    with pytest.raises(ClientError, match=r"ResourceInUse.*stop it first"):
        sagemaker.delete_training_job(TrainingJobName="job")
    executor.move("job", status.FAILED)
    sagemaker.delete_training_job(TrainingJobName="job")

    with pytest.raises(ClientError, match="Requested resource not found"):
        described(door, "job")


WARM = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 30, "KeepAlivePeriodInSeconds": 60}


def test_how_long_a_warm_pool_is_kept_can_be_updated_while_its_job_runs(door: LocalDoor, executor: Obedient) -> None:
    arn = create(door, "job", ResourceConfig=WARM)

    answer = door.client("sagemaker").update_training_job(
        TrainingJobName="job", ResourceConfig={"KeepAlivePeriodInSeconds": 0}
    )
    at_once = described(door, "job")
    executor.move("job", status.DOWNLOADING)
    later = described(door, "job")

    assert answer["TrainingJobArn"] == arn
    assert at_once["ResourceConfig"] == later["ResourceConfig"] == WARM | {"KeepAlivePeriodInSeconds": 0}
    assert at_once["LastModifiedTime"] > at_once["CreationTime"]


@pytest.mark.parametrize(
    "update",
    [{}, {"ProfilerConfig": {"DisableProfiler": True}}, {"RemoteDebugConfig": {"EnableRemoteDebug": False}}],
    ids=str,
)
def test_an_update_to_what_is_so_already_is_taken(door: LocalDoor, update: dict[str, Any]) -> None:
    arn = create(door, "job")
    before = described(door, "job")

    assert door.client("sagemaker").update_training_job(TrainingJobName="job", **update)["TrainingJobArn"] == arn
    assert described(door, "job")["ResourceConfig"] == before["ResourceConfig"]


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"ResourceConfig": {"KeepAlivePeriodInSeconds": 9}}, r"Validation.*no warm pool.*KeepAlivePeriodInSeconds"),
        ({"ProfilerConfig": {"ProfilingIntervalInMilliseconds": 500}}, "UnsupportedOperation.*Profiler is a service"),
        ({"RemoteDebugConfig": {"EnableRemoteDebug": True}}, "UnsupportedOperation.*--retain keeps the hosts"),
        (
            {"ProfilerRuleConfigurations": [{"RuleConfigurationName": "r", "RuleEvaluatorImage": "i"}]},
            "UnsupportedOperation.*Profiler is a service",
        ),
    ],
    ids=str,
)
def test_an_update_to_what_is_not_here_says_so(door: LocalDoor, update: dict[str, Any], message: str) -> None:
    create(door, "job")

    with pytest.raises(ClientError, match=message):
        door.client("sagemaker").update_training_job(TrainingJobName="job", **update)


def test_a_warm_pool_is_over_with_its_job_and_cannot_be_updated_then(door: LocalDoor, executor: Obedient) -> None:
    create(door, "job", ResourceConfig=WARM)
    running = described(door, "job")
    executor.move("job", status.FAILED)

    with pytest.raises(ClientError, match=r"Validation.*Terminated"):
        door.client("sagemaker").update_training_job(
            TrainingJobName="job", ResourceConfig={"KeepAlivePeriodInSeconds": 9}
        )
    assert running["WarmPoolStatus"] == {"Status": "InUse"}
    assert described(door, "job")["WarmPoolStatus"] == {
        "Status": "Terminated",
        "ResourceRetainedBillableTimeInSeconds": 0,
    }


def test_an_unknown_job_cannot_be_updated(door: LocalDoor) -> None:
    with pytest.raises(ClientError, match="Requested resource not found"):
        door.client("sagemaker").update_training_job(TrainingJobName="none")


@pytest.mark.parametrize("goes_on", [True, False])
def test_jobs_outlive_the_door(door: LocalDoor, executor: Obedient, services: MotoServices, goes_on: bool) -> None:
    create(door, "ended")
    executor.move("ended", status.FAILED)
    create(door, "running")
    executor.goes_on = goes_on

    plane = ControlPlane(door.state, FakeInstances(), services, executor)
    plane.recover()
    found = {
        name: plane.operations["DescribeTrainingJob"]({"TrainingJobName": name}, 0.0) for name in ("ended", "running")
    }
    plane.close(stop=False)

    assert found["ended"] == {**executor_description(executor, "ended")}
    assert found["running"]["TrainingJobStatus"] == ("InProgress" if goes_on else "Failed")
    assert goes_on or found["running"]["FailureReason"] == "InternalServerError: the door ended while the job ran"


def executor_description(executor: Obedient, name: str) -> dict[str, Any]:
    request, _ = executor.tells[name]
    history = executor.histories[name]
    made = describe_training_job(request, history, history.transitions[0].start)
    return {key: value for key, value in made.items() if key != "Tags"}
