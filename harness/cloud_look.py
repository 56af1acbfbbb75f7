"""Looks at an AWS account before a job goes there: reads only, at once, and briefly. Judging is `harness.cloud_seen`.

What these credentials may not read is no obstacle: it is noted as not asked, with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from harness.channel_table import S3_PREFIX
from harness.cloud_account import told
from harness.cloud_errors import CloudFailed, Where
from harness.cloud_permissions import Wanted, trusted_services, wanted_of_caller, wanted_of_role
from harness.cloud_seen import (
    ENDPOINT,
    TRAINING,
    Bucket,
    Denied,
    Image,
    Input,
    Quota,
    Role,
    Seen,
    image_in_ecr,
)
from harness.job import Hosting, TrainingJob

CONNECT_SECONDS, READ_SECONDS, TRIES = 3, 15, 2
MOST_OBJECTS = 5000  # of a prefix that are looked at
PRICES_REGION = "us-east-1"  # the price list is served in few regions, and tells of all (AWS Billing, 'Price List')
_QUOTA = re.compile(r"(?P<kind>ml\.\S+) for (?P<use>(spot )?training job|endpoint) usage")
# 'USW2-Train:ml.p2.xlarge', 'USW2-Host:ml.m5.large' in the price list of AmazonSageMaker.
_USAGE = re.compile(r"(?:^|-)(?P<use>Train|Host):(?P<kind>ml\.\S+)$")


def look(job: TrainingJob, hosting: Hosting | None, *, region: str, role: str | None) -> Seen:
    """What AWS says of the account; ``role`` is a name or an ARN. Raises `CloudFailed` where it does not know us."""
    asked = Questions(region)
    caller, account = asked.caller()
    arn = role if role and role.startswith("arn:") else f"arn:aws:iam::{account}:role/{role}"
    questions: dict[str, Callable[[], Any]] = {
        "quotas": asked.quotas,
        "prices": lambda: asked.prices({*job.instance_types, *((hosting.instance_type,) if hosting else ())}),
        "buckets": lambda: asked.buckets(job, account),
        "permissions": lambda: asked.denied(caller, caller, wanted_of_caller(job, hosting, region, account, arn)),
    }
    if role:
        questions |= {
            "the role": lambda: asked.role(role),
            "the role's permissions": lambda: asked.denied(role, arn, wanted_of_role(job, region, account)),
        }
    for name, uri in prefixes(job).items():
        questions[f"inputs.{name}"] = partial(asked.under, name, uri)
    image = image_in_ecr(job.image_uri) if job.image_uri else None
    if image and image.account == account and image.region == region:
        questions["the image"] = lambda: asked.image(image)
    answers, not_asked = _ask_all(questions)
    denied = (*answers.get("permissions", ()), *answers.get("the role's permissions", ()))
    return Seen(
        account=account,
        caller=caller,
        role=answers.get("the role"),
        denied=denied,
        quotas=answers.get("quotas"),
        prices=answers.get("prices"),
        buckets=answers.get("buckets", ()),
        inputs=tuple(answers[name] for name in answers if name.startswith("inputs.")),
        image=answers.get("the image", image),
        not_asked=not_asked,
    )


def endpoint_price(kind: str, region: str) -> float | None:
    """Dollars per hour of one instance today; None where these credentials cannot ask, or the list has it not."""
    try:
        return Questions(region).prices({kind}).get((kind, ENDPOINT))
    except CloudFailed:
        return None


def prefixes(job: TrainingJob) -> dict[str, str]:
    """The s3:// URIs of channels whose objects are listed by prefix."""
    return {
        each.name: each.source for each in job.inputs if isinstance(each.source, str) and each.s3_data_type == S3_PREFIX
    }


def _ask_all(questions: dict[str, Callable[[], Any]]) -> tuple[dict[str, Any], dict[str, str]]:
    """The answers, and why there are none, by what was asked."""
    answers, not_asked = {}, {}
    with ThreadPoolExecutor(len(questions)) as pool:
        running = {what: pool.submit(question) for what, question in questions.items()}
        for what, each in running.items():
            try:
                answers[what] = each.result()
            except CloudFailed as error:
                not_asked[what] = error.error.code or error.error.kind
    return answers, not_asked


