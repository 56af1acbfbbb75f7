"""S3 of the AWS door: contents of any size, in every way that clients send and ask for them."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import threading
import zlib
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from harness import door_listing
from harness.s3_requests import S3Error, byte_range
from harness.s3_upload import AwsChunked, Payload
from harness.wire import Request
from tests.functional.conftest import LocalDoor

MIB = 1024**2
OREGON = {"LocationConstraint": "us-west-2"}


@pytest.fixture
def bucket(local_door: LocalDoor, request: pytest.FixtureRequest) -> str:
    name = "b-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:16]
    local_door.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=OREGON)
    return name


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def content(size: int, seed: int = 1) -> bytes:
    return (hashlib.sha256(bytes([seed])).digest() * (size // 32 + 1))[:size]


def send(
    door: LocalDoor, method: str, target: str, body: Any = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(door.url).netloc, timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-west-2/s3/aws4_request"}
    connection.request(method, target, body, scope | named)
    answer = connection.getresponse()
    found = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, found


def test_a_file_goes_up_in_parts_and_comes_down_in_ranges(local_door: LocalDoor, bucket: str) -> None:
    s3, sent, got = local_door.client("s3"), content(21 * MIB + 7), io.BytesIO()
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)

    s3.upload_fileobj(io.BytesIO(sent), bucket, "large", Config=config, ExtraArgs={"Metadata": {"my_key": "v"}})
    s3.download_fileobj(bucket, "large", got, Config=config)

    head = s3.head_object(Bucket=bucket, Key="large")
    assert got.getvalue() == sent
    assert (head["ContentLength"], head["Metadata"]) == (len(sent), {"my_key": "v"})
    digests = b"".join(md5(sent[at : at + 5 * MIB]) for at in range(0, len(sent), 5 * MIB))
    assert head["ETag"] == f'"{md5(digests).hex()}-5"'
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert (listed["Size"], listed["ETag"]) == (len(sent), head["ETag"])
    assert s3.get_object(Bucket=bucket, Key="large")["Body"].read() == sent


def test_a_bucket_is_listed_with_the_number_of_its_objects(local_door: LocalDoor, bucket: str) -> None:
    for key in ("one", "two", "two"):
        local_door.client("s3").put_object(Bucket=bucket, Key=key, Body=b"x")

    state = local_door.services.buckets.folder.parent
    assert {"kind": "bucket", "name": bucket, "host": "", "state": "2 objects"} in door_listing.listed(state)


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
@pytest.mark.parametrize("signing", [True, False], ids=["signed", "unsigned"])
def test_sums_go_with_an_object_and_its_parts(
    local_door: LocalDoor, bucket: str, algorithm: str, signing: bool
) -> None:
    s3, sent = local_door.client("s3", s3={"payload_signing_enabled": signing}), content(6 * MIB)

    put = s3.put_object(Bucket=bucket, Key="one", Body=io.BytesIO(sent), ChecksumAlgorithm=algorithm)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="two", ChecksumAlgorithm=algorithm)["UploadId"]
    here = {"Bucket": bucket, "Key": "two", "UploadId": upload}
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(**here, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)["ETag"],
        }
        for number, body in ((1, sent), (2, b"rest"))
    ]
    s3.complete_multipart_upload(**here, MultipartUpload={"Parts": parts})

    one = s3.get_object(Bucket=bucket, Key="one", ChecksumMode="ENABLED")
    two = s3.get_object(Bucket=bucket, Key="two", ChecksumMode="ENABLED")
    assert put[f"Checksum{algorithm}"] == one[f"Checksum{algorithm}"]
    assert one["Body"].read() == sent  # which botocore holds to the sum
    assert two[f"Checksum{algorithm}"].endswith("-2")
    assert two["Body"].read() == sent + b"rest"


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        ("bytes=0-3", 206, 0, 3),
        ("bytes=5-", 206, 5, 9),
        ("bytes=-3", 206, 7, 9),
        ("bytes=-99", 206, 0, 9),
        ("bytes=8-99", 206, 8, 9),
        ("bytes=0-9", 206, 0, 9),
        ("bytes=7-2", 200, 0, 9),
        ("bytes=-", 200, 0, 9),
        ("bytes=a-b", 200, 0, 9),
        ("bytes=0-1,3-4", 200, 0, 9),
        ("lines=0-1", 200, 0, 9),
        ("bytes=10-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
    ],
)
def test_ranges_of_an_object(
    local_door: LocalDoor, bucket: str, asked: str, status: int, first: int, last: int
) -> None:
    local_door.client("s3").put_object(Bucket=bucket, Key="digits", Body=b"0123456789")

    told, headers, body = send(local_door, "GET", f"/{bucket}/digits", Range=asked)

    assert told == status
    if status == 416:
        assert b"<Code>InvalidRange</Code>" in body
    else:
        assert body == b"0123456789"[first : last + 1]
    if status == 206:
        assert headers["content-range"] == f"bytes {first}-{last}/10"
        assert "x-amz-checksum-crc32" not in headers


@given(size=st.integers(1, 30), first=st.integers(0, 40), last=st.integers(0, 40), open_end=st.booleans())
def test_a_range_lies_within_the_object(size: int, first: int, last: int, open_end: bool) -> None:
    found = byte_range(f"bytes={first % size}-{'' if open_end else last}", size)

    assert found is None or 0 <= found[0] <= found[1] < size


def test_a_condition_is_held_and_an_old_range_is_not(local_door: LocalDoor, bucket: str) -> None:
    etag = local_door.client("s3").put_object(Bucket=bucket, Key="k", Body=b"0123456789")["ETag"]

    unchanged = send(local_door, "GET", f"/{bucket}/k", If_None_Match=etag)
    same = send(local_door, "GET", f"/{bucket}/k", Range="bytes=0-1", If_Range=etag)
    other = send(local_door, "GET", f"/{bucket}/k", Range="bytes=0-1", If_Range='"other"')

    assert (unchanged[0], unchanged[2]) == (304, b"")
    assert (same[0], same[2], other[0], other[2]) == (206, b"01", 200, b"0123456789")


def test_copies_are_objects_of_their_own(local_door: LocalDoor, bucket: str) -> None:
    s3 = local_door.client("s3")
    s3.put_object(Bucket=bucket, Key="a b+ü", Body=b"first", ContentType="text/csv", Metadata={"k": "v"})
    source = {"Bucket": bucket, "Key": "a b+ü"}

    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, ChecksumAlgorithm="SHA256")
    s3.copy_object(Bucket=bucket, Key="a b+ü", CopySource=source, Metadata={"k": "w"}, MetadataDirective="REPLACE")
    s3.delete_object(Bucket=bucket, Key="a b+ü")

    copy = s3.get_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
    assert (copy["Body"].read(), copy["ContentType"], copy["Metadata"]) == (b"first", "text/csv", {"k": "v"})
    assert copied["CopyObjectResult"]["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(b"first").digest()).decode()
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(**source)


def test_parts_may_be_copied_out_of_other_objects(local_door: LocalDoor, bucket: str) -> None:
    s3, sent = local_door.client("s3"), content(6 * MIB)
    s3.put_object(Bucket=bucket, Key="source", Body=sent)
    here = {"Bucket": bucket, "Key": "joined"}
    here["UploadId"] = s3.create_multipart_upload(**here)["UploadId"]
    ranges = (f"bytes=0-{5 * MIB - 1}", "bytes=10-19")

    etags = [
        s3.upload_part_copy(**here, PartNumber=number, CopySource=f"{bucket}/source", CopySourceRange=wanted)
        for number, wanted in enumerate(ranges, 1)
    ]
    parts = [{"PartNumber": number, "ETag": each["CopyPartResult"]["ETag"]} for number, each in enumerate(etags, 1)]
    s3.complete_multipart_upload(**here, MultipartUpload={"Parts": parts})

    assert s3.get_object(Bucket=bucket, Key="joined")["Body"].read() == sent[: 5 * MIB] + sent[10:20]
    for wanted in ("bytes=0-", "0-3", f"bytes=0-{6 * MIB}"):
        with pytest.raises(ClientError, match="InvalidArgument"):
            s3.upload_part_copy(**here, PartNumber=3, CopySource=f"{bucket}/source", CopySourceRange=wanted)
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.upload_part_copy(**here, PartNumber=3, CopySource=f"{bucket}/no-such-key")


def test_old_versions_keep_their_contents(local_door: LocalDoor, bucket: str) -> None:
    s3 = local_door.client("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"first")["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"second")
    s3.delete_object(Bucket=bucket, Key="k")

    assert s3.get_object(Bucket=bucket, Key="k", VersionId=first)["Body"].read() == b"first"
    s3.delete_object(Bucket=bucket, Key="k", VersionId=first)
    with pytest.raises(ClientError, match="NoSuch"):
        s3.get_object(Bucket=bucket, Key="k", VersionId=first)


def test_an_upload_may_be_presigned_and_its_bucket_in_the_hosts_name(local_door: LocalDoor, bucket: str) -> None:
    s3 = local_door.client("s3")
    where = {"Bucket": bucket, "Key": "a/b c"}

    for method, body in (("put_object", b"signed beforehand"), ("get_object", None)):
        parts = urlsplit(s3.generate_presigned_url(method, Params=where))
        connection = http.client.HTTPConnection(parts.netloc, timeout=10)
        connection.request("PUT" if body else "GET", f"{parts.path}?{parts.query}", body)
        answer = connection.getresponse()
        found = answer.read()
        connection.close()

    port = urlsplit(local_door.url).port
    hosted = send(local_door, "GET", "/a/b%20c", Host=f"{bucket}.localhost:{port}")
    assert (answer.status, found) == (200, b"signed beforehand")
    assert (hosted[0], hosted[2]) == (200, b"signed beforehand")


def wrapped(*parts: bytes, signature: bool = False, **trailers: str) -> bytes:
    end = b";chunk-signature=" + b"0" * 64 if signature else b""
    chunks = [b"%x%b\r\n%b\r\n" % (len(part), end, part) for part in parts]
    lines = [f"{name.replace('_', '-')}:{value}\r\n".encode() for name, value in trailers.items()]
    return b"".join([*chunks, b"0" + end + b"\r\n", *lines, b"\r\n"])


def crc(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


@pytest.mark.parametrize("signature", [True, False], ids=["signed", "unsigned"])
def test_what_is_stored_is_not_what_it_was_wrapped_in(local_door: LocalDoor, bucket: str, signature: bool) -> None:
    kind = "AWS4-HMAC-SHA256-PAYLOAD-TRAILER" if signature else "UNSIGNED-PAYLOAD-TRAILER"
    body = wrapped(b"one ", b"two", signature=signature, x_amz_checksum_crc32=crc(b"one two"))
    headers = {
        "X_Amz_Content_Sha256": f"STREAMING-{kind}",
        "Content_Encoding": "gzip,aws-chunked",
        "X_Amz_Decoded_Content_Length": "7",
        "X_Amz_Trailer": "x-amz-checksum-crc32",
    }

    status, told, _ = send(local_door, "PUT", f"/{bucket}/k", body, **headers)

    assert (status, told["x-amz-checksum-crc32"]) == (200, crc(b"one two"))
    found = local_door.client("s3").get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (found["Body"].read(), found["ContentEncoding"]) == (b"one two", "gzip")
    assert (found["ContentLength"], found["ChecksumCRC32"]) == (7, crc(b"one two"))


MD5 = base64.b64encode(md5(b"other")).decode()
STREAMING = {"X_Amz_Content_Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
BROKEN: dict[str, tuple[dict[str, str], bytes, bytes]] = {
    "another md5": ({"Content_MD5": MD5}, b"body", b"BadDigest"),
    "no md5": ({"Content_MD5": "!"}, b"body", b"InvalidDigest"),
    "half an md5": ({"Content_MD5": "AAAA"}, b"body", b"InvalidDigest"),
    "another sha256 in the signature": ({"X_Amz_Content_Sha256": "0" * 64}, b"body", b"XAmzContentSHA256Mismatch"),
    "another checksum": ({"X_Amz_Checksum_CRC32": crc(b"other")}, b"body", b"BadDigest"),
    "no checksum": ({"X_Amz_Checksum_SHA256": "AAAA"}, b"body", b"InvalidRequest"),
    "another checksum at the end": (
        STREAMING | {"X_Amz_Trailer": "x-amz-checksum-crc32"},
        wrapped(b"x", x_amz_checksum_crc32=crc(b"y")),
        b"BadDigest",
    ),
    "a length that is not its own": (
        STREAMING | {"X_Amz_Decoded_Content_Length": "3"},
        wrapped(b"x"),
        b"IncompleteBody",
    ),
    "not in chunks": (STREAMING, b"hello", b"IncompleteBody"),
    "no size": (STREAMING, b"hello\r\n", b"InvalidChunkSizeError"),
    "an endless line": (STREAMING, b"0" * 100_000, b"IncompleteBody"),
    "a chunk too short": (STREAMING, b"5\r\nab", b"IncompleteBody"),
    "a chunk too long": (STREAMING, b"1\r\nab\r\n0\r\n\r\n", b"InvalidChunkSizeError"),
    "more than can be": (STREAMING | {"X_Amz_Decoded_Content_Length": str(6 * 1024**3)}, b"", b"EntityTooLarge"),
}


@pytest.mark.parametrize(("headers", "body", "code"), BROKEN.values(), ids=BROKEN)
def test_an_upload_that_came_otherwise_than_it_was_sent_leaves_nothing(
    local_door: LocalDoor, bucket: str, headers: dict[str, str], body: bytes, code: bytes
) -> None:
    s3 = local_door.client("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    files = contents_of(local_door)

    status, _, said = send(local_door, "PUT", f"/{bucket}/k", body, **headers)

    assert (status, b"<Code>%b</Code>" % code in said) == (400, True), said
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"before"
    assert contents_of(local_door) == files


def contents_of(door: LocalDoor) -> set[str]:
    return {path.name for path in (door.services.buckets.folder / "contents").iterdir()}


def test_an_upload_that_breaks_off_leaves_nothing(local_door: LocalDoor, bucket: str) -> None:
    before = contents_of(local_door)
    connection = http.client.HTTPConnection(urlsplit(local_door.url).netloc, timeout=10)
    connection.putrequest("PUT", f"/{bucket}/k")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders(b"x" * 1000)
    wait_for(lambda: len(contents_of(local_door)) > len(before))
    connection.close()

    wait_for(lambda: contents_of(local_door) == before)
    assert local_door.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def wait_for(condition: Any) -> None:
    done = threading.Event()
    for _ in range(500):
        if condition():
            return
        done.wait(0.02)
    raise AssertionError("it did not come to be")


def test_what_is_deleted_or_overwritten_leaves_the_disk(local_door: LocalDoor, bucket: str) -> None:
    s3, before = local_door.client("s3"), contents_of(local_door)
    for body in (b"one", b"two", b"three"):
        s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert len(contents_of(local_door) - before) == 1

    s3.delete_object(Bucket=bucket, Key="k")

    assert contents_of(local_door) == before


def test_readers_of_an_object_are_served_to_the_end_when_it_goes(local_door: LocalDoor, bucket: str) -> None:
    s3, sent = local_door.client("s3"), content(30 * MIB)
    s3.put_object(Bucket=bucket, Key="k", Body=sent)
    body = s3.get_object(Bucket=bucket, Key="k")["Body"]
    first = body.read(1000)

    s3.delete_object(Bucket=bucket, Key="k")

    assert first + body.read() == sent


def test_many_write_the_same_key_and_one_of_them_is_there(local_door: LocalDoor, bucket: str) -> None:
    bodies = [content(100_000, seed) for seed in range(8)]
    statuses: list[int] = []

    def put(body: bytes) -> None:
        statuses.append(send(local_door, "PUT", f"/{bucket}/k", body)[0])

    threads = [threading.Thread(target=put, args=(body,)) for body in bodies * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = local_door.client("s3").get_object(Bucket=bucket, Key="k")["Body"].read()
    assert statuses == [200] * len(threads)
    assert found in bodies


@given(parts=st.lists(st.binary(min_size=1, max_size=40), max_size=5), pieces=st.integers(1, 50))
def test_unwrapping_gives_what_was_wrapped_however_it_comes(parts: list[bytes], pieces: int) -> None:
    class Slowly(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(pieces, size or 0))

    chunked = AwsChunked(Slowly(wrapped(*parts, x_amz_checksum_crc32="AAAAAA==")))
    out = b""
    while piece := chunked.read(7):
        out += piece

    assert out == b"".join(parts)
    assert chunked.trailers == {"x-amz-checksum-crc32": "AAAAAA=="}


@given(body=st.binary(max_size=80), whole=st.booleans())
def test_no_bytes_break_unwrapping(body: bytes, whole: bool) -> None:
    given = wrapped(body)[: -len(body) // 2 or None] if whole else body
    payload = Payload(Request("PUT", "/b/k", {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, given))

    with suppress(S3Error):
        while payload.read(10):
            pass
        payload.check()

    assert payload.size <= len(body)


KEYS = [
    "../../../../tmp/escaped",
    "/etc/passwd",
    "a/../b",
    ".",
    "..",
    "a//b",
    "%2e%2e%2f",
    "a\\..\\b",
    "$(touch x)",
    "k" * 1024,
    "\x01\x7f",
    "ключ ☃",
    "contents",
    "bucket.json",
    "a b+c&d=e?f#g",
]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key[:20]))
def test_no_key_leads_out_of_its_place(local_door: LocalDoor, bucket: str, key: str) -> None:
    s3, folder = local_door.client("s3"), local_door.services.buckets.folder

    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())

    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [each["Key"] for each in listed] == [key]
    names = [path.name for path in folder.rglob("*") if path.is_file()]
    assert all(len(name.split(".")[0]) in (32, 64) or name == "bucket.json" for name in names)
    s3.delete_object(Bucket=bucket, Key=key)


def test_what_is_not_emulated_of_s3_says_so(local_door: LocalDoor, bucket: str) -> None:
    s3 = local_door.client("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"a,b\n")
    asking = {"ExpressionType": "SQL", "Expression": "select * from s3object"}
    ways: dict[str, Any] = {"InputSerialization": {"CSV": {}}, "OutputSerialization": {"CSV": {}}}

    with pytest.raises(ClientError, match="NotImplemented"):
        s3.select_object_content(Bucket=bucket, Key="k", **asking, **ways)
    status, _, said = send(local_door, "POST", "/moto-api/reset", b"")
    assert (status, b"UnsupportedOperation" in said) == (400, True)
