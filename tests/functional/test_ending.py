"""What a host says of a script that failed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.image.programs.ending import failure, see_through
from harness.image.programs.script import Script


def failed(folder: Path, *lines: str, code: int = 1) -> Script:
    """A script that printed ``lines`` and ended with ``code``."""
    program = f"import sys; sys.stderr.write({chr(10).join(lines)!r}); raise SystemExit({code})"
    script = Script([sys.executable, "-c", program], dict(os.environ), str(folder))
    assert script.wait() == code
    return script


def test_the_exit_code_is_that_of_the_rank_where_the_launcher_tells_it(tmp_path: Path) -> None:
    script = failed(tmp_path, "[3]<stderr>:no labels", "Process name: 3", "Exit code: 7")

    text = failure(script, 1, ["algo-2", "algo-1"], per_host=2)

    assert text.startswith(
        'ExecuteUserScriptError:\nExitCode 7\nErrorMessage "no labels"\nExtraInfo "rank 3 on algo-1\n'
    )


def test_a_rank_of_which_ssh_knows_nothing_may_have_been_killed(tmp_path: Path) -> None:
    script = failed(tmp_path, "Process name: 1", "Exit code: 255")

    assert "rank 1 on algo-2\nkilled, perhaps for lack of memory, or cut off" in failure(
        script, 1, ["algo-1", "algo-2"], 1
    )


def test_a_script_alone_names_no_rank(tmp_path: Path) -> None:
    assert "ExtraInfo" not in failure(failed(tmp_path, "no labels", code=3), 3, ["algo-1"], 1)


class Peers:
    """Other hosts, of which nothing is heard: once they are watched, a file says so."""

    def __init__(self, watched: Path) -> None:
        self.watched = watched

    def watch(self, _: Callable[[str], None]) -> None:
        self.watched.touch()


TOLD = """
import os, signal, time
while not os.path.exists("watched"):
    time.sleep(0.01)
os.kill(os.getppid(), signal.SIGTERM)
signal.pause()
"""


@pytest.mark.parametrize(("program", "code"), [("", 0), (TOLD, 143)], ids=["ends", "is told"])
def test_a_script_that_ends_well_or_is_told_to_end_leaves_no_failure(tmp_path: Path, program: str, code: int) -> None:
    script = Script([sys.executable, "-c", program], dict(os.environ), str(tmp_path))

    assert see_through(script, ["algo-1"], peers=Peers(tmp_path / "watched")) == code
