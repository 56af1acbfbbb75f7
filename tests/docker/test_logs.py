"""What hosts print is kept to the last line, with its time, and can be followed from another shell."""

from __future__ import annotations

import subprocess
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.docker.conftest import HARNESS, Training, Workplace

LINES = 100_000
ENDS = {
    "it leaves without cleaning up": "os._exit(7)",
    "it is killed": "os.kill(os.getpid(), 9)",
    "it becomes a program that writes faster than anybody reads": "os.execvp('seq', ['seq', '100000'])",
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_hundred_thousand_lines_and_a_sudden_end_lose_nothing(
    training: Training, workplace: Workplace, capsys: pytest.CaptureFixture[str], end: str
) -> None:
    prints = "" if "seq" in end else f"print(*range(1, {LINES + 1}), sep=chr(10), flush=True)"

    result = training(workplace.job(f"import os\n{prints}\n{end}", instance_count=1)).wait()

    lines = result.host("algo-1").log.lines
    assert lines[:LINES] == [str(number) for number in range(1, LINES + 1)]
    times = (result.folder / "logs/algo-1.times").read_text().splitlines()
    assert len(times) == len(lines)
    assert sum("algo-1 │ " in line for line in capsys.readouterr().err.splitlines()) == len(lines)


TELLS = """
import os, signal, sys, time

def end(*_):
    print("loss nan", flush=True)
    sys.exit()

signal.signal(signal.SIGTERM, end)
os.write(1, b"loss 0.5 \\xff\\r\\n")
os.write(2, b"on the other stream\\n")
os.write(1, b"x" * 40_000 + b"\\n")
print("printed at", time.time(), flush=True)
time.sleep(600)
"""


def test_a_host_is_followed_from_another_shell_until_its_job_is_over(training: Training, workplace: Workplace) -> None:
    metric = 'metric_definitions = [{ Name = "loss", Regex = "loss ([0-9a-z.]+)" }]\n'
    job = training(workplace.job(TELLS, table=metric))
    with subprocess.Popen(
        [HARNESS, "logs", "algo-2", "--follow"], cwd=workplace.folder, stdout=subprocess.PIPE
    ) as following:
        assert following.stdout
        said = b""
        while b"printed at" not in said:  # while the job runs: nothing else ends it
            line = following.stdout.readline()
            assert line, said
            said += line
        while len(series(job.folder)) < 2:  # hosts
            time.sleep(0.05)
        job.stop()
        said += following.stdout.read()
    result = job.wait()

    assert result.stopped, result
    assert following.returncode == 0
    assert said == (result.folder / "logs/algo-2.log").read_bytes()
    assert b"loss 0.5 \xff\r\n" in said
    assert b"x" * 40_000 + b"\n" in said
    assert b"on the other stream\n" in said
    assert said.endswith(b"loss nan\n")
    moment = next(line for line in timed(workplace.folder) if b"printed at" in line)
    stamp, printed = moment.split(b" ", 1)[0].decode(), float(moment.split()[-1])
    assert abs(datetime.fromisoformat(stamp[:26] + "+00:00").timestamp() - printed) < 10
    assert sorted(series(result.folder)) == [("0.5", f"algo-{n}") for n in (1, 2)] + [
        ("nan", f"algo-{n}") for n in (1, 2)
    ]
    assert result.metrics["loss"] == 0.5


def timed(folder: Path) -> list[bytes]:
    argv = [HARNESS, "logs", "algo-2", "--timestamps"]
    return subprocess.run(argv, cwd=folder, capture_output=True, check=True).stdout.splitlines()


def series(folder: Path) -> list[tuple[str, str]]:
    rows = (folder / "metrics.csv").read_text().splitlines()[1:]
    return [(row.split(",")[2], row.split(",")[3]) for row in rows]
