"""The pure parts of the AWS door: traffic, pages of lists, names of images, requests, records, environments."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import image_names
from harness.door_environment import UNSET, Door, program_environment, servers_own, shell_lines
from harness.endpoint_records import (
    MOVES,
    EndpointRecord,
    IllegalEndpointMove,
    Requested,
    Variant,
    endpoint_document,
    read_endpoint,
)
from harness.hosting_request import config_problems, model_problems, s3_place, variant_of
from harness.listing import listed
from harness.traffic import Serving, choose_variant, in_turn
from harness.wire import ServiceError

NOW = datetime(2026, 1, 31, tzinfo=UTC)
DOOR = Door(1, "http://127.0.0.1:5", "ASIA1", "secret")
SERVING = [Serving("a", 3.0, ("a1", "a2")), Serving("none", 0.0, ("n",)), Serving("b", 1.0, ("b1",))]
VARIANT = Variant("v", "m", "image", "local", "sha256:1", {"A": "b"}, "s3://b/k", 1, 1.0, 480.0)
SUMMARIES = [
    {"EndpointName": f"e-{number}", "EndpointStatus": "InService", "CreationTime": NOW + timedelta(seconds=number)}
    for number in range(5)
]


@pytest.mark.parametrize(("chance", "name"), [(0.0, "a"), (0.74, "a"), (0.75, "b"), (0.999, "b")])
def test_a_variant_is_as_likely_as_its_weight(chance: float, name: str) -> None:
    assert choose_variant(SERVING, None, chance, "e").variant_name == name


@given(st.floats(0, 1, exclude_max=True), st.lists(st.floats(0, 1e6), min_size=1, max_size=5))
def test_a_variant_without_weight_is_never_chosen(chance: float, weights: list[float]) -> None:
    serving = [Serving(str(number), weight, ("i",)) for number, weight in enumerate(weights)]

    if any(weights):
        assert choose_variant(serving, None, chance, "e").weight > 0
    else:
        with pytest.raises(ServiceError, match="no variant with a weight"):
            choose_variant(serving, None, chance, "e")


def test_instances_take_turns_and_the_others_stand_in() -> None:
    assert [in_turn(["a", "b", "c"], turn)[0] for turn in range(4)] == ["a", "b", "c", "a"]
    assert in_turn(["a", "b", "c"], 1) == ["b", "c", "a"]
    assert in_turn([], 3) == []


def names(request: dict[str, Any]) -> list[str]:
    page = listed(SUMMARIES, request, name="EndpointName", status="EndpointStatus", member="Endpoints")
    return [each["EndpointName"] for each in page["Endpoints"]]


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        ({}, ["e-4", "e-3", "e-2", "e-1", "e-0"]),
        ({"SortOrder": "Ascending", "MaxResults": 2}, ["e-0", "e-1"]),
        ({"NameContains": "E-3"}, ["e-3"]),
        ({"StatusEquals": "Failed"}, []),
        ({"CreationTimeAfter": NOW + timedelta(seconds=3)}, ["e-4"]),
        ({"CreationTimeBefore": NOW + timedelta(seconds=1)}, ["e-0"]),
        ({"SortBy": "Status", "SortOrder": "Ascending"}, ["e-0", "e-1", "e-2", "e-3", "e-4"]),
    ],
)
def test_lists_are_filtered_and_sorted(request_: dict[str, Any], found: list[str]) -> None:
    assert names(request_) == found


def test_pages_follow_each_other_without_gap() -> None:
    token, found = None, []
    while True:
        request = {"MaxResults": 2, **({"NextToken": token} if token else {})}
        page = listed(SUMMARIES, request, name="EndpointName", member="Endpoints")
        found += [each["EndpointName"] for each in page["Endpoints"]]
        token = page.get("NextToken")
        if token is None:
            break

    assert found == ["e-4", "e-3", "e-2", "e-1", "e-0"]


@pytest.mark.parametrize("token", ["!", "é", "bm9uZQ==", "/w=="])
def test_a_token_that_no_list_has_given_is_refused(token: str) -> None:
    with pytest.raises(ServiceError, match="Invalid NextToken"):
        names({"NextToken": token})


@pytest.mark.parametrize(
    "image",
    [
        "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:1.6.0-gpu-py36",
        "763104351884.dkr.ecr.eu-central-1.amazonaws.com/pytorch-inference:1.12.1-cpu-py38",
        "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/pytorch-inference:1.12.1-cpu-py38",
    ],
)
def test_pytorchs_images_of_aws_stand_for_ours(image: str) -> None:
    assert image_names.is_reference(image)
    assert image_names.is_aws_pytorch(image)


@pytest.mark.parametrize("image", ["mine:1", "pytorch-training:1", "registry.local:5000/a/pytorch-inference:1"])
def test_other_names_are_the_engines_own(image: str) -> None:
    assert image_names.is_reference(image)
    assert not image_names.is_aws_pytorch(image)
    assert "docker images" in image_names.how_to_map(image)


@pytest.mark.parametrize("image", ["", "../containers/x", "a//b", "a b", "$(id)", "a?x=1", "-x", "a" + "/" * 60 + "!"])
def test_what_is_no_name_of_an_image_is_none(image: str) -> None:
    assert not image_names.is_reference(image)


def test_another_image_of_aws_is_refused_with_the_way_to_map_it() -> None:
    image = "763104351884.dkr.ecr.us-west-2.amazonaws.com/tensorflow-inference:2.12"

    assert image_names.how_to_map(image).endswith(f"docker tag my-tensorflow-inference {image}")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://bucket/a/b.tar.gz", ("bucket", "a/b.tar.gz")),
        ("https://bucket.s3.us-west-2.amazonaws.com/a/b", ("bucket", "a/b")),
        ("https://s3.us-west-2.amazonaws.com/bucket/a/b", ("bucket", "a/b")),
        ("s3://bucket", None),
        ("s3:///key", None),
        ("file:///etc/passwd", None),
        ("", None),
    ],
)
def test_an_object_is_named_by_its_uri_or_its_address(url: str, place: tuple[str, str] | None) -> None:
    assert s3_place(url) == place


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"Containers": [{"Image": "x"}]}, "Containers: a pipeline"),
        ({"PrimaryContainer": {"Image": "x", "MultiModelConfig": {"a": 1}}}, "PrimaryContainer.MultiModelConfig"),
        ({"PrimaryContainer": {"Image": "x", "Environment": {"A": "\0"}}}, "PrimaryContainer.Environment.A"),
        ({"PrimaryContainer": {"Image": "x", "ModelDataUrl": "http://x"}}, "PrimaryContainer.ModelDataUrl"),
        ({"PrimaryContainer": {"Image": "x"}, "EnableNetworkIsolation": True}, "EnableNetworkIsolation: instances"),
        ({}, "PrimaryContainer: is missing"),
    ],
)
def test_a_model_that_is_not_hosted_is_told_by_its_member(request_: dict[str, Any], told: str) -> None:
    assert any(problem.startswith(told) for problem in model_problems(request_))


def test_a_configuration_is_refused_with_all_its_problems() -> None:
    variants = [
        {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 9},
        {"VariantName": "v", "ModelName": "n", "ServerlessConfig": {"MaxConcurrency": 1}},
    ]

    told = "\n".join(config_problems({"ProductionVariants": variants, "ExplainerConfig": {"a": 1}}, ["m"]))

    for each in ("ExplainerConfig", "serverless", ":model/n", "a name of its own", "10 instances"):
        assert each in told


def test_a_variant_takes_what_its_model_and_its_configuration_say() -> None:
    request = {"PrimaryContainer": {"Image": "x", "ModelDataUrl": "s3://b/k", "Environment": {"A": "b"}}}
    wanted = {"VariantName": "v", "InitialInstanceCount": 2, "ContainerStartupHealthCheckTimeoutInSeconds": 60}

    made = variant_of(wanted, Requested("m", request, NOW), "local", "sha256:1")

    assert made == replace(VARIANT, specified_image="x", count=2, health_check_seconds=60.0)


def test_a_record_is_read_as_it_was_written() -> None:
    record = EndpointRecord("e", "c", "InService", NOW, NOW, "g", (VARIANT,), "why")

    assert read_endpoint(endpoint_document(record)) == record


def test_an_endpoint_moves_as_the_table_says_only() -> None:
    record = EndpointRecord("e", "c", "Creating", NOW, NOW, "g")

    assert record.move("InService", NOW).status == "InService"
    for status in MOVES:
        if status not in MOVES["Creating"]:
            with pytest.raises(IllegalEndpointMove):
                record.move(status, NOW)


def test_a_programs_environment_leads_to_the_door_and_nowhere_else() -> None:
    before = dict.fromkeys(UNSET, "mine") | {
        "AWS_ENDPOINT_URL_S3": "https://elsewhere",
        "AWS_ACCESS_KEY_ID": "mine",
        "PYTHONPATH": "/mine:/client",
        "NO_PROXY": "example.com",
        "HOME": "/home",
    }

    made = program_environment(DOOR, "/state", "/client", before)

    assert not set(made) & {*UNSET, "AWS_ENDPOINT_URL_S3"}
    assert made["AWS_ENDPOINT_URL"] == DOOR.url
    assert made["AWS_ACCESS_KEY_ID"] == "ASIA1"
    assert made["PYTHONPATH"] == "/client:/mine"
    assert made["NO_PROXY"] == "example.com,127.0.0.1"
    assert made["HOME"] == "/home"


def test_the_door_itself_knows_nothing_of_the_users_aws() -> None:
    made = servers_own({"AWS_PROFILE": "mine", "AWS_ENDPOINT_URL": "x", "DOCKER_HOST": "y"}, "/state")

    assert made["DOCKER_HOST"] == "y"
    assert made["AWS_CONFIG_FILE"] == "/state/aws-config"
    assert not {"AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"} & set(made)


def test_a_shell_is_told_the_same() -> None:
    lines = shell_lines(DOOR, "/a folder", "/client", {"AWS_PROFILE": "mine"})

    assert "unset AWS_PROFILE" in lines
    assert "export AWS_CONFIG_FILE='/a folder/aws-config'" in lines


@pytest.mark.parametrize(
    ("image", "place"),
    [
        ("mine", ("mine", "latest")),
        ("team/mine:1", ("team/mine", "1")),
        ("localhost:5000/mine:1", ("mine", "1")),
        ("123456789012.dkr.ecr.us-west-2.amazonaws.com/team/mine:1@sha256:abc", ("team/mine", "1")),
    ],
)
def test_an_image_has_its_own_name_in_ecr(image: str, place: tuple[str, str]) -> None:
    assert image_names.place_in_ecr(image) == place
