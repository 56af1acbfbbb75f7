"""The content of an upload to S3 on its way: unwrapped, and held to every sum that came with it.

Wrapping and sums: S3's API reference, 'Signature calculations for the Authorization header: transferring a payload in
multiple chunks' and 'Checking object integrity'. Signatures are not checked: there are no secrets on this machine.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from harness.s3_requests import S3Error
from harness.wire import Request, Upload

_CHECKSUM = "x-amz-checksum-"
_ALGORITHMS = {"crc32", "crc32c", "crc64nvme", "sha1", "sha256"}
_MAX_LINE = 4096
MAX_SIZE = 5 * 1024**3  # of one PUT, as on the platform


class Sum(Protocol):
    def update(self, data: bytes, /) -> object: ...

    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


# The others, CRC32C and CRC64NVME, would take Python a minute for a gigabyte: they are kept as they are told.
_SUMS: Mapping[str, Callable[[], Sum]] = {"crc32": _Crc32, "sha1": hashlib.sha1, "sha256": hashlib.sha256}


class Payload:
    """What is stored of ``request``, as it is read. After its end: `check`, and then `etag` and `checksums`."""

    def __init__(self, request: Request) -> None:
        """Raises `S3Error` where it says of itself that it is too large."""
        source = request.upload or io.BytesIO(request.body)
        self._request = request
        told = request.header("x-amz-decoded-content-length") or request.header("content-length") or "0"
        if told.isdecimal() and int(told) > MAX_SIZE:
            raise _too_large()
        self._wrapped = AwsChunked(source) if _is_wrapped(request) else None
        self._source: Upload = self._wrapped or source
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._wanted = _wanted(request)
        self._sums = {name: _SUMS[name]() for name in self._wanted if name in _SUMS}
        self._signed = hashlib.sha256() if _signed_sum(request) else None
        self.size = 0

    def read(self, size: int) -> bytes:
        """Raises `S3Error` where it is more than may be, or not wrapped as it says."""
        data = self._source.read(size)
        self.size += len(data)
        if self.size > MAX_SIZE:
            raise _too_large()
        for each in (self._md5, self._signed, *self._sums.values()):
            if each is not None:
                each.update(data)
        return data

    def check(self) -> None:
        """Raises `S3Error` where what came is not what was sent."""
        told = self._request.header("x-amz-decoded-content-length")
        if self._wrapped and told and told != str(self.size):
            raise S3Error("IncompleteBody", f"{self.size} bytes came where x-amz-decoded-content-length is {told[:20]}")
        if self._signed and self._signed.hexdigest() != _signed_sum(self._request):
            raise S3Error("XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' does not match the content")
        _compare("Content-MD5", self._request.header("content-md5"), self._md5.digest())
        for name, value in self._told().items():
            _compare(_CHECKSUM + name, value, self._sums[name].digest() if name in self._sums else None)

    @property
    def etag(self) -> str:
        return self._md5.hexdigest()

    @property
    def checksums(self) -> dict[str, str]:
        """In base 64 by algorithm: those that were made here, and others as they were told."""
        return self._told() | {name: _base64(each.digest()) for name, each in self._sums.items()}

    def _told(self) -> dict[str, str]:
        told = dict(self._request.headers) | (self._wrapped.trailers if self._wrapped else {})
        return {name: told[_CHECKSUM + name] for name in self._wanted if _CHECKSUM + name in told}


class AwsChunked:
    """The content of a body in S3's own chunks; ``trailers`` are there at its end, with names in lower case."""

    def __init__(self, source: Upload) -> None:
        self._source, self._buffer = source, b""
        self._left, self._ended = 0, False
        self.trailers: dict[str, str] = {}

    def read(self, size: int) -> bytes:
        """Raises `S3Error` where it is not wrapped so."""
        if self._ended or (not self._left and not self._next()):
            return b""
        if not self._buffer:
            self._buffer = self._source.read(min(size, 1 << 20))
            if not self._buffer:
                raise S3Error("IncompleteBody", "The body ends in the middle of a chunk")
        taken = self._buffer[: min(size, self._left)]
        self._buffer, self._left = self._buffer[len(taken) :], self._left - len(taken)
        if not self._left and self._line():
            raise S3Error("InvalidChunkSizeError", "A chunk is longer than its size")
        return taken

    def _next(self) -> bool:
        size, _, _ = self._line().partition(b";")
        if not re.fullmatch(rb"[0-9a-fA-F]{1,10}", size):
            raise S3Error("InvalidChunkSizeError", f"{size[:20]!r} is no size of a chunk")
        self._left = int(size, 16)
        if not self._left:
            self._ended = True
            while line := self._line(at_end=True):
                name, _, value = line.decode("latin-1").partition(":")
                self.trailers[name.strip().lower()] = value.strip()
        return bool(self._left)

    def _line(self, at_end: bool = False) -> bytes:
        while b"\r\n" not in self._buffer:
            more = self._source.read(_MAX_LINE)
            if not more and at_end:  # some clients leave out the last empty line
                line, self._buffer = self._buffer, b""
                return line
            if not more or len(self._buffer) > _MAX_LINE:
                raise S3Error("IncompleteBody", "The body is not in chunks, as its headers say it is")
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line


