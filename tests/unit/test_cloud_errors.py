"""What AWS refuses becomes one line with the next step."""

from __future__ import annotations

import pytest

from harness.cloud_errors import AwsError, Where, explain, why_it_failed

HERE = Where("us-west-2", "arn:aws:iam::1:role/r")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (AwsError("NoCredentialsError", "Unable to locate credentials"), "no AWS credentials: run aws configure"),
        (AwsError("ClientError", "x", "ExpiredToken", "GetCallerIdentity"), "have expired: log in again"),
        (AwsError("UnauthorizedSSOTokenError", "The SSO session has expired"), "have expired: log in again"),
        (AwsError("ClientError", "x", "InvalidClientTokenId", "ListBuckets"), "does not know these credentials"),
        (AwsError("NoRegionError", "You must specify a region."), "AWS_DEFAULT_REGION"),
        (AwsError("EndpointConnectionError", "Could not connect"), "cannot be reached in region 'us-west-2'"),
        (
            AwsError("ClientError", "not authorized to perform: iam:PassRole", "AccessDeniedException", "Create"),
            "allow iam:PassRole",
        ),
        (
            AwsError("ClientError", "Could not assume role x", "ValidationException", "CreateTrainingJob"),
            "SageMaker cannot assume arn:aws:iam::1:role/r",
        ),
        (AwsError("ClientError", "no role", "NoSuchEntity", "GetRole"), "trusts sagemaker.amazonaws.com"),
        (AwsError("ClientError", "x", "PermanentRedirect", "PutObject"), "in another region than us-west-2"),
        (AwsError("ClientError", "x", "301", "HeadBucket"), "in another region than us-west-2"),
        (AwsError("ClientError", "Forbidden", "403", "HeadBucket"), "the bucket is another account's"),
        (
            AwsError("ClientError", "the limit is 0.", "ResourceLimitExceeded", "CreateTrainingJob"),
            "the account's quota",
        ),
        (
            AwsError("ClientError", "CapacityError: x", "ValidationException", "C"),
            "no such instances free",
        ),
        (AwsError("ClientError", "image x not found", "ValidationException", "CreateModel"), "cannot find the image"),
        (AwsError("ClientError", "x", "AccessDeniedException", "CreateModel"), "may not do CreateModel"),
        (AwsError("ClientError", "x", "ThrottlingException", "CreateModel"), "fewer requests"),
        (AwsError("ClientError", "names must be unique", "ResourceInUse", "CreateModel"), "the name is taken"),
        (AwsError("ClientError", "No S3 objects found under", "ValidationException", "C"), "an input is not in S3"),
        (AwsError("ClientError", "so\nit is", "Odd", "CreateModel"), "CreateModel: Odd: so it is"),
    ],
)
def test_each_has_its_line(error: AwsError, line: str) -> None:
    told = explain(error, HERE)

    assert line in told
    assert "\n" not in told


def test_an_upload_that_failed_is_told_by_what_aws_answered_to_it() -> None:
    message = (
        "Failed to upload /data/x to bucket/key: "
        "An error occurred (AccessDenied) when calling the PutObject operation: Access Denied"
    )

    error = AwsError.of({"kind": "S3UploadFailedError", "message": message})

    assert (error.code, error.operation, error.message) == ("AccessDenied", "PutObject", "Access Denied")
    assert "the bucket is another account's" in explain(error, HERE)


def test_a_running_job_is_named_as_it_goes_on() -> None:
    told = explain(AwsError("NoCredentialsError", "x"), Where("us-west-2", running="mnist-1"))

    assert told.endswith("job mnist-1 goes on and costs; afterwards: harness attach mnist-1")


@pytest.mark.parametrize(
    ("reason", "step"),
    [
        ("CapacityError: Unable to provision requested ML compute capacity", "try later"),
        ("ClientError: Data download failed: S3 key", "check that the role may read the inputs"),
        ("did not pass the ping health check", "see the endpoint's log"),
        ("AlgorithmError: it broke, exit code: 1", ""),
        ("AlgorithmError: the image in S3 has no capacity", ""),
    ],
)
def test_a_failure_reason_has_its_step_where_the_logs_would_not_say(reason: str, step: str) -> None:
    found = why_it_failed(reason, "us-west-2")

    assert step in found
    assert bool(step) == bool(found)
