"""Training jobs of the AWS door from the request to their end, on hosts that are processes of this machine."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness.api import Api
from harness.budget import hold
from harness.control import Control
from harness.control_plane import ControlPlane
from harness.describe import REGION, training_job_arn
from harness.door_environment import own_client
from harness.door_server import Server
from harness.errors import BadInput
from harness.job import TrainingJob
from harness.job_queue import JobQueue
from harness.log_shipping import Shipper
from harness.metrics import MetricReader
from harness.moto_services import ROLE_ARN, MotoServices
from harness.order import Order
from harness.plan import ClusterPlan, plan_training
from harness.record import RunRecord, named_run_folder
from harness.run import Run
from harness.s3_objects import s3_client
from harness.steps import Steps
from harness.training import run_training
from harness.training_executor import LOG_GROUP, Executor
from tests.fake_cluster import FakeCluster
from tests.fake_instances import FakeInstances
from tests.functional.conftest import LocalDoor

BUCKET = "training"


class Audience:
    """Lets a run speak to nobody."""

    def __init__(self, steps: Steps) -> None:
        self.step = steps.step
        self.note = steps.note

    def lines(self, host: str, texts: Any) -> None: ...


@dataclass
class FakeHosts:
    """Hosts that run the Python text that a test gives them, by the story of all training jobs."""

    folder: Path
    script: str = ""
    plans: list[ClusterPlan] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    swept: int = 0
    unreachable: str = ""

    def image(self, name: str) -> str:
        if name != "local/image":
            raise BadInput(f"no image {name!r} in the engine")
        return name

    def check(self, job: TrainingJob) -> None:
        if self.unreachable and not job.enable_network_isolation:
            raise BadInput(self.unreachable)

    def sweep(self) -> None:
        self.swept += 1

    def train(self, job: TrainingJob, order: Order, control: Control, steps: Steps) -> object:
        self.begun.append(order.name)
        if self.script == "no engine":
            raise BadInput("no docker engine answers")
        plan = plan_training(
            job,
            order.name,
            arn=training_job_arn(order.name),
            region=REGION,
            image=order.image,
            launcher="gloo",
            output_path="",
            request=order.request,
        )
        self.plans.append(plan)
        record = RunRecord(
            named_run_folder(self.folder, order.name), plan.request, told=order.told, created=order.created
        )
        record.model_artifacts = ""
        hosts = tuple(host.name for host in plan.hosts)
        cluster = FakeCluster(self.folder / f".{order.name}", dict.fromkeys(hosts, self.script))
        metrics = MetricReader(job.metric_definitions)
        run = Run(hosts, cluster, record, metrics, Audience(steps), heard=order.heard, upload=order.upload)
        return run_training(run, max_run=plan.max_run, grace=5, control=control)


@dataclass
class Place:
    door: LocalDoor
    hosts: FakeHosts
    plane: ControlPlane

    def create(self, name: str, **members: Any) -> str:
        request = {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": "local/image", "TrainingInputMode": "File"},
            "RoleArn": ROLE_ARN,
            "HyperParameters": {"epochs": "6", "backend": '"gloo"', "sagemaker_program": '"train.py"'},
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out/"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            **members,
        }
        return str(self.sagemaker.create_training_job(**request)["TrainingJobArn"])

    @property
    def sagemaker(self) -> Any:
        return self.door.client("sagemaker")

    def described(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
        return found

    def over(self, name: str) -> dict[str, Any]:
        return self.when(name, lambda found: found["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"))

    def when(self, name: str, there: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + 30
        while not there(found := self.described(name)):
            assert time.monotonic() < end, found
        return found

    def objects(self, prefix: str) -> dict[str, bytes]:
        s3 = self.door.client("s3")
        found = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return {each["Key"]: s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read() for each in found}

    def logs(self, name: str) -> dict[str, list[str]]:
        """Lines by host; a stream is called JOB/HOST-EPOCH."""
        logs = self.door.client("logs")
        streams = logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]
        assert all(0 <= time.time() - int(each["logStreamName"].rpartition("-")[2]) < 60 for each in streams)
        return {
            each["logStreamName"].removeprefix(f"{name}/").rpartition("-")[0]: [
                event["message"]
                for event in logs.get_log_events(
                    logGroupName=LOG_GROUP, logStreamName=each["logStreamName"], startFromHead=True
                )["events"]
            ]
            for each in streams
        }


def executor_of(place: FakeHosts, url: str, services: MotoServices, slots: Path, notes: list[str]) -> Executor:
    client = s3_client(**own_client(url))

    def room(hosts: int, say: Callable[[str], object], *, wanted_no_more: Any) -> AbstractContextManager[None]:
        return hold(hosts, say, budget=4, folder=slots, wanted_no_more=wanted_no_more)

    return Executor(
        place,
        JobQueue(room, notes.append),
        place.folder,
        lambda: client,
        Shipper(services.put_log_events),
        services.make_log_stream,
        notes.append,
    )


@pytest.fixture
def place(tmp_path: Path, services: MotoServices) -> Iterator[Place]:
    notes: list[str] = []
    hosts = FakeHosts(tmp_path / "runs")
    with Server(lambda request: api.handle(request)) as server:
        executor = executor_of(hosts, server.url, services, tmp_path / "slots", notes)
        plane = ControlPlane(tmp_path / "door", FakeInstances(), services, executor)
        api = Api(plane, services.call, notes.append)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        door = LocalDoor(api, server.url, FakeInstances(), services, notes, tmp_path / "door")
        s3 = door.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        yield Place(door, hosts, plane)
        plane.close(stop=True)
        for each in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            s3.delete_object(Bucket=BUCKET, Key=each["Key"])
        s3.delete_bucket(Bucket=BUCKET)
        for client in door.clients.values():
            client.close()
        server.shutdown()


TRAINS = """
import os
for number in range(3):
    print("line", number, "of", os.environ["SM_CURRENT_HOST"])
