"""Hosts find each other, and notice each other's loss: over real connections of the loopback interface."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from harness.image.programs.rendezvous import Follower, HostLost, Leader

LOOPBACK = "127.0.0.1"


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def follow(leader: str, host: str, seconds: float, port: int) -> None:
    follower = Follower(leader, host, seconds, port)
    follower.ready()
    follower.wait()


def join(port: int) -> Follower:
    """algo-2, ready for its part, with a script of its own to run."""
    follower = Follower(LOOPBACK, "algo-2", 10, port)
    follower.ready()
    return follower


def leader_of(*followers: str) -> Leader:
    return Leader(followers, port=0, address=LOOPBACK)


def start(pool: ThreadPoolExecutor, host: str, port: int, seconds: float = 10) -> Future[None]:
    return pool.submit(follow, LOOPBACK, host, seconds, port)


def connect(leader: Leader, host: str) -> socket.socket:
    """A follower by hand, to be dropped at will."""
    connection = connect_only(leader, host)
    connection.sendall(b"ready\n")
    return connection


def connect_only(leader: Leader, host: str) -> socket.socket:
    """A follower by hand that has come and is not ready."""
    connection = socket.create_connection((LOOPBACK, leader.port), timeout=10)
    connection.sendall(f"here {host}\n".encode())
    return connection


def test_the_leader_goes_on_when_all_followers_are_ready_and_lets_them_go(pool: ThreadPoolExecutor) -> None:
    leader = leader_of("algo-2", "algo-3")
    followers = [start(pool, host, leader.port) for host in ("algo-3", "algo-2")]

    leader.wait_for_followers(10)
    time.sleep(0.1)
    waiting = [follower.done() for follower in followers]
    leader.dismiss()

    assert waiting == [False, False]
    assert [follower.result(10) for follower in followers] == [None, None]


def test_a_leader_without_followers_waits_for_nobody_and_loses_nobody() -> None:
    lost: list[str] = []
    leader = leader_of()

    leader.wait_for_followers(0)
    leader.watch(lost.append)
    time.sleep(0.1)
    leader.dismiss()

    assert lost == []


def test_a_follower_may_come_before_its_leader(pool: ThreadPoolExecutor) -> None:
    with socket.create_server((LOOPBACK, 0)) as free:
        port = free.getsockname()[1]
    follower = start(pool, "algo-2", port)
    time.sleep(0.2)

    leader = Leader(["algo-2"], port=port, address=LOOPBACK)
    leader.wait_for_followers(10)
    leader.dismiss()

    assert follower.result(10) is None


def test_hosts_that_do_not_come_in_time_are_named_and_the_others_are_not() -> None:
    leader = leader_of("algo-2", "algo-3", "algo-4")

    with connect(leader, "algo-3"), pytest.raises(HostLost, match=r"^algo-2, algo-4 did not come within 0\.5 s$"):
        leader.wait_for_followers(0.5)

    leader.dismiss()


def test_a_host_that_connects_and_says_nothing_is_not_ready() -> None:
    leader = leader_of("algo-2")

    with (
        socket.create_connection((LOOPBACK, leader.port)),
        pytest.raises(HostLost, match=r"algo-2 did not come within 0\.3 s"),
    ):
        leader.wait_for_followers(0.3)

    leader.dismiss()


def test_a_host_may_take_its_time_to_get_ready_once_it_has_come(pool: ThreadPoolExecutor) -> None:
    leader = leader_of("algo-2")
    with connect_only(leader, "algo-2") as connection:
        waiting = pool.submit(leader.wait_for_followers, 0.2)
        time.sleep(0.6)
        early = waiting.done()
        connection.sendall(b"ready\n")

        assert not early
        assert waiting.result(10) is None
    leader.dismiss()


def test_a_host_that_goes_away_before_it_is_ready_is_named(pool: ThreadPoolExecutor) -> None:
    leader = leader_of("algo-2")
    connection = connect_only(leader, "algo-2")
    waiting = pool.submit(leader.wait_for_followers, 10)
    connection.close()

    with pytest.raises(HostLost, match="algo-2 went away before it was ready"):
        waiting.result(10)
    leader.dismiss()


def test_a_connection_that_breaks_before_its_word_counts_for_nobody(pool: ThreadPoolExecutor) -> None:
    leader = leader_of("algo-2")
    socket.create_connection((LOOPBACK, leader.port)).close()
    follower = start(pool, "algo-2", leader.port)

    leader.wait_for_followers(10)
    lost: list[str] = []
    leader.watch(lost.append)
    time.sleep(0.1)
    leader.dismiss()

    assert follower.result(10) is None
    assert lost == []


def test_a_lost_follower_is_named_at_once() -> None:
    leader = leader_of("algo-2", "algo-3")
    second, third = connect(leader, "algo-2"), connect(leader, "algo-3")
    leader.wait_for_followers(10)
    noticed = threading.Event()
    lost: list[str] = []

    def remember(host: str) -> None:
        lost.append(host)
        noticed.set()

    leader.watch(remember)
    third.close()

    assert noticed.wait(5)
    assert lost == ["algo-3 went away"]
    leader.dismiss()
    second.close()


def test_a_follower_lost_before_the_watch_began_is_noticed_too() -> None:
    leader = leader_of("algo-2")
    connect(leader, "algo-2").close()
    leader.wait_for_followers(10)
    noticed = threading.Event()

    leader.watch(lambda _: noticed.set())

    assert noticed.wait(5)
    leader.dismiss()


def test_followers_that_are_let_go_are_not_lost(pool: ThreadPoolExecutor) -> None:
    lost: list[str] = []
    leader = leader_of("algo-2")
    follower = start(pool, "algo-2", leader.port)
    leader.wait_for_followers(10)
    leader.watch(lost.append)

    leader.dismiss()

    assert follower.result(10) is None
    time.sleep(0.1)
    assert lost == []


def test_a_follower_whose_leader_goes_away_says_so(pool: ThreadPoolExecutor) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        follower = start(pool, "algo-2", server.getsockname()[1])
        connection, _ = server.accept()
        connection.close()

        with pytest.raises(HostLost, match=f"lost {LOOPBACK}, the host that leads the job"):
            follower.result(10)


def test_a_leader_that_cannot_be_reached_is_named_with_the_reason() -> None:
    with socket.create_server((LOOPBACK, 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(HostLost, match=rf"{LOOPBACK} was not reached within 0\.2 s: .*refused"):
        follow(LOOPBACK, "algo-2", 0.2, port)


def test_a_follower_that_has_ended_its_own_script_is_not_lost(pool: ThreadPoolExecutor) -> None:
    lost: list[str] = []
    noticed = threading.Event()

    def remember(host: str) -> None:
        lost.append(host)
        noticed.set()

    leader = leader_of("algo-2", "algo-3")
    second = pool.submit(join, leader.port)
    third = connect(leader, "algo-3")
    leader.wait_for_followers(10)
    leader.watch(remember)

    second.result(10).dismiss()
    time.sleep(0.1)
    before = list(lost)
    third.close()

    assert noticed.wait(5)
    assert before == []
    assert lost == ["algo-3 went away"]
    leader.dismiss()


def test_a_follower_that_ends_before_the_watch_begins_is_not_lost(pool: ThreadPoolExecutor) -> None:
    lost: list[str] = []
    leader = leader_of("algo-2")
    follower = pool.submit(join, leader.port)
    follower.result(10).dismiss()

    leader.wait_for_followers(10)
    leader.watch(lost.append)
    time.sleep(0.1)

    assert lost == []
    leader.dismiss()


@pytest.mark.parametrize("word", [True, False], ids=["ended", "lost"])
def test_a_follower_with_a_script_of_its_own_tells_a_leader_that_ended_from_one_that_is_lost(
    pool: ThreadPoolExecutor, *, word: bool
) -> None:
    lost: queue.Queue[str] = queue.Queue()
    with socket.create_server((LOOPBACK, 0)) as server:
        follower = pool.submit(Follower, LOOPBACK, "algo-2", 10, server.getsockname()[1]).result(10)
        connection, _ = server.accept()
        follower.watch(lost.put)
        if word:
            connection.sendall(b"over\n")
        connection.close()

        if word:
            with pytest.raises(queue.Empty):
                lost.get(timeout=0.2)
        else:
            assert lost.get(timeout=10) == f"{LOOPBACK} went away"
        follower.dismiss()  # of a leader that is gone: nothing happens