class Questions:
    """One method, one question; every one raises `CloudFailed`."""

    def __init__(self, region: str) -> None:
        import boto3
        from botocore.config import Config

        self._region, self._where = region, Where(region)
        brief = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": TRIES, "mode": "standard"},
        )
        with told(self._where):  # clients are made here: their session is not for several threads
            session = boto3.Session(region_name=region)
            self._sts, self._iam, self._quotas, self._s3, self._ecr = (
                session.client(name, config=brief) for name in ("sts", "iam", "service-quotas", "s3", "ecr")
            )
            self._prices = session.client("pricing", region_name=PRICES_REGION, config=brief)

    def caller(self) -> tuple[str, str]:
        """(ARN, account) of these credentials."""
        with told(self._where):
            answer = self._sts.get_caller_identity()
        return answer["Arn"], answer["Account"]

    def role(self, name: str) -> Role:
        try:
            with told(self._where):
                found = self._iam.get_role(RoleName=name.rpartition("/")[2])["Role"]
        except CloudFailed as error:
            if error.error.code == "NoSuchEntity":
                return Role(name, exists=False)
            raise
        return Role(name, trusted=trusted_services(found.get("AssumeRolePolicyDocument")))

    def denied(self, who: str, arn: str, wanted: list[Wanted]) -> tuple[Denied, ...]:
        """What of ``wanted`` the policies of a user or role do not allow. An assumed role is asked of as its role."""
        if arn.endswith(":root"):
            return ()
        if ":assumed-role/" in arn:
            with told(self._where):
                arn = self._iam.get_role(RoleName=arn.split("/")[1])["Role"]["Arn"]
        return tuple(found for each in wanted for found in self._simulate(who, arn, each))

    def _simulate(self, who: str, arn: str, wanted: Wanted) -> Iterator[Denied]:
        context = [
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in wanted.context.items()
        ]
        with told(self._where):
            pages = self._iam.get_paginator("simulate_principal_policy").paginate(
                PolicySourceArn=arn,
                ActionNames=list(wanted.actions),
                ResourceArns=[wanted.resource],
                ContextEntries=context,
            )
            results = [each for page in pages for each in page["EvaluationResults"]]
        for each in results:
            if each["EvalDecision"] != "allowed":
                yield Denied(who, each["EvalActionName"], not each.get("MissingContextValues"))

    def quotas(self) -> dict[tuple[str, str], Quota]:
        with told(self._where):
            pages = self._quotas.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
            listed = [each for page in pages for each in page["Quotas"]]
        found = {}
        for each in listed:
            if named := _QUOTA.fullmatch(each["QuotaName"]):
                found[named["kind"], named["use"]] = Quota(each["Value"], each["QuotaCode"])
        return found

    def prices(self, types: set[str]) -> dict[tuple[str, str], float]:
        """Dollars per hour on demand, by (type, use), of those that the region has."""
        found = {}
        for kind in sorted(types):
            wanted = {"regionCode": self._region, "instanceName": kind}
            filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
            with told(self._where):
                pages = self._prices.get_paginator("get_products").paginate(
                    ServiceCode="AmazonSageMaker", Filters=filters
                )
                products = [json.loads(each) for page in pages for each in page["PriceList"]]
            for product in products:
                usage = _USAGE.search(product["product"]["attributes"].get("usagetype", ""))
                price = _on_demand(product)
                if usage and usage["kind"] == kind and price:
                    found[kind, TRAINING if usage["use"] == "Train" else ENDPOINT] = price
        return found

    def under(self, channel: str, uri: str) -> Input:
        place = urlsplit(uri)
        with told(self._where):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=place.netloc,
                Prefix=place.path.lstrip("/"),
                PaginationConfig={"MaxItems": MOST_OBJECTS},
            )
            sizes = [each["Size"] for page in pages for each in page.get("Contents", ())]
        return Input(channel, uri, len(sizes), sum(sizes), complete=len(sizes) < MOST_OBJECTS)

    def buckets(self, job: TrainingJob, account: str) -> tuple[Bucket, ...]:
        own = f"sagemaker-{self._region}-{account}"
        sources = [each.source for each in job.inputs] + [job.output_path, job.checkpoint_s3_uri]
        named = [urlsplit(each).netloc for each in sources if isinstance(each, str) and each.startswith("s3://")]
        return tuple(replace(self._bucket(name), made_by_the_sdk=name == own) for name in dict.fromkeys([own, *named]))

    def _bucket(self, name: str) -> Bucket:
        from botocore.exceptions import ClientError

        with told(self._where):
            try:
                answer = self._s3.head_bucket(Bucket=name)
            except ClientError as error:
                answer = error.response
        meta = answer["ResponseMetadata"]
        region = meta.get("HTTPHeaders", {}).get("x-amz-bucket-region")
        status = meta.get("HTTPStatusCode")
        return Bucket(name, region, found=status != 404, open=status != 403)

    def image(self, image: Image) -> Image:
        named = {"imageDigest": image.digest} if image.digest else {"imageTag": image.tag or "latest"}
        try:
            with told(self._where):
                self._ecr.describe_images(repositoryName=image.repository, imageIds=[named])
        except CloudFailed as error:
            if error.error.code in ("ImageNotFoundException", "RepositoryNotFoundException"):
                return replace(image, found=False)
            raise
        return replace(image, found=True)


def _on_demand(product: dict[str, Any]) -> float | None:
    for offer in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in offer["priceDimensions"].values():
            price = float(dimension["pricePerUnit"].get("USD", 0))
            if price:
                return price
    return None
