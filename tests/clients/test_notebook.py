"""The notebook, cell by cell through `harness exec`: two hosts train, an endpoint answers, and a digit is told.

Only the cell that fetches the data is replaced, as what it would fetch is cut to a size that trains in seconds.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clients.conftest import REPOSITORY, Machine

IMAGES = {"train": 12_000, "t10k": 1_000}
SETTINGS = """
instance_count = 2
instance_type = "ml.p2.xlarge"
hyperparameters = {{"epochs": {epochs}, "backend": "gloo", "lr": 0.05}}
distribution = {distribution}
"""
AS_PUBLISHED, JOINED = None, {"mpi": {"enabled": True}}


@dataclass(frozen=True)
class Digits:
    """A folder as torchvision has MNIST, and the first of its test images: what it shows, and its pixels, 0 to 1."""

    folder: Path
    label: int
    pixels: list[Any]
    epochs: int


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    whole, folder = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("digits")
    prepare = [sys.executable, str(REPOSITORY / "mnist_job/prepare_data.py"), "--root", str(whole)]
    subprocess.run(prepare, check=True, env=dict(os.environ))
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    kept = {}
    for part, number in IMAGES.items():
        for what, dimensions in (("images-idx3-ubyte", 3), ("labels-idx1-ubyte", 1)):
            name = f"{part}-{what}"
            content = (whole / "MNIST" / "raw" / name).read_bytes()
            count, *sizes = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
            count = min(count, number)
            start, length = 4 + 4 * dimensions, count * int(np.prod(sizes, dtype=int))
            header = content[:4] + struct.pack(f">{dimensions}I", count, *sizes)
            kept[name] = content[start : start + length]
            (raw / f"{name}.gz").write_bytes(gzip.compress(header + kept[name], 1))
    first = np.frombuffer(kept["t10k-images-idx3-ubyte"], dtype=np.uint8)[: 28 * 28].reshape(28, 28)
    few = len(kept["train-labels-idx1-ubyte"]) < IMAGES["train"]  # the stand-in's
    return Digits(folder, kept["t10k-labels-idx1-ubyte"][0], [(first / 255).round(2).tolist()], 20 if few else 2)


class Notebook:
    """A copy of the job's folder, in which the notebook is run."""

    def __init__(self, machine: Machine, digits: Digits) -> None:
        self.machine, self.digits = machine, digits
        self.folder = machine.folder
        shutil.copytree(
            REPOSITORY / "mnist_job",
            self.folder,
            ignore=shutil.ignore_patterns("data", "__pycache__"),
            dirs_exist_ok=True,
        )
        shutil.copytree(digits.folder, self.folder / "data")
        self.file = self.folder / "mnist.ipynb"

    def run(self, distribution: object) -> dict[str, str]:
        """What each cell printed, by the cell's name."""
        document = json.loads(self.file.read_text())
        replaced = {
            "data": "",
            "settings": SETTINGS.format(epochs=self.digits.epochs, distribution=distribution),
            # What the page does when the pen is lifted (tests/clients/test_drawing_page.py).
            "draw": f"data = {self.digits.pixels}",
        }
        for cell in document["cells"]:
            if cell["id"] == "draw":
                cell["source"] = "".join(cell["source"]) + f"\n{replaced['draw']}"
            elif cell["id"] in replaced:
                cell["source"] = replaced[cell["id"]]
        self.file.write_text(json.dumps(document))
        ran = self.machine.exec("jupyter", "execute", "--inplace", "--timeout=280", self.file.name)
        assert ran.exit_code == 0, ran
        return {
            cell["id"]: "".join("".join(output.get("text", "")) for output in cell["outputs"])
            for cell in json.loads(self.file.read_text())["cells"]
            if cell["cell_type"] == "code"
        }

    def receipt(self, said: str) -> dict[str, Any]:
        """Of the job whose start the SDK ``said``."""
        found = re.search(r"Creating training-job with name: (\S+)", said)
        assert found, said
        receipt: dict[str, Any] = json.loads((self.machine.state.path / "runs" / found[1] / "receipt.json").read_text())
        return receipt


@pytest.fixture
def notebook(machine: Machine, digits: Digits) -> Notebook:
    return Notebook(machine, digits)


def test_joined_by_mpi_both_hosts_train_one_model_which_tells_the_digit(notebook: Notebook, digits: Digits) -> None:
    said = notebook.run(JOINED)

    assert "Train the MNIST network on all hosts of a job together" in said["script"]
    for rank in (0, 1):
        assert f"Horovod world: rank {rank} of 2 on algo-{rank + 1}" in said["fit"]
    assert said["predict"].strip() == str(digits.label)


def test_as_published_each_host_trains_alone_and_the_receipt_says_so(notebook: Notebook, digits: Digits) -> None:
    said = notebook.run(AS_PUBLISHED)

    for host in ("algo-1", "algo-2"):
        assert f"Horovod world: rank 0 of 1 on {host}" in said["fit"]
    assert said["predict"].strip() == str(digits.label)
    receipt = notebook.receipt(said["fit"])
    assert receipt["Launcher"] == "emulated: every host runs the script alone"
    assert "they are not training together, here or in the cloud" in receipt["Advice"][0]
    assert receipt["ModelFiles"] == {"algo-1": ["model.pth"], "algo-2": ["model.pth"]}
