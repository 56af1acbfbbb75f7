"""Real endpoints: a small model on the real serving stack, deployed, invoked, broken and deleted."""

from __future__ import annotations

import io
import os
import socket
import tarfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import endpoint_container, engine, hosting, labels
from harness.deadline import Deadline
from harness.errors import BadInput, EndpointFailed
from harness.hosting import EndpointPlan, hosting_environment
from harness.model_archive import repack
from harness.payload import JSON, NPY, as_body, read_answer

IMAGE = os.environ.get("HARNESS_IMAGE", "harness-pytorch:latest")
HANDLER = """
import os, torch

def model_fn(model_dir):
    model = torch.nn.Linear(4, 3)
    model.load_state_dict(torch.load(os.path.join(model_dir, "model.pth")))
    return model
"""
# Makes the model, and says what it answers in-process, as the JSON that the endpoint would send.
MAKE_MODEL = """
import json, torch
torch.manual_seed(7)
model = torch.nn.Linear(4, 3)
torch.save(model.state_dict(), "/tmp/model.pth")
with torch.no_grad():
    print(json.dumps(model(torch.arange(8.0).reshape(2, 4) / 8).tolist()))
"""
INPUT = np.arange(8.0).reshape(2, 4) / 8


@pytest.fixture(scope="session")
def client() -> Any:
    return engine.connect()


