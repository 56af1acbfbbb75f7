"""The only door to external commands: argv lists, a deadline on every call, output kept on the error."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import CommandFailed


def run(
    argv: Sequence[str],
    *,
    seconds: float,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    patience: float = 0,
) -> str:
    """Run ``argv`` and return its standard output and error, merged.

    Raises `CommandFailed` with that output when the command is missing, exits non-zero or
    takes longer than ``seconds``. Whatever ends the wait, nothing that the command started goes on.
    After Ctrl-C it has ``patience`` seconds to end by itself, and until Ctrl-C is pressed again.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
            cwd=cwd,
            start_new_session=True,  # Ctrl-C is ours to handle; it must not hit the command behind our back
        )
    except FileNotFoundError as error:
        raise CommandFailed(argv, "command not found") from error
    with process:
        try:
            output, _ = process.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired as error:
            _kill_all_of(process)
            raise CommandFailed(argv, f"no end after {seconds:g} s", _text(error.output)) from error
        except BaseException:  # also Ctrl-C
            try:
                process.communicate(timeout=patience)
            except subprocess.TimeoutExpired:
                pass  # it had its time
            finally:
                _kill_all_of(process)
            raise
    if process.returncode != 0:
        raise CommandFailed(argv, f"exit code {process.returncode}", output)
    return output


def _kill_all_of(process: subprocess.Popen[str]) -> None:
    """Kill the command and what it has started: `docker compose` does its work in a child of its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


class Detached(subprocess.Popen[bytes]):
    """A child that outlives us."""

    def __del__(self) -> None:
        """Python would warn of a child that still runs when nobody knows it any more: here that is no mistake."""


def start_detached(argv: Sequence[str], log: Path) -> Detached:
    """Start a service that outlives us: a session of its own, no input, everything it says in ``log``.

    Raises `CommandFailed` when the command is missing.
    """
    with log.open("ab") as output:
        try:
            return Detached(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        except FileNotFoundError as error:
            raise CommandFailed(argv, "command not found") from error


def _text(output: bytes | str | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""
