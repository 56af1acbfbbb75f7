"""The AWS door as moto's tests want a server: it forgets everything when told so, and instances and jobs are easy."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from harness import status
from harness.api import Api
from harness.control_plane import ControlPlane
from harness.describe import describe_training_job
from harness.job import TrainingJob
from harness.moto_dispatch import Moto
from harness.moto_services import MotoServices
from harness.status import History
from harness.wire import Request, Response, to_json
from tests.fake_instances import FakeInstances

RESET = "/moto-api/reset"


class AnyImage(FakeInstances):
    """Whatever the image is called, its container serves at once."""

    def resolve(self, image: str) -> tuple[str, str]:
        return image, "sha256:any"


class EndsAtOnce:
    """Jobs are completed as soon as they are created."""

    def check(self, *_: Any) -> None:
        pass

    def start(
        self, _: TrainingJob, request: Mapping[str, Any], created: datetime, tell: Callable[[dict[str, Any]], None]
    ) -> None:
        history = History()
        for each in (status.STARTING, status.DOWNLOADING, status.TRAINING, status.UPLOADING, status.COMPLETED):
            history = history.move(each, datetime.now(UTC))
        tell(describe_training_job(request, history, created))

    def stop(self, _: str) -> None:
        pass

    def take_up(self, *_: Any) -> bool:
        return False

    def close(self) -> None:
        pass


class Rig:
    """The door's one function, with moto's reset in front of it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, count()
        self._services = MotoServices(folder / "services")
        self._moto = Moto()
        self._begin()

    def handle(self, request: Request) -> Response:
        if request.path != RESET:
            answer = self._api.handle(request)
            self._await_service(request)
            return answer
        self.close()
        answer = self._moto.call(request)
        self._begin()
        return answer

    def close(self) -> None:
        self._plane.close(stop=True)

    def _await_service(self, request: Request) -> None:
        """moto's endpoints are in service when they are created."""
        if (request.header("x-amz-target") or "").endswith(".CreateEndpoint"):
            described = {**request.headers, "x-amz-target": "SageMaker.DescribeEndpoint"}
            name = json.loads(request.body).get("EndpointName")
            self._api.handle(Request("POST", "/", described, to_json({"EndpointName": name})))

    def _begin(self) -> None:
        state = self._folder / f"door-{next(self._numbers)}"
        self._plane = ControlPlane(state, AnyImage(), self._services, EndsAtOnce())
        self._api = Api(self._plane, self._services.call, lambda _: None)