print()
open(os.environ["SM_MODEL_DIR"] + "/" + os.environ["SM_CURRENT_HOST"], "w").write("trained")
print("loss=0.25")
"""


def members(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.getnames()


def test_a_job_trains_and_leaves_its_model_and_its_logs_where_the_platform_does(place: Place) -> None:
    place.hosts.script = TRAINS
    before = time.time()

    arn = place.create(
        "Job",
        AlgorithmSpecification={
            "TrainingImage": "local/image",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}],
        },
        DebugHookConfig={"S3OutputPath": "s3://x/", "CollectionConfigurations": []},
        ProfilerConfig={"S3OutputPath": "s3://x/", "DisableProfiler": False},
    )
    ended = place.over("Job")

    assert arn == ended["TrainingJobArn"] == training_job_arn("Job")
    assert ended["TrainingJobStatus"] == ended["SecondaryStatus"] == "Completed", ended
    assert ended["HyperParameters"] == {"epochs": "6", "backend": '"gloo"', "sagemaker_program": '"train.py"'}
    assert ended["DebugHookConfig"] == {"S3OutputPath": "s3://x/", "CollectionConfigurations": []}
    assert [each["Status"] for each in ended["SecondaryStatusTransitions"]] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert ended["FinalMetricDataList"][0]["Value"] == 0.25
    assert before - 1 <= ended["CreationTime"].timestamp() <= ended["TrainingStartTime"].timestamp()
    assert ended["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/out/Job/output/model.tar.gz"
    objects = place.objects("out/")
    assert list(objects) == ["out/Job/output/model.tar.gz"]
    assert members(objects["out/Job/output/model.tar.gz"]) == ["algo-1", "algo-2"]
    assert place.logs("Job") == {
        host: [*(f"line {number} of {host}" for number in range(3)), " ", "loss=0.25"] for host in ("algo-1", "algo-2")
    }
    assert (place.hosts.folder / "Job/logs/algo-2.log").read_text().startswith("line 0 of algo-2\n")
    described = json.loads((place.hosts.folder / "Job/describe.json").read_text())
    assert described["TrainingJobStatus"] == "Completed"


def test_hosts_are_given_the_hyperparameters_as_they_were_sent(place: Place) -> None:
    sent = {"lr": "1e-3", "text": "no json", "list": "[1,  2]", "sagemaker_submit_directory": '"s3://b/c.tar.gz"'}

    place.create("job", HyperParameters=sent, Environment={"A": "$b"})
    place.over("job")

    (plan,) = place.hosts.plans
    for host in plan.hosts:
        assert json.loads(host.files["/opt/ml/input/config/hyperparameters.json"]) == sent
        assert host.environment["TRAINING_JOB_NAME"] == "job"
        assert host.environment["TRAINING_JOB_ARN"] == training_job_arn("job")
        assert host.environment["A"] == "$b"


def test_a_channel_without_a_word_on_its_distribution_is_there_in_full_on_all_hosts(place: Place) -> None:
    place.door.client("s3").put_object(Bucket=BUCKET, Key="in/a", Body=b"x")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/in"}}

    place.create("job", InputDataConfig=[{"ChannelName": "train", "DataSource": source}])

    assert place.over("job")["TrainingJobStatus"] == "Completed"
    document = json.loads(place.hosts.plans[0].hosts[0].files["/opt/ml/input/config/init-config.json"])
    assert document["channels"]["train"]["s3DataSource"]["s3DataDistributionType"] == "FULLY_REPLICATED"


def test_logs_are_there_while_the_job_still_runs(place: Place) -> None:
    place.hosts.script = "import time\nprint('first')\ntime.sleep(60)"
    place.create("job")
    place.when("job", lambda found: found["SecondaryStatus"] == "Training")

    assert set(place.logs("job")) == {"algo-1", "algo-2"}  # also of hosts that have said nothing yet
    end = time.monotonic() + 10
    while place.logs("job") != {"algo-1": ["first"], "algo-2": ["first"]}:
        assert time.monotonic() < end
    place.sagemaker.stop_training_job(TrainingJobName="job")
    assert place.over("job")["TrainingJobStatus"] == "Stopped"


def test_what_a_failed_job_left_is_uploaded_and_its_reason_told(place: Place) -> None:
    place.hosts.script = """
