"""moto's server asked in this process, without a socket: a request of ours in, its answer out.

moto keeps everything in memory and answers for any account; all requests are made those of ours.
"""

from __future__ import annotations

import io
import traceback
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from harness.describe import ACCOUNT, REGION
from harness.wire import Request, Response, ServiceError

MAX_BODY = 32 * 1024**2  # of what is no object's content; a layer of an image comes in parts of 20 MiB


class Moto:
    """moto's own dispatcher, by service; made in 0.2 s, and each service at its first request."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self._application = DomainDispatcherApplication(create_backend_app)

    def call(self, request: Request) -> Response:
        """moto's answer. What moto cannot do, and breaks on, is said to be that: an error of status 400."""
        request = held(request)
        answer: list[Any] = []
        try:
            parts = self._application(
                _environ(request), lambda status, headers, _=None: answer.extend((status, headers))
            )
            body = b"".join(parts)
        except Exception as error:
            traceback.print_exc()  # into the door's log; to the caller it is one line
            raise ServiceError(
                "UnsupportedOperation", f"moto, which answers this, fails on it: {error!r}"[:500]
            ) from error
        if hasattr(parts, "close"):
            parts.close()
        dropped = ("content-length", "connection", "date", "server")
        headers = tuple((name, value) for name, value in answer[1] if name.lower() not in dropped)
        if request.method == "HEAD":
            length = next((value for name, value in answer[1] if name.lower() == "content-length"), "0")
            headers += (("Content-Length", length),)
        return Response(int(answer[0].split()[0]), headers, body)


def signed(service: str) -> dict[str, str]:
    """The headers of a request of our own to ``service``, by which moto tells whom it is for."""
    scope = f"Credential=harness/20260101/{REGION}/{service}/aws4_request"
    return {"authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=none"}


def held(request: Request) -> Request:
    """``request`` with its body in memory. Raises `ServiceError` where it is too large for that."""
    if request.upload is None:
        return request
    parts, total = [], int(request.header("content-length") or 0)
    if total <= MAX_BODY:
        total = 0
        while total <= MAX_BODY and (part := request.upload.read(MAX_BODY)):
            parts.append(part)
            total += len(part)
    if total > MAX_BODY:
        raise ServiceError("RequestEntityTooLargeException", f"more than {MAX_BODY} bytes", 413)
    return replace(request, body=b"".join(parts), upload=None)


def _environ(request: Request) -> dict[str, Any]:
    """``request`` as WSGI has it (PEP 3333), with what moto's own server adds."""
    from moto.core.request import (
        PRESERVED_HEADER_NAMES_ENVIRON_KEY,
        environ_key_for_header,
        should_preserve_original_header_name,
    )

    parts = urlsplit(f"//door{request.target}") if request.target.startswith("/") else urlsplit(request.target)
    host, _, port = (request.header("host") or "localhost:80").rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(parts.path or "/").decode("latin-1"),
        "QUERY_STRING": parts.query,
        "REQUEST_URI": request.target,
        "RAW_URI": request.target,
        "SERVER_NAME": host or "localhost",
        "SERVER_PORT": port if port.isdecimal() else "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    headers = {**request.headers, "x-moto-account-id": ACCOUNT, "content-length": str(len(request.body))}
    headers.setdefault("host", "localhost")
    environ |= {environ_key_for_header(name): value for name, value in headers.items()}
    environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = {
        environ_key_for_header(name): name for name in headers if should_preserve_original_header_name(name)
    }
    return environ
