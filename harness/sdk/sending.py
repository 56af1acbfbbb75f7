"""The session that really sends: the user's own credentials and profile, from the usual AWS settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import boto3
import botocore.session


class OneDoor(boto3.Session):  # type: ignore[misc]  # boto3 has no types of its own
    """Where AWS_ENDPOINT_URL names an endpoint, every service is there.

    The SDK gives STS an address of its own (session.py, ``account_id``), past that variable.
    """

    def client(self, service_name: str, *arguments: Any, **options: Any) -> Any:
        if os.environ.get("AWS_ENDPOINT_URL"):
            options.pop("endpoint_url", None)
        return super().client(service_name, *arguments, **options)


def sending_session(region: str, note: Callable[..., None]) -> boto3.Session:
    """``note`` is told of every request, as botocore's event ``before-parameter-build`` tells it."""
    core = botocore.session.Session()
    core.register("before-parameter-build", note)
    return OneDoor(botocore_session=core, region_name=region)
