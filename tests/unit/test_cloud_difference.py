"""Two requests side by side: the same, mapped, or different."""

from __future__ import annotations

from typing import Any

from harness.cloud_difference import DIFFERENT, MAPPED, SAME, differences

LOCAL: dict[str, Any] = {
    "TrainingJobName": "mnist-1",
    "AlgorithmSpecification": {
        "TrainingImage": "harness-pytorch:1",
        "MetricDefinitions": [{"Name": "loss", "Regex": "a (.)"}],
    },
    "InputDataConfig": [
        {"ChannelName": "training", "DataSource": {"S3DataSource": {"S3Uri": "file:///data"}}},
        {"ChannelName": "more", "DataSource": {"S3DataSource": {"S3Uri": "s3://bucket/more"}}},
    ],
    "HyperParameters": {"epochs": "6", "sagemaker_submit_directory": '"/opt/ml/code"'},
}


def by_field(cloud: dict[str, Any]) -> dict[str, Any]:
    return {each.field: each for each in differences(LOCAL, cloud)}


def test_a_request_beside_itself_is_the_same_in_every_field() -> None:
    assert {each.mark for each in differences(LOCAL, LOCAL)} == {SAME}


def test_a_folder_that_becomes_a_prefix_is_mapped_and_a_prefix_stays() -> None:
    found = by_field(
        {
            **LOCAL,
            "InputDataConfig": [
                {"ChannelName": "more", "DataSource": {"S3DataSource": {"S3Uri": "s3://bucket/more"}}},
                {"ChannelName": "training", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/inputs/1/data/"}}},
            ],
        }
    )

    mapped = found["InputDataConfig[training].DataSource.S3DataSource.S3Uri"]
    assert (mapped.mark, mapped.here, mapped.there) == (MAPPED, "file:///data", "s3://b/inputs/1/data/")
    assert found["InputDataConfig[more].DataSource.S3DataSource.S3Uri"].mark == SAME


def test_our_image_and_the_place_of_the_code_are_mapped() -> None:
    found = by_field(
        {
            **LOCAL,
            "TrainingJobName": "mnist-2",
            "AlgorithmSpecification": {**LOCAL["AlgorithmSpecification"], "TrainingImage": "aws/pytorch:1"},
            "HyperParameters": {"epochs": "6", "sagemaker_submit_directory": '"s3://b/sourcedir.tar.gz"'},
        }
    )

    assert found["AlgorithmSpecification.TrainingImage"].note == "our image, AWS's image"
    assert {field for field, each in found.items() if each.mark == MAPPED} == {
        "TrainingJobName",
        "AlgorithmSpecification.TrainingImage",
        "HyperParameters.sagemaker_submit_directory",
    }


def test_what_one_side_says_and_the_other_does_not_is_different() -> None:
    found = by_field({**LOCAL, "HyperParameters": {"sagemaker_submit_directory": '"/opt/ml/code"', "lr": "1"}})

    assert (found["HyperParameters.epochs"].mark, found["HyperParameters.epochs"].there) == (DIFFERENT, "")
    assert (found["HyperParameters.lr"].mark, found["HyperParameters.lr"].here) == (DIFFERENT, "")


def test_what_only_the_sdk_sends_says_what_is_done_with_it_here() -> None:
    found = by_field({**LOCAL, "ProfilerConfig": {"DisableProfiler": False}})["ProfilerConfig.DisableProfiler"]

    assert (found.mark, found.there) == (DIFFERENT, "false")
    assert found.note == "sent by the SDK; here: Profiler is a service of AWS's own"


def test_a_hyperparameter_that_changes_on_the_way_is_different() -> None:
    cloud = {**LOCAL, "HyperParameters": {**LOCAL["HyperParameters"], "epochs": '"6"'}}

    assert by_field(cloud)["HyperParameters.epochs"].mark == DIFFERENT
