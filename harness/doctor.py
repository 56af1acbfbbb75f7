"""What `harness doctor` looks at: everything a run needs, and what to do where it is missing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import BadInput

if TYPE_CHECKING:
    from docker import DockerClient

DATA = Path("mnist_job/data/MNIST/raw")
GIB = 1 << 30


@dataclass(frozen=True)
class Check:
    """One line of the diagnosis; ``advice`` is what to do, empty when all is well."""

    name: str
    ok: bool
    detail: str
    advice: str = ""


def judged(name: str, ok: bool, detail: str, advice: str) -> Check:
    return Check(name, ok, detail, "" if ok else advice)


def diagnose() -> list[Check]:
    """Look at this machine and its engine; changes nothing, and never raises for what is missing."""
    from harness import engine

    checks = [check_python(sys.version_info[:2]), _compose()]
    try:
        client = engine.connect()
    except BadInput as error:
        return [*checks, Check("engine", False, str(error)), check_data(Path.cwd() / DATA)]
    memory, cpus = client.info().get("MemTotal", 0), client.info().get("NCPU", 0)
    return [
        *checks,
        _engine(client),
        _image(client),
        _disk(client),
        check_size(memory, cpus),
        check_data(Path.cwd() / DATA),
    ]


def check_python(version: tuple[int, ...]) -> Check:
    text = f"{platform.python_version()} at {sys.executable}"
    return judged("python", version >= (3, 11), text, "install Python 3.11 or newer")


def _compose() -> Check:
    from harness.compose_command import find_compose

    try:
        return Check("compose", True, " ".join(find_compose()))
    except BadInput as error:
        return Check("compose", False, str(error))


def _engine(client: DockerClient) -> Check:
    info = client.info()
    where = os.environ.get("DOCKER_HOST") or "the default socket or context"
    return Check("engine", True, f"{info.get('ServerVersion')} at {where}, storage {info.get('Driver')}")


def _image(client: DockerClient) -> Check:
    from docker.errors import ImageNotFound

    from harness.image_build import image_tag, read_context

    tag = image_tag(read_context())
    try:
        size = client.images.get(tag).attrs["Size"]
    except ImageNotFound:
        return Check("image", False, f"{tag} is not built", "run: harness build (the next run does so, too)")
    return Check("image", True, f"{tag}, {size / 1e9:.2f} GB")


def _disk(client: DockerClient) -> Check:
    root = Path(str(client.info().get("DockerRootDir", "")))
    return check_disk(root, lambda: shutil.disk_usage(root).free)


def check_disk(root: Path, free: Callable[[], int]) -> Check:
    """Room where the engine keeps its data, as far as it can be seen from here."""
    from harness.image_build import FREE_BYTES

    if not root.is_dir():
        return Check("disk", True, f"not visible from here: the engine keeps its data in {root} of its own machine")
    bytes_free = free()
    text = f"{bytes_free / 1e9:.0f} GB free in {root}"
    return judged("disk", bytes_free >= FREE_BYTES, text, "make room, for example with: docker system prune")


def check_size(memory: int, cpus: int) -> Check:
    """Memory (bytes) and CPUs of the engine: two hosts of the main job need about 1 GiB each."""
    text = f"{memory / GIB:.1f} GiB of memory, {cpus} CPUs"
    return judged("size", memory >= 3 * GIB, text, "give the engine 4 GiB of memory or more")


def check_data(folder: Path) -> Check:
    files = sorted(path.name for path in folder.glob("*-ubyte")) if folder.is_dir() else []
    if len(files) < 4:
        return Check("data", False, f"no MNIST in {folder}", "run: make data (make local-train does so, too)")
    return Check("data", True, f"{len(files)} files in {folder}")
