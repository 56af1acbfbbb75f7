"""What a request of S3 is about, and the errors of S3. Pure.

Sub-resources, ranges and errors: S3's API reference, 'Operations' and 'Error responses'; RFC 9110, 14.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from harness.wire import Request, Response, signed_for

# Names in a query that ask for another thing of an object than its content.
_ABOUT = {
    "acl",
    "attributes",
    "legal-hold",
    "restore",
    "retention",
    "select",
    "tagging",
    "torrent",
    "uploads",
}
_OF_A_BUCKET = re.compile(r"([a-z0-9][a-z0-9.-]+)\.localhost(:\d+)?")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class S3Error(Exception):
    """An error that S3 answers with; ``members`` are those beside the message."""

    def __init__(self, code: str, message: str, status: int = 400, members: Mapping[str, str] | None = None) -> None:
        self.code, self.message, self.status, self.members = code, message, status, members or {}
        super().__init__(f"{code}: {message}")


@dataclass(frozen=True)
class Asked:
    """Bucket, key ('' for the bucket itself) and query of a request."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    copies: bool = False

    @property
    def of_object(self) -> bool:
        """Whether it is about the content of an object, and of no part of an upload."""
        return bool(self.key) and not _ABOUT & set(self.query) and "uploadId" not in self.query

    @property
    def brings_content(self) -> bool:
        """PutObject and UploadPart."""
        return self.method == "PUT" and bool(self.key) and not self.copies and not _ABOUT & set(self.query)

    @property
    def copies_part(self) -> bool:
        return self.method == "PUT" and self.copies and "uploadId" in self.query

    @property
    def completes(self) -> bool:
        """CompleteMultipartUpload."""
        return self.method == "POST" and bool(self.key) and "uploadId" in self.query


def for_s3(request: Request) -> bool:
    """By its signature; what is signed for nobody, as a presigned URL, is S3's where it names no operation."""
    return signed_for(request) in ("s3", None) and request.header("x-amz-target") is None and request.path != "/"


def path_style(request: Request) -> Request:
    """``request`` with its bucket in the path, which may be in the host's name: bucket.localhost."""
    found = _OF_A_BUCKET.fullmatch(request.header("host") or "")
    if not found or signed_for(request) not in ("s3", None) or request.header("x-amz-target") is not None:
        return request
    host = f"localhost{found[2] or ''}"
    return replace(request, target=f"/{found[1]}{request.target}", headers={**request.headers, "host": host})


def asked(request: Request) -> Asked:
    parts = urlsplit(f"//door{request.target}") if request.target.startswith("/") else urlsplit(request.target)
    bucket, _, key = parts.path.lstrip("/").partition("/")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    copies = request.header("x-amz-copy-source") is not None
    return Asked(request.method, unquote(bucket), unquote(key), query, copies)


def copied_range(header: str | None, size: int) -> tuple[int, int | None]:
    """What UploadPartCopy is to copy of ``size`` bytes. Raises `S3Error`: here nothing else counts as a range."""
    if header is None:
        return 0, None
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", header)
    if not found or not int(found[1]) <= int(found[2]) < size:
        raise S3Error("InvalidArgument", f"The x-amz-copy-source-range must be bytes=first-last of {size} bytes")
    return int(found[1]), int(found[2])


def object_target(bucket: str, key: str) -> str:
    return f"/{quote(bucket)}/{quote(key)}"


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte that ``header`` asks for of ``size``; None where all is to be sent. Raises `S3Error`.

    What cannot be read as one range counts as none, as with S3.
    """
    found = _RANGE.fullmatch(header or "")
    if not found or found[1] == found[2] == "":
        return None
    if not found[1]:
        first, last = max(0, size - int(found[2])), size - 1
    else:
        first, last = int(found[1]), min(int(found[2] or size), size - 1)
        if found[2] and int(found[2]) < first:
            return None
    if first >= size or first > last:
        told = {"ActualObjectSize": str(size), "RangeRequested": header or ""}
        raise S3Error("InvalidRange", "The requested range is not satisfiable", 416, told)
    return first, last


def s3_answer(error: S3Error, request_id: str) -> Response:
    told = {"Code": error.code, "Message": error.message, **error.members, "RequestId": request_id}
    members = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in told.items())
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{members}</Error>'
    headers = (("Content-Type", "application/xml"), ("x-amz-request-id", request_id))
    return Response(error.status, headers, body.encode("utf-8", "replace"))
