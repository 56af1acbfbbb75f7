"""The AWS door in this process: a real server on a loopback port, moto behind it, and instances without an engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from harness.api import Api
from harness.control_plane import ControlPlane
from harness.door_server import Server
from harness.job_queue import JobQueue
from harness.moto_services import MotoServices
from tests.fake_instances import FakeInstances
from tests.no_engine import no_engine

__all__ = ["no_engine"]

SESSION = boto3.Session()


@contextmanager
def room_for_all(_: int, _say: object, **_more: object) -> Iterator[None]:
    """A machine on which every job finds room at once."""
    yield


@dataclass
class LocalDoor:
    api: Api
    url: str
    instances: FakeInstances
    services: MotoServices
    notes: list[str]
    state: Path
    clients: dict[str, Any] = field(default_factory=dict)

    @property
    def plane(self) -> ControlPlane:
        return self.api._plane

    def client(self, service: str, **options: Any) -> Any:
        """boto3's client of ``service``, which tries everything once; one for all calls with the same options."""
        key = f"{service} {options}"
        if key not in self.clients:
            config = Config(retries={"total_max_attempts": 1}, **options)
            keys = {"aws_access_key_id": "ASIADOOR", "aws_secret_access_key": "of-nobody"}
            self.clients[key] = SESSION.client(
                service, endpoint_url=self.url, region_name="us-west-2", config=config, **keys
            )
        return self.clients[key]


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> MotoServices:
    """One for all tests: moto's state is the process's own."""
    return MotoServices(tmp_path_factory.mktemp("services"))


@pytest.fixture
def local_door(tmp_path: Path, services: MotoServices) -> Iterator[LocalDoor]:
    instances, notes = FakeInstances(), list[str]()
    plane = ControlPlane(tmp_path / "door", instances, services, queue=JobQueue(room_for_all, notes.append))
    api = Api(plane, services.call, notes.append)
    with Server(api.handle) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        door = LocalDoor(api, server.url, instances, services, notes, tmp_path / "door")
        yield door
        for client in door.clients.values():
            client.close()
        server.shutdown()
    plane.close(stop=True)
