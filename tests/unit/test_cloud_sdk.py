"""The door to the SageMaker SDK."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cloud_sdk import ensure_sdk, without_aws
from harness.errors import BadInput


def test_without_a_checkout_and_without_the_sdk_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"pip install 'sagemaker-harness\[cloud\]'"):
        ensure_sdk(tmp_path)


def test_what_is_only_planned_knows_nothing_of_the_users_account() -> None:
    given = {"AWS_PROFILE": "mine", "AWS_SECRET_ACCESS_KEY": "secret", "PATH": "/bin"}

    left = without_aws(given)

    assert left["PATH"] == "/bin"
    assert "mine" not in left.values()
    assert "secret" not in left.values()
