"""The whole way from nothing, inside a container that has only the engine's socket, as CI runners do.

No path of that container exists on the engine's machine, and there is neither Python environment nor compose in it.
"""

from __future__ import annotations

import io
import os
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from harness.container_command import run_in
from harness.image_build import BASE
from harness.process import run
from tests.docker.conftest import REPOSITORY

SOCKET = "/var/run/docker.sock"
BUNDLE = "/usr/local/share/bundle.pem"


@pytest.fixture
def runner(engine: docker.DockerClient) -> Iterator[Container]:
    """A bare Debian with the checkout in it and python3, make and git, the README's only requirements."""
    bundle = next((os.environ[name] for name in ("PIP_CERT", "SSL_CERT_FILE") if os.environ.get(name)), None)
    container = engine.containers.create(
        BASE,
        ["sleep", "infinity"],
        name=f"runner-{uuid.uuid4().hex[:8]}",
        volumes={SOCKET: {"bind": SOCKET, "mode": "rw"}},
        environment={"PIP_CERT": BUNDLE, "SSL_CERT_FILE": BUNDLE} if bundle else {},
    )
    try:
        container.put_archive("/", checkout(Path(bundle) if bundle else None))
        container.start()
        said_by(container, "apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 make git")
        yield container
    finally:
        container.remove(force=True)


def test_the_two_commands_work_with_only_the_socket(runner: Container) -> None:
    trained = said_by(runner, "cd /checkout && make local-train HP=epochs=1")
    mine = f"ENDPOINT=inside-{uuid.uuid4().hex[:6]}"  # other tests have endpoints as well
    served = said_by(
        runner, f"cd /checkout && make local-serve {mine} && make local-predict INDEX=1 {mine}; make local-stop {mine}"
    )

    assert "rank 1 of 2" in trained
    assert "Completed: mnist-" in trained
    assert "InService" in served
    assert "%" in served

    # The same as a user who may talk to the engine and nothing else: no file may end up belonging to root.
    group = said_by(runner, f"stat -c %g {SOCKET}").strip()
    said_by(runner, f"mkdir /home/user && chown 1234:{group} /home/user")
    said_by(
        runner,
        "cd /home/user && HOME=/home/user /checkout/.venv/bin/harness train /checkout/mnist_job/job.toml --hp epochs=1",
        user=f"1234:{group}",
    )
    assert said_by(runner, "find /home/user ! -user 1234").strip() == ""
    assert said_by(runner, "cat /home/user/runs/latest/describe.json").count('"Completed"') == 3


def said_by(container: Container, command: str, user: str = "root") -> str:
    done = run_in(container, ["sh", "-c", command], user=user)
    text = done.output.decode(errors="replace")
    assert done.exit_code == 0, f"{command}\nexit code {done.exit_code}\n{text}"
    return text


def checkout(bundle: Path | None) -> bytes:
    """A tar with all files of this checkout that git knows or would take, and the certificates of this machine."""
    listing = run(["git", "ls-files", "-z", "-co", "--exclude-standard"], seconds=30, cwd=REPOSITORY)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", dereference=True) as tar:
        for name in sorted({name for name in listing.split("\0") if name}):
            if (REPOSITORY / name).is_file():
                tar.add(REPOSITORY / name, f"checkout/{name}")
        if bundle:
            tar.add(bundle, BUNDLE.lstrip("/"))
    return buffer.getvalue()
