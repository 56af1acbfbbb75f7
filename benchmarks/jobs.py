"""Variants of the MNIST job, as job files in a folder of their own."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
_LOCAL_ONLY = ("instance_type",)


class Jobs:
    """A copy of mnist_job, with the yardstick beside its script, that variants of the job can be made in.

    A copy, as the SDK refuses data below some folders of the system, such as root's home.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "mnist_job"
        shutil.copytree(ROOT / "mnist_job", self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "benchmarks" / "published_mnist.py", self.folder / "code")
        self.mnist_file = self.folder / "job.toml"
        self._mnist: dict[str, Any] = tomllib.loads(self.mnist_file.read_text())["training"]
        self._scripts = folder / "scripts"
        self.one_allreduce = self._script("one_allreduce", (ROOT / "benchmarks" / "one_allreduce.py").read_text())
        self.many_lines = self._script("many_lines", (ROOT / "benchmarks" / "many_lines.py").read_text())
        self.nothing = self._script("nothing", "")

    def variant(self, name: str, **changes: Any) -> Path:
        """A job file with the training table of job.toml under ``changes``; None takes a key away."""
        table = {key: value for key, value in {**self._mnist, **changes}.items() if value is not None}
        path = self.folder / f"{name}.toml"
        path.write_text(toml({"training": table}))
        return path

    def script_file(self, script: Path, **changes: Any) -> Path:
        """A job file of one of our scripts, which needs neither data nor hyperparameters."""
        bare = dict.fromkeys(("hyperparameters", "inputs", "metric_definitions"))
        code = {"entry_point": script.name, "source_dir": str(script.parent)}
        return self.variant(script.stem, **{**bare, **code, **changes})

    def _script(self, name: str, text: str) -> Path:
        path = self._scripts / name / f"{name}.py"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return path

    def for_sdk(self, job_file: Path, **hyperparameters: Any) -> tuple[dict[str, Any], dict[str, Path]]:
        """Arguments of the SDK's PyTorch estimator, and folders of its channels, for the same job."""
        table = tomllib.loads(job_file.read_text())["training"]
        inputs = {channel: self.folder / source for channel, source in table.pop("inputs", {}).items()}
        table = {key: value for key, value in table.items() if key not in _LOCAL_ONLY}
        table["source_dir"] = str(self.folder / table["source_dir"])
        table["hyperparameters"] = {**table.get("hyperparameters", {}), **hyperparameters}
        return table, inputs


def toml(document: Mapping[str, Any]) -> str:
    """One line for each key of the tables of ``document``; inner tables become inline ones."""
    return "".join(
        f"[{name}]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in table.items())
        for name, table in document.items()
    )


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(str(key))} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return json.dumps(value)
