"""Progress in lines, one per activity, each with its duration: ` ✓ building the image (12.3 s)`.

Everything goes to standard error, so that standard output is free for answers. On a terminal the running
step spins and shows its latest detail; elsewhere the detail appears as a line of its own, now and then, so
that a log of a long step is seen to move. Standard library only: harness/bootstrap.py prints with it before
there is an environment, and it costs nothing at start-up.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PLAIN_DETAIL_EVERY = 10.0  # seconds between details where there is no terminal


class Step:
    """One running activity. `detail` says what it is doing at this moment; call it as often as you like."""

    def __init__(self, title: str, printer: Printer, now: Callable[[], float]) -> None:
        self.title = title
        self.ok = True  # set to False where the activity ended badly without raising
        self._printer = printer
        self._now = now
        self._began = self._detailed = now()
        self._over = threading.Event()

    def detail(self, text: str) -> None:
        self._printer.latest = " ".join(text.split())
        if not self._printer.live and self._now() - self._detailed >= PLAIN_DETAIL_EVERY:
            self._detailed = self._now()
            self._printer.line(f"   {self._printer.latest}")

    def _spin(self) -> None:
        frame = 0
        while not self._over.wait(0.1 if frame else 0.0):
            seconds = self._now() - self._began
            self._printer.redraw(f" {SPINNER[frame % len(SPINNER)]} {self.title} ({seconds:.0f} s)")
            frame += 1

    def _end(self, mark: str) -> None:
        self._printer.line(f" {mark} {self.title} ({self._now() - self._began:.1f} s)")


class Printer:
    """Writes whole lines, and on a terminal one last line that is drawn over and over."""

    def __init__(self, stream: TextIO | None, width: Callable[[], int]) -> None:
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty() and os.environ.get("TERM") != "dumb"
        self.latest = ""
        self._width = width

    def line(self, text: str) -> None:
        encoding = self.stream.encoding or "utf-8"
        text = text if _can_encode(text, encoding) else text.translate({0x2713: "ok", 0x2717: "failed", 0x2022: "-"})
        self.stream.write(f"\r\x1b[K{text}\n" if self.live else f"{text}\n")
        self.stream.flush()

    def redraw(self, text: str) -> None:
        shown = f"{text} {self.latest}"[: self._width() - 1]
        self.stream.write(f"\r\x1b[K{shown}")
        self.stream.flush()


class Steps:
    """Prints steps to ``stream`` (standard error unless given)."""

    def __init__(
        self,
        stream: TextIO | None = None,
        now: Callable[[], float] = time.monotonic,
        width: Callable[[], int] = lambda: shutil.get_terminal_size().columns,
    ) -> None:
        self._stream = stream
        self._now = now
        self._width = width

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Time the block and print one line at its end: ✓, or ✗ when an exception leaves it."""
        printer = Printer(self._stream, self._width)
        running = Step(title, printer, self._now)
        spinner = threading.Thread(target=running._spin, daemon=True)
        if printer.live:
            spinner.start()
        mark = "✗"
        try:
            yield running
            mark = "✓" if running.ok else "✗"
        finally:
            running._over.set()
            if printer.live:
                spinner.join()
            running._end(mark)

    def note(self, text: str) -> None:
        """Print one line that is not an activity: something to know, or to do."""
        self.line(f" • {text}")

    def line(self, text: str) -> None:
        """Print a line as it is."""
        Printer(self._stream, self._width).line(text)


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
