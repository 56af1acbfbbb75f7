"""`python -m docs.testing_reference`: docs/testing-reference.md, made of the docstrings of what tests use."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from harness import expectations, pytest_plugin
from harness.hosted_model import HostedModel
from harness.idle_hosts import IdleHosts, Ran
from harness.job_contract import HostContract, JobContract
from harness.results import HostResult, JobResult, Log, ModelArchive
from harness.running_job import At, JobsOfTest, RunningJob
from harness.sagemaker_env import SageMakerEnv

PAGE = Path(__file__).with_name("testing-reference.md")
FIXTURES = ("training", "cluster", "endpoint", "sagemaker_env", "contract")
CLASSES = (
    RunningJob,
    At,
    JobResult,
    HostResult,
    Log,
    ModelArchive,
    IdleHosts,
    Ran,
    HostedModel,
    SageMakerEnv,
    JobContract,
    HostContract,
)


def page() -> str:
    """The whole page."""
    lines = [
        "# Reference of fixtures, faults and expectations",
        "",
        "Made from docstrings by `make docs`; [the guide](testing.md) shows how they are used.",
        "",
        "## Fixtures",
        "",
    ]
    for name in FIXTURES:
        lines += [f"### `{name}`", "", _text(getattr(pytest_plugin, name)), ""]
    lines += [f"`training` takes: `{_signature(JobsOfTest.start)}`", ""]
    lines += ["## Expectations", "", "From `harness.expectations`.", "", *_table(_functions())]
    for each in CLASSES:
        lines += ["", f"## `{each.__name__}`", "", _text(each), "", *_table(_members(each))]
    return "\n".join(lines) + "\n"


def _functions() -> Iterator[tuple[str, str]]:
    for name, function in inspect.getmembers(expectations, inspect.isfunction):
        if name.startswith("assert_"):
            yield f"{name}{_signature(function)}", _text(function)


def _members(owner: type) -> Iterator[tuple[str, str]]:
    for name, member in vars(owner).items():
        if name.startswith("_") or name not in {*dir(owner)}:
            continue
        function = getattr(member, "fget", None) or getattr(member, "func", None) or member
        if inspect.isfunction(function) and inspect.getdoc(function):
            called = "" if function is not member else _signature(function)
            yield f"{name}{called}", _text(function)


def _signature(function: object) -> str:
    text = str(inspect.signature(function))  # type: ignore[arg-type]
    return text.replace("self, ", "").replace("(self)", "()").replace("'", "").replace("|", "\\|")


def _text(documented: object) -> str:
    return " ".join((inspect.getdoc(documented) or "").split())


def _table(rows: Iterator[tuple[str, str]]) -> list[str]:
    found = list(rows)
    return (
        ["| | |", "|---|---|", *(f"| `{name}` | {text.replace('|', chr(92) + '|')} |" for name, text in found)]
        if found
        else []
    )


if __name__ == "__main__":
    PAGE.write_text(page())
