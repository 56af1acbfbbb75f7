"""Installing packages where that is possible without asking: as root, on Debian and its children."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import CommandFailed
from harness.process import run

INSTALL_SECONDS = 900.0


def is_debian(os_release: str) -> bool:
    """Whether the text of /etc/os-release (see os-release(5)) is Debian's or a derivative's, as Ubuntu's."""
    fields = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    words = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".replace('"', " ").replace("'", " ").split()
    return "debian" in words


def on_debian(os_release: Path = Path("/etc/os-release")) -> bool:
    return os_release.is_file() and is_debian(os_release.read_text())


def can_install() -> bool:
    return os.geteuid() == 0 and on_debian()


def install(packages: Sequence[str], runner: Callable[..., str] = run) -> None:
    """Install Debian packages; the package lists are fetched only when what is there does not do.

    Raises `CommandFailed` with apt's own words.
    """
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
    command = ("apt-get", "install", "-y", "-q", "--no-install-recommends", *packages)
    try:
        runner(command, seconds=INSTALL_SECONDS, env=env)
    except CommandFailed:
        runner(("apt-get", "update", "-q"), seconds=INSTALL_SECONDS, env=env)
        runner(command, seconds=INSTALL_SECONDS, env=env)


def available(packages: Sequence[str], runner: Callable[..., str] = run) -> tuple[str, ...]:
    """Those of ``packages`` that apt knows and could install, in the order given."""
    return tuple(name for name in packages if _has_candidate(runner(("apt-cache", "policy", name), seconds=60)))


def _has_candidate(policy: str) -> bool:
    return any(line.strip().startswith("Candidate:") and "(none)" not in line for line in policy.splitlines())
