"""CreateTransformJob as local instances play it, and what in it nobody plays here. Pure.

Members and defaults: botocore's service model of SageMaker; developer guide, 'Use your own inference code with batch
transform'.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.data_processing import processing_problems
from harness.endpoint_records import Requested, Variant
from harness.hosting_request import MAX_INSTANCES, s3_place, variant_of
from harness.transform_records import MEGABYTE, MULTI_RECORD, SINGLE_RECORD

VARIANT = "transform"  # a transform job has no variants; its instances have a place all the same
DEFAULT_PAYLOAD, MAX_PAYLOAD = 6, 100  # MB
TIMEOUT_SECONDS, RETRIES = 600, 3
_STRATEGIES = {"MULTI_RECORD": MULTI_RECORD, "SINGLE_RECORD": SINGLE_RECORD}


@dataclass(frozen=True)
class Settings:
    """How an instance is asked: so many requests at once, each of at most ``max_bytes``, where that is said."""

    concurrent: int
    strategy: str
    max_payload: int

    @property
    def max_bytes(self) -> int | None:
        """None where payloads may be of any size, and go out in chunks."""
        return self.max_payload * MEGABYTE or None


def transform_problems(request: Mapping[str, Any]) -> Iterator[str]:
    source = request["TransformInput"]["DataSource"]["S3DataSource"]
    if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        yield f"TransformInput.DataSource.S3DataSource.S3DataType: {source['S3DataType']!r} is not read; take S3Prefix"
    for where, url in (
        ("TransformInput.DataSource.S3DataSource.S3Uri", source["S3Uri"]),
        ("TransformOutput.S3OutputPath", request["TransformOutput"]["S3OutputPath"]),
    ):
        if not url.startswith("s3://") or s3_place(f"{url}/x") is None:
            yield f"{where}: {url!r} is no s3:// URI"
    split = request["TransformInput"].get("SplitType", "None")
    if split not in ("None", "Line"):
        yield f"TransformInput.SplitType: {split!r} is not split here; take 'Line' or 'None'"
    payload, at_once = request.get("MaxPayloadInMB", DEFAULT_PAYLOAD), request.get("MaxConcurrentTransforms", 0)
    if payload > MAX_PAYLOAD or payload * at_once > MAX_PAYLOAD:
        yield f"MaxPayloadInMB: {payload} MB times {max(1, at_once)} at once; {MAX_PAYLOAD} MB at most"
    if request.get("DataCaptureConfig"):
        yield "DataCaptureConfig: what is sent to containers is not captured"
    for name, value in request.get("Environment", {}).items():
        if "\0" in value or "=" in name or not name or "\0" in name:
            yield f"Environment.{name}: is nothing that a process can be given"
    yield from processing_problems(request)


def too_many(request: Mapping[str, Any]) -> str:
    """Why there are not so many instances, '' where there are."""
    count = request["TransformResources"]["InstanceCount"]
    return f"{count} instances; {MAX_INSTANCES} at most share this machine." if count > MAX_INSTANCES else ""


def transform_variant(request: Mapping[str, Any], model: Requested, image: str, resolved_image: str) -> Variant:
    """The instances of the job, with the variables that the platform adds in batch transform."""
    count = request["TransformResources"]["InstanceCount"]
    made = variant_of({"VariantName": VARIANT, "InitialInstanceCount": count}, model, image, resolved_image)
    own = {"SAGEMAKER_BATCH": "true"}
    if "MaxPayloadInMB" in request:
        own["SAGEMAKER_MAX_PAYLOAD_IN_MB"] = str(request["MaxPayloadInMB"])
    if "BatchStrategy" in request:
        own["SAGEMAKER_BATCH_STRATEGY"] = next(
            name for name, value in _STRATEGIES.items() if value == request["BatchStrategy"]
        )
    if "MaxConcurrentTransforms" in request:
        own["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] = str(request["MaxConcurrentTransforms"])
    return replace(made, environment={**made.environment, **request.get("Environment", {}), **own})


def settings(request: Mapping[str, Any], execution_parameters: bytes) -> Settings:
    """What the request says, else the container in its answer to GET /execution-parameters, else the platform."""
    said = _execution_parameters(execution_parameters)
    strategy = request.get("BatchStrategy") or _STRATEGIES.get(str(said.get("BatchStrategy")), MULTI_RECORD)
    at_once = request.get("MaxConcurrentTransforms") or _number(said, "MaxConcurrentTransforms", 1) or 1
    payload = request.get("MaxPayloadInMB", _number(said, "MaxPayloadInMB", DEFAULT_PAYLOAD))
    return Settings(min(at_once, MAX_PAYLOAD), strategy, min(payload, MAX_PAYLOAD))


def _execution_parameters(content: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _number(said: Mapping[str, Any], name: str, otherwise: int) -> int:
    value = said.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else otherwise
