"""SageMaker's operations on models, endpoint configurations and endpoints, as methods; no HTTP.

Each takes the members of a request that the service's model has passed, and returns those of its answer. Errors are
worded as the platform words them: what does not exist is a ValidationException there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from harness import endpoint_records as status
from harness.describe import ACCOUNT, REGION
from harness.endpoint_life import EndpointLife, new_generation
from harness.endpoint_records import EndpointRecord, Requested, Variant
from harness.errors import HarnessError
from harness.hosting_request import (
    MAX_INSTANCES,
    config_problems,
    model_problems,
    model_url,
    s3_place,
    variant_of,
)
from harness.instances import Instances
from harness.listing import listed
from harness.records import Records
from harness.tags import Tags
from harness.wire import ServiceError, validation

Members = dict[str, Any]
MODEL, CONFIG, ENDPOINT = "model", "endpoint configuration", "endpoint"
_IN_ARN = {MODEL: "model", CONFIG: "endpoint-config", ENDPOINT: "endpoint"}


def arn(kind: str, name: str) -> str:
    """The platform writes names in small letters there."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{_IN_ARN[kind]}/{name.lower()}"


class HostingOperations:
    def __init__(
        self,
        models: Records[Requested],
        configs: Records[Requested],
        life: EndpointLife,
        instances: Instances,
        has_object: Callable[[str, str], bool],
        tags: Tags,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._models, self._configs, self._life, self._instances = models, configs, life, instances
        self._has_object, self._tags, self._now = has_object, tags, now
        self._endpoints = life.records

    def operations(self) -> dict[str, Callable[[Members, float], Members]]:
        return {
            "CreateModel": self.create_model,
            "DescribeModel": self.describe_model,
            "ListModels": self.list_models,
            "DeleteModel": self.delete_model,
            "CreateEndpointConfig": self.create_endpoint_config,
            "DescribeEndpointConfig": self.describe_endpoint_config,
            "ListEndpointConfigs": self.list_endpoint_configs,
            "DeleteEndpointConfig": self.delete_endpoint_config,
            "CreateEndpoint": self.create_endpoint,
            "DescribeEndpoint": self.describe_endpoint,
            "ListEndpoints": self.list_endpoints,
            "UpdateEndpoint": self.update_endpoint,
            "UpdateEndpointWeightsAndCapacities": self.update_weights_and_capacities,
            "DeleteEndpoint": self.delete_endpoint,
        }

    def create_model(self, request: Members, _: float) -> Members:
        name = request["ModelName"]
        problems = model_problems(request)
        if problems:
            raise validation("; ".join(problems))
        self._resolve(request["PrimaryContainer"]["Image"])
        url = model_url(request)
        place = s3_place(url) if url else None
        if place and not self._has_object(*place):
            raise validation(f"Could not find model data at {url}.")
        self._add(self._models, MODEL, name, request)
        return {"ModelArn": arn(MODEL, name)}

    def describe_model(self, request: Members, _: float) -> Members:
        record = _found(self._models, MODEL, request["ModelName"])
        container = {"Mode": "SingleModel", "Environment": {}, **record.request["PrimaryContainer"]}
        if "ModelDataUrl" in container:  # as the platform answers (transcript of a real endpoint)
            source = {"S3Uri": container["ModelDataUrl"], "S3DataType": "S3Object", "CompressionType": "Gzip"}
            container["ModelDataSource"] = {"S3DataSource": source}
        return {
            "EnableNetworkIsolation": False,
            **_without_tags(record.request),
            "PrimaryContainer": container,
            "CreationTime": record.created,
            "ModelArn": arn(MODEL, record.name),
        }

    def list_models(self, request: Members, _: float) -> Members:
        found = [
            {"ModelName": each.name, "ModelArn": arn(MODEL, each.name), "CreationTime": each.created}
            for each in self._models.all()
        ]
        return listed(found, request, name="ModelName", member="Models")

    def delete_model(self, request: Members, _: float) -> Members:
        return self._remove(self._models, MODEL, request["ModelName"])

    def create_endpoint_config(self, request: Members, _: float) -> Members:
        name = request["EndpointConfigName"]
        problems = config_problems(request, self._models.names())
        if problems:
            raise validation("; ".join(problems))
        self._add(self._configs, CONFIG, name, request)
        return {"EndpointConfigArn": arn(CONFIG, name)}

    def describe_endpoint_config(self, request: Members, _: float) -> Members:
        record = _found(self._configs, CONFIG, request["EndpointConfigName"])
        return {
            **_without_tags(record.request),
            "EndpointConfigArn": arn(CONFIG, record.name),
            "CreationTime": record.created,
        }

    def list_endpoint_configs(self, request: Members, _: float) -> Members:
        found = [
            {
                "EndpointConfigName": each.name,
                "EndpointConfigArn": arn(CONFIG, each.name),
                "CreationTime": each.created,
            }
            for each in self._configs.all()
        ]
        return listed(found, request, name="EndpointConfigName", member="EndpointConfigs")

    def delete_endpoint_config(self, request: Members, _: float) -> Members:
        return self._remove(self._configs, CONFIG, request["EndpointConfigName"])

    def create_endpoint(self, request: Members, _: float) -> Members:
        name = request["EndpointName"]
        config_name = request["EndpointConfigName"]
        variants, asynchronous = self._variants(config_name), self._async_config(config_name)
        _refuse_shifting(request)
        now = self._now()
        record = EndpointRecord(
            name, config_name, status.CREATING, now, now, new_generation(), variants, async_config=asynchronous
        )
        # Names are compared without case at creation, and with it later (API reference, CreateEndpoint).
        if not self._endpoints.add(name, record, lambda other: other.lower() == name.lower()):
            raise validation(f'Cannot create already existing endpoint "{arn(ENDPOINT, name)}".')
        self._tags.put(arn(ENDPOINT, name), request.get("Tags", []))
        self._life.create(record)
        return {"EndpointArn": arn(ENDPOINT, name)}

    def describe_endpoint(self, request: Members, patience: float) -> Members:
        name = request["EndpointName"]
        record = self._endpoints.settled(name, lambda found: found.status in status.MOVING, patience)
        if record is None:
            raise _missing(ENDPOINT, name)
        fleet = self._life.fleet(name)
        answer = {
            "EndpointName": record.name,
            "EndpointArn": arn(ENDPOINT, record.name),
            "EndpointConfigName": record.config_name,
            "ProductionVariants": [
                _variant_summary(each, fleet.count(each.variant_name) if fleet else 0, record)
                for each in record.variants
            ],
            "EndpointStatus": record.status,
            "CreationTime": record.created,
            "LastModifiedTime": record.modified,
        }
        more = {"FailureReason": record.failure_reason, "AsyncInferenceConfig": record.async_config}
        return {**answer, **{member: value for member, value in more.items() if value}}

    def list_endpoints(self, request: Members, _: float) -> Members:
        found = [
            {
                "EndpointName": each.name,
                "EndpointArn": arn(ENDPOINT, each.name),
                "CreationTime": each.created,
                "LastModifiedTime": each.modified,
                "EndpointStatus": each.status,
            }
            for each in self._endpoints.all()
        ]
        return listed(found, request, name="EndpointName", status="EndpointStatus", member="Endpoints")

    def update_endpoint(self, request: Members, _: float) -> Members:
        name = request["EndpointName"]
        config_name = request["EndpointConfigName"]
        variants, asynchronous = self._variants(config_name), self._async_config(config_name)
        _refuse_shifting(request)
        record = self._begin_update(name)
        if request.get("RetainAllVariantProperties"):
            not_kept = {each["VariantPropertyType"] for each in request.get("ExcludeRetainedVariantProperties", [])}
            variants = tuple(_retained(each, record.variants, not_kept) for each in variants)
        self._life.update(record, config_name, variants, asynchronous)
        return {"EndpointArn": arn(ENDPOINT, name)}

    def update_weights_and_capacities(self, request: Members, _: float) -> Members:
        name = request["EndpointName"]
        desired = {each["VariantName"]: each for each in request["DesiredWeightsAndCapacities"]}
        found = self._endpoints.get(name)
        if found is None:
            raise _missing(ENDPOINT, name)
        _check_variants([each["VariantName"] for each in request["DesiredWeightsAndCapacities"]], found)
        variants = tuple(_scaled(each, desired.get(each.variant_name, {})) for each in found.variants)
        if sum(each.count for each in variants) > MAX_INSTANCES:
            raise validation(f"DesiredInstanceCount: {MAX_INSTANCES} instances at most share this machine.")
        self._life.scale(self._begin_update(name), variants)
        return {"EndpointArn": arn(ENDPOINT, name)}

    def delete_endpoint(self, request: Members, _: float) -> Members:
        name = request["EndpointName"]
        deleted: list[EndpointRecord] = []

        def begin(record: EndpointRecord) -> EndpointRecord | None:
            if record.status == status.DELETING:
                return None
            deleted.append(record.move(status.DELETING, self._now()))
            return deleted[0]

        if self._endpoints.change(name, begin) is None:
            raise _missing(ENDPOINT, name)
        if deleted:
            self._tags.drop(arn(ENDPOINT, name))
            self._life.delete(deleted[0])
        return {}

    def _begin_update(self, name: str) -> EndpointRecord:
        """Move an endpoint in service to Updating. Raises `ServiceError` for any other."""
        begun: list[EndpointRecord] = []

        def begin(record: EndpointRecord) -> EndpointRecord | None:
            if record.status != status.IN_SERVICE:
                return None
            begun.append(record.move(status.UPDATING, self._now()))
            return begun[0]

        record = self._endpoints.change(name, begin)
        if record is None:
            raise _missing(ENDPOINT, name)
        if not begun:
            which = "in-progress" if record.status in status.MOVING else record.status
            raise validation(f'Cannot update {which} endpoint "{arn(ENDPOINT, name)}".')
        return begun[0]

    def _variants(self, config_name: str) -> tuple[Variant, ...]:
        config = _found(self._configs, CONFIG, config_name)
        made = []
        for wanted in config.request["ProductionVariants"]:
            model = _found(self._models, MODEL, wanted["ModelName"])
            made.append(variant_of(wanted, model, *self._resolve(model.request["PrimaryContainer"]["Image"])))
        return tuple(made)

    def _async_config(self, config_name: str) -> Members | None:
        return _found(self._configs, CONFIG, config_name).request.get("AsyncInferenceConfig")

    def _resolve(self, image: str) -> tuple[str, str]:
        try:
            return self._instances.resolve(image)
        except HarnessError as error:
            raise validation(str(error)) from error

    def _add(self, records: Records[Requested], kind: str, name: str, request: Mapping[str, Any]) -> None:
        if not records.add(name, Requested(name, request, self._now()), lambda other: other.lower() == name.lower()):
            raise validation(f'Cannot create already existing {kind} "{arn(kind, name)}".')
        self._tags.put(arn(kind, name), request.get("Tags", []))

    def _remove(self, records: Records[Requested], kind: str, name: str) -> Members:
        if not records.remove(name):
            raise _missing(kind, name)
        self._tags.drop(arn(kind, name))
        return {}


def _found(records: Records[Requested], kind: str, name: str) -> Requested:
    record = records.get(name)
    if record is None:
        raise _missing(kind, name)
    return record


def _check_variants(names: Sequence[str], record: EndpointRecord) -> None:
    """Raises `ServiceError`, in the platform's words, where ``names`` are not some of its variants, each once."""
    for name in names:
        if names.count(name) > 1:
            raise validation(f'The variant name "{name}" was non-unique within the request.')
    unknown = ", ".join(name for name in names if name not in {each.variant_name for each in record.variants})
    if unknown:
        where = f'within endpoint configuration "{record.config_name}"'
        raise validation(f'The variant name(s) "{unknown}" is/are not present {where}.')


def _missing(kind: str, name: str) -> ServiceError:
    return validation(f'Could not find {kind} "{arn(kind, name)}".')


def _without_tags(request: Mapping[str, Any]) -> Members:
    return {name: value for name, value in request.items() if name != "Tags"}


def _refuse_shifting(request: Mapping[str, Any]) -> None:
    """Traffic goes over all at once here; to drop a wish for anything else would not be true to it."""
    policy = request.get("DeploymentConfig", {})
    kind = policy.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {}).get("Type", "ALL_AT_ONCE")
    if kind != "ALL_AT_ONCE" or "RollingUpdatePolicy" in policy:
        raise validation("DeploymentConfig: traffic is shifted ALL_AT_ONCE here, by no other policy.")


def _retained(variant: Variant, before: tuple[Variant, ...], not_kept: set[str]) -> Variant:
    old = next((each for each in before if each.variant_name == variant.variant_name), variant)
    return replace(
        variant,
        count=variant.count if "DesiredInstanceCount" in not_kept else old.count,
        weight=variant.weight if "DesiredWeight" in not_kept else old.weight,
    )


def _scaled(variant: Variant, desired: Mapping[str, Any]) -> Variant:
    return replace(
        variant,
        count=desired.get("DesiredInstanceCount", variant.count),
        weight=desired.get("DesiredWeight", variant.weight),
    )


def _variant_summary(variant: Variant, serving: int, record: EndpointRecord) -> Members:
    image = {
        "SpecifiedImage": variant.specified_image,
        "ResolvedImage": variant.resolved_image,
        "ResolutionTime": record.created,
    }
    return {
        "VariantName": variant.variant_name,
        "DeployedImages": [image],
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.weight,
        "CurrentInstanceCount": serving,
        "DesiredInstanceCount": variant.count,
    }
