"""Virtual environments of the checkout: made from a lock, and again when the lock or the project change.

There are .venv for the commands, .tox/shared for the tests, .venv-cloud for the SageMaker SDK, and those of other
people's programs in tests, which do not have the harness installed. When nothing changed this costs a few
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
    project: str  # pyproject.toml, and where the checkout is; of packages alone, only the latter

    @classmethod
    def wanted(cls, root: Path, lock: Path, *, project: bool) -> State:
        parts = [str(root).encode()] + ([(root / "pyproject.toml").read_bytes()] if project else [])
        return cls(_digest(lock.read_bytes()), _digest(*parts))

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
    *,
    project: bool = True,
) -> int:
    """Make ``venv`` what ``lock`` and, unless told otherwise, the project want, both relative to ``root``.

    Returns the exit code: 0, or 2 with pip's own words on standard error.
    """
    found, wanted = State.found(root / venv), State.wanted(root, root / lock, project=project)
    if found == wanted:
        return 0
    from harness.errors import HarnessError
    from harness.process import run
    from harness.steps import Steps

    try:
        with Steps().step(f"python environment {venv}"):
            (root / venv / MARKER).unlink(missing_ok=True)  # half-made from here on
            if found.packages != wanted.packages:
                _make(root / venv, root / lock, runner or run)
            if project:
                _install_project(root, root / venv, runner or run)
            (root / venv / MARKER).write_text(json.dumps(asdict(wanted)))
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _pip(venv: Path) -> tuple[str, ...]:
    python = str(venv / "bin" / "python")
    # Compiling all that is installed takes half of the time; what is ever imported is compiled then, and kept.
    return (python, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q", "install", "--no-compile")


def _make(venv: Path, lock: Path, runner: Callable[..., str]) -> None:
    _ensure_venv_module(runner)
    runner((sys.executable, "-m", "venv", "--clear", str(venv)), seconds=PIP_SECONDS)
    runner((*_pip(venv), "--no-deps", "--require-hashes", "-r", str(lock)), seconds=PIP_SECONDS)


def _install_project(root: Path, venv: Path, runner: Callable[..., str]) -> None:
    # Without isolation: the build backend is in the lock, so that this needs no network.
    runner((*_pip(venv), "--no-deps", "--no-build-isolation", "-e", str(root)), seconds=PIP_SECONDS)


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
    sys.exit(bring_up_to_date(sys.argv[1], sys.argv[2], project="--packages-only" not in sys.argv[3:]))