def stored_headers(request: Request, payload: Payload) -> dict[str, str]:
    """The headers that S3 is to know of, of content that has come: without its wrapping, and with its sums."""
    gone = ("x-amz-decoded-content-length", "x-amz-trailer", "x-amz-content-sha256", "content-length", "expect")
    headers = {name: value for name, value in request.headers.items() if name not in gone}
    coding = ",".join(each for each in _words(headers.pop("content-encoding", "")) if each != "aws-chunked")
    if coding:
        headers["content-encoding"] = coding
    for name, value in payload.checksums.items():
        headers[_CHECKSUM + name] = value
        headers["x-amz-sdk-checksum-algorithm"] = name.upper()
    return headers


def can_sum(algorithm: str) -> bool:
    """Whether sums of ``algorithm``, in lower case, are made here."""
    return algorithm in _SUMS


def sum_of(pieces: Iterable[bytes], algorithm: str) -> bytes:
    total = _SUMS[algorithm]()
    for each in pieces:
        total.update(each)
    return total.digest()


def _too_large() -> S3Error:
    return S3Error("EntityTooLarge", f"Your proposed upload exceeds the maximum allowed size of {MAX_SIZE} bytes")


def _is_wrapped(request: Request) -> bool:
    signed = request.header("x-amz-content-sha256") or ""
    return signed.startswith("STREAMING-") or "aws-chunked" in _words(request.header("content-encoding") or "")


def _signed_sum(request: Request) -> str | None:
    signed = request.header("x-amz-content-sha256") or ""
    return signed if re.fullmatch(r"[0-9a-f]{64}", signed) else None


def _wanted(request: Request) -> set[str]:
    """The algorithms that ``request`` names in one way or another."""
    named = {(request.header("x-amz-sdk-checksum-algorithm") or "").lower()}
    named |= {name.removeprefix(_CHECKSUM) for name in request.headers if name.startswith(_CHECKSUM)}
    named |= {each.lower().removeprefix(_CHECKSUM) for each in _words(request.header("x-amz-trailer") or "")}
    return named & _ALGORITHMS


def _compare(name: str, told: str | None, made: bytes | None) -> None:
    if told is None:
        return
    try:
        wanted = base64.b64decode(told, validate=True)
    except (binascii.Error, ValueError):
        raise S3Error("InvalidDigest", f"The {name} you specified is not valid") from None
    if made is not None and wanted != made:
        if len(wanted) != len(made):
            raise S3Error(
                "InvalidDigest" if name == "Content-MD5" else "InvalidRequest", f"Value for {name} is invalid"
            )
        raise S3Error("BadDigest", f"The {name} you specified did not match the calculated checksum")


def _words(header: str) -> list[str]:
    return [each.strip() for each in header.split(",") if each.strip()]


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
