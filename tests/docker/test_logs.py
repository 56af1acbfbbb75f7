"""What hosts print is kept to the last line, with its time, and can be followed from another shell."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.docker.conftest import HARNESS, Workplace

LINES = 100_000
ENDS = {
    "it leaves without cleaning up": "os._exit(7)",
    "it is killed": "os.kill(os.getpid(), 9)",
    "it becomes a program that writes faster than anybody reads": "os.execvp('seq', ['seq', '100000'])",
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_hundred_thousand_lines_and_a_sudden_end_lose_nothing(workplace: Workplace, end: str) -> None:
    prints = "" if "seq" in end else f"print(*range(1, {LINES + 1}), sep=chr(10), flush=True)"

    ran = workplace.harness("train", str(workplace.job(f"import os\n{prints}\n{end}", instance_count=1)))

    assert workplace.log("algo-1").split()[:LINES] == [str(number) for number in range(1, LINES + 1)], ran
    times = (workplace.folder / "runs/latest/logs/algo-1.times").read_text().splitlines()
    assert len(times) == len(workplace.log("algo-1").splitlines())
    assert sum("algo-1 │ " in line for line in ran.stderr.splitlines()) == len(times)


WAITS = """
import os, pathlib, sys, time
os.write(1, b"loss 0.5 \\xff\\r\\n")
os.write(2, b"on the other stream\\n")
os.write(1, b"x" * 40_000 + b"\\n")
print("printed at", time.time())
time.sleep(3)
print("loss nan")
"""


@pytest.fixture
def training(workplace: Workplace) -> Iterator[subprocess.Popen[bytes]]:
    """A job under way, of a script that prints, waits for a while, and prints."""
    metric = 'metric_definitions = [{ Name = "loss", Regex = "loss ([0-9a-z.]+)" }]\n'
    with subprocess.Popen(
        [HARNESS, "train", str(workplace.job(WAITS, table=metric))], cwd=workplace.folder, stderr=subprocess.DEVNULL
    ) as process:
        yield process
        process.terminate()


def test_a_host_is_followed_from_another_shell_until_its_job_is_over(
    workplace: Workplace, training: subprocess.Popen[bytes]
) -> None:
    while not (workplace.folder / "runs/latest/request.json").exists():
        assert training.poll() is None
    with subprocess.Popen(
        [HARNESS, "logs", "algo-2", "--follow"], cwd=workplace.folder, stdout=subprocess.PIPE
    ) as following:
        assert following.stdout
        first = following.stdout.readline()
        assert training.poll() is None
        rest = following.stdout.read()
    assert training.wait() == 0
    assert following.returncode == 0

    said = first + rest
    assert said == (workplace.folder / "runs/latest/logs/algo-2.log").read_bytes()
    assert b"loss 0.5 \xff\r\n" in said
    assert b"x" * 40_000 + b"\n" in said
    assert b"on the other stream\n" in said
    moment = next(line for line in timed(workplace.folder) if b"printed at" in line)
    stamp, printed = moment.split(b" ", 1)[0].decode(), float(moment.split()[-1])
    assert abs(datetime.fromisoformat(stamp[:26] + "+00:00").timestamp() - printed) < 2
    assert sorted(series(workplace.folder)) == [("0.5", f"algo-{n}") for n in (1, 2)] + [
        ("nan", f"algo-{n}") for n in (1, 2)
    ]
    assert workplace.describe()["FinalMetricDataList"][0]["Value"] == 0.5


def timed(folder: Path) -> list[bytes]:
    argv = [HARNESS, "logs", "algo-2", "--timestamps"]
    return subprocess.run(argv, cwd=folder, capture_output=True, check=True).stdout.splitlines()


def series(folder: Path) -> list[tuple[str, str]]:
    rows = (folder / "runs/latest/metrics.csv").read_text().splitlines()[1:]
    return [(row.split(",")[2], row.split(",")[3]) for row in rows]
