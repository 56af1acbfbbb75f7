"""Engines that are not there, do not come up, or come up late: on loopback sockets, with stand-in daemons."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import docker
import pytest

from harness.engine import Target, back_again, connect, ensure_engine, reach, start
from harness.errors import EngineLost, EngineUnavailable
from harness.steps import Steps

# Answers /version and /_ping as an engine does, after a moment.
STAND_IN = """
import http.server, socketserver, sys, time
class Answer(http.server.BaseHTTPRequestHandler):
    pinged = False
    def do_GET(self):
        body = b'{"ApiVersion": "1.41"}' if self.path.endswith("/version") else b"OK"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        Answer.pinged = self.path.endswith("/_ping")
    def address_string(self):
        return "unix"
time.sleep(0.3)
with socketserver.UnixStreamServer(sys.argv[1], Answer) as server:
    server.timeout = 30
    while not Answer.pinged:
        server.handle_request()
"""


def test_a_dead_socket_is_one_line_with_what_to_do(tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/none.sock"

    with pytest.raises(EngineUnavailable) as caught:
        connect({"DOCKER_HOST": host})

    assert str(caught.value) == (
        f"no docker engine answers at DOCKER_HOST={host}: no such file or directory; "
        "start that engine, or unset DOCKER_HOST"
    )


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:1", "nonsense", "http://[", "ssh://"])
def test_any_other_bad_address_is_one_line_too(host: str) -> None:
    with pytest.raises(EngineUnavailable) as caught:
        connect({"DOCKER_HOST": host})

    assert len(str(caught.value).splitlines()) == 1


def test_an_engine_that_somebody_chose_is_never_replaced(tmp_path: Path) -> None:
    said = io.StringIO()

    with pytest.raises(EngineUnavailable, match="unset DOCKER_HOST"):
        ensure_engine(Steps(said), {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})

    assert said.getvalue() == ""


def test_a_context_that_does_not_exist_is_named() -> None:
    with pytest.raises(EngineUnavailable, match="'nowhere' does not exist"):
        connect({"DOCKER_CONTEXT": "nowhere"})


def test_an_engine_that_comes_up_late_is_waited_for(tmp_path: Path) -> None:
    socket, pid_file = tmp_path / "s", tmp_path / "pid"
    pid_file.write_text("999999999")

    client = start(
        (sys.executable, "-c", STAND_IN, str(socket)),
        lambda: reach(Target(f"unix://{socket}")),
        pid_file=pid_file,
        log=tmp_path / "log",
        seconds=20,
    )

    assert client.api.api_version == "1.41"
    assert not pid_file.exists()
    client.close()


def test_an_engine_that_ends_at_once_fails_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="ended at once") as caught:
        start(
            (sys.executable, "-c", "raise SystemExit('no permission to mount')"),
            lambda: reach(Target(f"unix://{tmp_path}/s")),
            pid_file=tmp_path / "pid",
            log=tmp_path / "log",
            seconds=20,
        )

    assert str(caught.value).endswith("no permission to mount")


def test_an_engine_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"does not answer after 0\.3 s"):
        start(
            (sys.executable, "-c", "import time; time.sleep(1)"),
            lambda: reach(Target(f"unix://{tmp_path}/s")),
            pid_file=tmp_path / "pid",
            log=tmp_path / "log",
            seconds=0.3,
        )


def test_an_engine_that_went_away_is_not_waited_for_for_ever() -> None:
    client = docker.DockerClient("tcp://127.0.0.1:1", version="1.41")

    with pytest.raises(EngineLost, match="went away and was not back after"):
        back_again(client, 0.3)
    client.close()
