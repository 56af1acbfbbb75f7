"""Durations as people write them: 500ms, 5s, 2m, 1.5h, or a bare number of seconds. Pure."""

from __future__ import annotations

import re

from harness.errors import BadInput

_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str, where: str) -> float:
    """Seconds. Raises `BadInput` that begins with ``where``, the option or key the text was given at."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", text.strip())
    if not found:
        raise BadInput(f"{where}: {text!r} is no duration, such as 500ms, 5s or 2m")
    return float(found[1]) * _SECONDS[found[2]]


def format_duration(seconds: float) -> str:
    return f"{seconds:g}s" if seconds >= 1 or seconds == 0 else f"{seconds * 1000:g}ms"
