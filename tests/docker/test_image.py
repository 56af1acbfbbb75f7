"""What is in the image of the hosts, and what is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from docker import DockerClient
from docker.models.containers import Container

from harness import labels
from harness.container_command import run_in
from harness.engine import connect
from harness.image_build import ensure_image
from harness.steps import Steps


@pytest.fixture(scope="module")
def client() -> Iterator[DockerClient]:
    found = connect()
    yield found
    found.close()


@pytest.fixture(scope="module")
def image(client: DockerClient) -> str:
    return ensure_image(client, Steps())


@pytest.fixture(scope="module")
def container(client: DockerClient, image: str) -> Iterator[Container]:
    running = client.containers.run(
        image, ["sleep", "infinity"], detach=True, init=True, labels={labels.KIND: "image-test"}, network_mode="none"
    )
    yield running
    running.remove(force=True, v=True)


def say(container: Container, *command: str) -> str:
    done = run_in(container, command)
    text = done.output.decode()
    assert done.exit_code == 0, text
    return text


@pytest.mark.parametrize(
    ("package", "version"),
    [
        ("torch", "1.13"),
        ("torchvision", "0.14.1"),
        ("horovod", "0.28.1"),
        ("mpi4py", "4.1.2"),
        ("numpy", "1."),
        ("sagemaker_training", "5.1.4"),
        ("sagemaker_pytorch_training", "3.0.0"),
        ("sagemaker_inference", "1.10.1"),
        ("sagemaker_pytorch_inference", "2.0.25"),
        ("torchserve", "0.12.0"),
        ("torch_model_archiver", "0.12.0"),
    ],
)
def test_it_has_the_versions_that_are_promised(container: Container, package: str, version: str) -> None:
    program = f"from importlib.metadata import version; print(version({package!r}))"

    assert say(container, "python", "-c", program).startswith(version)


def test_torch_is_debian_s_1_13_1(container: Container) -> None:
    assert say(container, "dpkg-query", "-W", "-f", "${Version}", "python3-torch").startswith("1.13.1")


def test_torch_torchvision_and_horovod_work_together(container: Container) -> None:
    program = (
        "import torch, torchvision, horovod.torch as hvd; hvd.init();"
        "model = torchvision.models.resnet18();"
        "print(hvd.allreduce(model(torch.zeros(1, 3, 64, 64))).shape[1], hvd.size())"
    )

    assert say(container, "python", "-c", program).split() == ["1000", "1"]


def test_horovod_has_pytorch_mpi_and_gloo(container: Container) -> None:
    report = say(container, "horovodrun", "--check-build")

    assert [line.rstrip() for line in report.splitlines() if "[X]" in line] == [
        f"    [X] {name}" for name in ("PyTorch", "MPI", "Gloo", "MPI", "Gloo")
    ]


def test_open_mpi_is_4_1(container: Container) -> None:
    assert say(container, "mpirun", "--version").startswith("mpirun (Open MPI) 4.1.")


def test_what_pip_installed_has_all_it_needs(container: Container) -> None:
    assert "No broken requirements found" in say(container, "python", "-m", "pip", "check")


@pytest.mark.parametrize("command", ["train", "serve", "idle", "torchserve", "java", "python", "horovodrun"])
def test_a_command_is_there(container: Container, command: str) -> None:
    assert say(container, "sh", "-c", f"command -v {command}").strip()


@pytest.mark.parametrize("command", ["gcc", "cc", "g++", "c++", "make", "cmake", "ld"])
def test_no_compiler_is_there(container: Container, command: str) -> None:
    assert run_in(container, ["sh", "-c", f"command -v {command}"]).exit_code != 0


def test_no_keys_and_no_certificates_of_this_machine_are_there(container: Container) -> None:
    found = say(
        container, "sh", "-c", "ls -d /etc/ssh/ssh_host_* /etc/ssh/harness/* /root/.ssh /build 2>/dev/null; true"
    )
    bundles = say(container, "find", "/", "-xdev", "-name", "ca-bundle*")
    added = say(container, "find", "/usr/local/share/ca-certificates", "-type", "f")

    assert (found, bundles, added) == ("", "", "")


def test_ssh_between_hosts_is_configured_but_for_the_keys_of_the_run(container: Container) -> None:
    make_keys = (
        "cd /tmp && ssh-keygen -q -t ed25519 -N '' -f host_key && mkdir -p /etc/ssh/harness && "
        "cp host_key /etc/ssh/harness/ && sshd -T && ssh -G algo-2"
    )

    settings = say(container, "sh", "-c", make_keys).lower()

    assert "hostkey /etc/ssh/harness/host_key" in settings
    assert "authorizedkeysfile /etc/ssh/harness/authorized_keys" in settings
    assert "permitrootlogin without-password" in settings
    assert "usepam no" in settings
    assert "identityfile /etc/ssh/harness/id_ed25519" in settings
    assert "stricthostkeychecking true" in settings


def test_it_is_at_most_2_6_gb(client: DockerClient, image: str) -> None:
    assert client.images.get(image).attrs["Size"] <= 2.6e9


def test_it_names_no_proxy_and_no_index_of_the_machine_it_was_built_on(client: DockerClient, image: str) -> None:
    names = {variable.partition("=")[0].lower() for variable in client.images.get(image).attrs["Config"]["Env"]}

    assert not [name for name in names if name.endswith("_proxy") or name.startswith(("pip_", "ssl_"))]


def test_latest_is_the_image_of_the_present_sources(client: DockerClient, image: str) -> None:
    assert client.images.get("harness-pytorch:latest").id == client.images.get(image).id
