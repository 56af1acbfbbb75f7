"""The script's source directory, fetched from where the job says it is, as AWS's toolkit fetches it.

The platform puts no code into a container: the toolkit in it does, with the job's credentials, into a folder that is
empty and no other (sagemaker-training, entry_point.py, files.py download_and_extract).
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from harness import contract
from harness.contract import FrameworkError

_S3 = "s3://"


def fetch(place: str, folder: str = contract.CODE_DIR) -> None:
    """Bring the archive at ``place``, an s3:// URI or a file of this host, into ``folder`` unless that has content.

    Raises `FrameworkError` where it cannot be had, or is no archive.
    """
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    if any(root.iterdir()):
        return
    with tempfile.TemporaryFile() as archive:
        if place.startswith(_S3):
            _download(place, archive)
        elif Path(place).is_file():
            with Path(place).open("rb") as file:
                shutil.copyfileobj(file, archive)
        else:
            return  # as /opt/ml/code itself, where nothing was put: the entry point will be missed
        archive.seek(0)
        extract(archive, place, root)


def extract(archive: IO[bytes], place: str, root: Path) -> None:
    """Unpack a .tar.gz, of which nothing gets outside of ``root``; what would is left out and told."""
    try:
        with tarfile.open(fileobj=archive, mode="r:gz") as tar:
            for member in _harmless(tar, root.resolve()):
                tar.extract(member, root)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FrameworkError(f"the source code {place!r} cannot be unpacked: {error}") from error


def _harmless(tar: tarfile.TarFile, root: Path) -> Iterator[tarfile.TarInfo]:
    """The members of ``tar`` under names that stay inside; this Python has no filters for that yet."""
    for member in tar:
        name = "/".join(part for part in member.name.replace("\\", "/").split("/") if part not in ("", ".", ".."))
        if not name:  # as the root itself, which archives may well name
            continue
        target = (root / name).resolve()
        inside = target.is_relative_to(root)
        if inside and (member.issym() or member.islnk()):
            base = target.parent if member.issym() else root
            inside = (base / member.linkname).resolve().is_relative_to(root)
        if not inside or not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
            print(f"left out of the source code: {member.name!r} is not a file, folder or link within it", flush=True)
            continue
        member.name, member.mode, member.uid, member.gid = name, member.mode & 0o777, 0, 0
        member.uname = member.gname = ""
        yield member


def _download(place: str, target: IO[bytes]) -> None:
    """With the credentials, region and endpoint of the environment, as the toolkit's boto3 does."""
    import botocore.session  # half a second quicker than boto3
    from botocore.exceptions import BotoCoreError, ClientError

    parts = urlsplit(place)
    bucket, key = parts.netloc, parts.path.lstrip("/")
    endpoint = os.environ.get("S3_ENDPOINT_URL")  # toolkit, params.py
    try:
        client: Any = botocore.session.get_session().create_client("s3", endpoint_url=endpoint)
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
        for portion in body.iter_chunks(1 << 20):
            target.write(portion)
    except (BotoCoreError, ClientError) as error:
        raise FrameworkError(f"the source code {place!r} cannot be fetched: {error}") from error
