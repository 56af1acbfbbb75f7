"""Training jobs through the AWS door: one alone, by boto3 and by the SDK, and many that wait for their turn."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness import door
from harness.budget import host_budget
from harness.cloud_sdk import ensure_sdk
from harness.door_environment import own_client
from harness.door_state import StateFolder
from harness.errors import HarnessError
from harness.process import run

IMAGE = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:1.12.1-gpu-py38"
BUCKET = "bench"
OVER = ("Completed", "Failed", "Stopped")
_FIT = """
import sys, time
from sagemaker.pytorch import PyTorch

estimator = PyTorch(
    entry_point="nothing.py", source_dir=sys.argv[1], role="arn:aws:iam::000000000000:role/SageMakerHarness",
    framework_version="1.12.1", py_version="py38", instance_count=2, instance_type="ml.p2.xlarge",
)
began = time.perf_counter()
estimator.fit()
print()
print(time.perf_counter() - began)
"""


class DoorJobs:
    """A door of its own, with a script that does nothing in its S3."""

    def __init__(self, folder: Path, script: Path) -> None:
        import boto3

        self._folder, self._script = folder, script
        self._state = StateFolder(folder / "door")
        found, _ = door.up(self._state, 0)
        session = boto3.session.Session()
        self._sagemaker = session.client("sagemaker", **own_client(found.url))
        s3 = session.client("s3", **own_client(found.url))
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            tar.add(script, script.name)
        s3.put_object(Bucket=BUCKET, Key="sourcedir.tar.gz", Body=buffer.getvalue())

    def alone(self) -> float:
        """Seconds from CreateTrainingJob, of a job on two hosts, until it is seen to be Completed."""
        began = time.perf_counter()
        self._over(self._create(hosts=2))
        return time.perf_counter() - began

    def fit(self) -> float:
        """Seconds of the SDK's `fit()` for the same job."""
        program = self._folder / "fit.py"
        program.write_text(_FIT)
        command = (str(ensure_sdk()), str(program), str(self._script.parent))
        harness = (sys.executable, "-m", "harness", "exec", "--state", str(self._state.path), "--")
        return float(run((*harness, *command), seconds=300).splitlines()[-1])

    def queued(self, count: int) -> float:
        """Seconds until ``count`` jobs of one host, created at once, are over.

        Raises `HarnessError` where one trained before another that was created so much earlier that there was no room
        for both of them.
        """
        began, room = time.perf_counter(), host_budget()
        names = [self._create(hosts=1) for _ in range(count)]
        started = [self._over(name)["TrainingStartTime"] for name in names]
        early = [names[at] for at in range(room, count) if started[at] < max(started[: at - room + 1])]
        if early:
            raise HarnessError(f"these trained before others that were created earlier: {', '.join(early)}")
        return time.perf_counter() - began

    def _create(self, hosts: int) -> str:
        name = f"bench-{uuid.uuid4().hex[:12]}"
        self._sagemaker.create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            RoleArn="arn:aws:iam::000000000000:role/SageMakerHarness",
            HyperParameters={
                "sagemaker_program": json.dumps(self._script.name),
                "sagemaker_submit_directory": json.dumps(f"s3://{BUCKET}/sourcedir.tar.gz"),
            },
            OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/"},
            ResourceConfig={"InstanceType": "ml.p2.xlarge", "InstanceCount": hosts, "VolumeSizeInGB": 30},
            StoppingCondition={"MaxRuntimeInSeconds": 600},
        )
        return name

    def _over(self, name: str) -> dict[str, Any]:
        while True:  # each call waits for a change
            found: dict[str, Any] = self._sagemaker.describe_training_job(TrainingJobName=name)
            if found["TrainingJobStatus"] in OVER:
                break
        if found["TrainingJobStatus"] != "Completed":
            raise HarnessError(f"{name}: {found.get('FailureReason')}")
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        door.down(self._state)
