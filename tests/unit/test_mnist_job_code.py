"""What holds for the job's files as they are: where they run, what they import, and which lines they log."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

JOB = Path(__file__).parents[2] / "mnist_job"
SOURCES = sorted(JOB.glob("*.py")) + sorted((JOB / "code").glob("*.py"))
METRICS = tomllib.loads((JOB / "job.toml").read_text())["training"]["metric_definitions"]

LINES = {
    "train:loss": ("epoch 3: 6400/30000 images, train loss 0.512345", "0.512345"),
    "test:loss": ("epoch 6: test loss 0.0673, test accuracy 97.85 %", "0.0673"),
    "test:accuracy": ("epoch 6: test loss 0.0673, test accuracy 97.85 %", "97.85"),
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_jobs_code_is_valid_for_python_38(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 8))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_jobs_code_imports_nothing_of_the_harness(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]

    assert not [name for name in names if name.split(".")[0] == "harness"]


@pytest.mark.parametrize("tag", ["", "[1,0]<stdout>:", "[0]<stdout>:", "[1,mpirank:0,algo-1]<stdout>:"])
@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric["Name"])
def test_a_metric_is_found_in_its_line_whatever_tag_a_launcher_puts_before(metric: dict[str, str], tag: str) -> None:
    line, value = LINES[metric["Name"]]

    found = re.search(metric["Regex"], tag + line)

    assert found
    assert found[1] == value


def test_no_metric_is_found_in_another_ones_line() -> None:
    others = "epoch 1: trained 30000 images in 4.21 s (7126 images/s per rank)"

    assert not [metric["Name"] for metric in METRICS if re.search(metric["Regex"], others)]
