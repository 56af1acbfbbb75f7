"""S3 with what it holds on disk: contents are streamed there and back, and a door that starts again has all of it.

moto, behind this, has the records: of each object the headers and, for its content, a token. Contents are written as
they come; what moto has accepted is written down before the caller is told: an upload that was acknowledged is there,
however the door ends. Kept are buckets and the newest version of each object, with its type and its metadata; neither
tags nor policies nor unfinished uploads. Names on disk are made here: no key can lead out of the folder.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit
from xml.sax.saxutils import escape

from harness import moto_objects
from harness.moto_dispatch import held, signed
from harness.moto_objects import Key
from harness.record import write_json
from harness.s3_content import Content, Contents, content_of
from harness.s3_requests import Asked, S3Error, asked, byte_range, copied_range, object_target, s3_answer
from harness.s3_upload import Payload, can_sum, stored_headers
from harness.wire import Request, Response, ServiceError

_BUCKET = "bucket.json"
_HEADERS = ("content-type", "content-encoding", "content-disposition", "content-language", "cache-control", "expires")
_METADATA = "x-amz-meta-"
_CHECKSUM = "x-amz-checksum-"
_LOCKS = 64


class KeptBuckets:
    """In front of ``moto``, which answers what is given tokens for contents; all in ``folder``."""

    def __init__(self, folder: Path, moto: Callable[[Request], Response]) -> None:
        self.folder, self._moto = folder, moto
        self._contents = Contents(folder / "contents")
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        # By what is written down: no content goes before the document that names it.
        self._written: dict[Path, Content] = {}

    def call(self, request: Request) -> Response:
        """The answer to a request for S3."""
        place = asked(request)
        try:
            if place.brings_content:
                return self._store(request, place)
            if place.copies_part:
                return self._copy_part(request, place)
            if place.method == "GET" and place.of_object:
                return self._send(request)
            _check_emulated(request, place)
            return self._changed(_without_new_sum(held(request)), place)
        except S3Error as error:
            return s3_answer(error, str(uuid.uuid4()))
        except ServiceError as error:  # in the words of another protocol
            return s3_answer(S3Error(error.code, error.message, error.status), str(uuid.uuid4()))

    def find(self, bucket: str, key: str) -> Content:
        """Raises `FileNotFoundError` where there is no such object."""
        found = moto_objects.find(bucket, key)
        if found is None or found.stands_for is None:
            raise FileNotFoundError(f"s3://{bucket}/{key}")
        return found.stands_for

    def restore(self, note: Callable[[str], None]) -> None:
        """Give moto all that is kept, before anything else is asked; ``note`` is told of it."""
        buckets = [json.loads(file.read_text()) for file in sorted(self.folder.glob(f"*/{_BUCKET}"))]
        documents = {file: json.loads(file.read_text()) for file in sorted(self.folder.glob("*/*.object"))}
        files = self._contents.keep_only({name for each in documents.values() for name in each["files"]})
        for made in buckets:
            self._moto(Request("PUT", f"/{quote(made['name'])}", signed("s3"), made["body"].encode()))
        for document, kept in documents.items():
            if not files.keys() >= set(kept["files"]):
                note(f"the content of s3://{kept['bucket']}/{kept['key']} is gone from {str(self.folder)!r}")
                continue
            content = Content(tuple(files[name] for name in kept["files"]), kept["etag"])
            headers = {**signed("s3"), **kept["headers"]}
            self._moto(Request("PUT", object_target(kept["bucket"], kept["key"]), headers, content.token))
            self._written[document] = content
        note(f"{len(self._written)} objects are in S3 again")

    def _store(self, request: Request, place: Asked) -> Response:
        """PutObject and UploadPart."""
        payload = Payload(request)
        file = self._contents.write(payload)
        payload.check()
        content = Content((file,), payload.etag, payload.checksums)
        told = replace(request, headers=stored_headers(request, payload), body=content.token, upload=None)
        return self._changed(told, place)

    def _copy_part(self, request: Request, place: Asked) -> Response:
        """UploadPartCopy: an upload of what is here already."""
        source = urlsplit(request.header("x-amz-copy-source") or "")
        target = f"/{quote(unquote(source.path).lstrip('/'))}{source.query and f'?{source.query}'}"
        found = self._moto(Request("GET", target, signed("s3")))
        content = content_of(found.body)
        if found.status != 200 or content is None:
            return found
        wanted = copied_range(request.header("x-amz-copy-source-range"), content.size)
        part = Request("PUT", request.target, {**signed("s3")}, upload=_Pieces(content.read(*wanted)))
        answer = self._store(part, replace(place, copies=False))
        if answer.status != 200:
            return answer
        etag = escape(answer.header("etag") or "")
        now = found.header("last-modified")
        body = f"<CopyPartResult><LastModified>{now}</LastModified><ETag>{etag}</ETag></CopyPartResult>"
        return Response(200, (("Content-Type", "application/xml"),), body.encode())

    def _send(self, request: Request) -> Response:
        """GetObject, all of it or a range."""
        headers = {name: value for name, value in request.headers.items() if name != "range"}
        answer = self._moto(replace(request, headers=headers))
        content = content_of(answer.body)
        if content is None or answer.status not in (200, 206):
            return answer
        condition = request.header("if-range")
        whole = answer.status == 206 or (condition and condition != answer.header("etag"))
        wanted = None if whole else byte_range(request.header("range"), content.size)
        if wanted is None:
            told = (*answer.headers, ("Content-Length", str(content.size)))
            return Response(answer.status, told, stream=content.read())
        first, last = wanted
        told = (
            # A sum is of all of it.
            *((name, value) for name, value in answer.headers if not name.lower().startswith(_CHECKSUM)),
            ("Content-Length", str(last - first + 1)),
            ("Content-Range", f"bytes {first}-{last}/{content.size}"),
        )
        return Response(206, told, stream=content.read(first, last))

    def _changed(self, request: Request, place: Asked) -> Response:
        """moto's answer, with what came of it kept on disk."""
        keys = _changed_keys(request, place)
        if keys is None:
            return self._moto(request)
        with ExitStack() as stack:
            for lock in sorted({int(_digest(f"{place.bucket}/{each}"), 16) % _LOCKS for each in keys or [""]}):
                stack.enter_context(self._locks[lock])
            answer = self._moto(request)
            if answer.status < 300:
                self._keep(place, keys, request)
        return answer

    def _keep(self, place: Asked, keys: list[str], request: Request) -> None:
        folder = self.folder / _digest(place.bucket)
        for key in keys:
            self._keep_object(folder, place.bucket, key)
        if not keys and place.method == "PUT":
            folder.mkdir(exist_ok=True)
            write_json(folder / _BUCKET, {"name": place.bucket, "body": request.body.decode(errors="replace")})
        elif not keys:
            (folder / _BUCKET).unlink(missing_ok=True)
            for left in folder.glob("*"):
                left.unlink(missing_ok=True)
                self._written.pop(left, None)

    def _keep_object(self, folder: Path, bucket: str, key: str) -> None:
        """Bring what is kept of ``key`` to what moto has of it now."""
        document = folder / f"{_digest(key)}.object"
        found = moto_objects.find(bucket, key)
        if found is None or found.stands_for is None:
            document.unlink(missing_ok=True)
            self._written.pop(document, None)
        elif folder.is_dir():
            content = found.stands_for
            files, headers = [each.path.name for each in content.files], _kept_headers(found)
            told = {"bucket": bucket, "key": key, "files": files, "etag": content.etag, "headers": headers}
            write_json(document, told)
            self._written[document] = content


