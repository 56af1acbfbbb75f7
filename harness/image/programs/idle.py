"""`idle`: a host that waits for you, connected to its peers, ready for a `horovodrun` of your own."""

from __future__ import annotations

import signal
import sys

from harness.image.programs import ssh


def main() -> int:
    ssh.ensure_keys()
    sshd = ssh.start_sshd()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    return sshd.wait()
