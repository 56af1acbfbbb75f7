"""Choices made where AWS's documents are silent are told to those whom they concern."""

from __future__ import annotations

from typing import Any

from harness.receipt import receipt
from harness.request_fields import entry_name
from harness.unverified import CHOICES, choices_for

SHARDED = {"DataSource": {"S3DataSource": {"S3DataDistributionType": "ShardedByS3Key"}}}
REPLICATED = {"DataSource": {"S3DataSource": {"S3DataDistributionType": "FullyReplicated"}}}


def keys(request: dict[str, Any], hosts: int = 2) -> set[str]:
    return {choice.key for choice in choices_for(request, hosts)}


def test_several_hosts_raise_questions_that_one_does_not() -> None:
    assert "other hosts after a failure" in keys({})
    assert "other hosts after a failure" not in keys({}, hosts=1)


def test_a_question_about_a_field_is_raised_by_that_field_only() -> None:
    assert "spot interruption" in keys({"EnableManagedSpotTraining": True})
    assert "spot interruption" not in keys({"EnableNetworkIsolation": True})


def test_a_question_about_a_value_is_raised_by_that_value_of_any_channel() -> None:
    assert "shards" in keys({"InputDataConfig": [REPLICATED, SHARDED]})
    assert "shards" not in keys({"InputDataConfig": [REPLICATED]})


def test_a_question_may_be_raised_by_either_of_two_members() -> None:
    assert "pipes" in keys({"AlgorithmSpecification": {"TrainingInputMode": "Pipe"}})
    assert "pipes" in keys({"InputDataConfig": [REPLICATED | {"InputMode": "Pipe"}]})
    assert "pipes" not in keys({"AlgorithmSpecification": {"TrainingInputMode": "File"}})


def test_every_choice_has_a_key_of_its_own_and_says_what_is_open_and_what_was_chosen() -> None:
    assert len({choice.key for choice in CHOICES}) == len(CHOICES)
    assert [choice.key for choice in CHOICES if not (choice.left_open and choice.chosen)] == []


def test_choices_are_about_members_that_there_are() -> None:
    about = {each.partition("=")[0] for choice in CHOICES if choice.about for each in choice.about.split(" or ")}

    assert [path for path in about if entry_name(path) is None and entry_name(f"{path}.InstanceType") is None] == []


def test_the_receipt_names_them() -> None:
    request = {
        "TrainingJobName": "a-1",
        "HyperParameters": {},
        "AlgorithmSpecification": {"TrainingImage": "i"},
        "EnableManagedSpotTraining": True,
    }

    named = {choice["About"]: choice for choice in receipt(request, "gloo", 2)["NotVerified"]}

    assert "SIGTERM" in named["spot interruption"]["LeftOpen"]
    assert set(named) == keys(request)
