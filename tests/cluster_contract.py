"""What every `harness.cluster.Cluster` does, fake or real: subclasses say how one is made."""

from __future__ import annotations

import io
import tarfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath

import pytest

from harness import contract
from harness.cluster import Cluster
from harness.engine_log import TIME_BYTES, Line
from harness.tar import Stream, first_file, members, text_files

Make = Callable[[Mapping[str, str]], Cluster]

SAY = "print('hello from', __import__('os').environ['SM_CURRENT_HOST'])"
WAIT = "import signal, time; print('waiting'); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('waiting'); time.sleep(600)"
TERMINATED = """
import os, signal, sys, time

def leave(*_):
    print("told to end at", time.time())
    sys.exit(0)

signal.signal(signal.SIGTERM, leave)
print("waiting")
time.sleep(600)
"""
WRITE = """
import os, pathlib
model = pathlib.Path(os.environ["SM_MODEL_DIR"])
(model / "sub").mkdir()
(model / "a").write_text("from " + os.environ["SM_CURRENT_HOST"])
(model / "sub" / "b").write_bytes(bytes(300_000))
"""
FAIL = """
import os, pathlib, sys
pathlib.Path(os.environ["SM_OUTPUT_DIR"], "failure").write_text("my own words")
print("the last line")
sys.exit(1)
"""
TWO_MOMENTS = "import time\nfor _ in range(2): print(time.time(), flush=True); time.sleep(5)"
ODD = (
    "import sys; write = sys.stdout.buffer.write; write(b'\\xff\\x00\\xfe\\r\\n'); write(b'10 %\\r20 %\\r\\n');"
    "write(b'x' * 16384 + b'\\n'); write(b'y' * 50000 + b'\\n\\n'); write(b'no end')"
)
READ_CHECKPOINT = """
import os, pathlib
found = pathlib.Path(os.environ["SM_MODEL_DIR"]).parent / "checkpoints" / "sub" / "epoch-1"
print("found", found.read_text() if found.exists() else "nothing")
"""
MANY_LINES = "for n in range(20_000): print('line', n)\nraise SystemExit(1)"


def bytes_of(log: Iterator[list[Line]]) -> bytes:
    return b"".join(line.data for lines in log for line in lines)


def text_of(cluster: Cluster, host: str) -> str:
    return bytes_of(cluster.follow(host)).decode()


def until_said(log: Iterator[list[Line]], word: bytes) -> None:
    """Read a log until ``word`` is in it."""
    while not any(word in line.data for line in next(log)):
        pass


