"""What AWS says of an account before a job goes there, and the obstacles in that. Pure; asking is `harness.cloud_look`.

Names of quotas: Service Quotas, service 'sagemaker', which has one for each type and use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from harness.cloud_permissions import SERVICE
from harness.cloud_plan import GIB, OWN_DISK, WAY_OUT, Finding
from harness.job import Hosting, TrainingJob

TRAINING, ENDPOINT = "training job", "endpoint"
# Without these nothing begins; who may not do another thing finds out later, or never.
_NEEDED = frozenset({"sagemaker:CreateTrainingJob", "iam:PassRole"})
_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr(-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/"
    r"(?P<repository>[^:@]+)(:(?P<tag>[^@]+))?(@(?P<digest>.+))?"
)


@dataclass(frozen=True)
class Role:
    """``trusted`` are the services that may assume it, None where the policy could not be read."""

    name: str
    exists: bool = True
    trusted: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Denied:
    """``certain`` where IAM knew all that the policies ask about."""

    who: str
    action: str
    certain: bool


@dataclass(frozen=True)
class Quota:
    value: float
    code: str


@dataclass(frozen=True)
class Bucket:
    """``region`` None where nobody says; ``found`` false where there is none of that name."""

    name: str
    region: str | None = None
    found: bool = True
    open: bool = True
    made_by_the_sdk: bool = False


@dataclass(frozen=True)
class Input:
    """What is under the prefix of a channel; ``complete`` false where there is more than was looked at."""

    channel: str
    uri: str
    objects: int
    bytes: int
    complete: bool = True


@dataclass(frozen=True)
class Image:
    """A parsed name of an image in ECR; ``found`` None where that could not be asked."""

    uri: str
    account: str
    region: str
    repository: str
    tag: str | None
    digest: str | None = None
    found: bool | None = None


@dataclass(frozen=True)
class Seen:
    """Answers of AWS; None, or empty, where it was not asked or did not say. ``not_asked`` is {what: why}.

    ``quotas`` and ``prices`` are by (type, use); prices in dollars per hour.
    """

    account: str
    caller: str
    role: Role | None = None
    denied: tuple[Denied, ...] = ()
    quotas: Mapping[tuple[str, str], Quota] | None = None
    prices: Mapping[tuple[str, str], float] | None = None
    buckets: tuple[Bucket, ...] = ()
    inputs: tuple[Input, ...] = ()
    image: Image | None = None
    not_asked: Mapping[str, str] = field(default_factory=dict)


def image_in_ecr(uri: str) -> Image | None:
    """None for a name that is not one of ECR's."""
    found = _ECR.fullmatch(uri)
    if not found:
        return None
    return Image(uri, found["account"], found["region"], found["repository"], found["tag"], found["digest"])


def account_of(arn: str) -> str:
    """``"123456789012"`` of ``arn:aws:iam::123456789012:role/x``, empty where it says none."""
    parts = arn.split(":")
    return parts[4] if len(parts) > 5 else ""


def findings_of(seen: Seen, job: TrainingJob, hosting: Hosting | None, region: str) -> tuple[Finding, ...]:
    """Every obstacle in what AWS said."""
    return (
        *_role(seen),
        *_denied(seen),
        *_quotas(seen, job, hosting, region),
        *_not_for_sale(seen, job, hosting, region),
        *_buckets(seen, region),
        *_inputs(seen, job),
        *_image(seen, region),
    )


def _role(seen: Seen) -> Iterator[Finding]:
    role = seen.role
    if role is None:
        return
    if account_of(role.name) not in ("", seen.account):
        yield Finding(
            f"{role.name} is of account {account_of(role.name)}, the credentials are of {seen.account}: "
            "SageMaker takes a role of the account that calls it; name one with SAGEMAKER_ROLE",
            True,
        )
    elif not role.exists:
        yield Finding(
            f"the role {role.name} does not exist in account {seen.account}: name one that does with SAGEMAKER_ROLE",
            True,
        )
    elif role.trusted is not None and not {SERVICE, "*"} & set(role.trusted):
        yield Finding(
            f"SageMaker cannot assume {role.name}: its trust policy names {', '.join(role.trusted) or 'no service'}; "
            f"add {SERVICE} to it (aws iam update-assume-role-policy)",
            True,
        )


