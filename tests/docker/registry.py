"""A registry of images as an engine pushes to one: the writing half of the distribution protocol, in memory.

OCI Distribution Specification, 'Push'. On the loopback interface, where engines speak plain HTTP.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
import uuid
from dataclasses import replace
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

from harness.door_server import Server
from harness.wire import Request, Response

_BLOB = re.compile(r"/v2/(?P<name>.+)/blobs/(?P<digest>sha256:[0-9a-f]{64})")
_UPLOAD = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<id>[0-9a-f]*)")
_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)")


class Registry:
    """A context manager. ``manifests`` are by (repository, tag), ``blobs`` by digest."""

    def __init__(self, user: str, password: str) -> None:
        self._key = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self._uploads: dict[str, bytes] = {}
        self._server = Server(lambda request: self._answer(_whole(request)))

    @property
    def url(self) -> str:
        return self._server.url

    def __enter__(self) -> Registry:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: Request) -> Response:
        if request.header("authorization") != self._key:
            return Response(401, (("WWW-Authenticate", 'Basic realm="registry"'),), b"{}")
        path = urlsplit(request.target).path
        if found := _UPLOAD.fullmatch(path):
            return self._upload(request, found["name"], found["id"])
        if found := _BLOB.fullmatch(path):
            return Response(200 if found["digest"] in self.blobs else 404)
        if found := _MANIFEST.fullmatch(path):
            return self._manifest(request, found["name"], found["reference"])
        return Response(200 if path == "/v2/" else 404, body=b"{}")

    def _upload(self, request: Request, name: str, upload: str) -> Response:
        upload = upload or uuid.uuid4().hex
        self._uploads[upload] = self._uploads.get(upload, b"") + request.body
        where = ("Location", f"/v2/{name}/blobs/uploads/{upload}")
        if request.method != "PUT":
            return Response(202, (where, ("Range", f"0-{max(len(self._uploads[upload]) - 1, 0)}")))
        content = self._uploads.pop(upload)
        (digest,) = parse_qs(urlsplit(request.target).query)["digest"]
        if digest != _digest(content):
            return Response(400, body=b"{}")
        self.blobs[digest] = content
        return Response(201, (("Docker-Content-Digest", digest),))

    def _manifest(self, request: Request, name: str, reference: str) -> Response:
        if request.method == "PUT":
            self.manifests[name, reference] = request.body
            return Response(201, (("Docker-Content-Digest", _digest(request.body)),))
        return Response(200 if (name, reference) in self.manifests else 404)


def _whole(request: Request) -> Request:
    """With its body in hand: what is PUT is on its way yet."""
    parts = list(iter(lambda: request.upload.read(1 << 20) if request.upload else b"", b""))
    return replace(request, body=request.body + b"".join(parts), upload=None)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
