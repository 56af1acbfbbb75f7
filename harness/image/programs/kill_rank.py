"""`kill_rank N`: SIGKILL to every process of rank N among those that can be seen; prints how many there were.

Run by a fault in the process namespace of a host, never by a job.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

# Set for each rank by horovodrun over gloo, by mpirun, and by torchrun.
RANK_VARIABLES = ("HOROVOD_RANK", "OMPI_COMM_WORLD_RANK", "RANK")


def main(rank: str) -> int:
    wanted = {f"{name}={rank}".encode() for name in RANK_VARIABLES}
    killed = 0
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and wanted & _environment(process):
            os.kill(int(process.name), signal.SIGKILL)
            killed += 1
    print(killed)
    return 0


def _environment(process: Path) -> set[bytes]:
    try:
        return set((process / "environ").read_bytes().split(b"\0"))
    except OSError:
        return set()  # it has ended, or is a thread of the kernel's


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
