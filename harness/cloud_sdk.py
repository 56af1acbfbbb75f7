"""The door to the SageMaker SDK: an environment of its own, made on first use, and a process in it for each order."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import environment
from harness.errors import BadInput, CommandFailed, HarnessError
from harness.process import run
from harness.sdk_order import Order

# The SDK holds back packages that the harness has newer, hence not in .venv; `make bench` measures it there as well.
SDK_VENV, SDK_LOCK = ".venv-cloud", "harness/sdk/requirements.txt"
_MARK = "harness-answer: "
_SECONDS = 4 * 3600.0  # an upload may take long; what is planned takes seconds


class SdkRefused(HarnessError):
    """The SDK, or AWS through it, did not do what was asked. ``error`` is {kind, message, operation?, code?}."""

    def __init__(self, error: Mapping[str, str]) -> None:
        self.error = error
        super().__init__(error["message"])


def ensure_sdk(root: Path = environment.ROOT) -> Path:
    """The Python of the SDK's environment, or, where there is no checkout to make one from, ours if it has the SDK.

    Raises `HarnessError`, pip's words being on standard error.
    """
    if not (root / SDK_LOCK).is_file() or not (root / "pyproject.toml").is_file():
        if importlib.util.find_spec("sagemaker") is None:
            raise BadInput("the SageMaker SDK is not installed: pip install 'sagemaker-harness[cloud]'")
        return Path(sys.executable)
    if environment.bring_up_to_date(venv=SDK_VENV, lock=SDK_LOCK, root=root):
        raise HarnessError(f"the SageMaker SDK's environment {SDK_VENV} could not be made; pip's words are above")
    return root / SDK_VENV / "bin" / "python"


def carry_out(python: Path, order: Order, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The SDK's answer to ``order``. Raises `SdkRefused`."""
    output = run(
        (str(python), "-m", "harness.sdk"),
        seconds=_SECONDS,
        stdin=json.dumps(order),
        env=environ if order["send"] else without_aws(environ),
    )
    said, mark, answer = output.rpartition(_MARK)
    if not mark:
        raise CommandFailed((str(python), "-m", "harness.sdk"), "no answer", output)
    document: dict[str, Any] = json.loads(answer)
    if "error" in document:
        raise SdkRefused({**document["error"], "output": said})
    return document


def without_aws(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` of a process that shall know nothing of the user's account: what is only planned needs none."""
    return {name: value for name, value in environ.items() if not name.startswith("AWS_")} | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
