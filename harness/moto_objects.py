"""moto's S3 with the contents of objects elsewhere: where moto has bytes, it gets a token, and knows the true size.

moto keeps contents in memory, and joins and copies them there. Its two classes that hold them are the place where it
can be told otherwise (moto/s3/models.py); all else of moto's S3 stays as it is.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from moto.logs.models import logs_backends
from moto.s3 import models, responses
from moto.s3.exceptions import EntityTooSmall, InvalidPart, MalformedXML, MissingBucket
from moto.settings import S3_UPLOAD_PART_MIN_SIZE

from harness.describe import ACCOUNT, REGION
from harness.s3_content import Content, content_of, joined
from harness.s3_upload import can_sum, sum_of

_VALUE: Any = models.FakeKey.__dict__["value"]  # a property, which mypy takes for what it gives


class Key(models.FakeKey):
    """An object, or a part of an upload."""

    stands_for: Content | None = None

    def __new__(cls, *_: Any, **__: Any) -> Key:
        return object.__new__(cls)  # moto's own remembers every one there ever was

    @property
    def value(self) -> bytes:
        return bytes(_VALUE.fget(self))

    @value.setter
    def value(self, given: bytes) -> None:
        _VALUE.fset(self, given)
        self.stands_for = content_of(bytes(given)) if isinstance(given, bytes | bytearray) else None
        if self.stands_for is not None:
            self.contentsize = self.stands_for.size
            self._etag = self._etag or self.stands_for.etag


class Multipart(models.FakeMultipart):
    """An upload in parts, whose object has the files of its parts."""

    whole: Content | None = None  # held until the object does

    def __new__(cls, *_: Any, **__: Any) -> Multipart:
        return object.__new__(cls)

    def complete(self, body: Iterator[tuple[int, str]]) -> tuple[bytes, str, tuple[str, str, int] | None]:
        parts: list[Key] = []
        for number, etag in body:
            part = self.parts.get(number)
            if not isinstance(part, Key) or part.stands_for is None or part.etag.strip('"') != etag.strip('"'):
                raise InvalidPart
            if parts and parts[-1].contentsize < S3_UPLOAD_PART_MIN_SIZE:
                raise EntityTooSmall
            parts.append(part)
        if not parts:
            raise MalformedXML
        made = [part.stands_for for part in parts if part.stands_for]
        self.whole = joined(made)
        return self.whole.token, self.whole.etag, self._sum_of(made)

    def _sum_of(self, parts: list[Content]) -> tuple[str, str, int] | None:
        """The sum of sums. One of the full object could be made only by reading all of it again: there is none."""
        algorithm = str(self.metadata.get("x-amz-checksum-algorithm") or "").lower()
        if self.metadata.get("x-amz-checksum-type") == "FULL_OBJECT" or not can_sum(algorithm):
            return None
        sums = (
            base64.b64decode(each.checksums[algorithm])
            if algorithm in each.checksums
            else sum_of(each.read(), algorithm)
            for each in parts
        )
        return "COMPOSITE", base64.b64encode(sum_of(sums, algorithm)).decode(), len(parts)


def compute_checksum(body: bytes, algorithm: str, encode_base64: bool = True) -> bytes:
    """As moto's own, of what ``body`` stands for."""
    content = content_of(bytes(body))
    made = sum_of(content.read() if content else [body], algorithm.lower())
    return base64.b64encode(made) if encode_base64 else made


def find(bucket: str, key: str) -> Key | None:
    """The newest version of an object whose content is ours."""
    try:
        found = models.s3_backends[ACCOUNT]["aws"].get_object(bucket, key)
    except MissingBucket:
        return None
    return found if isinstance(found, Key) and found.stands_for else None


def put_old_log_events(group: str, stream: str, lines: list[dict[str, Any]]) -> None:
    """Into a stream that is there, also those that are older than what PutLogEvents takes."""
    logs_backends[ACCOUNT][REGION].groups[group].put_log_events(stream, lines)


def install() -> None:
    """From now on moto's objects are these."""
    models.FakeKey, models.FakeMultipart = Key, Multipart  # type: ignore[misc]
    responses.compute_checksum = compute_checksum  # type: ignore[attr-defined]