class _Pieces:
    """Pieces as they would be uploaded."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, _: int, /) -> bytes:
        return next(self._pieces, b"")


def _changed_keys(request: Request, place: Asked) -> list[str] | None:
    """The keys whose objects ``request`` makes, changes or removes; none for the bucket itself; None for no change."""
    query = set(place.query) - {"x-id"}
    if place.method == "POST" and place.completes:
        return [place.key]
    if place.method == "POST" and "delete" in query and not place.key:
        found = re.findall(r"<Key>(.*?)</Key>", request.body.decode(errors="replace"), re.DOTALL)
        return [html.unescape(key) for key in found]
    if place.method in ("PUT", "DELETE") and place.of_object:
        return [place.key]
    if place.method in ("PUT", "DELETE") and place.bucket and not place.key and not query:
        return []
    return None


def _check_emulated(request: Request, place: Asked) -> None:
    form = (request.header("content-type") or "").startswith("multipart/form-data")
    if place.method == "POST" and ("select" in place.query or form):
        raise S3Error("NotImplemented", "SelectObjectContent and uploads of forms are not emulated here")


def _without_new_sum(request: Request) -> Request:
    """A copy keeps the checksum of what it is a copy of, where one of another algorithm cannot be made."""
    if can_sum((request.header("x-amz-checksum-algorithm") or "").lower()):
        return request
    headers = {name: value for name, value in request.headers.items() if name != "x-amz-checksum-algorithm"}
    return replace(request, headers=headers)


def _kept_headers(found: Key) -> dict[str, str]:
    """Those of an upload that would make it anew."""
    headers = {name.lower(): str(value) for name, value in found.metadata.items()}
    kept = {name: value for name, value in headers.items() if name in _HEADERS or name.startswith(_METADATA)}
    # The sum of a multipart upload's sums is one only together with its parts.
    if found.checksum_algorithm and found.checksum_value and found.checksum_type != "COMPOSITE":
        kept["x-amz-sdk-checksum-algorithm"] = found.checksum_algorithm.upper()
        kept[_CHECKSUM + found.checksum_algorithm.lower()] = found.checksum_value
    return kept


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
