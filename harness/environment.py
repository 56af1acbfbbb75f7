"""Virtual environments of the checkout: made from a lock, and again when the lock or the project change.

There are two: .venv for the commands, .tox/shared for the tests. When nothing changed this costs a few
milliseconds: imports that only making needs are inside functions.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
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
    def wanted(cls, root: Path, lock: Path) -> State:
        project = (root / "pyproject.toml").read_bytes()
        return cls(_digest(lock.read_bytes()), _digest(str(root).encode(), project))

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


def bring_up_to_date(
    venv: str = ".venv",
    lock: str = "harness/requirements.txt",
    root: Path = ROOT,
    runner: Callable[..., str] | None = None,
) -> int:
    """Make ``venv`` what ``lock`` and the project want, both relative to ``root``.

    Returns the exit code: 0, or 2 with pip's own words on standard error.
    """
    found, wanted = State.found(root / venv), State.wanted(root, root / lock)
    if found == wanted:
        return 0
    from harness.errors import HarnessError
    from harness.process import run
    from harness.steps import Steps

    try:
        with Steps().step(f"python environment {venv}"):
            _make(root, root / venv, root / lock, found.packages == wanted.packages, runner or run)
            (root / venv / MARKER).write_text(json.dumps(asdict(wanted)))
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _make(root: Path, venv: Path, lock: Path, has_packages: bool, runner: Callable[..., str]) -> None:
    (venv / MARKER).unlink(missing_ok=True)  # half-made from here on
    python = str(venv / "bin" / "python")
    # Compiling all that is installed takes half of the time; what is ever imported is compiled then, and kept.
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q", "install", "--no-compile")
    if not has_packages:
        _ensure_venv_module(runner)
        runner((sys.executable, "-m", "venv", "--clear", str(venv)), seconds=PIP_SECONDS)
        runner((*pip, "--no-deps", "--require-hashes", "-r", str(lock)), seconds=PIP_SECONDS)
    # Without isolation: the build backend is in the lock, so that this needs no network.
    runner((*pip, "--no-deps", "--no-build-isolation", "-e", str(root)), seconds=PIP_SECONDS)


def _ensure_venv_module(runner: Callable[..., str]) -> None:
    """Debian has the larger half of the venv module in a package of its own."""
    import importlib.util

    from harness import debian
    from harness.errors import BadInput

    if importlib.util.find_spec("ensurepip") is not None:
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if not debian.can_install():
        raise BadInput(f"this Python cannot make virtual environments; run: sudo apt-get install -y {package}")
    debian.install((package,), runner)


if __name__ == "__main__":
    sys.exit(bring_up_to_date(venv=sys.argv[1], lock=sys.argv[2]))
