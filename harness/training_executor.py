"""Training jobs of the AWS door: in turn, with their logs in CloudWatch Logs and their artifacts in S3.

How a job is run is somebody else's (`docker_training`); here is what the platform does around it.
"""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, Protocol

from harness import status
from harness.contract import FAILURE_REASON_LIMIT
from harness.control import Control
from harness.data_sources import list_inputs
from harness.describe import describe_training_job
from harness.engine_log import Line
from harness.errors import ArtifactUploadFailed, BadInput, HarnessError
from harness.job import TrainingJob
from harness.job_queue import JobQueue
from harness.log_shipping import Shipper
from harness.order import Order
from harness.s3_objects import S3, split
from harness.status import History
from harness.steps import Steps

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
# When the door ends, in seconds: between SIGTERM and SIGKILL, until jobs are over, and until they are once killed.
CLOSE_GRACE, CLOSE_SECONDS, KILLED_SECONDS = 20.0, 35.0, 15.0
Tell = Callable[[dict[str, Any]], None]


class Hosts(Protocol):
    """Runs jobs on hosts, in the thread that asks. Used from several threads at once."""

    def image(self, name: str) -> str:
        """The local image that a name stands for. Raises `BadInput` where there is none."""

    def check(self, job: TrainingJob) -> None:
        """Raise `BadInput` where hosts of ``job`` would not find what they need, as the way to the door."""

    def train(self, job: TrainingJob, order: Order, control: Control, steps: Steps) -> object:
        """Run ``job`` to its end. Raises `HarnessError` for what kept it from that."""

    def sweep(self) -> None:
        """Remove what a process that is gone has left in the engine."""


class Executor:
    """A `TrainingExecutor`. ``folder`` takes a run folder for each job, ``s3_client`` gives a client of the door's S3,
    ``make_log_stream`` makes what ``logs`` writes to, and ``note`` is told what goes into the door's log."""

    def __init__(
        self,
        hosts: Hosts,
        queue: JobQueue,
        folder: Path,
        s3_client: Callable[[], Any],
        logs: Shipper,
        make_log_stream: Callable[[str, str], object],
        note: Callable[[str], object],
    ) -> None:
        self._hosts, self._queue, self._folder, self._s3_client = hosts, queue, folder, s3_client
        self._logs, self._make_log_stream, self._note = logs, make_log_stream, note
        self._jobs: dict[str, _Job] = {}
        self._swept = False

    def check(self, job: TrainingJob, request: Mapping[str, Any]) -> None:
        problems: list[str] = []

        def look(action: Callable[[], object]) -> None:
            try:
                action()
            except BadInput as error:
                problems.extend(error.problems)

        look(lambda: self._hosts.image(job.image_uri or ""))
        look(lambda: list_inputs(job, lambda: S3(self._s3_client()), "InputDataConfig"))
        look(lambda: self._refuse_missing_buckets(request))
        look(lambda: self._hosts.check(job))
        if problems:
            raise BadInput(problems)

    def start(self, job: TrainingJob, request: Mapping[str, Any], created: datetime, tell: Tell) -> None:
        begun = _Job(job, request, created, tell, self._logs, self._make_log_stream, self._s3_client)
        shutil.rmtree(self._folder / begun.name, ignore_errors=True)  # of a job of this name that was deleted
        self._jobs[begun.name] = begun
        self._queue.add(begun.name, job.instance_count, lambda: self._run(begun))

    def stop(self, training_job_name: str) -> None:
        job = self._jobs.get(training_job_name)
        if job and not self._stopped_while_it_waited(job):
            job.control.stop()

    def take_up(self, job: TrainingJob, request: Mapping[str, Any], created: datetime, tell: Tell) -> bool:
        """A job that had not begun waits again; one that had has lost its logs and its way to S3, and is over."""
        name = request["TrainingJobName"]
        if not (self._folder / name).exists():
            self.start(job, request, created, tell)
            return True
        self._note(f"{name}: an earlier door ended while it ran, so it has failed; its hosts are removed")
        if not self._swept:
            self._swept = True
            try:
                self._hosts.sweep()
            except HarnessError as error:
                self._note(f"hosts of an earlier door could not be looked for: {error}")
        return False

    def close(self) -> None:
        for name, job in list(self._jobs.items()):
            self._note(f"{name}: stopping, as the door ends")
            if not self._stopped_while_it_waited(job):
                job.control.stop(CLOSE_GRACE)
        if not self._queue.close(CLOSE_SECONDS):
            for job in list(self._jobs.values()):
                job.control.stop(0)
            self._queue.close(KILLED_SECONDS)
        self._logs.close()

    def _stopped_while_it_waited(self, job: _Job) -> bool:
        if not self._queue.take_out(job.name):
            return False
        self._jobs.pop(job.name, None)
        job.end(status.STOPPING, status.STOPPED)
        return True

    def _run(self, job: _Job) -> None:
        steps = Steps(_Notes(lambda line: self._note(f"{job.name}: {line}")))
        try:
            self._hosts.train(job.job, job.order(self._hosts.image), job.control, steps)
        except BadInput as error:
            job.end(status.FAILED, reason=f"ClientError: {'; '.join(error.problems)}")
        except HarnessError as error:
            job.end(status.FAILED, reason=f"InternalServerError: {error}")
        except Exception as error:  # whatever it was, the job must end, and say so
            self._note(traceback.format_exc())
            job.end(status.FAILED, reason=f"InternalServerError: {error!r}")
        finally:
            self._jobs.pop(job.name, None)

    def _refuse_missing_buckets(self, request: Mapping[str, Any]) -> None:
        places = {"OutputDataConfig.S3OutputPath": request["OutputDataConfig"]["S3OutputPath"]}
        if "CheckpointConfig" in request:
            places["CheckpointConfig.S3Uri"] = request["CheckpointConfig"]["S3Uri"]
        there = {bucket["Name"] for bucket in self._s3_client().list_buckets()["Buckets"]}
        missing = [
            f"{key}: there is no bucket {split(uri)[0]!r}" for key, uri in places.items() if split(uri)[0] not in there
        ]
        if missing:
            raise BadInput(missing)


