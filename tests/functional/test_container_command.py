"""Commands in a container, against an engine on loopback that is quicker than its client."""

from __future__ import annotations

import json
import socketserver
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import docker
import pytest
from docker.models.containers import Container

from harness.container_command import Ended, run_in

MANY = b"x" * 100_000


def frame(stream: int, text: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(text)) + text


class QuickEngine(BaseHTTPRequestHandler):
    """All of a command's output is there with the head of the answer; that it has ended, it says a little later."""

    looked = 0

    def do_GET(self) -> None:
        QuickEngine.looked += 1
        running = QuickEngine.looked % 3 != 0
        self._answer({"Running": running, "ExitCode": None if running else 3})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/containers/host/exec"):
            self._answer({"Id": "none" if body["Cmd"] == ["none"] else "execution"})
        elif "none" in self.path:
            self._answer({"message": "executable file not found"}, 400)
        else:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
            self.wfile.write(head + frame(1, b"first\n") + frame(2, b"wrong\n") + frame(1, MANY))
            self.close_connection = True

    def _answer(self, document: object, status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the name it has in the base class
        pass


@pytest.fixture
def host() -> Iterator[Container]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), QuickEngine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = docker.DockerClient(base_url=f"tcp://127.0.0.1:{server.server_address[1]}", version="1.41")
        yield Container(attrs={"Id": "host"}, client=client)
        client.close()
        server.shutdown()


def test_output_that_comes_with_the_head_of_the_answer_is_not_lost_and_the_exit_code_is_waited_for(
    host: Container,
) -> None:
    assert run_in(host, ["echo", "first"]) == Ended(exit_code=3, output=b"first\nwrong\n" + MANY)


def test_a_command_that_cannot_start_is_the_engines_error(host: Container) -> None:
    with pytest.raises(docker.errors.APIError, match="executable file not found"):
        run_in(host, ["none"])
