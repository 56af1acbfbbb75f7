"""What AWS says of an account beforehand becomes obstacles, each with what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cloud_permissions import SERVICE, trusted_services, wanted_of_caller, wanted_of_role
from harness.cloud_plan import GIB, Finding
from harness.cloud_seen import (
    ENDPOINT,
    TRAINING,
    Bucket,
    Denied,
    Input,
    Quota,
    Role,
    Seen,
    findings_of,
    image_in_ecr,
)
from harness.job import Channel, Hosting
from tests.jobs import training_job

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
SEEN = Seen("123456789012", "arn:aws:iam::123456789012:user/me", role=Role(ROLE, trusted=(SERVICE,)))
HOSTING = Hosting("inference.py", Path("code"), "ml.m5.large")
QUOTAS = {("ml.p2.xlarge", TRAINING): Quota(2, "L-1"), ("ml.m5.large", ENDPOINT): Quota(1, "L-2")}
IMAGE = "123456789012.dkr.ecr.us-west-2.amazonaws.com/mine:1"


def found(seen: Seen, **job: Any) -> tuple[Finding, ...]:
    return findings_of(seen, training_job(**job), HOSTING, "us-west-2")


def the_one(seen: Seen, **job: Any) -> Finding:
    (one,) = found(seen, **job)
    return one


def test_nothing_is_found_in_an_account_that_is_ready() -> None:
    prices = dict.fromkeys(QUOTAS, 1.0)
    bucket = Bucket("sagemaker-us-west-2-123456789012", "us-west-2", made_by_the_sdk=True)

    assert found(replace(SEEN, quotas=QUOTAS, prices=prices, buckets=(bucket,))) == ()


def test_what_could_not_be_asked_is_no_obstacle() -> None:
    assert found(Seen("123456789012", "me")) == ()


@pytest.mark.parametrize(
    ("role", "words"),
    [
        (Role(ROLE, exists=False), "does not exist in account 123456789012"),
        (Role(ROLE, trusted=("ec2.amazonaws.com",)), "its trust policy names ec2.amazonaws.com; add sagemaker.amazon"),
        (Role(ROLE, trusted=()), "names no service"),
        (Role(ROLE.replace("1234", "9999")), "is of account 999956789012, the credentials are of 123456789012"),
    ],
    ids=["missing", "not trusting", "trusting nobody", "of another account"],
)
def test_a_role_that_sagemaker_cannot_take_is_certain_to_end_it(role: Role, words: str) -> None:
    one = the_one(replace(SEEN, role=role))

    assert words in one.text
    assert one.certain


def test_a_role_whose_trust_could_not_be_read_is_left_alone() -> None:
    assert found(replace(SEEN, role=Role(ROLE, trusted=None))) == ()


@pytest.mark.parametrize(
    ("principal", "trusted"),
    [
        ({"Service": SERVICE}, (SERVICE,)),
        ({"Service": ["ec2.amazonaws.com", SERVICE]}, ("ec2.amazonaws.com", SERVICE)),
        ({"AWS": "arn:aws:iam::1:root"}, ()),
        ("*", ("*",)),
        ({"AWS": "*"}, ("*",)),
    ],
)
def test_who_may_assume_a_role_is_read_from_its_policy(principal: Any, trusted: tuple[str, ...]) -> None:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}

    assert trusted_services({"Statement": statement}) == trusted
    assert trusted_services({"Statement": [statement, {**statement, "Effect": "Deny"}]}) == trusted
    assert trusted_services({"Statement": [{**statement, "Action": ["sts:TagSession"]}]}) == ()
    assert trusted_services("no policy") is None


def test_a_permission_that_is_missing_is_named_with_its_owner() -> None:
    denied = (
        Denied("me", "iam:PassRole", True),
        Denied("me", "sagemaker:StopTrainingJob", True),
        Denied("the role", "s3:GetObject", True),
    )

    certain, later, role = found(replace(SEEN, denied=denied))

    assert (certain.text, certain.certain) == ("me may not do iam:PassRole, as IAM simulates it: allow it", True)
    assert ("me may not do sagemaker:StopTrainingJob" in later.text, later.certain) == (True, False)
    assert ("the role may not do s3:GetObject" in role.text, role.certain) == (True, False)


def test_a_permission_that_hangs_on_what_iam_was_not_told_is_not_certain_to_be_missing() -> None:
    assert not the_one(replace(SEEN, denied=(Denied("me", "iam:PassRole", False),))).certain


def test_a_quota_below_the_count_is_told_with_the_command_that_asks_for_more() -> None:
    one = the_one(replace(SEEN, quotas=QUOTAS | {("ml.p2.xlarge", TRAINING): Quota(0, "L-1")}))

    assert "quota of ml.p2.xlarge for training job usage in us-west-2 is 0, and 2 are needed" in one.text
    assert "--quota-code L-1 --desired-value 2 --region us-west-2" in one.text
    assert one.certain


def test_spot_instances_have_a_quota_of_their_own() -> None:
    spot = QUOTAS | {("ml.p2.xlarge", f"spot {TRAINING}"): Quota(1, "L-3")}

    assert "for spot training job usage" in the_one(replace(SEEN, quotas=spot), use_spot_instances=True).text


def test_the_endpoints_quota_does_not_end_the_job() -> None:
    one = the_one(replace(SEEN, quotas=QUOTAS | {("ml.m5.large", ENDPOINT): Quota(0, "L-2")}))

    assert "is 0, and 1 is needed" in one.text
    assert not one.certain


def test_a_type_that_the_region_does_not_sell_is_named() -> None:
    prices = {("ml.m5.large", ENDPOINT): 0.115}

    one = the_one(replace(SEEN, quotas=QUOTAS, prices=prices))

    assert "price list has no ml.p2.xlarge for training job usage in us-west-2" in one.text
    assert "ml.g4dn.xlarge" in one.text


def test_without_prices_the_quotas_say_what_the_region_has() -> None:
    quotas = {("ml.m5.large", ENDPOINT): Quota(1, "L-2")}

    assert "list of quotas has no ml.p2.xlarge" in the_one(replace(SEEN, quotas=quotas)).text


@pytest.mark.parametrize(
    ("bucket", "words", "certain"),
    [
        (Bucket("mine", "eu-west-1"), "is in eu-west-1, and the job would be in us-west-2", True),
        (Bucket("mine", found=False), "there is no bucket mine", True),
        (Bucket("mine", open=False), "see that the role may read it", False),
        (Bucket("mine", open=False, made_by_the_sdk=True), "take other credentials", True),
    ],
    ids=["region", "missing", "closed", "the SDK's"],
)
def test_a_bucket_that_the_job_cannot_use_is_named(bucket: Bucket, words: str, certain: bool) -> None:
    one = the_one(replace(SEEN, buckets=(bucket,)))

    assert words in one.text
    assert one.certain == certain


def test_the_bucket_that_the_sdk_makes_need_not_be_there() -> None:
    assert found(replace(SEEN, buckets=(Bucket("new", found=False, made_by_the_sdk=True),))) == ()


def test_a_prefix_without_objects_is_certain_to_end_it() -> None:
    one = the_one(replace(SEEN, inputs=(Input("training", "s3://b/p", 0, 0),)))

    assert "there is nothing under s3://b/p" in one.text
    assert one.certain


def test_data_in_s3_bigger_than_the_volume_is_certain_to_end_it() -> None:
    job = {"inputs": (Channel("training", "s3://b/p"),), "volume_size": 30}
    big = replace(SEEN, inputs=(Input("training", "s3://b/p", 9, 40 * GIB, complete=False),))

    one = the_one(big, **job)

    assert "at least 40.0 GiB and volume_size is 30" in one.text
    assert "volume_size = 49" in one.text
    assert found(big, **job, input_mode="FastFile") == ()
    assert "volume_size" not in " ".join(each.text for each in found(big, **job, instance_type="ml.g4dn.xlarge"))


def test_an_image_is_looked_for_where_the_job_will_look() -> None:
    image = image_in_ecr(IMAGE)
    assert image

    missing = the_one(replace(SEEN, image=replace(image, found=False)))
    elsewhere = the_one(replace(SEEN, image=replace(image, region="eu-west-1")))

    assert "harness push" in missing.text
    assert missing.certain
    assert "in ECR of eu-west-1" in elsewhere.text
    assert found(replace(SEEN, image=replace(image, found=True))) == ()


def test_a_name_of_ecr_is_read_in_all_its_parts() -> None:
    image = image_in_ecr(f"{IMAGE}@sha256:abc")

    assert image
    assert (image.account, image.region, image.repository, image.tag, image.digest) == (
        "123456789012",
        "us-west-2",
        "mine",
        "1",
        "sha256:abc",
    )
    assert image_in_ecr("custom-train:1") is None


def test_what_is_simulated_names_the_resources_that_a_policy_could_name() -> None:
    job = training_job(inputs=(Channel("training", "s3://b/p"),))

    caller = {each.resource: each for each in wanted_of_caller(job, HOSTING, "us-west-2", "1", ROLE)}
    role = {each.resource for each in wanted_of_role(job, "us-west-2", "1")}

    assert caller[ROLE].context == {"iam:PassedToService": SERVICE}
    assert "sagemaker:CreateTrainingJob" in caller["arn:aws:sagemaker:us-west-2:1:training-job/mnist-0"].actions
    assert "arn:aws:sagemaker:us-west-2:1:endpoint/mnist-0" in caller
    assert "arn:aws:s3:::b/p" in role
    assert len(wanted_of_caller(job, None, "us-west-2", "1", ROLE)) == len(caller) - 3
