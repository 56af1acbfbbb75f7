"""Instances without an engine: model servers that are threads of this process, each on a port of its own.

A variant's environment says how an instance comes up: ``FAILS`` with a reason, ``SLOW`` after seconds. An invocation
is answered with what arrived, as JSON; a body of ``status 400 words``, ``sleep 2``, ``stream``, ``cut`` or ``die`` is
obeyed. A stream is of three parts, the second of which waits for the event ``go_on``; ``stream break`` ends after the
first.
"""

from __future__ import annotations

import http.server
import json
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness import labels
from harness.endpoint_container import Route
from harness.endpoint_records import Variant
from harness.errors import BadInput, EndpointFailed
from harness.instances import Instance, Place

IMAGES = {"local/image": "sha256:1", "local/other": "sha256:2"}


class FakeInstances:
    def __init__(self) -> None:
        self.servers: dict[Place, _Server] = {}
        self.go_on = threading.Event()  # of all that are started from then on
        self.at_their_end = threading.Barrier(1)  # where those that are stopped wait for each other
        self._lock = threading.Lock()

    def resolve(self, image: str) -> tuple[str, str]:
        if image not in IMAGES:
            raise BadInput(f"no image {image!r} in the engine")
        return image, IMAGES[image]

    def start(self, place: Place, variant: Variant, archive: Path | None) -> Instance:
        server = _Server(place, variant, archive)
        if self.go_on.is_set():
            server.go_on.set()
        with self._lock:
            self.servers[place] = server
        return _instance(server)

    def await_service(self, instance: Instance, seconds: float) -> None:
        environment = instance.handle.variant.environment
        end = time.monotonic() + float(environment.get("SLOW", 0))
        while time.monotonic() < end:
            if instance.place not in self.servers:
                raise EndpointFailed("it has been removed")
            time.sleep(0.01)
        if "FAILS" in environment:
            raise EndpointFailed(environment["FAILS"])
        assert seconds > 0

    def log(self, instance: Instance) -> Iterator[tuple[int, str]]:
        yield int(time.time() * 1000), f"{instance.place.variant_name} {instance.place.number} serves"

    def stop(self, instance: Instance) -> None:
        self.at_their_end.wait(20)
        self._end([instance.place])

    def discard(self, endpoint_name: str, generation: str | None = None) -> None:
        self._end(
            [
                place
                for place in list(self.servers)
                if place.endpoint_name == endpoint_name
                and (place.generation == generation if generation else place.kind == labels.ENDPOINT)
            ]
        )

    def running(self) -> list[Instance]:
        return [_instance(server) for server in self.servers.values()]

    def _end(self, places: list[Place]) -> None:
        for place in places:
            with self._lock:
                server = self.servers.pop(place, None)
            if server:
                server.end()


def _instance(server: _Server) -> Instance:
    return Instance(server.place, f"i-{server.server_port}", Route("127.0.0.1", server.server_port), server)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, place: Place, variant: Variant, archive: Path | None) -> None:
        self.place, self.variant = place, variant
        self.members: list[str] = []
        self.go_on, self.streaming = threading.Event(), 0
        if archive:
            with tarfile.open(archive) as tar:
                self.members = tar.getnames()
        super().__init__(("127.0.0.1", 0), _Handler)
        self._open: set[socket.socket] = set()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Of a client that has not waited for the answer."""

    def end(self) -> None:
        """As a container ends: with all its connections."""
        self.shutdown()
        self.server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self._body()
        word, _, rest = body[:1000].decode(errors="replace").partition(" ")
        status, said = 200, ""
        if word == "die":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if word == "stream":
            self._stream(breaks=rest == "break")
            return
        if word == "sleep":
            time.sleep(float(rest))
        if word == "status":
            number, _, said = rest.partition(" ")
            status = int(number)
        arrived = {
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "length": len(body),
            "variant": self.server.place.variant_name,
            "number": self.server.place.number,
            "image": self.server.variant.image,
            "environment": dict(self.server.variant.environment),
            "members": self.server.members,
        }
        answer = (said or json.dumps(arrived)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Amzn-SageMaker-Custom-Attributes", "said=yes")
        self.send_header("X-Secret", "of the container's own")
        self.send_header("Content-Length", str(len(answer) + (word == "cut")))
        self.end_headers()
        self.wfile.write(answer)
        self.close_connection = word == "cut"

    def do_GET(self) -> None:
        self.send_error(404)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _stream(self, *, breaks: bool) -> None:
        self.server.streaming += 1
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in ("one ", "two ", "three"):
            self.wfile.write(f"{len(part):x}\r\n{part}\r\n".encode())
            self.wfile.flush()
            if breaks:
                self.close_connection = True
                return
            self.server.go_on.wait(20)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass
