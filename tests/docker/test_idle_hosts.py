"""Hosts of one's own: the fixture `cluster`, and faults done to its hosts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import faults
from harness.errors import HarnessError
from harness.fault_effects import Effects
from harness.idle_hosts import IdleHosts

Cluster = Callable[..., IdleHosts]
REACH = """
import socket, sys, time
began = time.monotonic()
try:
    with socket.create_connection((sys.argv[1], 22), timeout=3) as connection:
        connection.recv(4)
except OSError as error:
    sys.exit(f"unreachable: {error}")
print(time.monotonic() - began)
"""


def test_hosts_run_commands_know_their_names_and_train_together(cluster: Cluster) -> None:
    hosts = cluster(2)

    assert hosts.hosts == ("algo-1", "algo-2")
    assert hosts.run("algo-2", "hostname").output == "algo-2\n"
    assert hosts.run("algo-1", "sh", "-c", "exit 3").exit_code == 3
    world = hosts.horovodrun("python3", "-c", "import horovod.torch as h; h.init(); print('rank', h.rank(), h.size())")
    assert world.exit_code == 0, world
    assert "rank 0 2" in world.output
    assert "rank 1 2" in world.output
    hosts.write("algo-2", {"/opt/mine/words.txt": "ärger\n"})
    assert hosts.run("algo-2", "cat", "/opt/mine/words.txt").output == "ärger\n"
    assert hosts.run("algo-1", "test", "-e", "/opt/mine").exit_code == 1
    with pytest.raises(LookupError, match="no host 'algo-3'; there are algo-1, algo-2"):
        hosts.run("algo-3", "true")
    with pytest.raises(LookupError, match="no host 'algo-3'"):
        hosts.write("algo-3", {})


def await_file(hosts: IdleHosts, host: str, path: str) -> None:
    """Return once what runs on ``host`` has got as far as writing ``path``."""
    waited = hosts.run(host, "timeout", "60", "sh", "-c", f"until test -e {path}; do sleep 0.02; done")
    assert waited.exit_code == 0, waited


@pytest.fixture
def pair(cluster: Cluster) -> IdleHosts:
    return cluster(2)


@pytest.fixture
def effects(pair: IdleHosts) -> Effects:
    return pair.effects()


def reach(hosts: IdleHosts) -> float | None:
    """Seconds until algo-1 has heard of algo-2's sshd; None when it does not."""
    ran = hosts.run("algo-1", "python3", "-c", REACH, "algo-2")
    return float(ran.output) if ran.exit_code == 0 else None


def test_a_partition_lets_nothing_pass_until_it_is_undone(pair: IdleHosts, effects: Effects) -> None:
    undo = effects.apply(faults.Partition(("algo-2",)))
    parted = reach(pair)
    undo()

    assert parted is None
    assert reach(pair) is not None


def test_a_delay_makes_every_answer_late_until_it_is_undone(pair: IdleHosts, effects: Effects) -> None:
    undo = effects.apply(faults.Delay("algo-2", 0.3))
    late = reach(pair)
    undo()
    again = reach(pair)

    assert late
    assert late > 0.6  # the connection's first answer, then sshd's first word
    assert again
    assert again < late


def test_lost_packets_are_sent_again_and_nothing_is_lost_for_good(pair: IdleHosts, effects: Effects) -> None:
    undo = effects.apply(faults.Loss("algo-2", 20))
    copied = pair.run("algo-1", "sh", "-c", "head -c 300000 /dev/urandom > /tmp/a && scp -q /tmp/a algo-2:/tmp/b")
    undo()

    assert copied.exit_code == 0, copied
    sums = [
        pair.run(host, "md5sum", path).output.split()[0] for host, path in (("algo-1", "/tmp/a"), ("algo-2", "/tmp/b"))
    ]
    assert sums[0] == sums[1]


def test_a_full_disk_takes_no_byte_more_and_keeps_what_is_there(pair: IdleHosts, effects: Effects) -> None:
    pair.run("algo-1", "sh", "-c", "mkdir -p /opt/ml/model; echo before > /opt/ml/model/a")

    effects.apply(faults.FullDisk("algo-1"))

    full = pair.run("algo-1", "sh", "-c", "head -c 100000 /dev/zero > /opt/ml/model/b")
    assert full.exit_code != 0
    assert "No space left on device" in full.output
    assert pair.run("algo-1", "cat", "/opt/ml/model/a").output == "before\n"
    assert pair.run("algo-2", "sh", "-c", "mkdir -p /opt/ml/model; echo fine > /opt/ml/model/b").exit_code == 0


