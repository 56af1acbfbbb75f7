"""The image's `model-ready [SECONDS]` command: wait until `serve` has loaded the model.

Exit code 0 when it is loaded, 1 when it cannot be, 3 when neither is known in time.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

REPORTS = Path("/run/model-load")


def main() -> int:
    end = time.monotonic() + float(sys.argv[1] if len(sys.argv) > 1 else 480)
    while not (REPORTS / "loaded").exists():
        if (REPORTS / "failed").exists():
            return 1
        if time.monotonic() >= end:
            return 3
        time.sleep(0.02)
    return 0
