"""A training job as it comes to the AWS door, where one from a job file has its own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.engine_log import Line
from harness.s3_objects import S3


@dataclass(frozen=True)
class Order:
    """What is settled of a job that came as a CreateTrainingJob request, and who waits for it.

    Hosts are given what ``request`` says as it says it, under its TrainingJobName; ``image`` is the engine's for it and
    ``created`` when it was asked for. ``s3_client`` is boto3's, of the S3 that its URIs mean. ``told`` gets the
    description at every change, ``heard`` every line of a host, and ``upload`` is that of `Run`.
    """

    request: Mapping[str, Any]
    created: datetime
    image: str
    s3_client: Any
    told: Callable[[Mapping[str, Any]], object]
    heard: Callable[[str, Sequence[Line]], object]
    upload: Callable[[Path], str]

    @property
    def name(self) -> str:
        return str(self.request["TrainingJobName"])

    def s3(self) -> S3:
        return S3(self.s3_client)
