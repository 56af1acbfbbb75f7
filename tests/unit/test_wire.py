"""The door's two protocols, without a socket."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from harness.api import patience, why_refused
from harness.wire import Request, Response, ServiceError, json_answer, json_error, read_json, rest_error, signed_for

SIGNED = {"authorization": "AWS4-HMAC-SHA256 Credential=ASIA/20260101/us-west-2/s3/aws4_request, SignedHeaders=host"}


def test_times_are_seconds_with_milliseconds() -> None:
    at = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)

    assert json.loads(json_answer({"At": at}, "id").body) == {"At": 1769860800.123}


def test_an_error_is_told_in_json_as_sdks_read_it() -> None:
    answer = json_error(ServiceError("ValidationException", "no such thing"), "id")

    assert answer.status == 400
    assert json.loads(answer.body) == {"__type": "ValidationException", "message": "no such thing"}
    assert answer.header("X-Amzn-RequestId") == "id"


def test_an_error_of_the_runtime_has_its_code_in_a_header_and_its_members_in_the_body() -> None:
    answer = rest_error(ServiceError("ModelError", "broke", 424, {"OriginalStatusCode": 500}), "id")

    assert (answer.status, answer.header("x-amzn-errortype")) == (424, "ModelError")
    assert json.loads(answer.body) == {"Message": "broke", "message": "broke", "OriginalStatusCode": 500}


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"x"', b"\xff", b'{"a":NaN}', b'{"a":' * 200 + b"1" + b"}" * 200])
def test_what_is_no_object_of_json_is_refused(body: bytes) -> None:
    with pytest.raises(ServiceError, match="SerializationException"):
        read_json(body)


def test_an_empty_body_has_no_members() -> None:
    assert read_json(b"") == read_json(b" {} ") == {}


def test_the_service_is_the_one_that_was_signed_for() -> None:
    assert signed_for(Request("GET", "/", SIGNED)) == "s3"
    assert signed_for(Request("GET", "/")) is None
    assert signed_for(Request("GET", "/", {"authorization": "Basic Credential=x"})) is None


@pytest.mark.parametrize("host", ["127.0.0.1:80", "localhost", "localhost:5", "bucket.localhost:5", "[::1]:80"])
def test_loopback_names_are_served(host: str) -> None:
    assert why_refused(Request("GET", "/", {"host": host})) == ""


@pytest.mark.parametrize("host", ["", "example.com", "localhost.example.com", "127.0.0.1@example.com", "10.0.0.1"])
def test_other_names_are_not(host: str) -> None:
    assert "loopback" in why_refused(Request("GET", "/", {"host": host}))


def test_requests_of_pages_are_not_served_even_from_this_machine() -> None:
    page = {"host": "localhost", "origin": "http://localhost"}

    assert "web pages" in why_refused(Request("POST", "/", page))
    assert why_refused(Request("GET", "/", {"host": "localhost", "sec-fetch-site": "none"})) == ""


@pytest.mark.parametrize(
    ("agent", "long"),
    [
        ("AWS-SageMaker-Python-SDK/2.257.7 Python/3.11 Boto3/1.44", True),
        ("Boto3/1.44.5 md/Botocore#1.44.5 m/b,Z,E,N,g Botocore/1.44.5 lib/AWS-SageMaker-Python-SDK#2.257.7", True),
        ("Boto3/1.44.8 md/Botocore#1.44.8 ua/2.1 m/B,Z,b,E cfg/retry-mode#legacy", True),
        ("Boto3/1.44.8 md/Botocore#1.44.8 ua/2.1 m/Z,b,E cfg/retry-mode#legacy", False),
        ("aws-sdk-js/3", False),
        ("", False),
    ],
)
def test_those_who_ask_seldom_are_answered_when_there_is_something_to_tell(agent: str, long: bool) -> None:
    assert (patience(Request("POST", "/", {"user-agent": agent})) > 10) == long


def test_a_header_of_an_answer_is_found_whatever_its_case() -> None:
    assert Response(200, (("X-One", "1"),)).header("x-one") == "1"
