"""`harness plan` where there are credentials: what AWS says beforehand, and that nothing there is changed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cloud.account import Account, Refusal
from tests.cloud.asked import trust
from tests.cloud.conftest import Place, Ran

BUCKET = "sagemaker-us-west-2-123456789012"


@pytest.fixture
def account() -> Iterator[Account]:
    with Account() as there:
        yield there


def plan(place: Place, account: Account, **settings: str) -> Ran:
    return place.harness("plan", "job.toml", "--json", **(account.settings | settings))


def obstacles(ran: Ran, *, certain: bool) -> str:
    found: list[dict[str, Any]] = ran.json["Obstacles"]
    return "\n".join(each["Text"] for each in found if each["Certain"] == certain)


def test_an_account_that_is_ready_is_asked_and_nothing_there_is_changed(place: Place, account: Account) -> None:
    account.answers.quotas = {"ml.p2.xlarge for training job usage": 2, "ml.m5.large for endpoint usage": 1}

    ran = plan(place, account)

    assert ran.exit_code == 0, ran
    assert obstacles(ran, certain=True) == "", ran
    assert account.changes == []
    asked = ("GetCallerIdentity", "GetRole", "ListServiceQuotas", "GetProducts", "SimulatePrincipalPolicy", "s3:HEAD")
    assert set(asked) <= set(account.operations)
    assert ran.json["AskedAs"].startswith("arn:aws:")
    assert ran.json["NotAsked"] == {}


def test_todays_prices_are_taken_where_they_are_all_known(place: Place, account: Account) -> None:
    account.answers.prices = {"USW2-Train:ml.p2.xlarge": 2.0, "USW2-Host:ml.m5.large": 0.5}

    ran = plan(place, account)

    assert ran.json["Estimate"] | {"PricesOf": ""} == {
        "PerHour": 4.0,
        "Ceiling": 4.0,
        "AtLocalTime": None,
        "LocalSeconds": None,
        "EndpointPerHour": 0.5,
        "PricesOf": "",
    }


def test_what_these_credentials_may_not_ask_is_said_and_is_no_obstacle(place: Place, account: Account) -> None:
    account.answers.quotas = account.answers.prices = account.answers.denied = None

    ran = plan(place, account)
    shown = place.harness("plan", "job.toml", **account.settings)

    assert ran.exit_code == 0, ran
    why = "AccessDeniedException"
    assert ran.json["NotAsked"] == dict.fromkeys(("quotas", "prices", "permissions", "the role's permissions"), why)
    assert "It did not tell quotas (AccessDeniedException), prices" in shown.stdout, shown


def test_credentials_that_aws_refuses_end_it(place: Place, account: Account) -> None:
    account.wants("GetCallerIdentity", Refusal("ExpiredToken", "The security token is expired", 403))

    ran = plan(place, account)

    assert ran.exit_code == 4, ran
    assert "the AWS credentials have expired: log in again" in obstacles(ran, certain=True)
    assert "GetRole" not in account.operations


def test_offline_it_asks_nothing(place: Place, account: Account) -> None:
    ran = place.harness("plan", "job.toml", "--offline", **account.settings)

    assert ran.exit_code == 0, ran
    assert "it was not to be asked" in ran.stdout, ran
    assert account.operations == []


def test_an_account_that_cannot_be_reached_is_no_obstacle(place: Place, account: Account) -> None:
    ran = place.harness("plan", "job.toml", **(account.settings | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}))

    assert ran.exit_code == 0, ran
    assert "AWS cannot be reached in region 'us-west-2'" in ran.stdout, ran


def test_a_metadata_service_that_never_answers_does_not_hold_it_up(place: Place) -> None:
    """Credentials are looked for there last; a network that swallows packets must not cost minutes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        there = {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": address}

        ran = place.harness("plan", "job.toml", AWS_DEFAULT_REGION="us-west-2", **there)

    assert ran.exit_code == 4, ran
    assert "no AWS credentials" in ran.stdout, ran


def test_all_that_the_account_lacks_is_found_at_once(place: Place, account: Account) -> None:
    image = "123456789012.dkr.ecr.us-west-2.amazonaws.com/mine:1"
    place.job(("max_run = 3600", f'max_run = 3600\nimage_uri = "{image}"'))
    account.answers.quotas = {"ml.p2.xlarge for training job usage": 0}
    account.answers.denied = {"iam:PassRole", "sagemaker:StopTrainingJob"}
    account.answers.prices = {"USW2-Host:ml.m5.large": 0.5}
    account.wants("s3:HEAD", Refusal("403", "Forbidden", 403))

    ran = plan(place, account, SAGEMAKER_ROLE="arn:aws:iam::123456789012:role/nobody")

    assert ran.exit_code == 4, ran
    certain, others = obstacles(ran, certain=True), obstacles(ran, certain=False)
    assert "quota of ml.p2.xlarge for training job usage in us-west-2 is 0, and 2 are needed" in certain
    assert "request-service-quota-increase" in certain
    assert "role/nobody does not exist in account 123456789012" in certain
    assert "may not do iam:PassRole" in certain
    assert "may not do sagemaker:StopTrainingJob" in others
    assert f"the bucket {BUCKET} is another account's" in certain
    assert f"ECR has no {image}: harness push sends it there" in certain
    assert "no ml.p2.xlarge for training job usage in us-west-2" in others
    assert ran.json["Estimate"]["PerHour"] == 2.25  # of the table, as the price list is not whole


def test_what_is_wrong_in_s3_and_with_the_role_is_found(place: Place, account: Account) -> None:
    account.client("iam").create_role(RoleName="other", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    for name, region in {"elsewhere": "eu-west-1", "mine": "us-west-2"}.items():
        where = {"LocationConstraint": region}
        account.client("s3", region).create_bucket(Bucket=name, CreateBucketConfiguration=where)
    account.client("s3").put_object(Bucket="mine", Key="full/one", Body=b"12345")
    place.job(
        ('training = "data"', 'training = "s3://mine/empty/"\nfull = "s3://mine/full/"\nnone = "s3://no-bucket/x"'),
        ("max_run = 3600", 'max_run = 3600\noutput_path = "s3://elsewhere/out"'),
    )

    ran = plan(place, account, SAGEMAKER_ROLE="other")

    assert ran.exit_code == 4, ran
    certain = obstacles(ran, certain=True)
    assert "its trust policy names ec2.amazonaws.com" in certain
    assert "the bucket elsewhere is in eu-west-1, and the job would be in us-west-2" in certain
    assert "there is no bucket no-bucket" in certain
    assert "inputs.training: there is nothing under s3://mine/empty/" in certain
    assert "inputs.full" not in certain
