"""ssh between the hosts of one run: keys made by whichever host comes first, in a volume only they share.

The image's sshd and ssh configuration point at `KEYS`; nothing secret is in the image or leaves the run.
"""

from __future__ import annotations

import subprocess
import time
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


def _wait_for(path: Path) -> None:
    end = time.monotonic() + _SECONDS_FOR_KEYS
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"no ssh keys after {_SECONDS_FOR_KEYS} s: {path} was never written")
        time.sleep(0.02)
