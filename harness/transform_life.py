"""The lives of the door's transform jobs: in turn, within the machine's budget, on instances of their own.

What is accepted and not begun when a door ends is begun by the next one; what it was at has failed.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from harness import labels
from harness.archives import Archives
from harness.async_request import place
from harness.connections import Connections
from harness.data_objects import read_manifest, relative_keys, shard
from harness.door_objects import Objects
from harness.endpoint_life import new_generation
from harness.errors import BadInput, HarnessError
from harness.fleet import start_all, stop_all, wanted_places
from harness.instances import Instance, Instances
from harness.job_queue import JobQueue
from harness.log_shipping import LogShipper, group_of, stream_of
from harness.records import Records
from harness.transform_status import IN_PROGRESS, TransformRecord
from harness.transform_work import Item, ObjectError, TransformWork

LOST = "InternalServerError: the door ended while the job ran"
END_SECONDS = 60.0


@dataclass
class _Run:
    """A job that has been begun: its generation, what is asked of it, and the first of its failures."""

    generation: str
    stopped: threading.Event = field(default_factory=threading.Event)
    failures: list[str] = field(default_factory=list)


class TransformLife:
    def __init__(
        self,
        records: Records[TransformRecord],
        instances: Instances,
        archives: Archives,
        logs: LogShipper,
        objects: Objects,
        queue: JobQueue,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.records = records
        self._instances, self._archives, self._logs, self._objects = instances, archives, logs, objects
        self._queue, self._now = queue, now
        self._connections = Connections()
        self._runs: dict[str, _Run] = {}
        self._lost = False

    def start(self, record: TransformRecord) -> None:
        """Begin a job once its turn has come; returns at once."""
        self._queue.add(_turn(record.name), record.variant.count, lambda: self._run(record))

    def stop(self, name: str) -> None:
        """End a job whose record is Stopping: what it has not written by then is not written."""
        if self._queue.take_out(_turn(name)):
            self._over(name, "")
            return
        run = self._runs.get(name)
        if run:
            run.stopped.set()
            self._instances.discard(name, run.generation)

    def recover(self) -> None:
        """Take up what an earlier door has left, and remove its instances."""
        records = sorted(self.records.all(), key=lambda each: each.created)
        for instance in self._instances.running() if records else ():  # a door that is new needs no engine
            if instance.place.kind == labels.TRANSFORM:
                self._instances.discard(instance.place.endpoint_name, instance.place.generation)
        for record in records:
            if record.ended is None and record.started is None and record.status == IN_PROGRESS:
                self.start(record)
            elif record.ended is None:
                self._over(record.name, LOST)

    def close(self, *, stop: bool) -> None:
        """End; what runs has failed with the door, what waits is left to the next one."""
        self._lost = True
        for name, run in list(self._runs.items()):
            run.stopped.set()
            if stop:
                self._instances.discard(name, run.generation)
        self._queue.close(END_SECONDS)
        self._connections.close()

    def _run(self, record: TransformRecord) -> None:
        run = self._runs[record.name] = _Run(new_generation())
        began: list[TransformRecord] = []

        def begin(found: TransformRecord) -> TransformRecord | None:
            made = found.begun(self._now())
            began.extend([made] if made else [])
            return made

        self.records.change(record.name, begin)
        reason = ""
        try:
            if began:
                self._transform(record, run)
                reason = run.failures[0] if run.failures else ""
        except HarnessError as error:
            reason = f"ClientError: {error}" if isinstance(error, BadInput) else f"AlgorithmError: {error}"
        except Exception as error:  # a bug of ours, or a disk that is full: nobody is to wait for ever
            traceback.print_exc()
            reason = f"InternalServerError: {error!r}"
        finally:
            self._instances.discard(record.name, run.generation)
            self._archives.drop(run.generation)
            self._logs.hand_over()
            del self._runs[record.name]
            self._over(record.name, LOST if self._lost else reason)

    def _transform(self, record: TransformRecord, run: _Run) -> None:
        """Raises `HarnessError`; objects that have no output are among the failures of ``run``."""
        items = self._items(record)
        self._archives.keep(run.generation, record.variant)
        wanted = wanted_places(record.name, run.generation, (record.variant,), labels.TRANSFORM)
        started = start_all(self._instances, wanted, self._archives, self._logs)
        work = TransformWork(
            record.request,
            self._objects,
            self._connections,
            run.stopped.is_set,
            lambda instance, item, error: self._failed(run, instance, item, error),
        )
        how = work.settings(started[0])
        shares = shard(items, [each.instance_id for each in started])
        with ThreadPoolExecutor(len(started), thread_name_prefix="instance") as pool:
            for done in [pool.submit(work.run, each, how, shares[each.instance_id]) for each in started]:
                done.result()
        if not run.stopped.is_set():
            stop_all(self._instances, started)  # as the platform ends them, so that their logs are whole

    def _items(self, record: TransformRecord) -> list[Item]:
        """The objects of the input, by their keys. Raises `BadInput`."""
        source = record.request["TransformInput"]["DataSource"]["S3DataSource"]
        bucket, prefix = place(source["S3Uri"])
        if source["S3DataType"] == "ManifestFile":
            return self._named(bucket, prefix)
        names = relative_keys(prefix, self._objects.keys(bucket, prefix))
        if not names:  # in the platform's words
            raise BadInput(f"No S3 objects found under S3 URL {source['S3Uri']!r} given in input data source")
        return [Item(bucket, key, name) for key, name in names.items()]

    def _named(self, bucket: str, key: str) -> list[Item]:
        try:
            text = self._objects.read(bucket, key).decode()
        except (FileNotFoundError, UnicodeDecodeError) as error:
            raise BadInput(f"the manifest s3://{bucket}/{key} cannot be read: {error}") from None
        prefix, names = read_manifest(text)
        below, start = place(prefix)
        return [Item(below, f"{start}{name}", name) for name in names]

    def _failed(self, run: _Run, instance: Instance, item: Item, error: ObjectError) -> None:
        """Into the job's reason, where it is the first, and into the log that the platform has for these."""
        if run.stopped.is_set():
            return
        where = f"{item.bucket}/{item.key}"
        run.failures.append(f"{error.kind}: See job logs for more information: s3://{where}: {error.what}")
        said = f"[sagemaker logs]: {where}: {error}"
        self._logs.add(group_of(instance.place), f"{stream_of(instance)}/data-log", [(int(time.time() * 1000), said)])

    def _over(self, name: str, reason: str) -> None:
        self.records.change(name, lambda record: record.over(self._now(), reason))


def _turn(name: str) -> str:
    """What the queue calls it: a training job may have the same name."""
    return f"transform {name}"
