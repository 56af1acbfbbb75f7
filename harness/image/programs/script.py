"""Runs the user's script: echoes what it prints and remembers what it died of."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BufferedReader
from typing import IO

# horovodrun tags each line with its rank: [1]<stderr>:text (gloo) or [1,0]<stderr>:text (mpi, job and rank).
_TAG = re.compile(r"^\[(?:\d+,)?(?P<rank>\d+)\]<std(?:out|err)>:")
_HEAD = "Traceback (most recent call last):"
# Of another rank's death, never its cause (horovod, common/exceptions.py; common/common.h SHUT_DOWN_ERROR), in the
# words of torch's gloo and of its store where there is no Horovod.
_CONSEQUENCES = (
    "HorovodInternalError",
    "HostsUpdatedInterrupt",
    "Horovod has been shut down",
    "gloo/transport/",
    "RuntimeError: Broken pipe",
    "RuntimeError: Connection reset by peer",
    "RuntimeError: Socket Timeout",
    "RendezvousConnectionError",
)
# From here on torchrun speaks, of a rank that has failed: in a traceback of its own, and in a table.
_TORCHRUN = "ERROR:torch.distributed.elastic.multiprocessing.api:failed"
# What horovodrun (Process name: 1), mpirun (Process name: [[48567,1],1]) and torchrun (  rank      : 1 (local_rank: 0))
# say of the first process to fail.
_BLAME = re.compile(
    r"^\s*Process name: (?:\[\[\d+,\d+\],)?(?P<rank>\d+)\]?$|^\s*rank +: (?P<torchrun>\d+) \(local_rank: \d+\)$"
)
_EXIT = re.compile(r"^\s*Exit code: +(?P<code>\d+)$")
# What torchrun and mpirun say of a rank that a signal ended.
_SIGNAL = re.compile(
    r"^\s*traceback : (?P<text>Signal \d+ \(\w+\) received by PID \d+)$"
    r"|^mpirun noticed that process rank (?P<rank>\d+) with PID \d+ on node \S+ (?P<mpirun>exited on signal .*)\.$"
)
_KEPT_LINES = 40
# In lines that say more than that they were the last: those that the patterns above and `Evidence.read` look for.
_SIGNS = (
    *(b"]<std", b"Traceback", b"Process name:", b"Exit code:", b"mpirun noticed"),
    *(b"ERROR:torch.distributed.elastic", b" (local_rank: ", b" received by PID "),
)
_CHUNK = 1 << 20  # what a pipe holds at most without privileges (man 7 pipe)
_GATHERING = 0.005  # seconds; nobody who watches sees so short a delay


@dataclass
class Evidence:
    """What the output of a script says about its failure: per rank, the last traceback and the last lines.

    ``blamed`` is the rank that the launcher itself names as the first to fail, ``exit_code`` how it ended, as far as
    told. Ranks of torchrun do not tag what they print: theirs has the rank None.
    """

    tracebacks: dict[int | None, list[str]] = field(default_factory=dict)
    last_lines: defaultdict[int | None, deque[str]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=8))
    )
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=8))  # of all ranks
    blamed: int | None = None
    exit_code: int | None = None
    _signal: str | None = None
    _torchrun: bool = False
    # A traceback goes on in its own stream only: what the rank prints on the other one may come in between. With it
    # are kept how far it is indented (pip quotes those of others), and the one that it takes the place of.
    _open: dict[tuple[str, int | None], tuple[int, list[str] | None]] = field(default_factory=dict)

    def feed(self, lines: Sequence[bytes], stream: str) -> None:
        """`read` lines that were printed together, but for those of many that it would forget again."""
        chunk = b"\n".join(lines)
        told = self._open or any(sign in chunk for sign in _SIGNS)
        for line in lines if told else _last_words(lines, self.recent.maxlen or 0):
            self.read(line.decode(errors="replace"), stream)

    def read(self, line: str, stream: str = "stderr") -> None:
        tag = _TAG.match(line)
        rank = int(tag["rank"]) if tag else None
        text = (line[tag.end() :] if tag else line).rstrip()
        if rank is None:
            self._read_launcher(text)
        if not text or (self._torchrun and rank is None):
            return
        self.recent.append(text)
        self.last_lines[rank].append(text)
        if text.lstrip() == _HEAD:
            self._open[stream, rank] = (len(text) - len(_HEAD), self.tracebacks.get(rank))
            self.tracebacks[rank] = [_HEAD]
        elif (stream, rank) in self._open:
            self._continue(stream, rank, text)

    def _read_launcher(self, text: str) -> None:
        if text.startswith(_TORCHRUN):
            self._torchrun = True
        elif blame := _BLAME.match(text):
            self.blamed = int(blame["rank"] or blame["torchrun"])
        elif found := _EXIT.match(text):
            self.exit_code = int(found["code"])
        elif found := _SIGNAL.match(text):
            self._signal = found["text"] or found["mpirun"]
            self.blamed = int(found["rank"]) if found["rank"] else self.blamed

    def _continue(self, stream: str, rank: int | None, text: str) -> None:
        indent, before = self._open[stream, rank]
        text = text[indent:] if not text[:indent].strip() else text
        traceback = self.tracebacks[rank]
        traceback.append(text)
        if len(traceback) > _KEPT_LINES:
            del traceback[1]  # the innermost calls say most
        if text.startswith(" "):
            return
        del self._open[stream, rank]  # the exception's own line ends it
        if rank is None and before and _is_consequence(traceback):
            self.tracebacks[rank] = before  # where ranks are not told apart, one of those taken along may come later

    def cause(self) -> tuple[int | None, list[str]]:
        """Rank and lines of what explains the failure: a script's own traceback, before the ranks it took along."""
        if self._signal:
            return self.blamed, [self._signal]
        ranked = {rank: lines for rank, lines in self.tracebacks.items() if rank is not None}
        if not ranked and self._torchrun:
            return self.blamed, self.tracebacks.get(None, [])
        for rank, lines in ranked.items():
            if not _is_consequence(lines):
                return rank, lines
        if self.blamed is not None and self.blamed not in ranked:
            return self.blamed, list(self.last_lines[self.blamed])  # it ended without a traceback
        return next(iter((ranked or self.tracebacks).items()), (None, []))

    def is_consequence(self) -> bool:
        """Whether all that failed here failed because of ranks elsewhere."""
        return _is_consequence(self.cause()[1])

    def error_message(self) -> str:
        """The exception in one line, or the last lines printed where there was no traceback."""
        rank, lines = self.cause()
        if not lines and rank is not None and not self._torchrun:
            return f"rank {rank} ended without a word"  # what there is beside is of the launcher
        return lines[-1] if lines else "\n".join(self.recent)


