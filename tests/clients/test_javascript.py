"""A program of the AWS SDK for JavaScript."""

from __future__ import annotations

import tarfile
import uuid
from pathlib import Path

from tests.clients.conftest import PROGRAMS, Machine
from tests.clients.tools import JAVASCRIPT, node


def archive(path: Path, **files: Path) -> str:
    with tarfile.open(path, "w:gz") as tar:
        for name, file in files.items():
            tar.add(file, name.replace("__", "/") + file.suffix)
    return str(path)


def test_a_job_and_an_endpoint_in_another_language(machine: Machine) -> None:
    found = node()
    assert found, "no Node.js with npm: run python -m tests.clients.tools javascript"
    (machine.folder / "factor").write_text("6")
    code = archive(machine.folder / "code.tar.gz", train=PROGRAMS / "code" / "train.py")
    model = archive(
        machine.folder / "model.tar.gz",
        factor=machine.folder / "factor",
        code__inference=PROGRAMS / "code" / "inference.py",
    )

    ran = machine.exec(
        "node", str(JAVASCRIPT / "program.mjs"), f"js-{uuid.uuid4().hex[:6]}", code, model, bin_folder=found.parent
    )

    assert ran.exit_code == 0, ran
    assert ran.stdout.splitlines() == ["status Completed", "model true", "answer [6.0, 15.0] AllTraffic"], ran
