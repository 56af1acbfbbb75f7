"""Requests to an endpoint, and the way they take, without an engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from harness.endpoint import Endpoint, invoke, ping
from harness.endpoint_container import Route, check_port, route
from harness.errors import BadInput

ATTRIBUTES: dict[str, Any] = {
    "Id": "0" * 64,
    "NetworkSettings": {
        "Networks": {"bridge": {"IPAddress": "172.17.0.2"}},
        "Ports": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}]},
    },
    "HostConfig": {"PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}},
}
NO_MOUNTS = Path("/dev/null")


class Echo(BaseHTTPRequestHandler):
    """A container that answers with what it was sent, and with status 500 to a body 'break'."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(500 if body == b"break" else 200)
        self.send_header("Content-Type", self.headers["Accept"])
        self.end_headers()
        self.wfile.write(f"{self.path} {self.headers['Content-Type']} ".encode() + body)

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/ping" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served() -> Iterator[Route]:
    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Route("127.0.0.1", server.server_port)
        server.shutdown()
        thread.join()


def client(url: str) -> docker.DockerClient:
    """Connects to nothing as long as nothing is asked of it."""
    return docker.DockerClient(base_url=url, version="1.41")


def endpoint(way: Route) -> Endpoint:
    return Endpoint("digits", "image:1", datetime.now(UTC), way, Container(attrs=ATTRIBUTES))


def test_an_invocation_carries_body_and_types_and_brings_back_the_answer(served: Route) -> None:
    response = invoke(endpoint(served), b"[1]", "application/json", "application/x-npy")

    assert (response.status, response.content_type) == (200, "application/x-npy")
    assert response.body == b"/invocations application/json [1]"


def test_the_answer_is_wanted_in_the_type_that_was_sent_unless_said_otherwise(served: Route) -> None:
    assert invoke(endpoint(served), b"[1]", "application/json").content_type == "application/json"


def test_an_error_of_the_container_is_an_answer_too(served: Route) -> None:
    assert invoke(endpoint(served), b"break", "application/json").status == 500


def test_ping_says_whether_the_answer_is_200(served: Route) -> None:
    assert ping(endpoint(served))


@pytest.mark.parametrize("engine", ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "tcp://localhost:2375"])
def test_an_engine_on_this_machine_is_reached_by_the_published_port(engine: str) -> None:
    assert route(client(engine), Container(attrs=ATTRIBUTES), NO_MOUNTS).url == "http://127.0.0.1:32768"


def test_an_engine_on_another_machine_is_said_to_be_there() -> None:
    way = route(client("tcp://build.example:2375"), Container(attrs=ATTRIBUTES), NO_MOUNTS)

    with pytest.raises(BadInput, match=r"'digits' cannot be reached.*build\.example.*-L 32768:127\.0\.0\.1:32768"):
        invoke(endpoint(way), b"", "application/json")


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(BadInput, match="is not a port"):
        check_port(client("unix:///var/run/docker.sock"), port, NO_MOUNTS)
