"""Runs the user's script: echoes what it prints and remembers what it died of."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

# horovodrun tags each line with its rank: [1]<stderr>:text (gloo) or [1,0]<stderr>:text (mpi, job and rank).
_TAG = re.compile(r"^\[(?:\d+,)?(?P<rank>\d+)\]<std(?:out|err)>:")
# Of another rank's death, never its cause (horovod, common/exceptions.py; common/common.h SHUT_DOWN_ERROR).
_CONSEQUENCES = ("HorovodInternalError", "HostsUpdatedInterrupt", "Horovod has been shut down")
# What horovodrun (Process name: 1) and mpirun (Process name: [[48567,1],1]) say of the first process to fail.
_BLAME = re.compile(r"^\s*Process name: (?:\[\[\d+,\d+\],)?(?P<rank>\d+)\]?$")
_KEPT_LINES = 40


@dataclass
class Evidence:
    """What the output of a script says about its failure: per rank, the last traceback and the last lines.

    ``blamed`` is the rank that the launcher itself names as the first to fail.
    """

    tracebacks: dict[int | None, list[str]] = field(default_factory=dict)
    last_lines: defaultdict[int | None, deque[str]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=8))
    )
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=8))  # of all ranks
    blamed: int | None = None
    # A traceback goes on in its own stream only: what the rank prints on the other one may come in between.
    _open: set[tuple[str, int | None]] = field(default_factory=set)

    def read(self, line: str, stream: str = "stderr") -> None:
        tag = _TAG.match(line)
        rank = int(tag["rank"]) if tag else None
        text = (line[tag.end() :] if tag else line).rstrip()
        if text:
            self.recent.append(text)
            self.last_lines[rank].append(text)
        if rank is None and (blame := _BLAME.match(text)):
            self.blamed = int(blame["rank"])
        if text == "Traceback (most recent call last):":
            self.tracebacks[rank] = [text]
            self._open.add((stream, rank))
        elif text and (stream, rank) in self._open:
            self._continue(stream, rank, text)

    def _continue(self, stream: str, rank: int | None, text: str) -> None:
        traceback = self.tracebacks[rank]
        traceback.append(text)
        if len(traceback) > _KEPT_LINES:
            del traceback[1]  # the innermost calls say most
        if not text.startswith(" "):
            self._open.discard((stream, rank))  # the exception's own line ends it

    def cause(self) -> tuple[int | None, list[str]]:
        """Rank and lines of the traceback that explains the failure: a script's own, before the ranks it took along."""
        ranked = {rank: lines for rank, lines in self.tracebacks.items() if rank is not None}
        if not ranked and self.blamed is not None:
            return self.blamed, list(self.last_lines[self.blamed])  # it ended without a traceback
        candidates = list((ranked or self.tracebacks).items())
        for rank, lines in candidates:
            if not any(word in lines[-1] for word in _CONSEQUENCES):
                return rank, lines
        return candidates[0] if candidates else (None, [])

    def error_message(self) -> str:
        """The exception in one line, or the last lines printed where there was no traceback."""
        _, lines = self.cause()
        return lines[-1] if lines else "\n".join(self.recent)


class Script:
    """A running script; its output goes to ours, line by line, and into `evidence`."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: str) -> None:
        self.evidence = Evidence()
        self._process = subprocess.Popen(
            command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        streams = (
            (self._process.stdout, sys.stdout.buffer, "stdout"),
            (self._process.stderr, sys.stderr.buffer, "stderr"),
        )
        self._threads = [
            threading.Thread(target=self._echo, args=(source, target, name), daemon=True)
            for source, target, name in streams
            if source
        ]
        for thread in self._threads:
            thread.start()

    def _echo(self, source: IO[bytes], target: IO[bytes], name: str) -> None:
        with source:
            for line in source:
                target.write(line)
                target.flush()
                self.evidence.read(line.decode(errors="replace"), name)

    def wait(self) -> int:
        """The script's exit code, 128 + signal where a signal ended it; all its output has been echoed by then."""
        code = self._process.wait()
        for thread in self._threads:
            # A grandchild may keep the pipe open for ever; what the script itself wrote is read in no time.
            thread.join(timeout=5)
        return code if code >= 0 else 128 - code

    def signal(self, number: int) -> None:
        """Send ``number`` to the script and everything it started."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return
