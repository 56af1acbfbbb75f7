"""SageMaker as methods: every operation that the door answers itself, over one folder of records. No HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.archives import Archives
from harness.async_invocations import AsyncInvocations
from harness.async_request import async_document, read_async
from harness.budget import hold
from harness.control_plane_hosting import HostingOperations
from harness.control_plane_training import TrainingExecutor, TrainingOperations, read_training, training_document
from harness.control_plane_transform import TransformOperations
from harness.door_objects import Objects
from harness.endpoint_life import EndpointLife
from harness.endpoint_records import endpoint_document, read_endpoint, read_requested, requested_document
from harness.instances import Instances
from harness.invocations import Invocations
from harness.job_queue import JobQueue
from harness.log_shipping import LogShipper
from harness.moto_services import MotoServices
from harness.records import Records
from harness.tags import Tags
from harness.transform_life import TransformLife
from harness.transform_status import read_transform, transform_document
from harness.wire import Request, Response

Members = dict[str, Any]
Operation = Callable[[Members, float], Members]
Invoke = Callable[[str, Request], Response]  # by the endpoint's name


class ControlPlane:
    """``state`` is the folder that all of it is kept in; ``executor`` runs training jobs, where there is one.

    ``queue`` gives transform jobs their turn, within the machine's budget unless it says otherwise.
    """

    def __init__(
        self,
        state: Path,
        instances: Instances,
        services: MotoServices,
        executor: TrainingExecutor | None = None,
        queue: JobQueue | None = None,
    ) -> None:
        endpoints = Records(state / "endpoints", endpoint_document, read_endpoint)
        models = Records(state / "models", requested_document, read_requested)
        configs = Records(state / "endpoint-configs", requested_document, read_requested)
        jobs = Records(state / "training-jobs", training_document, read_training)
        self.tags = Tags(state / "tags.json")
        self._logs = LogShipper(instances, services.put_log_events)
        archives = Archives(state / "archives", services.read_object)
        self._life = EndpointLife(endpoints, instances, archives, self._logs)
        hosting = HostingOperations(models, configs, self._life, instances, services.has_object, self.tags)
        self._training = TrainingOperations(jobs, executor, self.tags)
        self.invocations = Invocations(endpoints.get, self._life.fleet)
        self._objects = Objects(services.call)
        requests = Records(state / "async-invocations", async_document, read_async)
        self._asynchronous = AsyncInvocations(
            requests, endpoints.get, self._life.fleet, self._objects, services.put_log_events
        )
        self.runtime: dict[str, tuple[str, Invoke]] = {
            "invocations": ("InvokeEndpoint", self.invocations.invoke),
            "async-invocations": ("InvokeEndpointAsync", self._asynchronous.submit),
            "invocations-response-stream": ("InvokeEndpointWithResponseStream", self.invocations.stream),
        }
        transforms = Records(state / "transform-jobs", transform_document, read_transform)
        self._transform = TransformLife(
            transforms, instances, archives, self._logs, self._objects, queue or JobQueue(hold, print)
        )
        transform = TransformOperations(self._transform, models, instances, self.tags)
        self.operations: dict[str, Operation] = {
            **hosting.operations(),
            **self._training.operations(),
            **transform.operations(),
        }

    def recover(self) -> None:
        """Take up what an earlier door over the same folder has left."""
        self._life.recover()
        self._asynchronous.recover()
        self._training.recover()
        self._transform.recover()

    def close(self, *, stop: bool) -> None:
        """End; with ``stop`` no instance and no training job is left."""
        if stop:
            self._training.close()
        self._asynchronous.close()
        self._transform.close(stop=stop)
        self._life.close(stop=stop)
        self.invocations.close()
        self._logs.close()
