"""The virtual environment of the checkout: made from the lock, and again when lock or project change.

When nothing changed this costs a few milliseconds: imports that only making needs are inside functions.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
MARKER = "harness.json"
PIP_SECONDS = 1800.0


@dataclass(frozen=True)
class State:
    """What an environment was made from; written into it once it is whole."""

    packages: str  # the lock
    project: str  # pyproject.toml, and where the checkout is

    @classmethod
    def wanted(cls, root: Path) -> State:
        lock = (root / "harness" / "requirements.txt").read_bytes()
        project = (root / "pyproject.toml").read_bytes()
        return cls(_digest(lock), _digest(str(root).encode(), project))

    @classmethod
    def found(cls, venv: Path) -> State:
        """The state of ``venv``; of a missing, half-made or broken one, a state equal to no other."""
        marker = venv / MARKER
        if not (marker.is_file() and (venv / "bin" / "python").exists()):
            return cls("", "")
        fields = json.loads(marker.read_text())
        return cls(fields["packages"], fields["project"])


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def bring_up_to_date(root: Path = ROOT, runner: Callable[..., str] | None = None) -> int:
    """Make ``root``/.venv what the lock and the project want; returns the exit code, 2 with a message."""
    venv = root / ".venv"
    found, wanted = State.found(venv), State.wanted(root)
    if found == wanted:
        return 0
    from harness.errors import HarnessError
    from harness.process import run
    from harness.steps import Steps

    steps = Steps()
    try:
        with steps.step("python environment") as step:
            step.detail("from the package index")
            _make(root, venv, found, wanted, runner or run)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _make(root: Path, venv: Path, found: State, wanted: State, runner: Callable[..., str]) -> None:
    (venv / MARKER).unlink(missing_ok=True)  # half-made from here on
    pip = (
        str(venv / "bin" / "python"),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        "-q",
        "install",
    )
    if found.packages != wanted.packages:
        _ensure_venv_module(runner)
        runner((sys.executable, "-m", "venv", "--clear", str(venv)), seconds=PIP_SECONDS)
        lock = root / "harness" / "requirements.txt"
        runner((*pip, "--no-deps", "--require-hashes", "-r", str(lock)), seconds=PIP_SECONDS)
    # Without isolation: the build backend is in the lock, so that this needs no network.
    runner((*pip, "--no-deps", "--no-build-isolation", "-e", str(root)), seconds=PIP_SECONDS)
    (venv / MARKER).write_text(json.dumps(wanted.__dict__))


def _ensure_venv_module(runner: Callable[..., str]) -> None:
    """Debian has the larger half of the venv module in a package of its own."""
    import importlib.util

    from harness import debian
    from harness.errors import BadInput

    if importlib.util.find_spec("ensurepip") is not None:
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if not debian.can_install():
        raise BadInput(
            f"this Python cannot make virtual environments; run: sudo apt-get install -y {package}"
        )
    debian.install((package,), runner)
