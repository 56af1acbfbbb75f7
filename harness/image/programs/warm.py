"""`warm`: a host that is up before its job is known; once it is told the job, it becomes `train`.

Whoever made it puts two files into `FOLDER` in one tar, `JOB` and then `GO`: an engine unpacks them in their order, so
that the first is complete when the second is seen. An engine gives a file its time last, after its owner (moby,
pkg/archive createTarFile), and fails where it has gone by then: it is let finish. Both are gone before `train` begins,
which finds the environment that a container made for the job would have given it, and nothing of this program but the
keys of its run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from harness.image.programs import ssh

FOLDER = Path("/run")
JOB, GO = "warm-job.json", "warm-go"  # the first is {"environment": {name: value}, "command": [word, ...]}
WITH_KEYS = "--ssh-keys"
_SECOND = 10**9  # nanoseconds
_LOOK_EVERY = 0.01  # seconds; of an idle core this takes 0.3 %


def main(folder: Path = FOLDER) -> NoReturn:
    if WITH_KEYS in sys.argv:
        ssh.ensure_keys()
    job, go = folder / JOB, folder / GO
    while not is_unpacked(go):
        time.sleep(_LOOK_EVERY)
    told = json.loads(job.read_text())
    for path in (go, job):
        path.unlink()
    become(told["command"], {**os.environ, **told["environment"]})


def is_unpacked(path: Path) -> bool:
    """Whether ``path`` is there and its engine has done with it: times in a tar are of whole seconds."""
    try:
        modified = path.stat().st_mtime_ns
    except FileNotFoundError:
        return False
    return modified % _SECOND == 0 or time.time_ns() - modified > _SECOND  # for engines that give it no time


def become(command: list[str], environment: Mapping[str, str]) -> NoReturn:
    """Be ``command`` from here on: the same process, and the same first process of its container."""
    # Python ignores these for itself, and what is ignored stays so in the program that takes its place.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(command[0], command, environment)
