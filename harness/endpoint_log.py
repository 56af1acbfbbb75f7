"""The end of a model server's log, in the words that tell a user why it ended."""

from __future__ import annotations

import re

# What the image's `serve` prints before the reason why the model cannot be loaded, last in its log.
FAILED = "model-load failed"
LINES = 25
# TorchServe's own layout: '2026-01-31T12:00:00,123 [INFO ] W-9000-model_1.0-stdout MODEL_LOG - ' (log4j2.xml)
_PREFIX = re.compile(r"^\d{4}-\d\d-\d\dT[\d:,.]+ \[\w+ *\] \S+ (\S+) - ")
_TRACEBACK = "Traceback (most recent call last):"
# TorchServe reaches the model folder by a link of its own as well, which is also the model_dir it passes on.
_USERS_CODE = re.compile(r'File "(/opt/ml|/tmp/models/[^/"]+)/model/')


def last_words(log: str) -> str:
    """At most `LINES` lines: the handler's traceback when there is one, else the end of the log.

    TorchServe's prefixes are taken off, and from a traceback the frames before the user's own code.
    """
    lines = log.rstrip().splitlines()
    marked = [number for number, line in enumerate(lines) if line == FAILED]
    if marked:
        # Whatever has a prefix is TorchServe talking at the same time.
        told = [line for line in lines[marked[-1] + 1 :] if not _PREFIX.match(line)]
        return _shorten(_from_users_code(told))
    plain = [_PREFIX.sub("", line) for line in lines]
    tracebacks = [number for number, line in enumerate(plain) if line == _TRACEBACK]
    if tracebacks:
        told = [line for line in plain[tracebacks[-1] :] if line]
        # What pip could not install from requirements.txt, which the traceback after it does not repeat.
        pips = [line for line in plain[: tracebacks[-1]] if line.startswith("ERROR: ")]
        return _shorten([*pips[-3:], *_from_users_code(told[: LINES - 3])])
    return _shorten(plain)


def _from_users_code(lines: list[str]) -> list[str]:
    if lines.count(_TRACEBACK) != 1:
        return lines
    start = lines.index(_TRACEBACK)
    users = [number for number, line in enumerate(lines) if _USERS_CODE.search(line)]
    return lines if not users else [*lines[: start + 1], *lines[users[0] :]]


def _shorten(lines: list[str]) -> str:
    return "\n".join(lines[-LINES:]).strip("\n")
