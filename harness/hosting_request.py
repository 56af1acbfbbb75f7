"""CreateModel and CreateEndpointConfig as local hosts play them, and what in them nobody plays here. Pure.

Members: botocore's service model of SageMaker. What is neither played nor harmless is refused, never dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from harness import async_request
from harness.describe import ACCOUNT, REGION
from harness.endpoint_records import Requested, Variant

HEALTH_CHECK_SECONDS = 480.0  # developer guide, 'Use your own inference code': 8 minutes
MAX_INSTANCES = 8  # of all variants: they share this machine's cores, as the hosts of a training job do

# Members of CreateModel that change what is hosted, and why they cannot be had here.
_MODEL = {
    "Containers": "a pipeline of several containers is not hosted; name one PrimaryContainer",
    "InferenceExecutionConfig": "goes with Containers, which are not hosted",
    "EnableNetworkIsolation": "instances are not cut off from the network here; leave it out",
}
_CONTAINER = {
    "ModelPackageName": "packages of the Marketplace and the registry cannot be had here; name Image and ModelDataUrl",
    "InferenceSpecificationName": "goes with ModelPackageName",
    "ImageConfig": "the engine pulls with its own credentials",
    "AdditionalModelDataSources": "only one model is put into /opt/ml/model",
    "MultiModelConfig": "endpoints of several models are not hosted",
}
_CONFIG = {
    "ShadowProductionVariants": "shadow variants are not hosted",
    "ExplainerConfig": "Clarify is a service of AWS's own",
    "CrossRegionTrafficConfig": "there is one region here",
    "EnableNetworkIsolation": "instances are not cut off from the network here; leave it out",
}
_VARIANT = {
    "ServerlessConfig": "serverless variants are not hosted; give InstanceType and InitialInstanceCount",
    "AcceleratorType": "Elastic Inference is gone",
    "InstancePools": "local hosts are of no type",
    "ManagedInstanceScaling": "the number of local hosts stays what it is",
    "CapacityReservationConfig": "local hosts are not reserved",
    "AcceleratorPartitionLayouts": "accelerators of this machine are not divided",
}


def model_problems(request: Mapping[str, Any]) -> list[str]:
    problems = list(_refused(request, _MODEL, ""))
    container = request.get("PrimaryContainer")
    if container is None:
        return problems or ["PrimaryContainer: is missing; it says the Image and the ModelDataUrl"]
    problems += _refused(container, _CONTAINER, "PrimaryContainer.")
    if container.get("Mode", "SingleModel") != "SingleModel":
        problems.append("PrimaryContainer.Mode: 'MultiModel' is not hosted; take 'SingleModel'")
    if "ModelPackageName" not in container and not container.get("Image"):
        problems.append("PrimaryContainer.Image: is missing")
    if "ModelDataUrl" in container and "ModelDataSource" in container:
        problems.append("PrimaryContainer.ModelDataSource: goes not with ModelDataUrl; give one of them")
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source and (source.get("CompressionType"), source.get("S3DataType")) != ("Gzip", "S3Object"):
        problems.append("PrimaryContainer.ModelDataSource: only a model.tar.gz is hosted (S3Object, Gzip)")
    url = model_url(request)
    if url and s3_place(url) is None:
        problems.append(f"PrimaryContainer.ModelDataUrl: {url!r} is no s3:// URI of an object")
    for name, value in container.get("Environment", {}).items():
        if "\0" in value:
            problems.append(f"PrimaryContainer.Environment.{name}: has a character that no process can be given")
    return problems


def config_problems(request: Mapping[str, Any], models: Iterable[str]) -> list[str]:
    """``models`` are the names of those that there are."""
    problems = list(_refused(request, _CONFIG, ""))
    if request.get("DataCaptureConfig", {}).get("EnableCapture"):
        problems.append("DataCaptureConfig: what is sent to endpoints is not captured")
    problems += (
        async_request.config_problems(request["AsyncInferenceConfig"]) if "AsyncInferenceConfig" in request else ()
    )
    variants = request["ProductionVariants"]
    known = set(models)
    for at, variant in enumerate(variants):
        where = f"ProductionVariants[{at}]."
        problems += _refused(variant, _VARIANT, where)
        if "ModelName" not in variant:
            problems.append(f"{where}ModelName: is missing; inference components are not hosted")
        elif variant["ModelName"] not in known:
            arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/{variant['ModelName'].lower()}"
            problems.append(f'Could not find model "{arn}".')  # the platform's words
        if "InstanceType" not in variant and "ServerlessConfig" not in variant:
            problems.append(f"{where}InstanceType: is missing")
    names = [variant["VariantName"] for variant in variants]
    if len(set(names)) < len(names):
        problems.append(f"ProductionVariants: {names}: each needs a name of its own")
    instances = sum(variant.get("InitialInstanceCount", 1) for variant in variants)
    if instances > MAX_INSTANCES:
        problems.append(f"ProductionVariants: {instances} instances; {MAX_INSTANCES} at most share this machine")
    return problems


def variant_of(wanted: Mapping[str, Any], model: Requested, image: str, resolved_image: str) -> Variant:
    """The variant ``wanted`` of an endpoint configuration, with the image that its model's name stands for."""
    container = model.request["PrimaryContainer"]
    return Variant(
        variant_name=wanted["VariantName"],
        model_name=model.name,
        specified_image=container["Image"],
        image=image,
        resolved_image=resolved_image,
        environment=container.get("Environment", {}),
        model_url=model_url(model.request) or "",
        count=wanted.get("InitialInstanceCount", 1),
        weight=wanted.get("InitialVariantWeight", 1.0),
        health_check_seconds=float(wanted.get("ContainerStartupHealthCheckTimeoutInSeconds", HEALTH_CHECK_SECONDS)),
    )


def model_url(request: Mapping[str, Any]) -> str | None:
    """Where the model's archive is, None where the image has all that it needs."""
    container = request.get("PrimaryContainer", {})
    found = container.get("ModelDataUrl") or container.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri")
    return found or None


def s3_place(url: str) -> tuple[str, str] | None:
    """Bucket and key of an s3:// URI, or of the https:// address of an object; None where it is neither."""
    parts = urlsplit(url)
    host, key = parts.netloc, parts.path.lstrip("/")
    if parts.scheme == "https" and host.split(".")[0].startswith("s3"):
        host, _, key = key.partition("/")
    elif parts.scheme not in ("s3", "https"):
        return None
    elif parts.scheme == "https":
        host = host.split(".s3")[0]
    return (host, key) if host and key else None


def _refused(given: Mapping[str, Any], reasons: Mapping[str, str], where: str) -> Iterator[str]:
    for name, why in reasons.items():
        if given.get(name):
            yield f"{where}{name}: {why}"
