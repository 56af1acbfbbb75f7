"""The log of one host on disk: its bytes in HOST.log, and in HOST.times the time of each of its lines."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import IO

from harness.engine_log import TIME_BYTES, Line


class HostLog:
    """Writes both files of ``host`` in ``folder``; a context manager."""

    def __init__(self, folder: Path, host: str) -> None:
        self._log = (folder / f"{host}.log").open("wb")
        self._times = (folder / f"{host}.times").open("wb")

    def write(self, lines: Sequence[Line]) -> None:
        """Append ``lines``, for all to see at once."""
        # Times first: whoever finds a line finds its time.
        for file, data in (
            (self._times, b"".join(line.time + b"\n" for line in lines)),
            (self._log, b"".join(line.data for line in lines)),
        ):
            file.write(data)
            file.flush()

    def __enter__(self) -> HostLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._log.close()
        self._times.close()


class HostLogReader:
    """Reads a log that may still be growing, or not be there yet, each line once, with ``prefix`` before it."""

    def __init__(self, folder: Path, host: str, *, prefix: bytes = b"", timestamps: bool = False) -> None:
        self._log = folder / f"{host}.log"
        self._times = folder / f"{host}.times"
        self._prefix = prefix
        self._timestamps = timestamps
        self._offset = 0
        self._number = 0
        self._inode = 0

    def read(self, *, whole: bool, tail: int | None = None) -> Iterable[bytes]:
        """The lines that are new, or the last ``tail`` of them; the last without its newline only if ``whole``."""
        lines = self._new(whole)
        return lines if tail is None else deque(lines, maxlen=tail)

    def _new(self, whole: bool) -> Iterator[bytes]:
        if not self._log.exists():
            return
        with self._log.open("rb") as log, self._open_times() as times:
            inode = os.fstat(log.fileno()).st_ino
            if inode != self._inode:  # the log of another attempt, after an interruption
                self._inode, self._offset, self._number = inode, 0, 0
            log.seek(self._offset)
            times.seek(self._number * (TIME_BYTES + 1))
            for line in log:
                if not line.endswith(b"\n") and not whole:
                    return
                self._offset += len(line)
                self._number += 1
                time = times.read(TIME_BYTES + 1)[:TIME_BYTES] + b" " if self._timestamps else b""
                end = b"\n" if self._prefix and not line.endswith(b"\n") else b""
                yield self._prefix + time + line + end

    def _open_times(self) -> IO[bytes]:
        return self._times.open("rb") if self._timestamps else BytesIO()
