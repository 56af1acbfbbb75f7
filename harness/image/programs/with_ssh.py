"""`with-ssh COMMAND...`: becomes COMMAND, on a host that others reach by ssh as soon as it starts sshd.

AWS's images bring keys along, ours has none until a program makes them. A job with an entrypoint of its own passes
`train` by, and may still need ssh: SDK v3's mpi driver starts sshd, connects through paramiko, and writes what remote
ranks are to see into /etc/environment (sagemaker/train/container_drivers, mpi_driver.py and mpi_utils.py).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from harness.image.programs import ssh
from harness.image.programs.warm import become


def main() -> NoReturn:
    ssh.ensure_keys()
    Path("/run/sshd").mkdir(exist_ok=True)
    ssh.link_user_key()
    ssh.read_etc_environment()
    become(sys.argv[1:], os.environ)
