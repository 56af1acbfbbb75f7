"""Requests are held to the service's model, in the words of AWS's front ends."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings

from harness.service_model import RUNTIME, input_shape
from harness.shape_check import checked
from harness.wire import ServiceError
from tests.malformed import structures_of

CONFIG: dict[str, Any] = {
    "EndpointConfigName": "c",
    "ProductionVariants": [{"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1}],
}


def refused(values: Any, operation: str) -> str:
    with pytest.raises(ServiceError) as caught:
        checked(values, input_shape(operation))
    assert caught.value.code == "ValidationException"
    return caught.value.message


def test_what_is_right_passes_with_times_and_without_nulls() -> None:
    values = {"CreationTimeAfter": 1769860800.5, "NameContains": None, "MaxResults": 5.0}

    made = checked(values, input_shape("ListEndpoints"))

    assert made == {"CreationTimeAfter": datetime(2026, 1, 31, 12, 0, 0, 500000, UTC), "MaxResults": 5}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"EndpointConfigName": "a" * 64}, "at 'endpointConfigName' failed to satisfy constraint: Member must have le"),
        ({"EndpointConfigName": "-a"}, "Member must satisfy regular expression pattern"),
        ({"EndpointConfigName": 5}, "Value '5' at 'endpointConfigName'"),
        ({"EndpointConfigName": None}, "Value 'null' at 'endpointConfigName'"),
        ({"EndpointConfigname": "c"}, "at 'endpointConfigname' failed to satisfy constraint: Member is not known"),
        ({"ProductionVariants": []}, "at 'productionVariants' failed to satisfy constraint: Member must have length g"),
        ({"ProductionVariants": {}}, "Member must be a list"),
        ({"ProductionVariants": ["v"]}, "Value 'v' at 'productionVariants.1.member'"),
        ({"ProductionVariants": [{}]}, "at 'productionVariants.1.member.variantName'"),
        ({"ProductionVariants": [{"VariantName": "v", "InitialInstanceCount": 0}]}, "greater than or equal to 1"),
        ({"ProductionVariants": [{"VariantName": "v", "InitialInstanceCount": 2**31}]}, "must be a integer"),
        ({"ProductionVariants": [{"VariantName": "v", "InitialInstanceCount": True}]}, "must be a integer"),
        ({"ProductionVariants": [{"VariantName": "v", "InstanceType": "ml.huge"}]}, "satisfy enum value set"),
        ({"ProductionVariants": [{"VariantName": "v", "InitialVariantWeight": 10**400}]}, "must be a float"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_wrong_is_told_with_its_value_its_place_and_the_rule(change: dict[str, Any], told: str) -> None:
    assert told in refused({**CONFIG, **change}, "CreateEndpointConfig")


def test_all_that_is_wrong_is_told_at_once() -> None:
    message = refused({"EndpointConfigName": "-", "ProductionVariants": [{}]}, "CreateEndpointConfig")

    assert message.startswith("2 validation errors detected: ")


@pytest.mark.parametrize("time", [10**400, -1e308, "soon", True])
def test_a_time_that_is_none_is_refused(time: Any) -> None:
    assert "must be a timestamp" in refused({"CreationTimeAfter": time}, "ListEndpoints")


def test_javas_classes_of_characters_are_understood() -> None:
    shape = input_shape("InvokeEndpoint", RUNTIME)
    headers = {"EndpointName": "e", "Body": "", "CustomAttributes": "plain ~", "InferenceId": "id 1"}

    assert checked(headers, shape)["CustomAttributes"] == "plain ~"
    for name, value in (("CustomAttributes", "ä"), ("InferenceId", " id"), ("InferenceId", "id\x7f")):
        with pytest.raises(ServiceError, match="regular expression"):
            checked({**headers, name: value}, shape)


@settings(max_examples=300)
@given(structures_of(input_shape("CreateTrainingJob")))
def test_whatever_comes_is_passed_or_refused(values: dict[str, Any]) -> None:
    made: dict[str, Any] = {}

    with suppress(ServiceError):
        made = checked(values, input_shape("CreateTrainingJob"))

    assert set(made) <= set(values)
