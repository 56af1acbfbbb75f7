"""What the documents show works: commands, job files and links, the command's own help included."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from benchmarks.__main__ import main as benchmarks
from harness.cli import main
from harness.job_file import parse_job

REPOSITORY = Path(__file__).parents[2]
PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CHANGELOG.md", "docker-compose.yml", "mnist_job/job.toml")),
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
MAKEFILE = (REPOSITORY / "Makefile").read_text()
SECTIONS = {"training", "hosting", "instance_types"}
# What a fragment of a job file leaves out.
REST = {"entry_point": "train.py", "instance_type": "ml.m5.large", "instance_count": 2}
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`((?:harness|make|python -m benchmarks) [^`]+)`(?!`)")
_LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


@dataclass(frozen=True)
class Example:
    """Something that a document shows; its repr is what a failing test is called."""

    page: str
    text: str

    def __repr__(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0].partition(' #')[0].rstrip()}"


def blocks(language: str) -> list[Example]:
    return [
        Example(page.name, body)
        for page in PAGES
        for found, body in _FENCED.findall(page.read_text(encoding="utf-8"))
        if found == language
    ]


def commands(program: str) -> list[Example]:
    """Command lines that begin with ``program``: of console blocks, of running text, and of `harness --help`."""
    shown = [
        Example(block.page, line.removeprefix("$ "))
        for block in blocks("console")
        for line in block.text.splitlines()
        if line.startswith("$ ")
    ]
    for page in PAGES:
        prose = _FENCED.sub("", page.read_text(encoding="utf-8"))
        shown += [Example(page.name, text) for text in _INLINE.findall(prose.replace("\n", " "))]
    for name, command in {"harness": main, **main.commands}.items():
        examples = re.findall(r"^ +(harness .*?)(?: {3,}.*)?$", command.help or "", re.MULTILINE)
        shown += [Example(f"{name} --help", text) for text in examples]
    return [each for each in dict.fromkeys(shown) if each.text.removeprefix(".venv/bin/").startswith(f"{program} ")]


def words(line: str) -> list[str]:
    """The words of a command line, without its comment and where its output goes."""
    found = shlex.split(line, comments=True)
    end = next((index for index, word in enumerate(found) if word in (">", "|", "&&", ";")), len(found))
    return found[:end]


def parse(arguments: list[str]) -> None:
    """Let click take ``arguments`` as those of `harness`. Raises `click.ClickException` for what it would refuse."""
    name, *rest = arguments
    if name == "COMMAND":  # stands for any
        name = next(iter(main.commands))
    if name.startswith("-"):
        main.make_context("harness", arguments)
        return
    command = main.get_command(click.Context(main), name)
    assert command, f"there is no command {name!r}"
    command.make_context(name, rest)


@pytest.mark.parametrize("example", commands("harness"), ids=repr)
def test_a_command_that_is_shown_is_one_that_harness_takes(example: Example) -> None:
    with suppress(click.exceptions.Exit):  # of --help
        parse(words(example.text)[1:])


@pytest.mark.parametrize("example", commands("make"), ids=repr)
def test_a_target_that_is_shown_is_there_and_makes_a_command_that_harness_takes(example: Example) -> None:
    _, *arguments = words(example.text)
    variables = {word.partition("=")[0] for word in arguments if "=" in word}

    done = subprocess.run(
        ["make", "--dry-run", *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 0, done.stderr
    assert variables <= set(re.findall(r"^([A-Z_]+) \?=", MAKEFILE, re.MULTILINE))
    for line in done.stdout.splitlines():
        if line.startswith(".venv/bin/harness "):
            parse(words(line)[1:])


@pytest.mark.parametrize("example", commands("python -m benchmarks"), ids=repr)
def test_benchmarks_that_are_shown_are_there(example: Example) -> None:
    benchmarks.make_context("benchmarks", words(example.text)[3:])


@pytest.mark.parametrize("example", blocks("toml"), ids=repr)
def test_a_job_file_that_is_shown_is_read_without_a_problem(example: Example) -> None:
    shown = tomllib.loads(example.text)
    document = shown if SECTIONS & set(shown) else {"training": shown}

    assert parse_job(document | {"training": REST | document.get("training", {})}, Path("job.toml"))[1] == []


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for target in sorted(set(_LINK.findall(page.read_text(encoding="utf-8")))):
            yield page, target


@pytest.mark.parametrize(
    ("page", "target"), list(links()), ids=lambda each: each if isinstance(each, str) else each.name
)
def test_a_link_leads_somewhere(page: Path, target: str) -> None:
    assert (page.parent / target).exists()


def test_documents_are_read_as_they_are_meant() -> None:
    assert len(commands("harness")) > 5
    assert len(commands("make")) > 5
    assert {Example("README.md", "make local-stop"), Example("README.md", "harness doctor")} <= {
        *commands("make"),
        *commands("harness"),
    }
