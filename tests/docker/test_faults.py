"""Faults of whole jobs, as tests and the command line say them; test_idle_hosts.py has what each does to a host.

Of those that hosts do not see, an interruption is in test_endings.py, as it is an ending.
"""

from __future__ import annotations

import re
import subprocess
import sys

from harness.expectations import assert_completed
from tests.docker.conftest import Training, Workplace

UNTIL_IT_CHANGES = """
    import pathlib, time
    sample = pathlib.Path("/opt/ml/input/data/training/sample")
    print("read", sample.read_bytes(), flush=True)
    # The engine replaces the file: for a moment there is none, and then an empty one.
    while (found := sample.read_bytes() if sample.exists() else b"") in (b"", b"abc"):
        time.sleep(0.05)
    print("read", found.hex(), flush=True)
"""


def test_a_corrupted_channel_is_seen_by_the_host_and_not_by_the_user(training: Training, workplace: Workplace) -> None:
    (workplace.folder / "data").mkdir()
    (workplace.folder / "data/sample").write_bytes(b"abc")
    job = training(workplace.job(UNTIL_IT_CHANGES, table='inputs = { training = "data" }\n', instance_count=1))
    job.after_log("read b'abc'").corrupt("training", "algo-1")

    result = job.wait()

    assert_completed(result)
    assert result.host("algo-1").log.contains("read 9e9d9c")
    assert (workplace.folder / "data/sample").read_bytes() == b"abc"


def test_a_fault_on_the_command_line_says_itself_when_it_fires(workplace: Workplace) -> None:
    job = workplace.job("import time; print('ready', flush=True); time.sleep(600)")

    ran = workplace.harness("train", str(job), "--fault", "kill algo-2 after ready on algo-2")

    assert ran.exit_code == 1, ran
    assert "fault: kill algo-2 after ready on algo-2" in ran.stderr
    assert "(algo-2)" in workplace.describe()["FailureReason"]
    assert re.search(r"algo-2 +exit code +137  \(decided, signal 9\)", ran.stderr), ran


TESTS = """
def test_its_moment_never_came(training):
    training("job.toml").after_log("never").kill("algo-1").wait()

def test_there_is_no_such_host(training):
    training("job.toml").after_log("hello").kill("algo-3")

def test_a_line_never_came(training):
    training("job.toml").wait_for_log("never")

def test_a_line_of_no_host(training):
    training("job.toml").wait_for_log("hello", "algo-3")
"""


def test_what_never_came_and_a_host_that_is_not_there_fail_the_test_and_say_so(workplace: Workplace) -> None:
    workplace.job("print('hello')", instance_count=1)
    (workplace.folder / "test_it.py").write_text(TESTS)

    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(argv, cwd=workplace.folder, capture_output=True, text=True, timeout=300, check=False)

    assert ran.returncode == 1
    assert "fault 'kill algo-1 after never': its moment never came" in ran.stdout
    assert "fault 'kill algo-3 after hello': there is no host 'algo-3'; there are algo-1" in ran.stdout
    assert "is over, and 'never' was not printed" in ran.stdout
    assert "wait_for_log: there is no host 'algo-3'; there are algo-1" in ran.stdout
