"""An entry point that leaves what it was given where the test finds it."""

import json
import os
import sys
from pathlib import Path

seen = {"arguments": sys.argv[1:], "folder": str(Path.cwd()), "variables": dict(os.environ), "path": sys.path}
Path("/tmp/seen.json").write_text(json.dumps(seen))
