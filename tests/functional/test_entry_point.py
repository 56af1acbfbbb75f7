"""What a source directory makes of an entry point: how it is installed and run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.image.programs.entry_point import COMMAND, PACKAGE, PROGRAM, find, install, pip_error
from harness.image.programs.launch import Unsupported
from harness.image.programs.script import Evidence

ARGUMENTS = ["--name", "a b", "", "it's $HOME"]


def source(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return str(folder)


@pytest.mark.parametrize(
    ("names", "entry", "kind"),
    [
        (["train.py"], "train.py", PROGRAM),
        (["deep/er/train.py"], "deep/er/train.py", PROGRAM),
        (["train.py", "setup.py"], "train.py", PACKAGE),
        (["setup.py", "job/__init__.py"], "job", PACKAGE),
        (["train.sh"], "train.sh", COMMAND),
        (["train.sh", "setup.py"], "train.sh", COMMAND),
        (["train"], "train", COMMAND),
    ],
)
def test_the_kind_is_told_by_the_name_and_a_setup_py(tmp_path: Path, names: list[str], entry: str, kind: str) -> None:
    assert find(entry, source(tmp_path, *names)).kind == kind


def test_a_program_is_run_by_python_and_a_package_as_a_module(tmp_path: Path) -> None:
    assert find("train.py", source(tmp_path)).command(ARGUMENTS) == ["python3", "train.py", *ARGUMENTS]

    assert find("train.py", source(tmp_path, "setup.py")).command(ARGUMENTS) == ["python3", "-m", "train", *ARGUMENTS]
    assert find("job", str(tmp_path)).command([]) == ["python3", "-m", "job"]


def test_a_shell_script_is_made_executable_and_gets_its_arguments_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "train.sh").write_text('#!/bin/sh\nfor argument; do echo "<$argument>"; done\n')
    entry = find("train.sh", str(tmp_path))

    install(entry, str(tmp_path))

    assert entry.command(ARGUMENTS)[:2] == ["/bin/sh", "-c"]
    ran = subprocess.run(entry.command(ARGUMENTS), cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [f"<{argument}>" for argument in ARGUMENTS]


@pytest.mark.parametrize(
    ("names", "entry", "command"),
    [
        (["train.py"], "train.py", None),
        (["train.py", "requirements.txt"], "train.py", "install -r requirements.txt"),
        (["train.sh", "requirements.txt"], "train.sh", None),
        (["setup.py"], "job", "install ."),
        (["setup.py", "requirements.txt"], "job", "install . -r requirements.txt"),
    ],
)
def test_what_is_installed_is_what_the_toolkit_installs(
    tmp_path: Path, names: list[str], entry: str, command: str | None
) -> None:
    found = find(entry, source(tmp_path, *names)).install_command()

    assert found == (["python3", "-m", "pip", *command.split()] if command else None)


@pytest.mark.parametrize(
    "name", ["", "/bin/sh", "../x.py", "a/../../x.py", "./x.py", "-c", "a b.py", "x.py;ls", "a//b"]
)
def test_a_name_that_is_no_plain_path_within_the_source_directory_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Unsupported, match="is not a plain path within the source directory"):
        find(name, str(tmp_path))


def test_a_link_out_of_the_source_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "x.py").touch()
    (tmp_path / "code/x.py").symlink_to(tmp_path / "x.py")

    with pytest.raises(Unsupported, match="leads out of the source directory"):
        find("x.py", str(tmp_path / "code"))


def test_a_shell_script_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"entry point 'train\.sh' is not in the source directory"):
        install(find("train.sh", str(tmp_path)), str(tmp_path))


def said(*lines: str) -> str:
    evidence = Evidence()
    for line in lines:
        evidence.read(line)
    return pip_error(evidence)


def test_an_installation_fails_in_pips_own_words() -> None:
    assert said("Looking in links: .", "ERROR: No matching distribution found for x") == (
        "ERROR: No matching distribution found for x"
    )
    assert said("/usr/bin/python3: No module named pip") == "/usr/bin/python3: No module named pip"
    assert said("    Traceback (most recent call last):", "    ValueError: no version", "    [end]", "ERROR: x") == (
        "ValueError: no version"
    )
