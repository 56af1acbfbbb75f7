"""What AWS refuses, in one line with the next step. Pure.

Codes and words: botocore's service models and exceptions; texts of the service as users have reported them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import HarnessError

EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
EXPIRED_KINDS = frozenset({"TokenRetrievalError", "UnauthorizedSSOTokenError", "SSOTokenLoadError"})
NO_CREDENTIALS = frozenset({"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"})
UNKNOWN_CODES = frozenset(
    {
        "AuthFailure",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
UNREACHED_KINDS = frozenset(
    {
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "EndpointConnectionError",
        "ProxyConnectionError",
        "ReadTimeoutError",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_OF_BUCKETS = frozenset({"CreateBucket", "GetObject", "HeadBucket", "HeadObject", "ListBuckets", "PutObject"})


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
    def is_of_caller(self) -> bool:
        """Whether these credentials are refused, whatever is asked with them."""
        return self.code in EXPIRED_CODES | UNKNOWN_CODES or self.kind in EXPIRED_KINDS | NO_CREDENTIALS

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
    serving: str | None = None  # likewise the endpoint


@dataclass(frozen=True)
class _Case:
    """``line`` is for an error of one of these kinds or codes, or whose text has ``pattern``, of these operations."""

    line: str
    kinds: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    pattern: str = ""
    operations: frozenset[str] = frozenset()

    def matches(self, error: AwsError) -> bool:
        if self.operations and error.operation not in self.operations:
            return False
        said = bool(self.pattern) and re.search(self.pattern, error.message) is not None
        return said or error.kind in self.kinds or error.code in self.codes


LEFT_ENDPOINT = "harness cloud-serve waits for it again, harness cloud-clean removes it"
_CASES = (  # the first that matches tells
    _Case(
        "no AWS credentials: run aws configure, or name a profile with AWS_PROFILE",
        kinds=NO_CREDENTIALS,
    ),
    _Case(
        "the AWS credentials have expired: log in again (aws sso login, or fresh keys)",
        kinds=EXPIRED_KINDS,
        codes=EXPIRED_CODES,
        pattern=r"\b[Ee]xpired\b",
    ),
    _Case(
        "AWS does not know these credentials in {region}: check aws sts get-caller-identity, the profile, and whether "
        "the account has the region switched on",
        codes=UNKNOWN_CODES,
    ),
    _Case(
        "no region is set: name one with AWS_DEFAULT_REGION=us-west-2, or in the profile",
        kinds=frozenset({"NoRegionError"}),
    ),
    _Case(
        "no profile of that name is set up here: name another with AWS_PROFILE ({said})",
        kinds=frozenset({"ProfileNotFound"}),
    ),
    _Case(
        "AWS cannot be reached in region {region!r}: check the region's name and the network ({said})",
        kinds=UNREACHED_KINDS,
    ),
    _Case("these credentials may not hand {role} to SageMaker: allow iam:PassRole on it", pattern="iam:PassRole"),
    _Case(
        "SageMaker cannot assume {role}: see that it exists in this account and trusts sagemaker.amazonaws.com, then "
        "name it with SAGEMAKER_ROLE",
        codes=frozenset({"NoSuchEntity"}),
        pattern="assume role|sts:AssumeRole|trust relationship",
    ),
    _Case(
        "the bucket is in another region than {region}: use one in {region}, or set AWS_DEFAULT_REGION to its own",
        codes=frozenset(
            {"301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"}
        ),
        pattern="in the wrong region|not in this region",
    ),
    _Case(
        "the bucket is another account's, or closed to these credentials ({operation}): allow s3 on "
        "sagemaker-{region}-ACCOUNT, or use other credentials",
        codes=frozenset({"403", "BucketAlreadyExists", "Forbidden"}) | _DENIED,
        operations=_OF_BUCKETS,
    ),
    _Case("there is no such bucket: {said}", codes=frozenset({"NoSuchBucket"})),
    _Case("an input is not in S3: {said}", pattern="No S3 objects found"),
    _Case(
        "over the account's quota: {said} Ask Service Quotas for more, or take another INSTANCE_TYPE",
        codes=frozenset({"LimitExceededException", "ResourceLimitExceeded"}),
    ),
    _Case(
        "AWS has no such instances free in {region}: try later, or another region or INSTANCE_TYPE ({said})",
        codes=frozenset({"InsufficientCapacity"}),
        pattern="CapacityError|Insufficient.*capacity",
    ),
    _Case(
        "AWS cannot find the image in {region}: check image_uri, or framework_version with py_version ({said})",
        pattern="CannotPullContainer|(?i:image.*(not found|does not exist))|(?i:cannot find.*image)",
    ),
    _Case("the name is taken: {said}", codes=frozenset({"ResourceInUse"})),
    _Case("these credentials may not do {operation}: {said}", codes=_DENIED),
    _Case(
        "AWS asks for fewer requests ({operation}): try again in a minute",
        codes=frozenset({"Throttling", "ThrottlingException", "TooManyRequestsException"}),
    ),
)
_ELSE = "{operation}: {code}: {said}"


def explain(error: AwsError, where: Where) -> str:
    """One line: what is wrong, and what to do."""
    line = next((case.line for case in _CASES if case.matches(error)), _ELSE).format(
        region=where.region,
        role=where.role or "the role",
        operation=error.operation or "AWS",
        code=error.code or error.kind,
        said=" ".join(error.message.split()),
    )
    if where.running:
        line += f"; job {where.running} goes on and costs; afterwards: harness attach {where.running}"
    if where.serving:
        line += f"; endpoint {where.serving} goes on and costs: {LEFT_ENDPOINT}"
    return line


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
