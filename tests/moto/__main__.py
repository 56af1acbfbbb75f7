"""`python -m tests.moto`: fetch moto's source in the locked version, run its tests against the door, and tell.

Exit code 1 when a test fails that `applicability.toml` does not name, or one passes that it does.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import threading
import tomllib
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from pathlib import Path

from harness.describe import ACCOUNT
from harness.door_server import Server
from tests.moto.report import Outcome, page, surprises
from tests.moto.rig import Rig

HERE = Path(__file__).parent
LOCK = HERE.parent / "requirements.txt"
PAGE = HERE.parents[1] / "docs" / "moto-tests.md"
SECONDS = 1200


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.moto")
    parser.add_argument("--write", action="store_true", help="write docs/moto-tests.md")
    parser.add_argument("files", nargs="*", help="files of moto's tests, all that apply by default")
    arguments = parser.parse_args()
    applicability = tomllib.loads((HERE / "applicability.toml").read_text(encoding="utf-8"))
    version, _ = _locked()
    files = arguments.files or [name for each in applicability["files"] for name in each["paths"]]
    with tempfile.TemporaryDirectory(prefix="moto-tests-") as temporary:
        folder = Path(temporary)
        rig = Rig(folder / "rig")
        with Server(rig.handle) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = server.url.removeprefix("http://").replace("127.0.0.1", "localhost")
            source = fetch(folder, address, applicability["substitutions"])
            outcomes = run(folder, source, address, files)
            server.shutdown()
        rig.close()
    wrong = surprises(outcomes, applicability["not_applicable"])
    if arguments.write:
        at = datetime.now(UTC)
        PAGE.write_text(page(outcomes, applicability, f"moto {version}", at), encoding="utf-8")
    counted = {status: sum(each.status == status for each in outcomes) for status in ("passed", "failed", "skipped")}
    print(", ".join(f"{count} {status}" for status, count in counted.items()))
    print("\n".join(wrong))
    return 1 if wrong else 0


def fetch(folder: Path, address: str, substitutions: list[dict[str, str]]) -> Path:
    """moto's source below ``folder``, its tests with what no platform would take replaced."""
    version, requirement = _locked()
    (folder / "moto.txt").write_text(requirement)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    sdist = ("download", "--no-deps", "--no-binary", "moto", "--dest", str(folder), "-r", str(folder / "moto.txt"))
    subprocess.run((*pip, *sdist), check=True, timeout=SECONDS)
    extras = ("install", "--no-deps", "--target", str(folder / "extras"), "-r", str(HERE / "requirements.txt"))
    subprocess.run((*pip, *extras), check=True, timeout=SECONDS)
    with tarfile.open(folder / f"moto-{version}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    source = folder / f"moto-{version}"
    for path in (source / "moto" / "core" / "models.py", *(source / "tests").rglob("*.py")):
        text = changed = path.read_text(encoding="utf-8")
        for each in substitutions:
            changed = re.sub(each["pattern"], functools.partial(_replaced, each["by"], address), changed)
        if changed != text:
            path.write_text(changed, encoding="utf-8")
    return source


def _replaced(by: str, address: str, found: re.Match[str]) -> str:
    """``by`` itself, with ``{door}`` for its address, or what was found in small letters."""
    return found[0].lower() if by == "{lower}" else found.expand(by.replace("{door}", address))


def run(folder: Path, source: Path, address: str, files: list[str]) -> list[Outcome]:
    """The outcomes of the tests in ``files``, against the door at ``address``."""
    report = folder / "report.xml"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(source), str(folder / "extras"))),
        "TEST_SERVER_MODE": "true",
        "TEST_SERVER_MODE_ENDPOINT": f"http://{address}",
        "MOTO_ACCOUNT_ID": ACCOUNT,
        "AWS_ACCESS_KEY_ID": "of-nobody",
        "AWS_SECRET_ACCESS_KEY": "of-nobody",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    own = ("-q", "--tb=short", "-c", os.devnull, "--rootdir", str(source), "-p", "no:cacheprovider")
    pytest = (sys.executable, "-m", "pytest", *own, "-o", "junit_family=xunit1", f"--junitxml={report}", *files)
    subprocess.run(pytest, cwd=source, env=environment, check=False, timeout=SECONDS)
    return [_outcome(case) for case in ElementTree.parse(report).iter("testcase")]  # noqa: S314  written just now


def _locked() -> tuple[str, str]:
    """moto's version, and its lines in the lock of the tests."""
    found = re.search(r"^moto==(\S+)(?: \\\n +--hash=\S+)+", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{LOCK.name} has no moto")
    return found[1], found[0] + "\n"


def _outcome(case: ElementTree.Element) -> Outcome:
    kinds = {child.tag for child in case}
    status = "skipped" if "skipped" in kinds else "failed" if kinds & {"failure", "error"} else "passed"
    module = (case.get("file") or (case.get("classname") or "").replace(".", "/") + ".py").removeprefix("tests/")
    return Outcome(module, (case.get("name") or "").partition("[")[0], status)


if __name__ == "__main__":
    sys.exit(main())
