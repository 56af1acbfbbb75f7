"""The first thing that `make` runs: brings .venv up to date. Any Python 3 must be able to read this file.

So nothing here is newer than Python 3.6, and the work is in harness/environment.py, which is read only once
the Python is known to be new enough. When it is not, a newer one on the PATH takes over.
"""
# ruff: noqa: UP006, UP032, UP035, UP045

import subprocess
import sys
from pathlib import Path
from typing import Callable, Optional, Tuple

OLDEST = (3, 11)
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")


def newer_python(candidates: Tuple[str, ...] = NEWER, call: Callable[..., int] = subprocess.call) -> Optional[str]:
    """The first of ``candidates`` that runs and is new enough: some on the PATH are shims for nothing."""
    check = "import sys; sys.exit(sys.version_info < {!r})".format(OLDEST)
    for name in candidates:
        try:
            if call([name, "-c", check], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0:
                return name
        except OSError:
            continue
    return None


def main(version: Tuple[int, ...] = tuple(sys.version_info[:2])) -> int:
    """Returns the exit code: 0, or 2 with a message on standard error."""
    if version >= OLDEST:
        # Not this folder, where the script is, but the one above it is where the package is found.
        sys.path[0] = str(Path(__file__).resolve().parent.parent)
        from harness.environment import bring_up_to_date

        return bring_up_to_date()
    name = newer_python()
    if name is None:
        msg = "Python 3.11 or newer is needed, this is {}.{}; install one and name it: make PYTHON=python3.12\n"
        sys.stderr.write(msg.format(*version))
        return 2
    return subprocess.call([name, *sys.argv])


if __name__ == "__main__":
    sys.exit(main())
