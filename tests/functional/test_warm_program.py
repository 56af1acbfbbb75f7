"""`warm`, the program of hosts that are made before their job is known, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.image.programs.warm import GO, JOB

BECOME = "import sys; from pathlib import Path; from harness.image.programs.warm import main; main(Path({folder!r}))"
SAY = """
import json, os, signal
default = all(signal.getsignal(number) == signal.SIG_DFL for number in (signal.SIGTERM, signal.SIGCHLD))
print(json.dumps({"pid": os.getpid(), "environment": dict(os.environ), "default": default}))
raise SystemExit(7)
"""


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The program, with two variables of its container's own around it."""
    program = [sys.executable, "-c", BECOME.format(folder=str(tmp_path))]
    environment = {"PATH": os.environ["PATH"], "OF_IMAGE": "kept", "PYTHONPATH": str(Path.cwd()), "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    yield process
    process.kill()
    process.communicate()


def tell(folder: Path, command: list[str], environment: dict[str, str]) -> None:
    (folder / JOB).write_text(json.dumps({"environment": environment, "command": command}))
    (folder / GO).touch()
    os.utime(folder / GO, (1, 1))  # as the engine does when it unpacks a tar, last of all


def test_it_says_nothing_and_becomes_the_command_with_the_environment_of_the_job(
    warm: subprocess.Popen[str], tmp_path: Path
) -> None:
    given = {"NAME": "two\nlines $HOME 'é'", "PATH": os.environ["PATH"] + ":/more", "BYTES": "\udcff"}

    tell(tmp_path, [sys.executable, "-I", "-c", SAY], given)

    output, _ = warm.communicate(timeout=30)
    seen = json.loads(output)
    assert seen["pid"] == warm.pid
    assert seen["environment"] == given | {"OF_IMAGE": "kept", "PYTHONPATH": str(Path.cwd()), "LC_ALL": "C.UTF-8"}
    assert seen["default"] is True
    assert warm.returncode == 7
    assert list(tmp_path.iterdir()) == []


def test_no_signal_is_ignored_by_what_it_becomes(warm: subprocess.Popen[str], tmp_path: Path) -> None:
    tell(tmp_path, ["grep", "SigIgn", "/proc/self/status"], {})

    output, _ = warm.communicate(timeout=30)
    assert int(output.split()[1], 16) & (1 << (signal.SIGPIPE - 1)) == 0


def test_it_waits_until_all_of_its_job_is_there(warm: subprocess.Popen[str], tmp_path: Path) -> None:
    (tmp_path / JOB).write_text("{")
    time.sleep(0.3)
    assert warm.poll() is None

    tell(tmp_path, ["echo", "now"], {})

    assert warm.communicate(timeout=30)[0] == "now\n"


def test_it_takes_nothing_away_from_an_engine_that_is_not_done_with_it(
    warm: subprocess.Popen[str], tmp_path: Path
) -> None:
    (tmp_path / JOB).write_text(json.dumps({"environment": {}, "command": ["echo", "now"]}))
    (tmp_path / GO).touch()
    os.utime(tmp_path / GO, ns=(1, (int(time.time()) + 60) * 10**9 + 1))  # just made, for a minute
    time.sleep(0.3)
    assert (tmp_path / GO).exists()

    os.utime(tmp_path / GO, (1, 1))

    assert warm.communicate(timeout=30)[0] == "now\n"
