"""An endpoint of the AWS door by the SDK's `deploy()`, and the same container started by hand, to the first answer."""

from __future__ import annotations

import http.client
import io
import sys
import tarfile
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from harness import door, hosting
from harness import endpoint_container as server
from harness.cloud_sdk import ensure_sdk
from harness.deadline import Deadline
from harness.door_state import StateFolder
from harness.process import run

if TYPE_CHECKING:
    from docker import DockerClient

WAIT_SECONDS = 120.0
# The least that a model can be: what is measured is all around it.
_HANDLER = """
import json

def model_fn(model_dir):
    return 2.0

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(values, factor):
    return [value * factor for value in values]

def output_fn(answer, accept):
    return json.dumps(answer)
"""
_DEPLOY = """
import sys, time
import boto3, sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.pytorch import PyTorchModel
from sagemaker.serializers import JSONSerializer

session = sagemaker.Session()
data = session.upload_data(sys.argv[1], key_prefix="model")
model = PyTorchModel(
    model_data=data, role=sagemaker.get_execution_role(), entry_point="inference.py", source_dir=sys.argv[2],
    framework_version="1.12.1", py_version="py38",
)
began = time.perf_counter()
predictor = model.deploy(
    initial_instance_count=1, instance_type="ml.m5.large",
    serializer=JSONSerializer(), deserializer=JSONDeserializer(),
)
returned = time.time()
assert predictor.predict([1, 2]) == [2.0, 4.0]
answered, now = time.perf_counter() - began, time.time()
found = boto3.client("sagemaker").describe_endpoint(EndpointName=predictor.endpoint_name)
predictor.delete_endpoint()
print()
print(answered, now - found["CreationTime"].timestamp(), returned - found["LastModifiedTime"].timestamp())
"""


class DoorDeploy:
    """A door of its own, and a model that the SDK and we put into the same image."""

    def __init__(self, client: DockerClient, image: str, folder: Path) -> None:
        self._client, self._image, self._folder = client, image, folder
        self._state = StateFolder(folder / "door")
        (folder / "code").mkdir(parents=True)
        (folder / "code" / "inference.py").write_text(_HANDLER)
        (folder / "deploy.py").write_text(_DEPLOY)
        self._archive(folder / "model.tar.gz", {})
        self._archive(folder / "repacked.tar.gz", {"code/inference.py": _HANDLER})
        door.up(self._state, 0)

    def deploy(self) -> tuple[float, ...]:
        """Seconds from `deploy()` to the first answer, from its CreateEndpoint on, and from InService to its return."""
        program = (str(self._folder / "deploy.py"), str(self._folder / "model.tar.gz"), str(self._folder / "code"))
        harness = (sys.executable, "-m", "harness", "exec", "--state", str(self._state.path), "--")
        said = run((*harness, str(ensure_sdk()), *program), seconds=300)
        return tuple(float(each) for each in said.splitlines()[-1].split())

    def by_hand(self) -> tuple[float, ...]:
        """Seconds from the creation of a container with the model in it to its first answer."""
        began = time.perf_counter()
        environment = hosting.hosting_environment("inference.py")
        container = server.create(self._client, server.Description(self._image, environment, {}))
        try:
            server.put_model(container, self._folder / "repacked.tar.gz")
            server.start(container, None)
            container.reload()
            route = server.route(self._client, container)
            deadline = Deadline(WAIT_SECONDS, "waiting for an answer")
            while not _answers(route):
                deadline.check("the container does not answer")
                time.sleep(0.02)
            return (time.perf_counter() - began,)
        finally:
            server.remove(container)

    def _archive(self, path: Path, more: dict[str, str]) -> None:
        with tarfile.open(path, "w:gz") as tar:
            for name, text in {"factor": "2", **more}.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text.encode()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        door.down(self._state)


def _answers(route: server.Route) -> bool:
    connection = http.client.HTTPConnection(route.host, route.port, timeout=WAIT_SECONDS)
    try:
        connection.request("POST", "/invocations", b"[1, 2]", {"Content-Type": "application/json"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