class _Job:
    """One job: what its run is told with, and what becomes of what it tells."""

    def __init__(
        self,
        job: TrainingJob,
        request: Mapping[str, Any],
        created: datetime,
        tell: Tell,
        logs: Shipper,
        make_log_stream: Callable[[str, str], object],
        s3_client: Callable[[], Any],
    ) -> None:
        self.job, self.name, self.control = job, str(request["TrainingJobName"]), Control()
        self._request, self._created, self._tell = request, created, tell
        self._logs, self._make_log_stream, self._s3_client = logs, make_log_stream, s3_client
        self._attempts, self._epoch = 0, 0
        self._last: dict[str, int] = {}  # time of the last line of each host, in ms
        self._history = History()

    def order(self, image: Callable[[str], str]) -> Order:
        return Order(
            request=self._request,
            created=self._created,
            image=image(self.job.image_uri or ""),
            s3_client=self._s3_client(),
            told=self._told,
            heard=self._heard,
            upload=self._upload,
        )

    def end(self, *statuses: str, reason: str = "") -> None:
        """Move through ``statuses`` to the end, without a run that would; a job that is over stays as it is."""
        if self._history.is_over:
            return
        if not self._history.transitions:
            self._history = self._history.move(status.STARTING, self._created)
        reason = reason[:FAILURE_REASON_LIMIT]
        for each in statuses:
            history = self._history.move(each, datetime.now(UTC))
            self._told(describe_training_job(self._request, history, self._created, failure_reason=reason))

    def _told(self, description: Mapping[str, Any]) -> None:
        self._history = status.read_history(description["SecondaryStatusTransitions"])
        attempts = sum(each.status == status.TRAINING for each in self._history.transitions)
        if attempts > self._attempts:
            # A stream is named after its host and when that began; those who look wait until all are there.
            self._attempts, self._epoch = attempts, int(time.time())
            for number in range(1, self.job.instance_count + 1):
                self._make_log_stream(LOG_GROUP, self._stream(f"algo-{number}"))
        if self._history.is_over:
            self._logs.hand_over()  # who sees the end looks at the logs once more, and no further
        self._tell({name: value for name, value in description.items() if name != "HostExits"})

    def _heard(self, host: str, lines: Sequence[Line]) -> None:
        self._logs.add(LOG_GROUP, self._stream(host), list(self._events(host, lines)))

    def _events(self, host: str, lines: Sequence[Line]) -> Iterator[tuple[int, str]]:
        """In the order that they came in, which times never contradict: readers go on from the last time they saw."""
        for line in lines:
            at = max(self._last.get(host, 0), int(line.at.timestamp() * 1000))
            self._last[host] = at
            yield at, line.text

    def _stream(self, host: str) -> str:
        return f"{self.name}/{host}-{self._epoch}"

    def _upload(self, folder: Path) -> str:
        bucket, prefix = split(self._request["OutputDataConfig"]["S3OutputPath"])
        base = "/".join(part for part in (prefix.strip("/"), self.name, "output") if part)
        model = ""
        for name in ("model", "output"):
            archive, plain = folder / f"{name}.tar.gz", folder / name
            if archive.is_file():
                self._put(archive, bucket, f"{base}/{archive.name}")
            for path in sorted(plain.rglob("*")):
                if path.is_file():
                    self._put(path, bucket, f"{base}/{name}/{path.relative_to(plain).as_posix()}")
            if name == "model" and (archive.is_file() or plain.is_dir()):
                model = f"s3://{bucket}/{base}/{archive.name if archive.is_file() else 'model/'}"
        return model

    def _put(self, path: Path, bucket: str, key: str) -> None:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._s3_client().upload_file(str(path), bucket, key)
        except (Boto3Error, BotoCoreError, ClientError, OSError) as error:
            raise ArtifactUploadFailed(f"s3://{bucket}/{key}: {error}") from error


class _Notes(StringIO):
    """What a run says of itself, line by line."""

    def __init__(self, note: Callable[[str], object]) -> None:
        super().__init__()
        self._note = note

    def write(self, text: str) -> int:
        for line in text.splitlines():
            self._note(line.rstrip())
        return len(text)
