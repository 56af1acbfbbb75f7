"""An endpoint: time to InService, and one request through the harness against the bare container.

    python benchmarks/endpoint.py IMAGE MODEL_TAR_GZ SOURCE_DIR [ENTRY_POINT]

MODEL_TAR_GZ is what training left. The request is one picture of random pixels, (1, 1, 28, 28), as NPY.
"""

from __future__ import annotations

import http.client
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from harness import engine, hosting
from harness.model_archive import repack
from harness.payload import NPY, as_body

REQUESTS = 300
WARM_UP = 30


@dataclass(frozen=True)
class Numbers:
    """Seconds until InService; milliseconds for one request."""

    in_service_seconds: float
    harness_p50: float
    harness_p99: float
    bare_p50: float  # a new connection for each request, as the harness has it
    bare_p99: float
    keep_alive_p50: float  # one connection for all
    keep_alive_p99: float


def measure(image: str, model_tar: Path, source_dir: Path, entry_point: str = "inference.py") -> Numbers:
    """Host the model, measure, remove it. The three ways take turns, so that all see the same machine."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, 1, 28, 28))
    body = as_body(pixels, NPY)
    with tempfile.TemporaryDirectory() as folder:
        repacked = Path(folder) / "model.tar.gz"
        repack(model_tar, source_dir, entry_point, repacked)
        name = f"benchmark-{uuid.uuid4().hex[:8]}"
        plan = hosting.EndpointPlan(name, image, repacked, hosting.hosting_environment(entry_point))
        start = time.perf_counter()
        endpoint = hosting.deploy(engine.connect(), plan)
        in_service = time.perf_counter() - start
    try:
        return Numbers(in_service, *_latencies(endpoint, body))
    finally:
        hosting.delete(endpoint)


def _latencies(endpoint: hosting.Endpoint, body: bytes) -> list[float]:
    headers = {"Content-Type": NPY, "Accept": NPY}
    route = endpoint.route
    kept = http.client.HTTPConnection(route.host, route.port, timeout=60)

    def post(connection: http.client.HTTPConnection) -> None:
        connection.request("POST", "/invocations", body, headers)
        answer = connection.getresponse()
        answer.read()
        _require(answer.status)

    def new_connection() -> None:
        connection = http.client.HTTPConnection(route.host, route.port, timeout=60)
        post(connection)
        connection.close()

    ways: list[Callable[[], None]] = [
        lambda: _require(hosting.invoke(endpoint, body, NPY).status),
        new_connection,
        lambda: post(kept),
    ]
    taken: list[list[float]] = [[] for _ in ways]
    for number in range(WARM_UP + REQUESTS):
        for way, times in zip(ways, taken, strict=True):
            start = time.perf_counter()
            way()
            if number >= WARM_UP:
                times.append(1000 * (time.perf_counter() - start))
    kept.close()
    return [quantile for times in taken for quantile in (statistics.median(times), _p99(times))]


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


def _require(status: int) -> None:
    if status != 200:
        raise RuntimeError(f"the endpoint answered {status}")


if __name__ == "__main__":
    numbers = measure(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:5])
    for what, value in asdict(numbers).items():
        print(f"{what:20} {value:8.2f}")
