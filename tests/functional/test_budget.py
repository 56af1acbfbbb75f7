"""The budget of hosts, held by real processes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from harness.budget import hold, host_budget

HOLD = """
import sys, time
from pathlib import Path
from harness.budget import hold
with hold(int(sys.argv[1]), print, budget=4, folder=Path(sys.argv[2]), by=sys.argv[3]):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(hosts: int, folder: Path, by: str = "somebody") -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", HOLD, str(hosts), str(folder), by]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


class Waiting:
    """Somebody who waits for slots in a thread."""

    def __init__(self, hosts: int, folder: Path, by: str) -> None:
        self.said: list[str] = []
        self.got = threading.Event()
        self._let_go = threading.Event()
        self._thread = threading.Thread(target=self._wait, args=(hosts, folder, by))
        self._thread.start()

    def _wait(self, hosts: int, folder: Path, by: str) -> None:
        with hold(hosts, self.said.append, budget=4, folder=folder, by=by):
            self.got.set()
            self._let_go.wait(60)

    def end(self) -> None:
        self._let_go.set()
        self._thread.join()


def test_hosts_within_the_budget_run_at_once_and_more_wait_and_say_so(tmp_path: Path) -> None:
    first, second = holder(2, tmp_path), holder(2, tmp_path)
    third = Waiting(2, tmp_path, "third")

    end = time.monotonic() + 10
    while not third.said and time.monotonic() < end:
        time.sleep(0.05)
    assert not third.got.is_set()
    assert third.said == ["waiting for 2 of the 4 hosts that may run at once on this machine"]

    first.kill()  # however a process ends, its slots are free
    assert third.got.wait(10)
    third.end()
    for process in (first, second):
        process.kill()
        process.communicate()


def test_a_job_larger_than_the_budget_takes_all_of_it(tmp_path: Path) -> None:
    eight = Waiting(8, tmp_path, "eight")
    assert eight.got.wait(10)
    one = Waiting(1, tmp_path, "one")

    assert not one.got.wait(0.5)

    eight.end()
    assert one.got.wait(10)
    one.end()


def test_nobody_is_overtaken_for_ever(tmp_path: Path) -> None:
    small = holder(1, tmp_path)
    large = Waiting(4, tmp_path, "large")
    assert not large.got.wait(0.5)
    late = Waiting(1, tmp_path, "late")

    assert not late.got.wait(0.5)  # three slots are free, and it is behind the large one

    small.kill()
    small.communicate()
    assert large.got.wait(10)
    large.end()
    assert late.got.wait(10)
    late.end()


def test_who_has_hosts_gets_more_at_once_as_others_may_be_waiting_for_those(tmp_path: Path) -> None:
    """A test with a cluster that asks for a second one, behind a job that waits for all hosts, would wait for ever."""
    first = Waiting(1, tmp_path, "a test")
    assert first.got.wait(10)
    all_of_them = Waiting(4, tmp_path, "a job")
    assert not all_of_them.got.wait(0.5)

    second = Waiting(1, tmp_path, "a test")

    assert second.got.wait(10)
    assert second.said == [
        "this test has hosts already: no waiting, though with 1 more there are over 4 on this machine"
    ]
    assert not all_of_them.got.is_set()
    for each in (first, second):
        each.end()
    assert all_of_them.got.wait(10)
    all_of_them.end()


def test_a_machine_has_at_least_the_hosts_of_a_usual_job() -> None:
    assert host_budget(1) == 4
    assert host_budget(2) == 4
    assert host_budget(16) == 32
