"""How the image's `train` comes by the source directory."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from harness.contract import FrameworkError
from harness.image.programs.source import extract, fetch
from tests.functional.conftest import LocalDoor

REPOSITORY = Path(__file__).parents[2]


def archive(*entries: tarfile.TarInfo | tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for entry in entries:
            info = entry if isinstance(entry, tarfile.TarInfo) else tarfile.TarInfo(entry[0])
            content = b"" if isinstance(entry, tarfile.TarInfo) else entry[1]
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def special(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    return info


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_archive_of_the_sdk_is_unpacked(tmp_path: Path) -> None:
    packed = archive(special("/", tarfile.DIRTYPE), ("train.py", b"print()"), ("lib/model.py", b"x"))
    (tmp_path / "sourcedir.tar.gz").write_bytes(packed)

    fetch(str(tmp_path / "sourcedir.tar.gz"), str(tmp_path / "code"))

    assert content_of(tmp_path / "code") == {"train.py": b"print()", "lib/model.py": b"x"}


def test_code_that_is_there_already_is_kept(tmp_path: Path) -> None:
    (tmp_path / "sourcedir.tar.gz").write_bytes(archive(("train.py", b"new")))
    (tmp_path / "code").mkdir()
    (tmp_path / "code/train.py").write_text("old")

    fetch(str(tmp_path / "sourcedir.tar.gz"), str(tmp_path / "code"))

    assert content_of(tmp_path / "code") == {"train.py": b"old"}


@pytest.mark.parametrize(
    "entries",
    [
        [("../out", b"evil")],
        [("/etc/out", b"evil")],
        [("a/../../out", b"evil")],
        [("..\\out", b"evil")],
        [link("out", "/"), ("out/evil", b"evil")],
        [link("out", "../.."), ("out/evil", b"evil")],
        [link("out", "../outside"), ("out", b"evil")],
        [link("out", "../outside", tarfile.LNKTYPE), ("out", b"evil")],
        [special("out", tarfile.CHRTYPE), special("pipe", tarfile.FIFOTYPE)],
    ],
    ids=["dots", "root", "dots inside", "backslash", "absolute link", "link", "over a link", "hard link", "dev"],
)
def test_nothing_of_an_archive_gets_outside(
    tmp_path: Path, entries: list[tarfile.TarInfo | tuple[str, bytes]], capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "outside").write_text("kept")
    root = tmp_path / "code"
    root.mkdir()

    extract(io.BytesIO(archive(*entries, ("train.py", b"x"))), "s3://b/c", root)

    assert (root / "train.py").read_bytes() == b"x"
    assert (tmp_path / "outside").read_text() == "kept"
    assert {path.name for path in tmp_path.iterdir()} == {"outside", "code"}
    assert all(path.resolve().is_relative_to(root.resolve()) for path in root.rglob("*"))
    assert all(path.is_file() or path.is_dir() for path in root.rglob("*"))
    capfd.readouterr()


def test_a_chain_of_links_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    packed = archive(link("a", "b"), link("b", "../.."), ("a/evil", b"evil"))

    with pytest.raises(FrameworkError, match="cannot be unpacked"):
        extract(io.BytesIO(packed), "s3://b/c", tmp_path / "code")

    assert {path.name for path in tmp_path.iterdir()} == {"code"}


def test_what_is_no_archive_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "sourcedir.tar.gz").write_bytes(b"no archive")

    with pytest.raises(FrameworkError, match=r"the source code '.*sourcedir.tar.gz' cannot be unpacked"):
        fetch(str(tmp_path / "sourcedir.tar.gz"), str(tmp_path / "code"))


def test_code_comes_from_s3_with_what_the_environment_says(tmp_path: Path, local_door: LocalDoor) -> None:
    s3 = local_door.client("s3")
    s3.create_bucket(Bucket="sources", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_object(Bucket="sources", Key="a job/sourcedir.tar.gz", Body=archive(("train.py", b"x" * 3_000_000)))
    program = "import sys; from harness.image.programs.source import fetch; fetch(*sys.argv[1:])"
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-west-2"}

    def run(key: str, folder: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program, f"s3://sources/{key}", str(tmp_path / folder)],
            env={**os.environ, **keys, "AWS_ENDPOINT_URL": local_door.url},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stderr

    assert run("a job/sourcedir.tar.gz", "code") == ""
    missing = run("none", "other")

    assert content_of(tmp_path / "code") == {"train.py": b"x" * 3_000_000}
    assert "FrameworkError: the source code 's3://sources/none' cannot be fetched: " in missing
    assert "NoSuchKey" in missing
