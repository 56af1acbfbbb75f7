"""Buckets and objects on disk as well, so that a door that starts again has them: moto has them in memory only.

What moto has accepted is written before the caller is told: an upload that was acknowledged is there, however the door
ends. Kept are buckets and the newest version of each object, with its type and its metadata; neither tags nor policies
nor unfinished uploads. Names on disk are made here: no key can lead out of the folder.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from harness.moto_services import MotoServices, held, signed
from harness.record import write_json
from harness.wire import Request, Response, signed_for

_BUCKET = "bucket.json"
_HEADERS = ("content-type", "content-encoding", "content-disposition", "content-language", "cache-control")
_METADATA = "x-amz-meta-"
_LOCKS = 64
# Of a PUT or POST: what these are about is no object's content.
_OTHERS = ("tagging", "acl", "retention", "legal-hold", "partNumber", "uploads", "restore", "select")


class KeptBuckets:
    """In front of ``services``: `call` answers as they do, and keeps in ``folder`` what came of it."""

    def __init__(self, folder: Path, services: MotoServices) -> None:
        self._folder, self._services = folder, services
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        folder.mkdir(parents=True, exist_ok=True)

    def call(self, request: Request) -> Response:
        bucket, key, query = _place(request)
        if not bucket or request.method not in ("PUT", "POST", "DELETE") or signed_for(request) not in ("s3", None):
            return self._services.call(request)
        request = held(request)
        keys = [key] if key else _deleted_keys(request) if "delete" in query else []
        if request.header("x-amz-target") or query & set(_OTHERS) or (query and not key and not keys):
            return self._services.call(request)
        with ExitStack() as stack:
            for lock in sorted({int(_digest(f"{bucket}/{each}"), 16) % _LOCKS for each in keys}):
                stack.enter_context(self._locks[lock])
            answer = self._services.call(request)
            if answer.status < 300:
                self._keep(bucket, keys, request)
        return answer

    def restore(self) -> int:
        """Give moto all that is kept; the number of objects."""
        count = 0
        for file in sorted(self._folder.glob(f"*/{_BUCKET}")):
            made = json.loads(file.read_text())
            body = made["body"].encode()
            self._services.call(Request("PUT", f"/{quote(made['name'])}", signed("s3"), body))
            for document in sorted(file.parent.glob("*.object")):
                kept = json.loads(document.read_text())
                target = f"/{quote(made['name'])}/{quote(kept['key'])}"
                content = (file.parent / kept["content"]).read_bytes()
                self._services.call(Request("PUT", target, {**signed("s3"), **kept["headers"]}, content))
                count += 1
        return count

    def _keep(self, bucket: str, keys: list[str], request: Request) -> None:
        folder = self._folder / _digest(bucket)
        for key in keys:
            self._keep_object(folder, bucket, key)
        if not keys and request.method == "PUT":
            folder.mkdir(exist_ok=True)
            write_json(folder / _BUCKET, {"name": bucket, "body": request.body.decode(errors="replace")})
        elif not keys and request.method == "DELETE":
            (folder / _BUCKET).unlink(missing_ok=True)
            for left in folder.glob("*"):
                left.unlink(missing_ok=True)

    def _keep_object(self, folder: Path, bucket: str, key: str) -> None:
        """Bring what is kept of ``key`` to what moto has of it now."""
        document = folder / f"{_digest(key)}.object"
        before = json.loads(document.read_text())["content"] if document.is_file() else ""
        answer = self._services.call(Request("GET", f"/{quote(bucket)}/{quote(key)}", signed("s3")))
        if answer.status != 200:
            document.unlink(missing_ok=True)
        elif folder.is_dir():
            content = f"{uuid.uuid4().hex}.content"
            (folder / content).write_bytes(answer.body)
            write_json(document, {"key": key, "content": content, "headers": dict(_kept_headers(answer))})
        if before:
            (folder / before).unlink(missing_ok=True)


def _place(request: Request) -> tuple[str, str, set[str]]:
    """Bucket and key of a request for S3, and the names in its query."""
    parts = urlsplit(request.target)
    bucket, _, key = parts.path.lstrip("/").partition("/")
    return unquote(bucket), unquote(key), set(parse_qs(parts.query, keep_blank_values=True)) - {"x-id"}


def _deleted_keys(request: Request) -> list[str]:
    """The keys of DeleteObjects, whose body is XML."""
    found = re.findall(r"<Key>(.*?)</Key>", request.body.decode(errors="replace"), re.DOTALL)
    return [html.unescape(key) for key in found]


def _kept_headers(answer: Response) -> Iterator[tuple[str, str]]:
    for name, value in answer.headers:
        if name.lower() in _HEADERS or name.lower().startswith(_METADATA):
            yield name.lower(), value


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
