"""The door's HTTP at a socket: answers and bodies as they come, and clients that do it wrong or not at all."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import door_server
from harness.door_server import Server
from harness.http_messages import GoneError, RefusedError
from harness.wire import Request, Response


@contextmanager
def serving(handle: door_server.Handle) -> Iterator[tuple[str, int]]:
    with Server(handle) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield str(server.server_address[0]), int(server.server_address[1])
        server.shutdown()


def echo(request: Request) -> Response:
    """What was sent, and how much of it was held in memory before the first of it was read."""
    content = request.body
    while request.upload and (part := request.upload.read(65536)):
        content += part
    return Response(200, (("X-Held", str(len(request.body))), ("X-Method", request.method)), content)


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    with serving(echo) as address:
        yield address


def exchange(address: tuple[str, int], sent: bytes, timeout: float = 10) -> bytes:
    """All that comes back until the server ends the connection."""
    with socket.create_connection(address, timeout=timeout) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_an_answer_of_unknown_length_comes_in_chunks_while_it_is_made() -> None:
    made_on = threading.Event()

    def slow() -> Generator[bytes, None, None]:
        yield b"first "
        made_on.wait(10)
        yield b""
        yield b"second"

    with serving(lambda _: Response(200, stream=slow())) as address:
        connection = http.client.HTTPConnection(*address, timeout=10)
        connection.request("GET", "/")
        answer = connection.getresponse()
        first = answer.read(6)
        made_on.set()
        rest = answer.read()
        connection.request("GET", "/")  # the connection stays open
        again = connection.getresponse().read()
        connection.close()

    assert (answer.getheader("Transfer-Encoding"), first, rest) == ("chunked", b"first ", b"second")
    assert again == b"first second"


def test_an_answer_whose_length_is_known_comes_as_it_is_made() -> None:
    def parts() -> Generator[bytes, None, None]:
        yield b"a" * 5
        yield b"b" * 5

    answers = lambda _: Response(200, (("Content-Length", "10"),), stream=parts())  # noqa: E731
    with serving(answers) as address:
        said = exchange(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert said.count(b"Content-Length: 10\r\n") == 2
    assert said.count(b"aaaaabbbbb") == 1


def test_a_stream_is_closed_when_its_client_is_gone() -> None:
    closed = threading.Event()

    def endless() -> Generator[bytes, None, None]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            closed.set()

    with serving(lambda _: Response(200, stream=endless())) as address:
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.recv(1000)

        assert closed.wait(10)


def test_a_stream_that_breaks_off_does_not_look_whole() -> None:
    def broken() -> Generator[bytes, None, None]:
        yield b"x"
        raise OSError("the disk is gone")

    with serving(lambda _: Response(200, stream=broken())) as address:
        connection = http.client.HTTPConnection(*address, timeout=10)
        connection.request("GET", "/")
        answer = connection.getresponse()

        with pytest.raises(http.client.IncompleteRead):
            answer.read()
        connection.close()


def test_a_put_is_not_held_in_memory_and_all_else_is(address: tuple[str, int]) -> None:
    connection = http.client.HTTPConnection(*address, timeout=10)
    connection.request("PUT", "/", b"x" * 100_000)
    put = connection.getresponse()
    content = put.read()
    connection.request("POST", "/", iter([b"one ", b"two"]), encode_chunked=True)
    posted = connection.getresponse()

    assert (put.getheader("X-Held"), len(content)) == ("0", 100_000)
    assert (posted.getheader("X-Held"), posted.read()) == ("7", b"one two")
    connection.close()


def test_requests_that_follow_each_other_at_once_are_answered_in_turn(address: tuple[str, int]) -> None:
    put = b"PUT /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n%03d"

    said = exchange(address, b"".join(put % (number, number) for number in range(20)))

    assert [part[-3:] for part in said.split(b"HTTP/1.1 200 OK")[1:]] == [b"%03d" % number for number in range(20)]


@pytest.mark.parametrize("size", [10, 10_000_000])
def test_what_an_answer_did_not_want_of_a_body_does_not_pass_for_a_request(size: int) -> None:
    with serving(lambda _: Response(404, (), b"no such bucket")) as address:
        connection = http.client.HTTPConnection(*address, timeout=10)
        connection.request("PUT", "/", b"GET / HTTP/1.1\r\n\r\n" * (size // 18 + 1))
        first = connection.getresponse()
        said = first.read()
        connection.close()

    assert (first.status, said) == (404, b"no such bucket")
    assert (first.getheader("Connection") == "close") == (size > 1_000_000)


def test_a_body_that_nobody_wants_is_not_sent_by_those_who_ask_first() -> None:
    asking = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

    with (
        serving(lambda _: Response(404, (), b"")) as address,
        socket.create_connection(address, timeout=10) as connection,
    ):
        connection.sendall(asking)
        said = connection.recv(1000)

    assert said.startswith(b"HTTP/1.1 404 Not Found\r\n")


CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
REFUSED = {
    "no request": b"hello\r\n\r\n",
    "a request of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",
    "another version": b"GET / HTTP/1.0\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    "a header in two lines": b"GET / HTTP/1.1\r\nA: x\r\n y\r\n\r\n",
    "a name with a blank": b"GET / HTTP/1.1\r\nContent-Length : 3\r\n\r\nabc",
    "a control character": b"GET / HTTP/1.1\r\nA: x\0y\r\n\r\n",
    "a bare line feed": b"GET / HTTP/1.1\r\nA: x\nB: y\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length below zero": b"POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\n",
    "a length in words": b"POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc",
    "another coding": b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: example.com\r\n\r\n",
    "a size that is none": CHUNKED + b"xyz\r\nabc\r\n",
    "a size below zero": CHUNKED + b"-3\r\nabc\r\n",
    "a size with underscores": CHUNKED + b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    "a chunk without its end": b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"A: x\r\n" * 1000 + b"\r\n",
    "a long header": b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000 + b"\r\n\r\n",
    "a long path": b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "a body without an end": CHUNKED + b"" + b"100000\r\n%b\r\n" % (b"x" * 2**20) * 27,
}


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED)
def test_what_is_no_request_is_refused_once_and_the_connection_ends(address: tuple[str, int], sent: bytes) -> None:
    said = exchange(address, sent + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")

    head, _, body = said.partition(b"\r\n\r\n")
    assert 400 <= int(head.split()[1]) < 506, head
    assert b"Connection: close" in head
    assert json.loads(body)["__type"].endswith("Exception")


PIECES = [b"GET / HTTP/1.1", b"\r\n", b"\r", b"\n", b":", b"A: b\r\n", b"Content-Length: 9\r\n", b"0", b"\x00"]


def test_no_bytes_get_anything_but_a_refusal() -> None:
    broken: list[str] = []

    def carefully(request: Request) -> Response:
        try:
            return echo(request)
        except (RefusedError, GoneError):
            raise
        except Exception as error:
            broken.append(repr(error))
            raise

    with serving(carefully) as address:

        @settings(max_examples=300)
        @given(
            st.one_of(
                st.binary(max_size=200),
                st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join),
                st.binary(max_size=40).map(lambda body: CHUNKED + body),
            )
        )
        def check(sent: bytes) -> None:
            said = exchange(address, sent)

            assert said == b"" or 200 <= int(said.split()[1]) < 506

        check()
    assert broken == []


def test_a_client_that_goes_in_the_middle_is_no_error(
    address: tuple[str, int], capfd: pytest.CaptureFixture[str]
) -> None:
    for sent in (b"GET / HT", b"PUT / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc", b"", b"POST / HTTP/1.1\r\nA: b\r\n"):
        assert exchange(address, sent) == b""

    assert capfd.readouterr().err == ""


def test_clients_that_say_nothing_or_say_it_slowly_keep_nobody_out(address: tuple[str, int]) -> None:
    silent = [socket.create_connection(address, timeout=10) for _ in range(door_server.CONNECTIONS + 40)]
    for connection in silent[::2]:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
    start = time.monotonic()
    said = exchange(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", timeout=door_server.HEAD_SECONDS)

    assert said.startswith(b"HTTP/1.1 200 OK")
    assert time.monotonic() - start < door_server.HEAD_SECONDS
    for connection in silent:
        connection.close()