READ = """
import time
began = time.monotonic()
open("/opt/ml/input/data/sample", "rb").read()
print(time.monotonic() - began)
"""
WRITE = """
import sys, time
began = time.monotonic()
with open(f"/opt/ml/model/{sys.argv[1]}", "wb") as file:
    file.write(bytes(600_000))
print(time.monotonic() - began)
"""


def test_a_slow_disk_takes_its_time_to_write_and_to_read_until_it_is_undone(pair: IdleHosts, effects: Effects) -> None:
    def seconds(host: str, *argv: str) -> float:
        ran = pair.run(host, "python3", "-c", *argv)
        assert ran.exit_code == 0, ran
        return float(ran.output)

    make = "mkdir -p /opt/ml/model /opt/ml/input/data; head -c 600000 /dev/urandom > /opt/ml/input/data/sample"
    for host in pair.hosts:
        pair.run(host, "sh", "-c", make)

    undo = effects.apply(faults.SlowDisk("algo-2", 300))
    slow = [seconds("algo-2", WRITE, "slow"), seconds("algo-2", READ)]
    other = seconds("algo-1", WRITE, "other")
    undo()
    again = seconds("algo-2", WRITE, "again")

    # Two seconds at 300 KiB a second; the kernel lets a little pass before it begins to count.
    assert min(slow) > 1
    assert max(other, again) < min(slow)


def test_a_rank_is_found_on_whichever_host_it_is_and_no_other_is_killed(pair: IdleHosts, effects: Effects) -> None:
    for rank, host in enumerate(pair.hosts):
        pair.run(host, "sh", "-c", f"HOROVOD_RANK={rank} setsid sleep 600 > /dev/null 2>&1 &")

    effects.apply(faults.KillRank(1))

    assert pair.run("algo-1", "pgrep", "-r", "S", "-x", "sleep").exit_code == 0
    assert pair.run("algo-2", "pgrep", "-r", "S", "-x", "sleep").exit_code == 1


def test_a_paused_host_goes_on_by_itself(pair: IdleHosts, effects: Effects) -> None:
    effects.apply(faults.Pause("algo-2", 1.0))

    assert reach(pair) is not None  # as soon as it goes on


def test_what_cannot_be_done_is_said(effects: Effects) -> None:
    with pytest.raises(HarnessError, match="no process of rank 7 was found on algo-1, algo-2"):
        effects.apply(faults.KillRank(7))


def test_two_clusters_at_once_are_strangers(cluster: Cluster) -> None:
    one, other = cluster(1), cluster(1)

    assert one.run("algo-1", "hostname", "-i").output != other.run("algo-1", "hostname", "-i").output
    assert one.name != other.name
    assert one.run("algo-1", "touch", "/opt/ml/a").exit_code == 0
    assert other.run("algo-1", "ls", "/opt/ml/a").exit_code != 0


WATCH = """
import sys
sys.path.insert(0, "/usr/local/lib/harness")
from harness.image.programs.rendezvous import Follower, HostLost
try:
    follower = Follower("algo-1", "algo-2", 10)
    follower.ready()
    follower.wait()
except HostLost as lost:
    print(lost)
"""
LEAD = """
import sys, threading
sys.path.insert(0, "/usr/local/lib/harness")
from harness.image.programs.rendezvous import Leader
leader = Leader(["algo-2"])
leader.wait_for_followers(20)
open("/tmp/connected", "w").close()
over = threading.Event()
leader.watch(lambda what: (print(what), over.set()))
over.wait(90)
"""


def test_hosts_that_are_cut_off_from_each_other_notice_within_a_minute(pair: IdleHosts, effects: Effects) -> None:
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(pair.run, "algo-1", "python3", "-c", LEAD)
        follower = pool.submit(pair.run, "algo-2", "python3", "-c", WATCH)
        await_file(pair, "algo-1", "/tmp/connected")  # a partition before that is another story
        effects.apply(faults.Partition(("algo-2",)))

        assert "algo-2 has not answered algo-1 for 20 s: nothing passes between the two" in leader.result(60).output
        assert "algo-1, the host that leads the job: it has not answered algo-2 for 20 s" in follower.result(60).output


def test_a_host_with_less_memory_than_it_uses_loses_its_largest_process(pair: IdleHosts, effects: Effects) -> None:
    hold = "import time; held = bytearray(150_000_000); open('/tmp/held', 'w').close(); time.sleep(60)"
    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(pair.run, "algo-2", "python3", "-c", hold)
        await_file(pair, "algo-2", "/tmp/held")
        effects.apply(faults.MemoryLimit("algo-2", 64))

        assert holding.result(30).exit_code == 137
    assert pair.run("algo-2", "true").exit_code == 0
