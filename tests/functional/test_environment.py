from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.bootstrap import newer_python
from harness.environment import bring_up_to_date
from harness.errors import CommandFailed


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "lock.txt").write_text("click==8\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    return tmp_path


def recorder(checkout: Path, failing: str = "nothing") -> tuple[list[str], Callable[..., str]]:
    """Stands in for running programs: makes what `venv` makes and notes what was asked for in a word."""
    done: list[str] = []

    def runner(argv: Sequence[str], **_: object) -> str:
        word = "venv" if "venv" in argv else "lock" if "-r" in argv else "project"
        if word == failing:
            raise CommandFailed(argv, "exit code 1", "no matching distribution")
        if word == "venv":
            (checkout / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
            (checkout / ".venv" / "bin" / "python").touch()
        done.append(word)
        return ""

    return done, runner


def make(checkout: Path, failing: str = "nothing") -> tuple[int, list[str]]:
    done, runner = recorder(checkout, failing)
    return bring_up_to_date(".venv", "lock.txt", checkout, runner), done


def test_it_is_made_once_and_then_left_alone(checkout: Path) -> None:
    assert make(checkout) == (0, ["venv", "lock", "project"])
    assert make(checkout) == (0, [])


def test_a_changed_lock_makes_it_anew(checkout: Path) -> None:
    make(checkout)
    (checkout / "lock.txt").write_text("click==9\n")

    assert make(checkout) == (0, ["venv", "lock", "project"])


def test_a_changed_project_is_only_installed_again(checkout: Path) -> None:
    make(checkout)
    (checkout / "pyproject.toml").write_text("[project]\nname = 'x'\n")

    assert make(checkout) == (0, ["project"])


@pytest.mark.parametrize("failing", ["lock", "project"])
def test_a_half_made_one_is_made_anew(checkout: Path, failing: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(checkout, failing)[0] == 2
    assert "no matching distribution" in capsys.readouterr().err

    assert make(checkout) == (0, ["venv", "lock", "project"])


def test_one_of_packages_alone_has_no_project_in_it_and_outlives_its_changes(checkout: Path) -> None:
    done, runner = recorder(checkout)

    assert bring_up_to_date(".venv", "lock.txt", checkout, runner, project=False) == 0
    (checkout / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert bring_up_to_date(".venv", "lock.txt", checkout, runner, project=False) == 0

    assert done == ["venv", "lock"]


def test_one_whose_python_is_gone_is_made_anew(checkout: Path) -> None:
    make(checkout)
    (checkout / ".venv" / "bin" / "python").unlink()

    assert make(checkout) == (0, ["venv", "lock", "project"])


def test_a_shim_for_a_python_that_is_not_there_is_passed_over() -> None:
    def call(argv: Sequence[str], **_: object) -> int:
        if argv[0] == "missing":
            raise FileNotFoundError
        return 127 if argv[0] == "shim" else 0

    assert newer_python(("missing", "shim", "good"), call) == "good"
    assert newer_python(("missing", "shim"), call) is None


def test_the_bootstrap_is_readable_by_old_pythons() -> None:
    import ast

    source = (Path(__file__).parents[2] / "harness" / "bootstrap.py").read_text()

    ast.parse(source, feature_version=(3, 6))


def test_an_up_to_date_environment_costs_little_and_says_nothing(checkout: Path) -> None:
    make(checkout)
    program = (
        "import pathlib, sys; from harness.environment import bring_up_to_date as b;"
        f"sys.exit(b('.venv', 'lock.txt', pathlib.Path({str(checkout)!r})) + 10 * ('subprocess' in sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
