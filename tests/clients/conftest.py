"""Other people's programs, run as their users run them: through `harness exec`, on a machine without any AWS settings.

Programs are files in programs/. They run in environments of their own, without the harness, as their users' would.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import pytest

from harness import labels
from harness.door_state import StateFolder
from tests.ran import Ran

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
PROGRAMS = HERE / "programs"
HARNESS = str(Path(sys.executable).with_name("harness"))
CLIENTS = REPOSITORY / ".tox" / "clients" / "bin"
SDK_V3 = REPOSITORY / ".tox" / "sdk-v3" / "bin"
SECONDS = 300
# What a program has of this process's environment: how to find programs and the engine, and nothing of anybody's AWS.
KEPT = ("PATH", "LANG", "TMPDIR", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY")


class Machine:
    """A folder to work in, a home without a file in it, and a door."""

    def __init__(self, folder: Path, state: StateFolder) -> None:
        self.home, self.folder, self.state = folder / "home", folder / "work", state
        self.home.mkdir()
        self.folder.mkdir()

    def environment(self, bin_folder: Path, extra: Mapping[str, str]) -> dict[str, str]:
        """With the environment whose programs are in ``bin_folder`` activated."""
        mine = {name: os.environ[name] for name in KEPT if name in os.environ}
        return {**mine, "HOME": str(self.home), "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", **extra}

    def exec(self, *command: str, bin_folder: Path = CLIENTS, before: tuple[str, ...] = (), **extra: str) -> Ran:
        """`harness exec -- COMMAND`; ``before`` is what to start that with."""
        argv = [*before, HARNESS, "exec", "--state", str(self.state.path), "--", *command]
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env=self.environment(bin_folder, extra),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Ran(argv, done.returncode, done.stdout, done.stderr)

    def program(self, name: str, *arguments: str, **options: Any) -> Ran:
        """A program of programs/, run with the Python of its environment."""
        return self.exec("python", str(PROGRAMS / name), *arguments, **options)


def harness(command: str, state: StateFolder) -> None:
    argv = [HARNESS, command, "--state", str(state.path)]
    subprocess.run(argv, check=True, timeout=120, capture_output=True)


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateFolder]:
    """A door for all tests of a session; it leaves nothing in the engine."""
    folder = StateFolder(tmp_path_factory.mktemp("door"))
    harness("up", folder)
    yield folder
    harness("down", folder)
    client = docker.from_env()
    assert client.containers.list(all=True, filters={"label": f"{labels.DOOR}={folder.door_id()}"}) == []
    client.close()


@pytest.fixture
def machine(tmp_path: Path, state: StateFolder) -> Machine:
    return Machine(tmp_path, state)
