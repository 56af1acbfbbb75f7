"""The AWS door: an invocation through it against the same container reached directly, and a gigabyte into its S3."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import statistics
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from harness import door as doors
from harness.docker_instances import DockerInstances
from harness.door_state import StateFolder
from harness.endpoint_container import Route
from harness.engine import connect
from harness.model_archive import repack
from harness.moto_dispatch import signed
from harness.payload import NPY, as_body

REQUESTS = 600
CONNECTIONS = 16
BYTES = 1_000_000_000
IMAGE = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-inference:1.12.1-gpu-py38"
_PIECE = 1 << 20


class DoorTraffic:
    """A door of its own with ``model_tar`` hosted; both are gone at the end of the block."""

    def __init__(self, folder: Path, model_tar: Path, source_dir: Path, entry_point: str = "inference.py") -> None:
        self._folder, self._model, self._code, self._entry = folder, model_tar, source_dir, entry_point
        self._state = StateFolder(folder / "door")
        self._name = f"benchmark-{uuid.uuid4().hex[:8]}"
        pixels = np.random.default_rng(0).integers(0, 256, (1, 1, 28, 28))
        self._body = as_body(pixels, NPY)

    def __enter__(self) -> DoorTraffic:
        self._door, _ = doors.up(self._state, 0)
        self._door_route = Route("127.0.0.1", urlsplit(self._door.url).port or 0)
        self._deploy()
        instances = DockerInstances(connect, doors.own_image, self._state.door_id())
        self._bare = next(each.route for each in instances.running() if each.place.endpoint_name == self._name)
        self._file = self._folder / "gigabyte"
        with self._file.open("wb") as file:
            for _ in range(BYTES // _PIECE + 1):
                file.write(os.urandom(_PIECE)[: BYTES - file.tell()])
        return self

    def __exit__(self, *_: object) -> None:
        doors.down(self._state)
        shutil.rmtree(self._folder)

    def through(self) -> tuple[float, float, float]:
        """Invocations: p50 and p99 in milliseconds over one connection, and how many a second over `CONNECTIONS`."""
        return self._load(self._door_route, f"/endpoints/{self._name}/invocations")

    def bare(self) -> tuple[float, float, float]:
        """The same of the container."""
        return self._load(self._bare, "/invocations")

    def describe(self) -> tuple[float, float]:
        """DescribeEndpoint, p50 and p99 in milliseconds."""
        headers = {"X-Amz-Target": "SageMaker.DescribeEndpoint", "Content-Type": "application/x-amz-json-1.1"}
        return _quantiles(_ask(self._door_route, "/", f'{{"EndpointName":"{self._name}"}}'.encode(), headers, REQUESTS))

    def upload(self) -> tuple[float, float]:
        """Seconds for the gigabyte in one PUT, and the door's megabytes of memory afterwards, at its most."""
        connection = http.client.HTTPConnection(self._door_route.host, self._door_route.port, timeout=120)
        start = time.perf_counter()
        with self._file.open("rb") as file:
            connection.request("PUT", "/benchmark/gigabyte", file, {**signed("s3"), "Content-Length": str(BYTES)})
            _require(connection.getresponse())
        seconds = time.perf_counter() - start
        connection.close()
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{self._door.pid}/status").read_text())
        return seconds, int(found[1]) / 1000 if found else 0.0

    def upload_file(self) -> tuple[float]:
        """Seconds of boto3's upload_file, in parts."""
        start = time.perf_counter()
        self._client("s3").upload_file(str(self._file), "benchmark", "in-parts")
        return (time.perf_counter() - start,)

    def download_file(self) -> tuple[float]:
        start = time.perf_counter()
        self._client("s3").download_file("benchmark", "gigabyte", str(self._folder / "down"))
        return (time.perf_counter() - start,)

    def copy(self) -> tuple[float]:
        """Seconds of `cp`."""
        start = time.perf_counter()
        shutil.copyfile(self._file, self._folder / "copy")
        return (time.perf_counter() - start,)

    def _deploy(self) -> None:
        s3, sagemaker, named = self._client("s3"), self._client("sagemaker"), {"ModelName": self._name}
        repacked = self._folder / "model.tar.gz"
        repack(self._model, self._code, self._entry, repacked)
        s3.create_bucket(Bucket="benchmark", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        s3.upload_file(str(repacked), "benchmark", "model.tar.gz")
        environment = {"SAGEMAKER_PROGRAM": self._entry, "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
        container = {"Image": IMAGE, "ModelDataUrl": "s3://benchmark/model.tar.gz", "Environment": environment}
        sagemaker.create_model(
            **named, ExecutionRoleArn="arn:aws:iam::000000000000:role/SageMakerHarness", PrimaryContainer=container
        )
        variant = {**named, "VariantName": "v", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        sagemaker.create_endpoint_config(EndpointConfigName=self._name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=self._name, EndpointConfigName=self._name)
        sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=self._name)

    def _client(self, service: str) -> Any:
        import boto3

        keys = {"aws_access_key_id": self._door.access_key_id, "aws_secret_access_key": self._door.secret_access_key}
        return boto3.Session().client(service, endpoint_url=self._door.url, region_name="us-west-2", **keys)

    def _load(self, route: Route, path: str) -> tuple[float, float, float]:
        headers = {"Content-Type": NPY, "Accept": NPY}
        _ask(route, path, self._body, headers, 50)
        p50, p99 = _quantiles(_ask(route, path, self._body, headers, REQUESTS))
        share = REQUESTS * 2 // CONNECTIONS
        threads = [
            threading.Thread(target=_ask, args=(route, path, self._body, headers, share)) for _ in range(CONNECTIONS)
        ]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return p50, p99, share * CONNECTIONS / (time.perf_counter() - start)


def _ask(route: Route, path: str, body: bytes, headers: Mapping[str, str], count: int) -> list[float]:
    """Milliseconds of each of ``count`` requests over one connection."""
    connection = http.client.HTTPConnection(route.host, route.port, timeout=60)
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        connection.request("POST", path, body, dict(headers))
        _require(connection.getresponse())
        taken.append(1000 * (time.perf_counter() - start))
    connection.close()
    return taken


def _require(answer: http.client.HTTPResponse) -> None:
    said = answer.read()
    if answer.status != 200:
        raise ValueError(f"the door answered {answer.status}: {said[:300]!r}")


def _quantiles(taken: list[float]) -> tuple[float, float]:
    return statistics.median(taken), statistics.quantiles(taken, n=100)[98]