@pytest.fixture(scope="session")
def trained(client: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A model.tar.gz as training leaves it, and the model's own answer to INPUT."""
    folder = tmp_path_factory.mktemp("trained")
    container = client.containers.create(IMAGE, ["python3", "-c", MAKE_MODEL], labels={"test": "hosting"})
    try:
        container.start()
        assert container.wait(timeout=60)["StatusCode"] == 0, container.logs().decode()
        chunks, _ = container.get_archive("/tmp/model.pth")
        answer = read_answer(container.logs(stderr=False), JSON)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            weights = tar.extractfile("model.pth")
            assert weights is not None
            content = weights.read()
    finally:
        container.remove(force=True)
    entry = tarfile.TarInfo("model.pth")
    entry.size = len(content)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        tar.addfile(entry, io.BytesIO(content))
    return folder / "model.tar.gz", answer


class Lab:
    """Plans endpoints whose names are this test's own, and removes what they leave."""

    def __init__(self, client: Any, model: Path, folder: Path) -> None:
        self.client, self._model, self.folder = client, model, folder
        self._names: list[str] = []

    def plan(self, handler: str = HANDLER, *, port: int | None = None, **extra: str) -> EndpointPlan:
        """``extra`` are environment variables."""
        name = f"test-{uuid.uuid4().hex[:8]}"
        self._names.append(name)
        source = self.folder / name
        source.mkdir()
        (source / "inference.py").write_text(handler)
        repack(self._model, source, "inference.py", self.folder / f"{name}.tar.gz")
        return EndpointPlan(
            name,
            IMAGE,
            self.folder / f"{name}.tar.gz",
            hosting_environment("inference.py", extra),
            host_port=port,
            log_file=self.folder / f"{name}.log",
        )

    def deploy(self, plan: EndpointPlan) -> hosting.Endpoint:
        return hosting.deploy(self.client, plan, Deadline(120, f"waiting for {plan.endpoint_name}"))

    def left(self, plan: EndpointPlan) -> list[Any]:
        wanted = {"label": f"{labels.JOB}={plan.endpoint_name}"}
        found: list[Any] = self.client.containers.list(all=True, filters=wanted)
        return found

    def clean(self) -> None:
        for name in self._names:
            for endpoint in hosting.list_endpoints(self.client, name):
                endpoint.container.remove(force=True)


@pytest.fixture
def lab(client: Any, trained: tuple[Path, Any], tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(client, trained[0], tmp_path)
    yield lab
    lab.clean()


@pytest.fixture(scope="module")
def shared(client: Any, trained: tuple[Path, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One endpoint for the tests that only ask."""
    lab = Lab(client, trained[0], tmp_path_factory.mktemp("shared"))
    yield lab.deploy(lab.plan())
    lab.clean()


@pytest.mark.parametrize("accept", [NPY, JSON])
@pytest.mark.parametrize("content_type", [NPY, JSON])
def test_the_endpoint_answers_what_the_model_answers_in_process(
    shared: hosting.Endpoint, trained: tuple[Path, Any], content_type: str, accept: str
) -> None:
    response = hosting.invoke(shared, as_body(INPUT, content_type), content_type, accept)

    assert (response.status, response.content_type) == (200, accept)
    np.testing.assert_array_equal(
        np.asarray(read_answer(response.body, accept), np.float32), np.asarray(trained[1], np.float32)
    )


def test_a_body_that_the_handler_cannot_read_is_the_containers_error(shared: hosting.Endpoint) -> None:
    response = hosting.invoke(shared, b"nothing", NPY)

    assert response.status == 500
    assert b"Traceback" in response.body


def test_a_running_endpoint_is_found_by_name_and_described_as_in_service(client: Any, shared: hosting.Endpoint) -> None:
    found = hosting.find(client, shared.endpoint_name)

    answer = hosting.describe(found)

    assert found == shared
    assert hosting.ping(found)
    assert answer["EndpointStatus"] == "InService"
    assert answer["EndpointArn"].endswith(f":endpoint/{shared.endpoint_name}")
    assert [v["CurrentInstanceCount"] for v in answer["ProductionVariants"]] == [1]


def test_it_listens_on_the_loopback_interface_only(shared: hosting.Endpoint) -> None:
    bindings = shared.container.attrs["NetworkSettings"]["Ports"]["8080/tcp"]

    assert [b["HostIp"] for b in bindings] == ["127.0.0.1"]


def test_a_used_name_is_refused_whatever_its_case(lab: Lab, shared: hosting.Endpoint) -> None:
    plan = lab.plan()
    again = EndpointPlan(shared.endpoint_name.upper(), plan.image, plan.model_archive)

    with pytest.raises(BadInput, match="already exists"):
        hosting.deploy(lab.client, again)


BROKEN = {
    "an import that fails": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "a syntax error": ("def model_fn(:", "SyntaxError: invalid syntax"),
    "model_fn that raises": (
        "def model_fn(model_dir):\n    raise ValueError('weights are of another network')",
        "ValueError: weights are of another network",
    ),
    "a file that is not there": (
        "def model_fn(model_dir):\n    return open(model_dir + '/other.pth')",
        "FileNotFoundError: [Errno 2] No such file or directory",
    ),
    "a module that exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "a worker that crashes": ("import os\ndef model_fn(_):\n    os._exit(9)", "the worker ended while it loaded"),
}


@pytest.mark.parametrize(("handler", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_model_that_cannot_be_loaded_ends_in_the_handlers_traceback(lab: Lab, handler: str, message: str) -> None:
    plan = lab.plan(handler)

    with pytest.raises(EndpointFailed) as failure:
        lab.deploy(plan)

    text = str(failure.value)
    assert message in text.splitlines()[-2] or message in text.splitlines()[1]
    assert text.splitlines()[-1] == f"the whole log is in {str(plan.log_file)!r}"
    assert plan.log_file is not None
    assert message in plan.log_file.read_text()
    assert lab.left(plan) == []


def test_requirements_that_cannot_be_installed_are_named(lab: Lab, trained: tuple[Path, Any]) -> None:
    plan = lab.plan()
    source = lab.folder / plan.endpoint_name
    (source / "requirements.txt").write_text("./no-such-folder\n")
    repack(trained[0], source, "inference.py", plan.model_archive)

    with pytest.raises(EndpointFailed, match="no-such-folder"):
        lab.deploy(plan)

    assert lab.left(plan) == []


def test_a_deadline_that_is_too_short_says_what_the_platform_says(lab: Lab) -> None:
    plan = lab.plan("import time\ntime.sleep(300)")

    with pytest.raises(EndpointFailed, match="did not pass the ping health check in 5 s"):
        hosting.deploy(lab.client, plan, Deadline(5, "waiting"))

    assert lab.left(plan) == []


def test_two_endpoints_live_side_by_side(lab: Lab) -> None:
    doubled = HANDLER.replace("return model", "model.weight.data *= 0; model.bias.data *= 0; return model")
    plans = [lab.plan(), lab.plan(doubled)]

    with ThreadPoolExecutor() as pool:
        one, two = pool.map(lab.deploy, plans)

    answers = [read_answer(hosting.invoke(e, as_body(INPUT, JSON), JSON).body, JSON) for e in (one, two)]
    assert one.url != two.url
    assert answers[0] != answers[1] == [[0.0] * 3] * 2


def test_a_deleted_endpoint_is_gone_and_can_be_deleted_again(lab: Lab) -> None:
    plan = lab.plan()
    endpoint = lab.deploy(plan)

    hosting.delete(endpoint)
    hosting.delete(endpoint)

    assert lab.left(plan) == []
    with pytest.raises(BadInput, match=f"no endpoint '{plan.endpoint_name}'"):
        hosting.find(lab.client, plan.endpoint_name)
    with pytest.raises(BadInput, match="has been deleted"):
        hosting.invoke(endpoint, b"", JSON)


def test_an_endpoint_that_died_since_says_so_with_its_last_words(lab: Lab) -> None:
    plan = lab.plan(HANDLER + "\nimport os\ndef input_fn(body, kind):\n    os.kill(1, 15)\n")
    endpoint = lab.deploy(plan)
    endpoint.container.kill()
    endpoint.container.wait(timeout=30)

    for ask in (
        lambda: hosting.find(lab.client, plan.endpoint_name),
        lambda: hosting.invoke(endpoint, b"[]", JSON),
    ):
        with pytest.raises(EndpointFailed, match=f"endpoint '{plan.endpoint_name}': its container ended"):
            ask()
    assert [hosting.endpoint_status(e) for e in hosting.list_endpoints(lab.client, plan.endpoint_name)] == ["Failed"]


def test_a_port_that_is_taken_is_one_line_and_nothing_is_started(lab: Lab) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        plan = lab.plan(port=taken.getsockname()[1])

        with pytest.raises(BadInput, match=f"port {plan.host_port} is taken") as refused:
            lab.deploy(plan)

    assert len(refused.value.problems) == 1
    assert lab.left(plan) == []


def test_all_problems_of_a_plan_are_told_together(lab: Lab) -> None:
    plan = EndpointPlan("no_underscores", IMAGE, lab.folder / "gone.tar.gz", initial_instance_count=2)

    with pytest.raises(BadInput) as refused:
        hosting.deploy(lab.client, plan)

    assert len(refused.value.problems) == 3


def test_an_image_that_is_not_there_is_named(lab: Lab) -> None:
    plan = lab.plan()

    with pytest.raises(BadInput, match="no image 'nowhere/nothing:1'"):
        hosting.deploy(lab.client, EndpointPlan(plan.endpoint_name, "nowhere/nothing:1", plan.model_archive))


def test_another_port_inside_and_more_workers_are_the_users_choice(lab: Lab) -> None:
    endpoint = lab.deploy(lab.plan(SAGEMAKER_BIND_TO_PORT="9090", SAGEMAKER_MODEL_SERVER_WORKERS="2"))

    response = hosting.invoke(endpoint, as_body(INPUT, JSON), JSON)

    assert response.status == 200
    processes = endpoint.container.top()["Processes"]
    assert sum("model_service_worker" in " ".join(process) for process in processes) == 2


def test_an_image_without_model_ready_is_asked_by_ping_as_the_platform_does(lab: Lab) -> None:
    own = f"test-hosting-{uuid.uuid4().hex[:8]}:1"
    container = lab.client.containers.create(IMAGE, ["rm", "/usr/local/bin/model-ready"])
    try:
        container.start()
        container.wait(timeout=30)
        container.commit(*own.split(":"))
        plan = lab.plan()
        theirs = EndpointPlan(plan.endpoint_name, own, plan.model_archive, plan.environment)

        endpoint = lab.deploy(theirs)

        assert hosting.invoke(endpoint, as_body(INPUT, JSON), JSON).status == 200
        assert hosting.endpoint_status(endpoint) == "InService"
    finally:
        container.remove(force=True)
        lab.clean()
        lab.client.images.remove(own, force=True)


def test_an_endpoint_that_another_process_is_creating_is_neither_ready_nor_failed(lab: Lab) -> None:
    plan = lab.plan()
    names = {labels.KIND: labels.ENDPOINT, labels.JOB: plan.endpoint_name, labels.RUN: "test"}
    endpoint_container.create(lab.client, endpoint_container.Description(IMAGE, {}, names))

    with pytest.raises(BadInput, match="is still being created"):
        hosting.find(lab.client, plan.endpoint_name)
    (endpoint,) = hosting.list_endpoints(lab.client, plan.endpoint_name)
    assert hosting.endpoint_status(endpoint) == "Creating"


def test_a_container_of_the_engine_knows_its_own_networks(lab: Lab, shared: hosting.Endpoint) -> None:
    mounts = lab.folder / "mountinfo"
    mounts.write_text(f"1 2 0:1 /var/lib/docker/containers/{'0' * 64}/hosts /etc/hosts rw - ext4 /dev/sda rw\n")
    assert endpoint_container.own_networks(lab.client, mounts) == ()  # of another engine around this one

    with mounts.open("a") as file:
        file.write(f"1 2 0:1 /docker/containers/{shared.container.id}/hostname /etc/hostname rw - ext4 /dev/sda rw\n")
    networks = endpoint_container.own_networks(lab.client, mounts)

    assert networks == tuple(shared.container.attrs["NetworkSettings"]["Networks"])
    route = endpoint_container.route(lab.client, shared.container, mounts)
    assert route.port == 8080
    assert route.host == shared.container.attrs["NetworkSettings"]["Networks"][networks[0]]["IPAddress"]


def test_serve_ends_soon_after_sigterm(lab: Lab) -> None:
    endpoint = lab.deploy(lab.plan())

    endpoint.container.kill("SIGTERM")

    assert endpoint.container.wait(timeout=25)["StatusCode"] == 0
