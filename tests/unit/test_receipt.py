"""The receipt knows every member of the API, and says of every field of a run what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from harness.receipt import APPROXIMATED, EMULATED, FIELDS, REFUSED, receipt


def members() -> Iterator[str]:
    """CreateTrainingJob's members as the receipt names them: whole where one entry covers it, else by part."""
    model = botocore.session.get_session().get_service_model("sagemaker")
    shape: Any = model.operation_model("CreateTrainingJob").input_shape
    for name, member in shape.members.items():
        inner = member.member if member.type_name == "list" else member
        if name in FIELDS:
            yield name
        else:
            yield from (f"{name}.{part}" for part in getattr(inner, "members", {"": None}))


@pytest.mark.parametrize("member", list(members()))
def test_every_member_of_the_api_has_been_considered(member: str) -> None:
    assert member in FIELDS


def test_no_entry_is_about_a_member_that_does_not_exist() -> None:
    assert set(FIELDS) == set(members())


@pytest.mark.parametrize(("name", "entry"), list(FIELDS.items()))
def test_what_is_not_emulated_says_what_happens_instead(name: str, entry: Any) -> None:
    assert entry.status in (EMULATED, APPROXIMATED, REFUSED), name
    assert entry.note or entry.status == EMULATED, name


def test_a_receipt_lists_the_fields_of_the_request_and_no_others() -> None:
    request = {
        "TrainingJobName": "mnist-1",
        "ResourceConfig": {"InstanceCount": 2, "InstanceType": "ml.p2.xlarge"},
        "InputDataConfig": [{"ChannelName": "a"}, {"ChannelName": "b"}],
        "Environment": {"A": "1"},
    }

    answer = receipt(request, "gloo", ["think"])

    assert [(field["Field"], field["Status"]) for field in answer["Fields"]] == [
        ("Environment", EMULATED),
        ("InputDataConfig.ChannelName", EMULATED),
        ("ResourceConfig.InstanceCount", EMULATED),
        ("ResourceConfig.InstanceType", APPROXIMATED),
        ("TrainingJobName", EMULATED),
    ]
    assert answer["Advice"] == ["think"]
    assert answer["Launcher"].startswith("approximated")
