"""The engine's log of one container, as its API sends it, turned into whole lines with their times. Pure.

An answer is a row of frames (Docker Engine API, 'Attach to a container', stream format): a byte that names the
stream, three zeroes, the length in four bytes, and so many bytes of content. With timestamps each frame is one entry
of the log: its time, a space, and up to 16 KB of a line, as the engine cuts longer ones into several entries.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

TIME_BYTES = 30  # 2026-11-23T04:05:17.283000000Z: RFC 3339 in UTC and nanoseconds, always as long
_HEADER = 8


class Line(NamedTuple):
    """``data`` is what a host printed, up to and with its newline; ``time`` is when it began to, `TIME_BYTES` long.

    Only the last line of a stream may lack its newline.
    """

    time: bytes
    data: bytes

    @property
    def text(self) -> str:
        """Without its end; what is not UTF-8 is replaced."""
        return self.data.removesuffix(b"\n").rstrip(b"\r").decode(errors="replace")

    @property
    def at(self) -> datetime:
        """Its time, to the microsecond."""
        return datetime.fromisoformat(self.time[:26].decode() + "+00:00")


class EngineLog:
    """Puts lines together from the bytes of the API, whatever their portions.

    A line is cut when it is long, and entries of the other stream come in between: each stream has its own.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._entries = 0
        self._last = b""
        self._skip = 0
        self._unfinished: dict[int, Line] = {}

    def feed(self, data: bytes) -> list[Line]:
        """The lines that ``data`` completes, in the order of their ends."""
        buffer = self._buffer + data if self._buffer else data
        lines: list[Line] = []
        start = 0
        while len(buffer) - start >= _HEADER:
            content = start + _HEADER
            end = content + int.from_bytes(buffer[start + 4 : content], "big")
            if end > len(buffer):
                break
            if self._skip:
                self._skip -= 1
            else:
                self._entries += 1
                line = Line(buffer[content : content + TIME_BYTES], buffer[content + TIME_BYTES + 1 : end])
                self._last = buffer[start:end]
                if self._unfinished or not line.data.endswith(b"\n"):
                    self._join(buffer[start], line, lines)
                else:
                    lines.append(line)
            start = end
        self._buffer = buffer[start:]
        return lines

    def _join(self, stream: int, line: Line, lines: list[Line]) -> None:
        begun = self._unfinished.pop(stream, None)
        if begun and begun.time != line.time:
            # All pieces of a line have its time. The log driver `local` (docker 20.10) drops the newline of cut lines.
            lines.append(Line(begun.time, begun.data + b"\n"))
            begun = None
        whole = Line(begun.time, begun.data + line.data) if begun else line
        if whole.data.endswith(b"\n"):
            lines.append(whole)
        else:
            self._unfinished[stream] = whole

    def ends_with(self, entry: bytes) -> bool:
        """Whether ``entry``, the engine's last one of all, has been fed.

        Cut entries have the time of their line: one alike may have come before, so with them it cannot be told.
        """
        return entry == self._last and not self._unfinished

    def again(self) -> None:
        """From now on the log is fed from its beginning once more; what is known of it is passed over."""
        self._skip, self._buffer = self._entries, b""

    def rest(self) -> list[Line]:
        """The lines that never got their newline."""
        return sorted(self._unfinished.values())
