"""What a job's entry point is, how it is installed, and the command that runs it once.

A package (a source directory with a setup.py) is installed and run as a module, a .py file is run by Python after
its requirements.txt has been installed, anything else is a command (toolkit, _entry_point_type.py, entry_point.py).
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from harness import contract
from harness.image.programs.launch import Unsupported
from harness.image.programs.script import Evidence, Script

PYTHON = "python3"
PACKAGE, PROGRAM, COMMAND = "package", "program", "command"
_PATH = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._+-]*(/[A-Za-z0-9._+-]+)*")  # as the toolkit's (process.py)


class InstallFailed(Exception):
    """pip could not install what the source directory asks for; the text is for the failure file."""


@dataclass(frozen=True)
class EntryPoint:
    """``name`` is the path within the source directory; ``requirements`` whether there is a requirements.txt."""

    kind: str
    name: str
    requirements: bool = False

    def command(self, arguments: list[str]) -> list[str]:
        """One process of it, from /opt/ml/code (toolkit, process.py ProcessRunner)."""
        if self.kind == PACKAGE:
            return [PYTHON, "-m", self.name.removesuffix(".py"), *arguments]
        if self.kind == PROGRAM:
            return [PYTHON, self.name, *arguments]
        return ["/bin/sh", "-c", shlex.join([f"./{self.name}", *arguments])]

    def install_command(self) -> list[str] | None:
        """pip as the toolkit calls it (modules.py), None where there is nothing to install."""
        if self.kind == PACKAGE:
            return [PYTHON, "-m", "pip", "install", ".", *(["-r", "requirements.txt"] if self.requirements else [])]
        if self.kind == PROGRAM and self.requirements:
            return [PYTHON, "-m", "pip", "install", "-r", "requirements.txt"]
        return None


def find(name: str, folder: str = contract.CODE_DIR) -> EntryPoint:
    """The entry point ``name`` of the source directory ``folder``. Raises `Unsupported` for a name outside of it."""
    root = Path(folder).resolve()
    if not _PATH.fullmatch(name) or {".", ".."} & set(name.split("/")):
        raise Unsupported(
            f"entry point {name!r} is not a plain path within the source directory: "
            "use letters, digits and '._+-/' only, as in 'train.py' or 'bin/train.sh'"
        )
    if not (root / name).resolve().is_relative_to(root):
        raise Unsupported(f"entry point {name!r} leads out of the source directory: put the file itself there")
    there = {path.name for path in root.iterdir()}
    if name.endswith(".sh"):
        kind = COMMAND
    elif "setup.py" in there:
        kind = PACKAGE
    else:
        kind = PROGRAM if name.endswith(".py") else COMMAND
    return EntryPoint(kind, name, requirements="requirements.txt" in there)


def install(entry_point: EntryPoint, folder: str = contract.CODE_DIR) -> None:
    """Make ``entry_point`` ready to run. Raises `InstallFailed` in pip's own words, `Unsupported` without the file."""
    if entry_point.kind == COMMAND:
        path = Path(folder, entry_point.name)
        if not path.is_file():
            raise Unsupported(f"entry point {entry_point.name!r} is not in the source directory")
        path.chmod(0o777)
    command = entry_point.install_command()
    if command is None:
        return
    print(f"installing: {shlex.join(command)}", flush=True)
    pip = Script(command, os.environ, folder)
    if code := pip.wait():
        error = "InstallModuleError" if entry_point.kind == PACKAGE else "InstallRequirementsError"
        raise InstallFailed(contract.script_failure(code, pip_error(pip.evidence), shlex.join(command), error=error))


def pip_error(evidence: Evidence) -> str:
    """What pip says went wrong: the exception of a setup.py that raised, else pip's own lines of error."""
    _, traceback = evidence.cause()
    if traceback:
        return traceback[-1]
    return "\n".join(line for line in evidence.recent if line.startswith("ERROR")) or "\n".join(evidence.recent)