def _is_consequence(traceback: Sequence[str]) -> bool:
    return any(word in line for line in traceback[-1:] for word in _CONSEQUENCES)


def _last_words(lines: Sequence[bytes], count: int) -> Sequence[bytes]:
    """The end of ``lines`` that has ``count`` lines with words in them, or all of them."""
    words = 0
    for start in range(len(lines) - 1, -1, -1):
        words += bool(lines[start].strip())
        if words == count:
            return lines[start:]
    return lines


class Script:
    """A running script; its output goes to ours, as it comes, and into `evidence`."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: str) -> None:
        self.command = command
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
            if isinstance(source, BufferedReader)
        ]
        for thread in self._threads:
            thread.start()

    def _echo(self, source: BufferedReader, target: IO[bytes], name: str) -> None:
        # Whatever there is at once, and seldom: woken for each line, we would take the core of a script that prints a
        # lot; and with room for what it prints meanwhile it never waits for us.
        with suppress(PermissionError):  # all pipes of a user together have a limit too
            fcntl.fcntl(source, fcntl.F_SETPIPE_SZ, _CHUNK)
        rest = b""
        with source:
            while chunk := source.read1(_CHUNK):
                target.write(chunk)
                target.flush()
                *lines, rest = (rest + chunk).split(b"\n")
                rest = rest[-_CHUNK:]
                if lines:
                    self.evidence.feed(lines, name)
                time.sleep(_GATHERING)
        if rest:
            self.evidence.feed([rest], name)

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