def _denied(seen: Seen) -> Iterator[Finding]:
    for certain in (True, False):
        for who in dict.fromkeys(each.who for each in seen.denied):
            actions = [
                each.action
                for each in seen.denied
                if each.who == who and (each.certain and each.action in _NEEDED) == certain
            ]
            if actions:
                yield Finding(
                    f"{who} may not do {', '.join(dict.fromkeys(actions))}, as IAM simulates it: allow it", certain
                )


def _uses(job: TrainingJob, hosting: Hosting | None) -> dict[tuple[str, str], int]:
    """How many instances are wanted, by (type, use)."""
    found: dict[tuple[str, str], int] = {}
    use = f"spot {TRAINING}" if job.use_spot_instances else TRAINING
    for group in job.instance_groups:
        key = (group.instance_type, use)
        found[key] = found.get(key, 0) + group.instance_count
    if hosting:
        found[hosting.instance_type, ENDPOINT] = hosting.initial_instance_count
    return found


def _quotas(seen: Seen, job: TrainingJob, hosting: Hosting | None, region: str) -> Iterator[Finding]:
    for (kind, use), count in _uses(job, hosting).items():
        quota = (seen.quotas or {}).get((kind, use))
        if quota is not None and quota.value < count:
            yield Finding(
                f"the account's quota of {kind} for {use} usage in {region} is {quota.value:g}, and {count} "
                f"{'is' if count == 1 else 'are'} needed: aws service-quotas request-service-quota-increase "
                f"--service-code sagemaker --quota-code {quota.code} --desired-value {count} --region {region}, "
                f"or take another INSTANCE_TYPE",
                use != ENDPOINT,  # the job itself could run
            )


def _not_for_sale(seen: Seen, job: TrainingJob, hosting: Hosting | None, region: str) -> Iterator[Finding]:
    """Types without a price in the region, or, where prices could not be asked, without a quota."""
    listed: set[tuple[str, str]] | None = None
    if seen.prices:
        listed, where = set(seen.prices), "price list"
    elif seen.quotas:
        listed, where = set(seen.quotas), "list of quotas"
    for kind, use in _uses(job, hosting):
        if listed is not None and (kind, use.removeprefix("spot ")) not in listed:
            yield Finding(
                f"AWS's {where} has no {kind} for {use} usage in {region}: the region seems to be without it; take "
                f"another INSTANCE_TYPE ({WAY_OUT}) or another region"
            )


def _buckets(seen: Seen, region: str) -> Iterator[Finding]:
    for each in seen.buckets:
        if not each.open:
            whose = "another account's, or closed to these credentials"
            fix = "take other credentials" if each.made_by_the_sdk else "see that the role may read it"
            yield Finding(f"the bucket {each.name} is {whose}: {fix}", each.made_by_the_sdk)
        elif not each.found and not each.made_by_the_sdk:
            yield Finding(f"there is no bucket {each.name}: name one that there is", True)
        elif each.found and each.region not in (None, region):
            yield Finding(
                f"the bucket {each.name} is in {each.region}, and the job would be in {region}: SageMaker reads "
                f"buckets of its own region only; copy it, or set AWS_DEFAULT_REGION={each.region}",
                True,
            )


def _inputs(seen: Seen, job: TrainingJob) -> Iterator[Finding]:
    total = 0
    modes = {each.name: each.input_mode or job.input_mode for each in job.inputs}
    for each in seen.inputs:
        if not each.objects:
            yield Finding(f"inputs.{each.channel}: there is nothing under {each.uri}: upload it, or correct it", True)
        total += each.bytes if modes.get(each.channel) == "File" else 0
    if total > job.volume_size * GIB and not all(map(OWN_DISK.match, job.instance_types)):
        more = "" if all(each.complete for each in seen.inputs) else "at least "
        yield Finding(
            f"the inputs in S3 are {more}{total / GIB:.1f} GiB and volume_size is {job.volume_size}: hosts cannot "
            f"hold them; set volume_size = {int(total / GIB * 1.2) + 1} or input_mode = 'FastFile'",
            True,
        )


def _image(seen: Seen, region: str) -> Iterator[Finding]:
    image = seen.image
    if image is None:
        return
    if image.region != region:
        yield Finding(
            f"image_uri is in ECR of {image.region}, and the job would be in {region}: push it there too: harness push"
        )
    elif image.found is False:
        yield Finding(f"image_uri: ECR has no {image.uri}: harness push sends it there", True)
