"""Which compose there is: the plugin of the docker command, or the program of its own.

The plugin is at version 2 or 5, the program at 1 to 5; both are told apart by which command answers, never
by the version, whose text differs from packager to packager.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from harness import debian
from harness.errors import CommandFailed, EngineUnavailable
from harness.process import run
from harness.steps import Steps

PLUGIN = ("docker", "compose")
PROGRAM = ("docker-compose",)
# Newest first: Ubuntu's plugin, that of Docker's own repository, then Debian's program.
PACKAGES = ("docker-compose-v2", "docker-compose-plugin", "docker-compose")
PROBE_SECONDS = 20.0

_VERSION = re.compile(r"compose version:?\s+v?(\d+)\.(\d+)(?:\.(\d+))?", re.IGNORECASE)


def base_document() -> dict[str, Any]:
    """docker-compose.yml, from the checkout or, where the package is installed, from the package."""
    import yaml

    installed = Path(str(files("harness") / "docker-compose.yml"))
    path = installed if installed.exists() else installed.parent.parent / "docker-compose.yml"
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


def parse_version(text: str) -> tuple[int, int, int] | None:
    """The version in what `docker compose version` or `docker-compose --version` prints, if any."""
    found = _VERSION.search(text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def find_compose(
    which: Callable[[str], str | None] = shutil.which, runner: Callable[..., str] = run
) -> tuple[str, ...]:
    """The command that compose's arguments go behind. One quick probe; the slow program is only looked up.

    Raises `EngineUnavailable` with the command that installs one.
    """
    found = _find(which, runner)
    if found is None:
        raise EngineUnavailable(f"no docker compose is installed; {_advice(debian.on_debian())}")
    return found


def ensure_compose(
    steps: Steps,
    which: Callable[[str], str | None] = shutil.which,
    runner: Callable[..., str] = run,
    can_install: Callable[[], bool] = debian.can_install,
) -> tuple[str, ...]:
    """Like `find_compose`, and installs compose first when it is missing and we may do so."""
    found = _find(which, runner)
    if found is None and can_install():
        with steps.step("installing docker compose"):
            debian.install(_package(runner), runner)
    return found or find_compose(which, runner)


def _find(which: Callable[[str], str | None], runner: Callable[..., str]) -> tuple[str, ...] | None:
    if which("docker") and _answers(runner):
        return PLUGIN
    return PROGRAM if which("docker-compose") else None


def _answers(runner: Callable[..., str]) -> bool:
    """Whether docker has the plugin; without it some versions complain, others print their help."""
    try:
        return parse_version(runner((*PLUGIN, "version"), seconds=PROBE_SECONDS)) is not None
    except CommandFailed:
        return False


def _package(runner: Callable[..., str]) -> Sequence[str]:
    known = debian.available(PACKAGES, runner)
    if not known:
        runner(("apt-get", "update", "-q"), seconds=debian.INSTALL_SECONDS)
        known = debian.available(PACKAGES, runner)
    return known[:1] or PACKAGES[-1:]


def _advice(on_debian: bool) -> str:
    if on_debian:
        return f"run: sudo apt-get install -y {PACKAGES[-1]}"
    return "install it as https://docs.docker.com/compose/install/ says"
