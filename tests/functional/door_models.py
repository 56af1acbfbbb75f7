"""What tests of the AWS door make in it: models, configurations and endpoints, through boto3."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Callable
from typing import Any

from harness.moto_services import ROLE_ARN
from tests.functional.conftest import LocalDoor

PATIENT = {"user_agent_extra": "lib/AWS-SageMaker-Python-SDK#2.257.7"}


def archive(**files: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path, text in files.items():
            entry = tarfile.TarInfo(path.replace("__", "/"))
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def put(door: LocalDoor, key: str, body: bytes) -> str:
    s3 = door.client("s3")
    if "door-models" not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket="door-models", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_object(Bucket="door-models", Key=key, Body=body)
    return f"s3://door-models/{key}"


def model(door: LocalDoor, name: str, url: str = "", image: str = "local/image", **environment: str) -> str:
    container: dict[str, Any] = {"Image": image, "Environment": environment}
    if url:
        container["ModelDataUrl"] = url
    door.client("sagemaker").create_model(ModelName=name, ExecutionRoleArn=ROLE_ARN, PrimaryContainer=container)
    return name


def variant(name: str, model_name: str, count: int = 1, weight: float = 1.0) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": model_name,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": count,
        "InitialVariantWeight": weight,
    }


def config(door: LocalDoor, name: str, *variants: dict[str, Any]) -> str:
    door.client("sagemaker").create_endpoint_config(EndpointConfigName=name, ProductionVariants=list(variants))
    return name


def endpoint(door: LocalDoor, name: str, config_name: str) -> str:
    door.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName=config_name)
    return name


def settled(door: LocalDoor, name: str) -> dict[str, Any]:
    """The description once the endpoint no longer moves: as the SDK asks, in one call."""
    found: dict[str, Any] = door.client("sagemaker", **PATIENT).describe_endpoint(EndpointName=name)
    return found


def served(door: LocalDoor, name: str = "served") -> str:
    """An endpoint in service, of one instance."""
    config(door, "conf", variant("AllTraffic", model(door, "mod")))
    assert settled(door, endpoint(door, name, "conf"))["EndpointStatus"] == "InService"
    return name


def invoke(door: LocalDoor, name: str, body: bytes = b"hello", **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = door.client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=body, **options)
    return answer


def read(answer: dict[str, Any]) -> Any:
    return json.loads(answer["Body"].read())


def eventually(found: Callable[[], bool], seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while not found():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
