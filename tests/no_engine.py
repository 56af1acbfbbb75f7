"""No docker engine for the tiers that need none."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

ADDRESS = "unix:///no-engine-in-this-tier.sock"


@pytest.fixture(autouse=True)
def no_engine() -> Iterator[None]:
    """These tests are to pass on a machine that has no engine, so they do not see one that is there."""
    before = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = ADDRESS
    yield
    if before is None:
        del os.environ["DOCKER_HOST"]
    else:
        os.environ["DOCKER_HOST"] = before
