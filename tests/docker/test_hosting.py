"""Real endpoints: a small model on the real serving stack, deployed, invoked, broken and deleted."""

from __future__ import annotations

import io
import shutil
import socket
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docker import DockerClient
from docker.models.containers import Container

from harness import endpoint_container, hosting, labels
from harness.deadline import Deadline
from harness.errors import BadInput, EndpointFailed
from harness.hosted_model import HostedModel, host_model
from harness.hosting import EndpointPlan, hosting_environment
from harness.image_build import REPOSITORY
from harness.job_file import read_job_file
from harness.model_archive import repack
from harness.payload import JSON, NPY, as_body, read_answer
from harness.steps import Steps
from tests.docker.conftest import Workplace

IMAGE = f"{REPOSITORY}:latest"
HANDLER = """
import os, torch

def model_fn(model_dir):
    model = torch.nn.Linear(4, 3)
    model.load_state_dict(torch.load(os.path.join(model_dir, "model.pth")))
    return model
"""
ZEROS = HANDLER.replace("return model", "model.weight.data *= 0; model.bias.data *= 0; return model")
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
Host = Callable[[Path, Path], HostedModel]


@pytest.fixture(scope="session")
def trained(engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A model.tar.gz as training leaves it, and the model's own answer to INPUT."""
    folder = tmp_path_factory.mktemp("trained")
    container = engine.containers.create(IMAGE, ["python3", "-c", MAKE_MODEL], labels={"test": "hosting"})
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


@pytest.fixture
def model(trained: tuple[Path, Any], workplace: Workplace) -> Path:
    """The model.tar.gz where a run of this test would have left it."""
    return Path(shutil.copy(trained[0], workplace.folder))


def job(workplace: Workplace, handler: str = HANDLER, *, image_uri: str = "", **environment: str) -> Path:
    """A job file whose [hosting] table names ``handler``; its name is this test's own."""
    source = workplace.folder / "serving"
    source.mkdir(exist_ok=True)
    (source / "inference.py").write_text(handler)
    variables = ", ".join(f'{name} = "{value}"' for name, value in environment.items())
    table = f"""
        [hosting]
        entry_point = "inference.py"
        source_dir = "serving"
        instance_type = "ml.m5.large"
        image_uri = "{image_uri}"
        environment = {{ {variables} }}
    """
    return workplace.job("", table=table)


def containers(engine: DockerClient, begins: str) -> list[Container]:
    """Those of endpoints whose names begin so, in whatever state."""
    wanted = {"label": f"{labels.KIND}={labels.ENDPOINT}"}
    found = engine.containers.list(all=True, filters=wanted, ignore_removed=True)
    return [each for each in found if each.labels[labels.JOB].startswith(begins)]


def left(engine: DockerClient, path: Path) -> list[Container]:
    """What there is of the endpoints of a job file."""
    return containers(engine, read_job_file(path, for_hosting=True).training.base_job_name)


@pytest.fixture(scope="module")
def shared(trained: tuple[Path, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostedModel]:
    """One endpoint for the tests that only ask: what the fixture `endpoint` gives, for more than one of them."""
    path = job(Workplace(tmp_path_factory.mktemp("shared")))
    with closing(host_model(read_job_file(path, for_hosting=True), trained[0], Steps())) as model:
        yield model


@pytest.fixture
def named(engine: DockerClient) -> Iterator[str]:
    """A name for an endpoint that a test makes past the fixture; what has it is removed."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield name
    for container in containers(engine, name):
        container.remove(force=True)


@pytest.mark.parametrize("accept", [NPY, JSON])
@pytest.mark.parametrize("content_type", [NPY, JSON])
def test_the_endpoint_answers_what_the_model_answers_in_process(
    shared: HostedModel, trained: tuple[Path, Any], content_type: str, accept: str
) -> None:
    response = shared.send(as_body(INPUT, content_type), content_type, accept)

    assert (response.status, response.content_type) == (200, accept)
    np.testing.assert_array_equal(
        np.asarray(read_answer(response.body, accept), np.float32), np.asarray(trained[1], np.float32)
    )


def test_a_body_that_the_handler_cannot_read_is_the_containers_error(shared: HostedModel) -> None:
    response = shared.send(b"nothing", NPY)

    assert response.status == 500
    assert b"Traceback" in response.body
    with pytest.raises(AssertionError, match=rf"(?s){shared.name} answered 500: .*mat1 and mat2 shapes"):
        shared.invoke([[1.0, 2.0]])


def test_a_running_endpoint_is_found_by_name_and_described_as_in_service(
    engine: DockerClient, shared: HostedModel
) -> None:
    found = hosting.find(engine, shared.name)

    answer = hosting.describe(found)

    assert found.url == shared.url
    assert shared.ping()
    assert answer["EndpointStatus"] == "InService"
    assert answer["EndpointArn"].endswith(f":endpoint/{shared.name}")
    assert [v["CurrentInstanceCount"] for v in answer["ProductionVariants"]] == [1]


def test_it_listens_on_the_loopback_interface_only(engine: DockerClient, shared: HostedModel) -> None:
    bindings = hosting.find(engine, shared.name).container.attrs["NetworkSettings"]["Ports"]["8080/tcp"]

    assert [b["HostIp"] for b in bindings] == ["127.0.0.1"]


def test_a_used_name_is_refused_whatever_its_case(engine: DockerClient, shared: HostedModel, model: Path) -> None:
    with pytest.raises(BadInput, match="already exists"):
        hosting.deploy(engine, EndpointPlan(shared.name.upper(), IMAGE, model))


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
def test_a_model_that_cannot_be_loaded_ends_in_the_handlers_traceback(
    endpoint: Host, engine: DockerClient, workplace: Workplace, model: Path, handler: str, message: str
) -> None:
    broken = job(workplace, handler)

    with pytest.raises(EndpointFailed) as failure:
        endpoint(broken, model)

    text, log = str(failure.value), model.parent / "logs/endpoint.log"
    assert message in text.splitlines()[-2] or message in text.splitlines()[1]
    assert text.splitlines()[-1] == f"the whole log is in {str(log)!r}"
    assert message in log.read_text()
    assert left(engine, broken) == []


def test_requirements_that_cannot_be_installed_are_named(
    endpoint: Host, engine: DockerClient, workplace: Workplace, model: Path
) -> None:
    lacking = job(workplace)
    (workplace.folder / "serving/requirements.txt").write_text("./no-such-folder\n")

    with pytest.raises(EndpointFailed, match="no-such-folder"):
        endpoint(lacking, model)

    assert left(engine, lacking) == []


def test_a_deadline_that_is_too_short_says_what_the_platform_says(
    engine: DockerClient, workplace: Workplace, model: Path, named: str
) -> None:
    job(workplace, "import time\ntime.sleep(300)")
    repack(model, workplace.folder / "serving", "inference.py", workplace.folder / "slow.tar.gz")
    plan = EndpointPlan(named, IMAGE, workplace.folder / "slow.tar.gz", hosting_environment("inference.py"))

    with pytest.raises(EndpointFailed, match="did not pass the ping health check in 1 s"):
        hosting.deploy(engine, plan, Deadline(1, "waiting"))

    assert containers(engine, named) == []


def test_endpoints_live_side_by_side_and_one_that_is_deleted_is_gone(
    endpoint: Host, engine: DockerClient, workplace: Workplace, model: Path, shared: HostedModel
) -> None:
    other = endpoint(job(workplace, ZEROS), model)

    assert other.url != shared.url
    assert other.invoke(INPUT) == [[0.0] * 3] * 2
    assert shared.invoke(INPUT) != [[0.0] * 3] * 2

    other.close()
    other.close()  # is safe to repeat

    assert containers(engine, other.name) == []
    with pytest.raises(BadInput, match=f"no endpoint '{other.name}'"):
        hosting.find(engine, other.name)
    with pytest.raises(BadInput, match="has been deleted"):
        other.invoke(INPUT)
    assert shared.ping()


SESSION = """
def test_of_a_model(endpoint):
    assert endpoint("job.toml", "model.tar.gz").invoke([[1.0] * 4]) == [[0.0] * 3]

def test_of_something_else():
    pass
"""


def test_what_a_test_has_hosted_is_gone_when_the_session_is(
    engine: DockerClient, workplace: Workplace, model: Path
) -> None:
    path = job(workplace, ZEROS)
    (model.parent / "test_it.py").write_text(SESSION)

    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(argv, cwd=model.parent, capture_output=True, text=True, timeout=300, check=False)

    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout
    assert left(engine, path) == []


def test_serve_ends_soon_after_sigterm_and_an_endpoint_that_ended_says_so(
    endpoint: Host, engine: DockerClient, workplace: Workplace, model: Path
) -> None:
    ended = endpoint(job(workplace, HANDLER + "print('the last words', flush=True)\n"), model)
    container = hosting.find(engine, ended.name).container

    container.kill("SIGTERM")

    assert container.wait(timeout=25)["StatusCode"] == 0
    for ask in (lambda: hosting.find(engine, ended.name), lambda: ended.invoke(INPUT)):
        with pytest.raises(
            EndpointFailed, match=f"endpoint '{ended.name}': its container ended with exit code 0"
        ) as said:
            ask()
        assert "the last words" in str(said.value)
    assert [hosting.endpoint_status(each) for each in hosting.list_endpoints(engine, ended.name)] == ["Failed"]


def test_a_port_that_is_taken_is_one_line_and_nothing_is_started(engine: DockerClient, model: Path, named: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(BadInput, match=f"port {port} is taken") as refused:
            hosting.deploy(engine, EndpointPlan(named, IMAGE, model, host_port=port))

    assert len(refused.value.problems) == 1
    assert containers(engine, named) == []


def test_all_problems_of_a_plan_are_told_together(engine: DockerClient, workplace: Workplace) -> None:
    plan = EndpointPlan("no_underscores", IMAGE, workplace.folder / "gone.tar.gz", initial_instance_count=2)

    with pytest.raises(BadInput) as refused:
        hosting.deploy(engine, plan)

    assert len(refused.value.problems) == 3


def test_an_image_that_is_not_there_is_named(endpoint: Host, workplace: Workplace, model: Path) -> None:
    with pytest.raises(BadInput, match="no image 'nowhere/nothing:1'"):
        endpoint(job(workplace, image_uri="nowhere/nothing:1"), model)


def test_another_port_inside_and_more_workers_are_the_users_choice(
    endpoint: Host, engine: DockerClient, workplace: Workplace, model: Path
) -> None:
    chosen = endpoint(job(workplace, SAGEMAKER_BIND_TO_PORT="9090", SAGEMAKER_MODEL_SERVER_WORKERS="2"), model)

    assert np.shape(chosen.invoke(INPUT)) == (2, 3)
    processes = hosting.find(engine, chosen.name).container.top(ps_args="-efww")["Processes"]
    assert sum("model_service_worker" in " ".join(process) for process in processes) == 2


@pytest.fixture
def without_model_ready(engine: DockerClient) -> Iterator[str]:
    """An image that cannot say whether the model is loaded, as those of others."""
    own = f"test-hosting-{uuid.uuid4().hex[:8]}"
    container = engine.containers.create(IMAGE, ["rm", "/usr/local/bin/model-ready"], labels={"test": "hosting"})
    try:
        container.start()
        container.wait(timeout=30)
        container.commit(own, "1")
    finally:
        container.remove(force=True)
    yield f"{own}:1"
    engine.images.remove(f"{own}:1", force=True)


def test_an_image_without_model_ready_is_asked_by_ping_as_the_platform_does(
    without_model_ready: str, endpoint: Host, engine: DockerClient, workplace: Workplace, model: Path
) -> None:
    theirs = endpoint(job(workplace, image_uri=without_model_ready), model)

    assert np.shape(theirs.invoke(INPUT)) == (2, 3)
    assert hosting.endpoint_status(hosting.find(engine, theirs.name)) == "InService"


def test_an_endpoint_that_another_process_is_creating_is_neither_ready_nor_failed(
    engine: DockerClient, named: str
) -> None:
    names = {labels.KIND: labels.ENDPOINT, labels.JOB: named, labels.RUN: "test"}
    endpoint_container.create(engine, endpoint_container.Description(IMAGE, {}, names))

    with pytest.raises(BadInput, match="is still being created"):
        hosting.find(engine, named)
    (created,) = hosting.list_endpoints(engine, named)
    assert hosting.endpoint_status(created) == "Creating"


def test_a_container_of_the_engine_knows_its_own_networks(
    engine: DockerClient, tmp_path: Path, shared: HostedModel
) -> None:
    container, mounts = hosting.find(engine, shared.name).container, tmp_path / "mountinfo"
    mounts.write_text(f"1 2 0:1 /var/lib/docker/containers/{'0' * 64}/hosts /etc/hosts rw - ext4 /dev/sda rw\n")
    assert endpoint_container.own_networks(engine, mounts) == ()  # of another engine around this one

    with mounts.open("a") as file:  # what is seen on the engine's machine while something is copied into a container
        below = f"/docker/containers/{container.id}/hosts /var/lib/docker/overlay2/{'0' * 64}/merged/etc/hosts"
        file.write(f"1 2 0:1 {below} rw - ext4 /dev/sda rw\n")
    assert endpoint_container.own_networks(engine, mounts) == ()

    with mounts.open("a") as file:
        file.write(f"1 2 0:1 /docker/containers/{container.id}/hostname /etc/hostname rw - ext4 /dev/sda rw\n")
    networks = endpoint_container.own_networks(engine, mounts)

    assert networks == tuple(container.attrs["NetworkSettings"]["Networks"])
    route = endpoint_container.route(engine, container, mounts)
    assert route.port == 8080
    assert route.host == container.attrs["NetworkSettings"]["Networks"][networks[0]]["IPAddress"]
