"""A user's script as the image's `train` runs it: echoed, watched, signalled."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from harness.image.programs.script import Script


def script(program: str, folder: Path, *arguments: str) -> Script:
    return Script([sys.executable, "-u", "-c", program, *arguments], dict(os.environ), str(folder))


@pytest.mark.parametrize(
    ("program", "code"),
    [("", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137), ("raise ValueError", 1)],
)
def test_the_exit_code_is_the_scripts_own_or_tells_the_signal(tmp_path: Path, program: str, code: int) -> None:
    assert script(program, tmp_path).wait() == code


def test_all_it_prints_is_echoed_to_the_stream_it_was_printed_on(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    program = "import sys; [print('out', n) for n in range(5000)]; sys.stderr.buffer.write(b'err \\xff, no end')"

    assert script(program, tmp_path).wait() == 0

    out, err = capfdbinary.readouterr()
    assert out.decode().splitlines() == [f"out {n}" for n in range(5000)]
    assert err == b"err \xff, no end"


def test_what_it_prints_is_echoed_while_it_goes_on_also_without_a_newline(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    waits = "import pathlib, time\nprint('10 %', end='')\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)"
    running = script(waits, tmp_path)

    said = b""
    while not said:
        said = capfdbinary.readouterr().out
        time.sleep(0.01)

    assert said == b"10 %"
    (tmp_path / "go").touch()
    assert running.wait() == 0


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_nothing_is_lost_however_fast_it_prints_and_however_it_dies(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], end: str
) -> None:
    script(f"import os\nfor n in range(100_000): print(n)\n{end}", tmp_path).wait()

    assert capfdbinary.readouterr().out.decode().split() == [str(n) for n in range(100_000)]


def test_the_last_words_are_remembered_also_without_a_newline(tmp_path: Path) -> None:
    running = script("import sys; print(*range(100), sep='\\n'); sys.stdout.write('the end'); sys.exit(1)", tmp_path)

    assert running.wait() == 1
    assert running.evidence.error_message().split("\n")[-2:] == ["99", "the end"]


def test_what_it_died_of_is_remembered(tmp_path: Path) -> None:
    running = script("print('before')\nraise ValueError('no such digit')", tmp_path)

    assert running.wait() == 1
    assert running.evidence.error_message() == "ValueError: no such digit"


def test_arguments_arrive_as_they_are(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script("import sys; print(sys.argv[1:])", tmp_path, "--name", "a b", "", "$HOME", "'").wait()

    assert capfd.readouterr().out == "['--name', 'a b', '', '$HOME', \"'\"]\n"


def test_a_signal_reaches_the_script_and_all_that_it_started(tmp_path: Path) -> None:
    child = "import os, pathlib, time; pathlib.Path('child').write_text(str(os.getpid())); time.sleep(600)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    running = script(program, tmp_path)
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
        time.sleep(0.01)

    running.signal(signal.SIGKILL)

    assert running.wait() == 137
    end = time.monotonic() + 10
    while _is_running(int((tmp_path / "child").read_text())):
        assert time.monotonic() < end
        time.sleep(0.01)
    running.signal(signal.SIGTERM)  # of one that is gone: nothing happens


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
