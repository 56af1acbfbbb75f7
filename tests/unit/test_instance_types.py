"""The catalogue of instance types that the package carries."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path

import pytest
from botocore.loaders import Loader

from harness.instance_types import InstanceType, parse_catalogue

TEXT = (Path(__file__).parents[2] / "harness/instance_types.toml").read_text()
TYPES = parse_catalogue(TEXT)


def test_the_catalogue_says_where_it_is_from_and_when() -> None:
    document = tomllib.loads(TEXT)

    assert "DescribeInstanceTypes" in document["source"]
    assert datetime.date.fromisoformat(document["date"])


def test_every_type_is_one_that_the_training_api_takes() -> None:
    model = Loader().load_service_model("sagemaker", "service-2")

    assert set(TYPES) - set(model["shapes"]["TrainingInstanceType"]["enum"]) == set()


@pytest.mark.parametrize(
    ("name", "vcpu", "memory_gib", "gpus"),
    [
        ("ml.p2.xlarge", 4, 61, 1),
        ("ml.p3.2xlarge", 8, 61, 1),
        ("ml.g4dn.xlarge", 4, 16, 1),
        ("ml.g5.xlarge", 4, 16, 1),
        ("ml.m5.xlarge", 4, 16, 0),
        ("ml.c5.xlarge", 4, 8, 0),
        ("ml.m5.large", 2, 8, 0),
        ("ml.p4d.24xlarge", 96, 1152, 8),
        ("ml.t3.medium", 2, 4, 0),
        ("ml.c6i.2xlarge", 8, 16, 0),
        ("ml.m6i.4xlarge", 16, 64, 0),
        ("ml.g6.12xlarge", 48, 192, 4),
    ],
)
def test_a_type_has_what_aws_publishes(name: str, vcpu: int, memory_gib: float, gpus: int) -> None:
    found = TYPES[name]

    assert (found.vcpu, found.memory_gib, found.gpus) == (vcpu, memory_gib, gpus)
    assert bool(found.gpu) == bool(gpus)


def test_retired_types_are_kept_and_say_since_when() -> None:
    assert {name.split(".")[1] for name, found in TYPES.items() if found.retired} == {"p2", "p3"}
    assert TYPES["ml.p2.xlarge"].retired == "2025-03"


def test_shared_memory_is_half_of_the_memory_unless_it_is_given() -> None:
    assert InstanceType(4, 61).shared_memory_gib == 30.5
    assert InstanceType(4, 61, shm_gib=2).shared_memory_gib == 2
