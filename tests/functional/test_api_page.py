"""docs/api.md lists the operations that there are, and names tests that there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.api import PAGE, answered, page
from harness.control_plane import ControlPlane
from harness.moto_services import MotoServices
from harness.service_model import RUNTIME, SAGEMAKER
from tests.fake_instances import FakeInstances
from tests.unit.test_fidelity import REPOSITORY, functions_of

TESTS = sorted({test for service in answered().values() for each in service for test in each["tests"]})


def test_the_page_is_the_one_that_is_generated() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_the_operations_of_ours_are_those_that_the_page_lists(tmp_path: Path, services: MotoServices) -> None:
    plane = ControlPlane(tmp_path, FakeInstances(), services)
    ours = {*plane.operations, *plane.tags.operations()}
    runtime = {operation for operation, _ in plane.runtime.values()}
    plane.close(stop=True)

    assert {each["operation"] for each in answered()[SAGEMAKER]} == ours
    assert {each["operation"] for each in answered()[RUNTIME]} == runtime


@pytest.mark.parametrize("test", TESTS)
def test_a_test_that_is_named_exists(test: str) -> None:
    path, _, name = test.partition("::")

    assert name.startswith("test_")
    assert name in functions_of(REPOSITORY / path)
