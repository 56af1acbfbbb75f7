"""docs/testing.md, followed to the letter by somebody new: in an empty folder, with an environment of their own."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]
GUIDE = REPOSITORY / "docs/testing.md"
_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_NAMED = re.compile(r"^# (?P<path>[\w./-]+\.\w+)(?P<added>, added)?\n")


@dataclass(frozen=True)
class Block:
    language: str
    text: str


def blocks() -> list[Block]:
    return [Block(found["language"], found["text"]) for found in _BLOCK.finditer(GUIDE.read_text())]


def write(folder: Path, block: Block) -> None:
    """A block whose first line names a file is that file, or is added to it."""
    named = _NAMED.match(block.text)
    assert named, f"which file is this?\n{block.text}"
    path = folder / named["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text() if named["added"] else ""
    # Data has no comments, so its file goes without the line that names it.
    path.write_text(before + (block.text[named.end() :] if block.language == "text" else block.text))


def run(folder: Path, line: str) -> None:
    """A command, which must succeed, or fail with the words its comment promises."""
    command, _, comment = line.partition("#")
    activate = ". .venv/bin/activate; " if (folder / ".venv").exists() else ""
    done = subprocess.run(
        ["bash", "-c", activate + command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": "", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    said = f"{command}\n{done.stdout}\n{done.stderr}"
    if "fails" in comment:
        promised = re.findall(r'"(.+)"', comment)[0]
        assert done.returncode == 1, said
        assert promised in said
    else:
        assert done.returncode == 0, said


def test_the_guide_ends_with_passing_tests_of_ones_own_job(tmp_path: Path) -> None:
    (tmp_path / "sagemaker-harness").symlink_to(REPOSITORY)

    for block in blocks():
        if block.language == "console":
            for line in block.text.splitlines():
                run(tmp_path, line.removeprefix("$ "))
        elif block.language != "yaml":
            write(tmp_path, block)


def test_the_workflow_of_the_guide_is_one() -> None:
    (workflow,) = (yaml.safe_load(block.text) for block in blocks() if block.language == "yaml")

    commands = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    assert [command.split()[0] for command in commands] == ["pip", "harness", "pytest"]
