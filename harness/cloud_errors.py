"""What AWS refuses, in one line with the next step. Pure.

Codes and words: botocore's service models and exceptions; texts of the service as users have reported them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.errors import HarnessError

EXPIRED_CODES = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
EXPIRED_KINDS = {"TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError", "LoginRefreshRequired"}
INVALID_CODES = {
    "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthFailure"
}  # fmt: skip
MISSING_KINDS = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}
UNREACHED_KINDS = {
    "EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError", "ConnectionError",
    "ProxyConnectionError"
}  # fmt: skip
DENIED_CODES = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
ELSEWHERE_CODES = {
    "PermanentRedirect", "301", "IllegalLocationConstraintException", "AuthorizationHeaderMalformed"
}  # fmt: skip
NOT_OURS_CODES = {"403", "Forbidden", "BucketAlreadyExists"}


# boto3, s3/transfer.py, S3UploadFailedError: the answer is in its text only.
_WRAPPED = re.compile(r"An error occurred \((\S+)\) when calling the (\w+) operation(?: \(.*?\))?: (.*)", re.DOTALL)


@dataclass(frozen=True)
class AwsError:
    """An exception of botocore's or the SDK's as plain data; ``code`` is empty where AWS has not answered."""

    kind: str
    message: str
    code: str = ""
    operation: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> AwsError:
        """``given`` is {kind, message, code?, operation?}; what a transfer wraps in a sentence is taken out of it."""
        if "code" not in given and (found := _WRAPPED.search(given["message"])):
            return cls(given["kind"], found[3], found[1], found[2])
        return cls(given["kind"], given["message"], given.get("code", ""), given.get("operation", ""))

    @property
    def is_lost_connection(self) -> bool:
        return self.kind in UNREACHED_KINDS

    @property
    def is_expired(self) -> bool:
        return self.code in EXPIRED_CODES or self.kind in EXPIRED_KINDS or "expired" in self.message.lower()

    @property
    def is_unknown_name(self) -> bool:
        """Whether there is nothing of that name: the service says so in words only."""
        return self.code in ("ValidationException", "ValidationError", "ResourceNotFound") and any(
            words in self.message for words in ("Could not find", "not found", "does not exist")
        )


class CloudFailed(HarnessError):
    """AWS did not do what was asked of it; ``error`` is what it said."""

    def __init__(self, error: AwsError, text: str) -> None:
        self.error = error
        super().__init__(text)


@dataclass(frozen=True)
class Where:
    """What the job was sent with: named in the lines, so that one sees what to change."""

    region: str
    role: str | None = None
    running: str | None = None  # the job that goes on whatever has happened to us


def explain(error: AwsError, where: Where) -> str:
    """One line: what is wrong, and what to do."""
    said = " ".join(error.message.split())
    text = next((line for matches, line in _cases(error, where, said) if matches), None)
    text = text or f"{error.operation or 'AWS'}: {error.code or error.kind}: {said}"
    if where.running:
        text += f"; job {where.running} goes on and costs; afterwards: harness attach {where.running}"
    return text


def _cases(error: AwsError, where: Where, said: str) -> list[tuple[bool, str]]:
    has: Callable[..., bool] = lambda *words: any(word in said for word in words)  # noqa: E731
    region, role = where.region, where.role or "the role"
    bucket = error.operation in ("HeadBucket", "CreateBucket", "HeadObject", "PutObject", "GetObject", "ListBuckets")
    return [
        (
            error.kind in MISSING_KINDS,
            "no AWS credentials: run aws configure, or name a profile with AWS_PROFILE",
        ),
        (
            error.is_expired,
            "the AWS credentials have expired: log in again (aws sso login, or fresh keys)",
        ),
        (
            error.code in INVALID_CODES,
            f"AWS does not know these credentials in {region}: check aws sts get-caller-identity, the profile, and "
            "whether the account has the region switched on",
        ),
        (error.kind == "NoRegionError", "no region is set: name one with AWS_DEFAULT_REGION=us-west-2"),
        (
            error.is_lost_connection,
            f"AWS cannot be reached in region {region!r}: check the region's name and the network ({said})",
        ),
        (
            has("iam:PassRole"),
            f"these credentials may not hand {role} to SageMaker: allow iam:PassRole on it",
        ),
        (
            has("assume role", "sts:AssumeRole", "trust relationship") or error.code == "NoSuchEntity",
            f"SageMaker cannot assume {role}: see that it exists in this account and trusts sagemaker.amazonaws.com, "
            "then name it with SAGEMAKER_ROLE",
        ),
        (
            error.code in ELSEWHERE_CODES or has("in the wrong region", "not in this region"),
            f"the bucket is in another region than {region}: use one in {region}, or set AWS_DEFAULT_REGION to its own",
        ),
        (
            bucket and (error.code in NOT_OURS_CODES or error.code in DENIED_CODES),
            f"the bucket is another account's, or closed to these credentials ({error.operation}): allow s3 on "
            f"sagemaker-{region}-ACCOUNT, or use other credentials",
        ),
        (error.code == "NoSuchBucket", f"there is no such bucket: {said}"),
        (has("No S3 objects found"), f"an input is not in S3: {said}"),
        (
            error.code in ("ResourceLimitExceeded", "LimitExceededException"),
            f"over the account's quota: {said} Ask Service Quotas for more, or take another INSTANCE_TYPE",
        ),
        (
            has("CapacityError", "capacity") or error.code == "InsufficientCapacity",
            f"AWS has no such instances free in {region}: try later, or another region or INSTANCE_TYPE ({said})",
        ),
        (
            has("CannotPullContainer", "RepositoryNotFound", "ImageNotFound")
            or (has("image") and has("not found", "does not exist", "Cannot find")),
            f"AWS cannot find the image in {region}: check image_uri, or framework_version with py_version ({said})",
        ),
        (
            error.code == "ResourceInUse",
            f"the name is taken: {said}",
        ),
        (
            error.code in DENIED_CODES,
            f"these credentials may not do {error.operation}: {said}",
        ),
        (
            "Throttling" in error.code or error.code == "TooManyRequestsException",
            f"AWS asks for fewer requests ({error.operation}): try again in a minute",
        ),
    ]


def why_it_failed(reason: str, region: str) -> str:
    """The next step for a FailureReason, empty where the logs say it best."""
    if reason.startswith("AlgorithmError"):
        return ""  # the script's own words
    for words, step in (
        (("CapacityError", "capacity"), f"try later, or another region than {region} or INSTANCE_TYPE"),
        (("CannotPullContainer", "image"), "check image_uri, or framework_version with py_version"),
        (("Data download failed", "S3"), "check that the role may read the inputs, and that they are in this region"),
        (("ping health check",), "the model could not be loaded, or answers no ping: see the endpoint's log"),
    ):
        if any(word in reason for word in words):
            return step
    return ""