import os, sys
open(os.environ["SM_OUTPUT_DATA_DIR"] + "/" + os.environ["SM_CURRENT_HOST"], "w").write("some")
open(os.environ["SM_OUTPUT_DIR"] + "/failure", "w").write("it broke")
sys.exit(3)
"""
    place.create("job")
    ended = place.over("job")

    assert ended["TrainingJobStatus"] == "Failed"
    assert ended["FailureReason"].startswith("AlgorithmError: it broke, exit code: 3")
    assert ended["ModelArtifacts"]["S3ModelArtifacts"] == ""
    assert list(place.objects("out/job")) == ["out/job/output/output.tar.gz"]


def test_artifacts_may_be_plain_objects(place: Place) -> None:
    place.hosts.script = TRAINS
    place.create("job", OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}", "CompressionType": "NONE"})
    ended = place.over("job")

    assert ended["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/job/output/model/"
    assert place.objects("job") == {"job/output/model/algo-1": b"trained", "job/output/model/algo-2": b"trained"}


def test_a_bucket_that_goes_away_fails_the_job_with_the_reason(place: Place) -> None:
    s3 = place.door.client("s3")
    s3.create_bucket(Bucket="short-lived", CreateBucketConfiguration={"LocationConstraint": REGION})
    place.hosts.script = "import time\ntime.sleep(1)"
    place.create("job", OutputDataConfig={"S3OutputPath": "s3://short-lived/"})
    s3.delete_bucket(Bucket="short-lived")

    ended = place.over("job")

    assert ended["TrainingJobStatus"] == "Failed"
    assert ended["FailureReason"].startswith("ClientError: Artifact upload failed: s3://short-lived/job/output/model")


def test_what_cannot_be_run_is_refused_with_all_its_problems(place: Place) -> None:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/nothing"}}
    place.hosts.unreachable = "hosts cannot reach the AWS door"

    with pytest.raises(ClientError) as refused:
        place.create(
            "job",
            AlgorithmSpecification={"TrainingImage": "other", "TrainingInputMode": "File"},
            InputDataConfig=[{"ChannelName": "train", "DataSource": source}],
            OutputDataConfig={"S3OutputPath": "s3://missing/"},
            CheckpointConfig={"S3Uri": "s3://gone/"},
        )

    message = str(refused.value)
    assert "ValidationException" in message
    assert "no image 'other' in the engine" in message
    assert f'No S3 objects found under S3 URL "s3://{BUCKET}/nothing" given in input data source.' in message
    assert "OutputDataConfig.S3OutputPath: there is no bucket 'missing'" in message
    assert "CheckpointConfig.S3Uri: there is no bucket 'gone'" in message
    assert "hosts cannot reach the AWS door" in message
    assert place.hosts.begun == []
    place.create("job", EnableNetworkIsolation=True)
    assert place.over("job")["TrainingJobStatus"] == "Completed"


def test_a_manifest_cannot_name_files_of_this_machine(place: Place, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    manifest = json.dumps([{"prefix": f"file://{tmp_path}/"}, "secret"])
    place.door.client("s3").put_object(Bucket=BUCKET, Key="manifest", Body=manifest.encode())
    source = {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": f"s3://{BUCKET}/manifest"}}

    with pytest.raises(ClientError, match=r"ValidationException.*InputDataConfig.train: .*which is no s3:// URI"):
        place.create("job", InputDataConfig=[{"ChannelName": "train", "DataSource": source}])


def test_more_hosts_than_there_can_be_are_over_a_limit(place: Place) -> None:
    with pytest.raises(ClientError, match=r"ResourceLimitExceeded.*'ml.p2.xlarge for training job usage' is 8"):
        place.create("job", ResourceConfig={"InstanceType": "ml.p2.xlarge", "InstanceCount": 9, "VolumeSizeInGB": 1})


def test_a_job_without_hosts_is_refused(place: Place) -> None:
    with pytest.raises(ClientError, match=r"ValidationException.*ResourceConfig: is missing"):
        place.sagemaker.create_training_job(
            TrainingJobName="job", RoleArn=ROLE_ARN, OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/"}
        )


def test_jobs_begin_in_the_order_that_they_were_created_in(place: Place) -> None:
    place.hosts.script = "import time\ntime.sleep(0.2)"
    names = [f"job-{number}" for number in (3, 1, 2, 0)]
    three = {"InstanceType": "ml.m5.large", "InstanceCount": 3, "VolumeSizeInGB": 30}  # no room for a second one

    for name in names:
        place.create(name, ResourceConfig=three)
    describe = place.plane.operations["DescribeTrainingJob"]
    status = describe({"TrainingJobName": names[-1]}, 0.0)["SecondaryStatus"]  # now, and not once it changes
    for name in names:
        assert place.over(name)["TrainingJobStatus"] == "Completed"

    assert place.hosts.begun == names
    assert status == "Starting"
    started = [place.described(name)["TrainingStartTime"] for name in names]
    assert started == sorted(started)


def test_a_job_that_waits_for_its_turn_can_be_stopped(place: Place) -> None:
    place.hosts.script = "import time\ntime.sleep(60)"
    for name in ("a", "b", "c"):  # there is room for two of them
        place.create(name)
    place.when("b", lambda found: found["SecondaryStatus"] == "Training")

    place.sagemaker.stop_training_job(TrainingJobName="c")
    ended = place.over("c")

    assert ended["TrainingJobStatus"] == "Stopped"
    assert [each["Status"] for each in ended["SecondaryStatusTransitions"]] == ["Starting", "Stopping", "Stopped"]
    assert place.hosts.begun == ["a", "b"]


def test_a_job_that_is_stopped_uploads_what_it_has(place: Place) -> None:
    place.hosts.script = TRAINS + "import time\ntime.sleep(60)"
    place.create("job")
    place.when("job", lambda found: found["SecondaryStatus"] == "Training")
    end = time.monotonic() + 10
    while not all("loss=0.25" in lines for lines in place.logs("job").values()):
        assert time.monotonic() < end

    place.sagemaker.stop_training_job(TrainingJobName="job")
    ended = place.over("job")

    assert ended["TrainingJobStatus"] == "Stopped"
    assert "FailureReason" not in ended
    assert ended["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/out/job/output/model.tar.gz"
    assert list(place.objects("out/job")) == ["out/job/output/model.tar.gz"]


def test_the_time_that_a_job_may_train_counts_from_its_training(place: Place) -> None:
    place.hosts.script = "import time\ntime.sleep(60)"
    for name in ("a", "b"):
        place.create(name, StoppingCondition={"MaxRuntimeInSeconds": 1})
    place.create("waits", StoppingCondition={"MaxRuntimeInSeconds": 2})

    ended = place.over("waits")

    assert (ended["TrainingJobStatus"], ended["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    training = next(each for each in ended["SecondaryStatusTransitions"] if each["Status"] == "Training")
    assert (training["EndTime"] - training["StartTime"]).total_seconds() >= 1.9


def test_what_keeps_a_job_from_starting_is_its_reason(place: Place) -> None:
    place.hosts.script = "no engine"
    place.create("job")
    ended = place.over("job")

    assert ended["TrainingJobStatus"] == "Failed"
    assert ended["FailureReason"] == "ClientError: no docker engine answers"


def test_a_name_can_be_used_again_once_its_job_is_deleted(place: Place) -> None:
    place.hosts.script = TRAINS
    place.create("job")
    place.over("job")

    with pytest.raises(ClientError, match="ResourceInUse"):
        place.create("job")
    place.sagemaker.delete_training_job(TrainingJobName="job")
    place.hosts.script = ""
    place.create("job")

    assert place.over("job")["TrainingJobStatus"] == "Completed"
    assert (place.hosts.folder / "job/logs/algo-1.log").read_text() == ""


def test_the_end_of_the_door_stops_all_jobs(place: Place) -> None:
    place.hosts.script = TRAINS + "import time\ntime.sleep(60)"
    for name in ("a", "b", "c"):
        place.create(name)
    place.when("b", lambda found: found["SecondaryStatus"] == "Training")

    place.plane.close(stop=True)

    for name in ("a", "b", "c"):
        assert place.described(name)["TrainingJobStatus"] == "Stopped"
    assert list(place.hosts.folder.glob(".*")) == []


def test_after_a_door_that_was_killed_jobs_have_failed_or_wait_again(
    place: Place, services: MotoServices, tmp_path: Path
) -> None:
    place.hosts.script = "import time\ntime.sleep(60)"
    for name in ("b", "a", "z", "y"):  # two run, two wait
        place.create(name)
    place.when("a", lambda found: found["SecondaryStatus"] == "Training")

    hosts = FakeHosts(place.hosts.folder)
    executor = executor_of(hosts, place.door.url, services, tmp_path / "others", place.door.notes)
    plane = ControlPlane(place.door.state, FakeInstances(), services, executor)
    plane.recover()
    described = partial(status_of, plane.operations["DescribeTrainingJob"])
    end = time.monotonic() + 20
    while described("y")["TrainingJobStatus"] == "InProgress":
        assert time.monotonic() < end
    plane.close(stop=True)

    for name in ("b", "a"):
        found = described(name)
        assert found["FailureReason"] == "InternalServerError: the door ended while the job ran"
        assert found["SecondaryStatusTransitions"][-1]["Status"] == "Failed"
    assert [described(name)["TrainingJobStatus"] for name in ("z", "y")] == ["Completed", "Completed"]
    assert sorted(hosts.begun) == ["y", "z"]
    assert hosts.swept == 1


def status_of(operation: Callable[[dict[str, Any], float], dict[str, Any]], name: str) -> Mapping[str, Any]:
    return operation({"TrainingJobName": name}, 1.0)
