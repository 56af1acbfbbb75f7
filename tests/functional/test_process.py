"""The one door to external commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import process
from harness.errors import CommandFailed


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_output_and_errors_come_back_together_and_input_goes_in() -> None:
    program = "import sys; print(sys.stdin.read().upper(), flush=True); print('err', file=sys.stderr)"

    assert process.run(python(program), seconds=30, stdin="hello") == "HELLO\nerr\n"


def test_without_input_a_command_that_reads_gets_none() -> None:
    assert process.run(python("import sys; print(repr(sys.stdin.read()))"), seconds=30) == "''\n"


def test_a_command_that_fails_keeps_its_words() -> None:
    with pytest.raises(CommandFailed, match="exit code 3") as caught:
        process.run(python("print('my words'); raise SystemExit(3)"), seconds=30)

    assert caught.value.output == "my words\n"
    assert "my words" in str(caught.value)


def test_a_command_that_does_not_exist_is_said_to_be_missing() -> None:
    with pytest.raises(CommandFailed, match="command not found: no-such-command --x"):
        process.run(["no-such-command", "--x"], seconds=30)


def test_a_command_that_takes_too_long_is_ended_and_keeps_what_it_said() -> None:
    before = time.monotonic()

    with pytest.raises(CommandFailed, match=r"no end after 5 s") as caught:
        process.run(python("print('so far', flush=True); import time; time.sleep(60)"), seconds=5)

    assert caught.value.output == "so far\n"
    assert time.monotonic() - before < 30


def test_output_that_is_no_utf_8_is_kept_readable() -> None:
    assert process.run(python("import sys; sys.stdout.buffer.write(b'a\\xff')"), seconds=30) == "a\ufffd"


def test_environment_and_folder_are_what_was_given(tmp_path: Path) -> None:
    program = "import os; print(os.environ.get('A'), os.environ.get('HOME'), os.getcwd())"

    assert process.run(python(program), seconds=30, env={"A": "$x"}, cwd=tmp_path) == f"$x None {tmp_path}\n"


def test_what_a_late_command_has_started_does_not_go_on(tmp_path: Path) -> None:
    sign = tmp_path / "still-alive"
    grandchild = f"import time, pathlib; time.sleep(1.5); pathlib.Path({str(sign)!r}).touch()"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"

    with pytest.raises(CommandFailed, match="no end after"):
        process.run(python(program), seconds=0.5)

    time.sleep(2)
    assert not sign.exists()


INTERRUPTED = """
import sys
from harness import process
process.run([sys.executable, "-c", sys.argv[1]], seconds=300, patience=float(sys.argv[2]))
"""
SLOW = """
import time
from pathlib import Path
Path("begun").touch()
time.sleep({seconds})
Path("done").touch()
"""


def interrupted(folder: Path, *, seconds: float, patience: float, times: int = 1) -> int:
    """The exit code of a process that got Ctrl-C while it waited for a command of so many seconds."""
    argv = [sys.executable, "-c", INTERRUPTED, SLOW.format(seconds=seconds), str(patience)]
    with subprocess.Popen(argv, cwd=folder, stderr=subprocess.DEVNULL) as waiting:
        while not (folder / "begun").exists():
            assert waiting.poll() is None
            time.sleep(0.01)
        for _ in range(times):
            waiting.send_signal(signal.SIGINT)
            time.sleep(0.5)
        return waiting.wait(60)


def test_an_interrupted_command_may_end_what_it_has_begun(tmp_path: Path) -> None:
    assert interrupted(tmp_path, seconds=2, patience=50) == -signal.SIGINT

    assert (tmp_path / "done").exists()


@pytest.mark.parametrize(("patience", "times"), [(0, 1), (0.2, 1), (50, 2)])
def test_an_interrupted_command_is_ended_when_nobody_waits_any_longer(
    tmp_path: Path, patience: float, times: int
) -> None:
    assert interrupted(tmp_path, seconds=3, patience=patience, times=times) == -signal.SIGINT

    time.sleep(4)
    assert not (tmp_path / "done").exists()


OUTLIVED = """
import sys
from pathlib import Path
from harness.process import start_detached
print(start_detached([sys.executable, "-c", "import time; time.sleep(2)"], Path(sys.argv[1])).pid)
"""


def test_a_service_that_outlives_us_is_no_cause_for_a_warning(tmp_path: Path) -> None:
    argv = [sys.executable, "-W", "always", "-c", OUTLIVED, str(tmp_path / "log")]

    ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)

    assert ran.stderr == ""
    os.kill(int(ran.stdout), 0)  # it runs
