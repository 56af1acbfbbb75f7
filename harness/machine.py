"""What the limits of hosts are decided on: the machine of the engine, or this one, and the catalogue of types."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING

from harness.instance_types import InstanceType, parse_catalogue
from harness.limits import Machine

if TYPE_CHECKING:
    from docker import DockerClient


def read_catalogue() -> Mapping[str, InstanceType]:
    """The types that the package knows, by name."""
    return parse_catalogue(files("harness").joinpath("instance_types.toml").read_text(encoding="utf-8"))


def this_machine() -> Machine:
    """Where no engine has been asked: what an engine here would say. GPUs are the engine's to pass on: none."""
    return Machine(os.cpu_count() or 1, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def engine_machine(client: DockerClient, image: str, *, count_gpus: bool) -> Machine:
    """The machine that the engine runs on, which need not be this one.

    GPUs are counted, with a container of ``image``, only if asked for and where the engine has NVIDIA's runtime.
    """
    info = client.info()
    gpus = _gpus(client, image) if count_gpus and "nvidia" in (info.get("Runtimes") or {}) else 0
    return Machine(info["NCPU"], info["MemTotal"], gpus)


def _gpus(client: DockerClient, image: str) -> int:
    """0 as well where the runtime is installed and there is no GPU, or no driver: then the engine refuses."""
    from docker.errors import DockerException
    from docker.types import DeviceRequest

    every = DeviceRequest(driver="nvidia", count=-1, capabilities=[["gpu"]])
    try:
        listing: bytes = client.containers.run(
            image, ["--list-gpus"], entrypoint="nvidia-smi", device_requests=[every], remove=True
        )
    except DockerException:
        return 0
    return count_of(listing.decode(errors="replace"))


def count_of(listing: str) -> int:
    """How many GPUs ``nvidia-smi --list-gpus`` lists; parts of a GPU (MIG) are lines below it."""
    return sum(line.startswith("GPU ") for line in listing.splitlines())
