"""Where checkpoints are kept: a folder of this machine, or a prefix of an S3 bucket behind any endpoint."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol
from urllib.parse import unquote, urlsplit

from harness.errors import BadInput

_PART = ".harness-part-"  # before the name of a file that is being written


class CheckpointPlace(Protocol):
    """Files by name, relative and with slashes. Errors of any kind are `OSError`."""

    def files(self) -> Iterator[tuple[str, int, float]]:
        """Name, size in bytes and time of the last modification of every file."""

    def read(self, name: str) -> AbstractContextManager[IO[bytes]]: ...

    def write(self, name: str, content: IO[bytes], modified: float) -> None:
        """Make ``content`` the file ``name``, in one move."""

    def delete(self, name: str) -> None: ...


def checkpoint_place(uri: str, s3_client: Any = None) -> CheckpointPlace:
    """The place that an s3:// or file:// URI names; boto3 makes the client, if one is needed, unless there is one.

    Raises `BadInput`.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3" and parts.netloc:
        return S3Place(parts.netloc, parts.path.strip("/"), s3_client)
    if parts.scheme == "file" and parts.path:
        return FolderPlace(Path(unquote(parts.path)))
    raise BadInput(f"training.checkpoint_s3_uri: {uri!r} is neither an s3:// URI nor a folder")


class FolderPlace:
    """A folder, made when the first file is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def files(self) -> Iterator[tuple[str, int, float]]:
        if self._folder.exists() and not self._folder.is_dir():
            raise NotADirectoryError(f"{self._folder} is not a folder")
        for path in sorted(self._folder.rglob("*")):
            if path.name.startswith(_PART) or not path.is_file():
                continue
            try:
                found = path.stat()
            except FileNotFoundError:
                continue  # removed since it was listed
            yield path.relative_to(self._folder).as_posix(), found.st_size, found.st_mtime

    def read(self, name: str) -> AbstractContextManager[IO[bytes]]:
        return (self._folder / name).open("rb")

    def write(self, name: str, content: IO[bytes], modified: float) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(_PART + path.name)
        try:
            with part.open("wb") as target:
                shutil.copyfileobj(content, target, 1 << 20)
            os.utime(part, (modified, modified))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)


class S3Place:
    """All objects whose keys begin with ``prefix`` and a slash; endpoint and credentials are boto3's own business."""

    def __init__(self, bucket: str, prefix: str, client: Any = None) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._made = client

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._prefix.rstrip('/')}"

    def files(self) -> Iterator[tuple[str, int, float]]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        with _AsOSError():
            for page in pages:
                for item in page.get("Contents", ()):
                    name = item["Key"].removeprefix(self._prefix)
                    if _is_file_name(name):
                        yield name, item["Size"], item["LastModified"].timestamp()

    def read(self, name: str) -> AbstractContextManager[IO[bytes]]:
        with _AsOSError():
            return closing(self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"])

    def write(self, name: str, content: IO[bytes], modified: float) -> None:
        del modified  # S3 keeps the time of the upload
        with _AsOSError():
            self._client.upload_fileobj(content, self._bucket, self._prefix + name)

    def delete(self, name: str) -> None:
        with _AsOSError():
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    @property
    def _client(self) -> Any:
        if self._made is None:
            import boto3

            with _AsOSError():
                self._made = boto3.client("s3")
        return self._made


class _AsOSError:
    """What botocore and boto3 raise, as one kind of error."""

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error and type(error).__module__.startswith(("botocore.", "boto3.", "s3transfer.")):
            raise OSError(str(error)) from error


def _is_file_name(name: str) -> bool:
    """Whether an object can be a file on a host: consoles mark empty folders by objects that end in a slash."""
    path = PurePosixPath(name)
    return bool(name) and not name.endswith("/") and not path.is_absolute() and ".." not in path.parts
