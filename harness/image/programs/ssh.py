"""ssh between the hosts of one run: keys made by whichever host comes first, in a volume only they share.

The image's sshd and ssh configuration point at `KEYS`; nothing secret is in the image or leaves the run.
"""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

KEYS = Path("/etc/ssh/harness")
_SECONDS_FOR_KEYS = 30


def ensure_keys(folder: Path = KEYS) -> None:
    """Make the run's key pair and host key, or wait for the host that is making them."""
    ready = folder / "ready"
    try:
        (folder / "making").mkdir(parents=True)
    except FileExistsError:
        _wait_for(ready)
        return
    for name in ("id_ed25519", "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)], check=True)
    (folder / "authorized_keys").write_text((folder / "id_ed25519.pub").read_text())
    (folder / "known_hosts").write_text("algo-* " + (folder / "host_key.pub").read_text())
    ready.touch()


def start_sshd() -> subprocess.Popen[bytes]:
    """sshd in the foreground of a child process, on port 22."""
    Path("/run/sshd").mkdir(exist_ok=True)
    return subprocess.Popen(["/usr/sbin/sshd", "-D"], stdin=subprocess.DEVNULL, start_new_session=True)


def link_user_key(home: Path = Path("/root")) -> None:
    """The toolkit's mpi runner connects through paramiko, which reads no ssh_config but the user's default keys."""
    folder = home / ".ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    key = folder / "id_ed25519"
    if not key.exists():
        key.symlink_to(KEYS / "id_ed25519")


def pass_environment(environment: Mapping[str, str], home: Path = Path("/root")) -> None:
    """Let ranks that are started through ssh on this host see its ``environment``, as far as a line can say it.

    The toolkit appends it to /etc/environment (mpi.py), which sshd reads through PAM only; the image's does without.
    """
    lines = [f"{name}={value}\n" for name, value in environment.items() if "\n" not in value]
    (home / ".ssh" / "environment").write_text("".join(lines))


def read_etc_environment(home: Path = Path("/root")) -> None:
    """Let ranks that are started through ssh on this host see what is in /etc/environment by then, as through PAM."""
    (home / ".ssh" / "environment").symlink_to("/etc/environment")


def note_reachable(hosts: Sequence[str], per_host: int, home: Path = Path("/root")) -> None:
    """Tell `horovodrun` that it can reach all hosts but the first: each has just said so, its sshd is up.

    It would otherwise log in to every one of them first, for half a second. This is its own cache of that check
    (horovod 0.28.1, runner/launch.py and runner/util/cache.py); what it does not recognise, it checks as ever.
    """
    where = ",".join(f"{host}:{per_host}" for host in hosts)
    key = ("_check_all_hosts_ssh_successful", tuple(hosts[1:]), frozenset[object]())
    parameters = hashlib.md5(f"{per_host * len(hosts)} {where} ".encode(), usedforsecurity=False).hexdigest()
    cache = home / ".horovod" / "cache.bin"
    cache.parent.mkdir(exist_ok=True)
    # The time has no zone, as Horovod compares it with one that has none.
    cache.write_bytes(pickle.dumps({"parameters_hash": parameters, key: (datetime.now(), True)}, protocol=0))


def _wait_for(path: Path) -> None:
    end = time.monotonic() + _SECONDS_FOR_KEYS
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"no ssh keys after {_SECONDS_FOR_KEYS} s: {path} was never written")
        time.sleep(0.02)
