"""What an instance type has: the catalogue in instance_types.toml, as data. Pure; its text is read elsewhere."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class InstanceType:
    """Facts of one type. ``retired`` is the month by which EC2 had ceased to offer it, '' while it does.

    ``shm_gib`` is what a container finds as /dev/shm. No documentation says how much that is. Linux gives a machine
    half of its memory there, users of a 64 GiB SageMaker host found 32 (sagemaker-python-sdk, issue 937), and so it
    is half of the memory where nothing else is said; docker's own 64 MB break data loaders (the same, issue 3331).
    """

    vcpu: int
    memory_gib: float
    gpus: int = 0
    gpu: str = ""
    retired: str = ""
    shm_gib: float | None = None

    @property
    def shared_memory_gib(self) -> float:
        return self.memory_gib / 2 if self.shm_gib is None else self.shm_gib


def parse_catalogue(text: str) -> Mapping[str, InstanceType]:
    """The types of instance_types.toml by their names."""
    return {name: InstanceType(**facts) for name, facts in tomllib.loads(text)["types"].items()}
