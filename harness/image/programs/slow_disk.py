"""`slow_disk PID SPEED`: the host of process PID reads from disks and writes to them SPEED bytes a second; 0 ends that.

Run by a fault beside a host, never by a job, with the processes and the control groups of the engine's machine in view.
The kernel holds back what goes to a disk, and by itself that is little: it keeps files in memory, and writes them long
after the script has gone on (always in the name of nobody, where control groups are of version 1). So the folders that
a script writes to are marked as to be written at once, and what memory has of the channels is forgotten. From then on
it is as with a disk that is slow: what has been read once is in memory, and comes fast.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from harness import contract

_WRITTEN = (contract.MODEL_DIR, contract.OUTPUT_DIR, f"{contract.ML}/checkpoints", "/tmp")  # noqa: S108  the host's
_GROUPS = Path("/run/harness-control-groups")


def main(arguments: list[str]) -> int:
    pid, speed = (int(text) for text in arguments)
    host = Path(f"/proc/{pid}/root")
    version, group = control_group(Path(f"/proc/{pid}/cgroup").read_text())
    _GROUPS.mkdir(parents=True, exist_ok=True)
    kind = ["cgroup", "-o", "blkio"] if version == 1 else ["cgroup2"]
    subprocess.run(["mount", "-t", *kind, "none", str(_GROUPS)], check=True)
    for file, text in limits(version, [path.read_text().strip() for path in disks()], speed):
        (_GROUPS / group / file).write_text(text)
    write_at_once(host, at_once=speed > 0)
    if speed:
        forget(host / contract.DATA_DIR.lstrip("/"))
    return 0


def control_group(text: str) -> tuple[int, str]:
    """The version and the path of the group that limits disks, of what /proc/PID/cgroup says (man 7 cgroups)."""
    groups = {names: path for _, names, path in (line.split(":", 2) for line in text.splitlines())}
    for names, path in groups.items():
        if "blkio" in names.split(","):
            return 1, path.lstrip("/")
    return 2, groups[""].lstrip("/")


def disks() -> Iterator[Path]:
    """The numbers of every disk; those of its parts are not taken."""
    return (path / "dev" for path in Path("/sys/block").iterdir() if int((path / "size").read_text()))


def limits(version: int, numbers: list[str], speed: int) -> Iterator[tuple[str, str]]:
    """Which files of the group hold what; the kernel takes a disk at a time."""
    for number in numbers:
        if version == 1:  # Documentation/admin-guide/cgroup-v1/blkio-controller.rst
            yield "blkio.throttle.read_bps_device", f"{number} {speed}"
            yield "blkio.throttle.write_bps_device", f"{number} {speed}"
        else:  # Documentation/admin-guide/cgroup-v2.rst, io.max
            yield "io.max", f"{number} rbps={speed or 'max'} wbps={speed or 'max'}"


def write_at_once(host: Path, *, at_once: bool) -> None:
    """Mark what is there; what is made in it later has the mark of its folder."""
    folders = [folder for folder in (f"{host}{name}" for name in _WRITTEN) if Path(folder).is_dir()]
    # Its exit code tells of sockets and the like too, which have no marks.
    subprocess.run(["chattr", "-R", "-f", "+S" if at_once else "-S", *folders], check=False)


def forget(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                os.fsync(file.fileno())  # what is not on disk yet cannot be forgotten
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
