"""What clients need of this machine, installed where it is missing: `python -m tests.clients.tools NAME...`.

The AWS CLI is version 2, as only that has `aws logs tail`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness import debian
from harness.environment import State
from harness.errors import BadInput, CommandFailed, HarnessError
from harness.process import run
from harness.steps import Steps

JAVASCRIPT = Path(__file__).parent / "javascript"
NPM_SECONDS = 600.0


def on_path(name: str) -> Iterator[Path]:
    """Every program of that name, in the order in which a shell would find them."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if os.access(found := Path(folder) / name, os.X_OK):
            yield found


def aws_cli() -> Path | None:
    """The first AWS CLI of version 2; a shim for something else says no version at all."""
    return next((path for path in on_path("aws") if _says(path, "aws-cli/2.")), None)


def browser() -> tuple[Path, Path] | None:
    """Chromium and its driver, of one package."""
    names = ("chromium", "chromedriver")
    found = [next(on_path(name), None) for name in names]
    return (found[0], found[1]) if found[0] and found[1] else None


def node() -> Path | None:
    return next(on_path("node"), None) if shutil.which("npm") else None


def _says(path: Path, version: str) -> bool:
    try:
        return run((str(path), "--version"), seconds=60).startswith(version)
    except CommandFailed:
        return False


def ensure(what: Callable[[], object], packages: Sequence[str], steps: Steps) -> None:
    if what():
        return
    if not debian.can_install():
        raise BadInput(f"missing on this machine; run: sudo apt-get install -y {' '.join(packages)}")
    with steps.step(f"installing {' '.join(packages)}"):
        debian.install(packages)


def ensure_javascript(steps: Steps) -> None:
    """node_modules as package-lock.json has them; npm notes there what it has installed."""
    ensure(node, ("nodejs", "npm"), steps)
    lock, marker = JAVASCRIPT / "package-lock.json", JAVASCRIPT / "node_modules" / "harness.json"
    wanted = State.wanted(JAVASCRIPT, lock, project=False).packages
    if marker.is_file() and marker.read_text() == wanted:
        return
    with steps.step("npm ci"):
        run(("npm", "ci", "--no-audit", "--no-fund", "--prefix", str(JAVASCRIPT)), seconds=NPM_SECONDS)
        marker.write_text(wanted)


TOOLS: dict[str, Callable[[Steps], None]] = {
    "aws": lambda steps: ensure(aws_cli, ("awscli",), steps),
    "chromium": lambda steps: ensure(browser, ("chromium", "chromium-driver"), steps),
    "javascript": ensure_javascript,
}


def main() -> int:
    """Exits with 0, or 2 and what to do on standard error."""
    steps = Steps()
    try:
        for name in sys.argv[1:]:
            TOOLS[name](steps)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
