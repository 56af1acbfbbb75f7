"""What the numbers were measured on. No names of hosts and no paths: the page is public."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from harness.compose_command import parse_version
from harness.process import run

if TYPE_CHECKING:
    from docker import DockerClient


def describe(client: DockerClient, compose: Sequence[str], image: str, command: str) -> dict[str, str]:
    """Date, command, machine and versions, each as one line of text."""
    engine = client.info()
    program = parse_version(run((*compose, "version"), seconds=20))
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "command": f"`{command}`",
        "machine": f"{engine['NCPU']} cores ({_processor()}), {engine['MemTotal'] / 2**30:.0f} GiB memory, "
        f"{platform.system()} {platform.release()}",
        "load average before": f"{os.getloadavg()[0]:.1f}",
        "docker engine": f"{engine['ServerVersion']}, {engine['Driver']}",
        "compose": f"`{' '.join(compose)}` {'.'.join(map(str, program or ()))}",
        "python": platform.python_version(),
        "harness": f"{version('sagemaker-harness')}, image `{image}`",
    }


def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