class ClusterContract:
    """Needs a fixture ``make``: from the script of each host to a cluster that is removed when the test ends."""

    def run(self, make: Make, script: str, hosts: Iterable[str] = ("algo-1", "algo-2")) -> Cluster:
        cluster = make(dict.fromkeys(hosts, script))
        cluster.prepare()
        cluster.start()
        return cluster

    def test_each_host_runs_its_own_and_says_so_in_its_own_log(self, make: Make) -> None:
        cluster = self.run(make, SAY)

        assert "hello from algo-1\n" in text_of(cluster, "algo-1")
        assert "hello from algo-2\n" in text_of(cluster, "algo-2")
        assert [cluster.wait(host) for host in ("algo-1", "algo-2")] == [0, 0]

    def test_a_log_is_complete_from_the_first_byte_also_when_the_host_failed_long_ago(self, make: Make) -> None:
        cluster = self.run(make, MANY_LINES, ["algo-1"])

        assert cluster.wait("algo-1") == 1
        lines = text_of(cluster, "algo-1").splitlines()

        assert [line for line in lines if line.startswith("line ")] == [f"line {n}" for n in range(20_000)]

    def test_a_line_has_the_time_when_it_was_printed_whenever_it_is_read(self, make: Make) -> None:
        cluster = self.run(make, TWO_MOMENTS, ["algo-1"])
        assert cluster.wait("algo-1") == 0

        lines = [line for lines in cluster.follow("algo-1") for line in lines]

        assert {len(line.time) for line in lines} == {TIME_BYTES}
        assert [abs(line.at.timestamp() - float(line.text)) < 4 for line in lines] == [True, True]

    def test_lines_come_as_they_are_however_long_and_odd_their_bytes(self, make: Make) -> None:
        cluster = self.run(make, ODD, ["algo-1"])

        lines = [line.data for lines in cluster.follow("algo-1") for line in lines]

        assert [line[:20] for line in lines] == [
            b"\xff\x00\xfe\r\n",
            b"10 %\r20 %\r\n",
            b"x" * 20,
            b"y" * 20,
            b"\n",
            b"no end",
        ]
        assert [len(line) for line in lines[2:4]] == [16385, 50001]

    def test_nothing_runs_before_it_is_started(self, make: Make) -> None:
        cluster = make({"algo-1": "import time; print('began at', time.time())"})
        cluster.prepare()
        time.sleep(0.3)
        before = time.time()

        cluster.start()

        assert float(text_of(cluster, "algo-1").split("began at ")[1]) >= before

    def test_a_folder_comes_back_with_itself_on_top_after_the_host_has_ended(self, make: Make) -> None:
        cluster = self.run(make, WRITE)
        assert cluster.wait("algo-2") == 0

        stream = cluster.fetch("algo-2", contract.MODEL_DIR)

        assert stream
        with tarfile.open(fileobj=Stream(stream), mode="r|") as tar:
            names = {entry.name for entry in tar}
        assert names == {"model", "model/a", "model/sub", "model/sub/b"}

    def test_hosts_have_folders_of_their_own_with_the_bytes_they_wrote(self, make: Make) -> None:
        cluster = self.run(make, WRITE)
        for host in ("algo-1", "algo-2"):
            assert cluster.wait(host) == 0
            stream = cluster.fetch(host, contract.MODEL_DIR)
            assert stream

            found = {path: content.read() for path, _, content in members(stream) if content}

            assert found == {PurePosixPath("a"): f"from {host}".encode(), PurePosixPath("sub/b"): bytes(300_000)}

    def test_a_path_that_is_not_there_is_none(self, make: Make) -> None:
        cluster = self.run(make, SAY, ["algo-1"])
        assert cluster.wait("algo-1") == 0

        assert cluster.fetch("algo-1", contract.FAILURE_FILE) is None
        assert cluster.fetch("algo-1", "/opt/ml/no/such/folder") is None

    def test_a_failed_host_leaves_its_exit_code_its_words_and_its_log(self, make: Make) -> None:
        cluster = self.run(make, FAIL, ["algo-1"])

        assert "the last line\n" in text_of(cluster, "algo-1")
        assert cluster.wait("algo-1") == 1
        failure = cluster.fetch("algo-1", contract.FAILURE_FILE)
        assert failure
        assert first_file(failure, 1024) == "my own words"
        assert cluster.out_of_memory("algo-1") is False

    def test_stop_tells_all_hosts_at_once(self, make: Make) -> None:
        cluster = self.run(make, TERMINATED)
        logs = {host: cluster.follow(host) for host in ("algo-1", "algo-2")}
        for log in logs.values():
            until_said(log, b"waiting")
        before = time.monotonic()

        cluster.stop(["algo-1", "algo-2"], 30)

        assert time.monotonic() - before < 15
        told = [float(bytes_of(log).split(b"told to end at ")[1]) for log in logs.values()]
        assert abs(told[0] - told[1]) < 3
        for host in logs:
            cluster.wait(host)

    def test_stop_kills_what_does_not_end_within_the_grace(self, make: Make) -> None:
        cluster = self.run(make, STUBBORN, ["algo-1"])
        log = cluster.follow("algo-1")
        until_said(log, b"waiting")
        before = time.monotonic()

        cluster.stop(["algo-1"], 1)

        assert cluster.wait("algo-1") == 137
        assert 0.9 < time.monotonic() - before < 15
        assert bytes_of(log) == b""

    def test_stop_leaves_hosts_alone_that_were_not_named(self, make: Make) -> None:
        cluster = self.run(make, WAIT)
        logs = {host: cluster.follow(host) for host in ("algo-1", "algo-2")}
        for log in logs.values():
            until_said(log, b"waiting")

        cluster.stop(["algo-2"], 0)
        assert cluster.wait("algo-2") != 0
        still_there = threading.Thread(target=cluster.wait, args=("algo-1",))
        still_there.start()
        still_there.join(0.5)

        assert still_there.is_alive()
        cluster.stop(["algo-1"], 0)
        still_there.join(15)
        assert [bytes_of(log) for log in logs.values()] == [b"", b""]

    def test_without_grace_hosts_are_killed_without_notice(self, make: Make) -> None:
        cluster = self.run(make, TERMINATED, ["algo-1"])
        log = cluster.follow("algo-1")
        until_said(log, b"waiting")

        cluster.stop(["algo-1"], 0)

        assert cluster.wait("algo-1") == 137
        assert b"told to end" not in bytes_of(log)

    @pytest.mark.parametrize("grace", [0, 1])
    def test_stopping_what_has_ended_changes_nothing(self, make: Make, grace: float) -> None:
        cluster = self.run(make, SAY, ["algo-1"])
        assert cluster.wait("algo-1") == 0

        cluster.stop(["algo-1"], grace)

        assert cluster.wait("algo-1") == 0

    def test_a_host_begins_with_the_files_that_were_put_there(self, make: Make) -> None:
        cluster = make(dict.fromkeys(("algo-1", "algo-2"), READ_CHECKPOINT))
        cluster.prepare()
        cluster.put("algo-1", io.BytesIO(text_files({"/opt/ml/checkpoints/sub/epoch-1": "weights"})))

        cluster.start()

        assert "found weights\n" in text_of(cluster, "algo-1")
        assert "found nothing\n" in text_of(cluster, "algo-2")

    def test_what_a_running_host_has_written_can_be_fetched(self, make: Make) -> None:
        cluster = self.run(make, WRITE + WAIT, ["algo-1"])
        log = cluster.follow("algo-1")
        until_said(log, b"waiting")

        stream = cluster.fetch("algo-1", contract.MODEL_DIR)

        assert stream
        assert {path.as_posix() for path, _, content in members(stream) if content} == {"a", "sub/b"}

    def test_after_its_removal_it_can_be_prepared_anew_and_has_nothing_of_before(self, make: Make) -> None:
        cluster = self.run(make, WRITE + "print('wrote')")
        for host in ("algo-1", "algo-2"):
            assert cluster.wait(host) == 0
        cluster.remove()

        cluster.prepare()

        stream = cluster.fetch("algo-1", contract.MODEL_DIR)
        assert (list(members(stream)) if stream else []) == []
        cluster.start()
        assert text_of(cluster, "algo-2") == "wrote\n"
        assert [cluster.wait(host) for host in ("algo-1", "algo-2")] == [0, 0]

    @pytest.mark.parametrize("state", ["nothing", "prepared", "running", "ended"])
    def test_remove_takes_any_state_and_can_be_repeated(self, make: Make, state: str) -> None:
        cluster = make({"algo-1": WAIT if state == "running" else SAY})
        if state != "nothing":
            cluster.prepare()
        if state in ("running", "ended"):
            cluster.start()
        if state == "ended":
            cluster.wait("algo-1")

        cluster.remove()
        cluster.remove()

        self.assert_gone(cluster)

    def assert_gone(self, cluster: Cluster) -> None:
        """Nothing of ``cluster`` is left."""
        raise NotImplementedError
