"""Objects in S3, at AWS or any other endpoint (AWS_ENDPOINT_URL): listed, looked up, read and downloaded once.

Credentials, region and endpoint are those of boto3's usual settings. Downloads go straight to disk and are kept under
the caller's cache, named by bucket, key, ETag and size, so that the same object is never downloaded again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.data_objects import DataObject, relative_keys
from harness.errors import BadInput, DataDownloadFailed, HarnessError

_PARALLEL = 16
_MANIFEST_BYTES = 256 << 20  # far more than a manifest has
_MISSING = ("404", "NoSuchKey", "NotFound")


class S3:
    """One connection for all channels of a job; without a ``client`` one is made."""

    def __init__(self, client: Any = None) -> None:
        with _plain_words("s3", BadInput):
            self._client = client or s3_client()

    def below(self, uri: str) -> tuple[DataObject, ...]:
        """All objects whose key begins with that of ``uri``. Raises `BadInput` where there are none."""
        bucket, prefix = split(uri)
        with _plain_words(uri, BadInput):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            found = {item["Key"]: item for page in pages for item in page.get("Contents", ())}
        keys = relative_keys(prefix, found)
        if not keys:
            # The platform's own words; it refuses the request with them (API reference, CreateTrainingJob).
            raise BadInput(
                f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket '
                f"exists in the selected region ({self._client.meta.region_name}), that objects exist under that S3 "
                f'prefix, and that you have "s3:ListBucket" permissions on bucket "{bucket}".'
            )
        return tuple(
            DataObject(key, found[full]["Size"], f"s3://{bucket}/{full}", etag=found[full]["ETag"])
            for full, key in sorted(keys.items())
        )

    def named(self, uris: Iterable[tuple[str, str]]) -> Iterator[DataObject | str]:
        """Of each (key, URI) its object, or, where there is none, its URI."""

        def look(named: tuple[str, str]) -> DataObject | str:
            key, uri = named
            bucket, full = split(uri)
            with _plain_words(uri, BadInput):
                try:
                    found = self._client.head_object(Bucket=bucket, Key=full)
                except self._client.exceptions.ClientError as error:
                    if error.response["Error"]["Code"] in _MISSING:
                        return uri
                    raise
            return DataObject(key, found["ContentLength"], uri, etag=found["ETag"])

        with ThreadPoolExecutor(_PARALLEL) as pool:
            yield from pool.map(look, uris)

    def text(self, uri: str) -> str:
        """The text of a manifest. Raises `BadInput` where it cannot be read."""
        bucket, key = split(uri)
        with _plain_words(uri, BadInput):
            answer = self._client.get_object(Bucket=bucket, Key=key)
            if answer["ContentLength"] > _MANIFEST_BYTES:
                raise BadInput(f"{uri!r}: {answer['ContentLength']} bytes are too many for a manifest")
            body: bytes = answer["Body"].read()
        try:
            return body.decode()
        except UnicodeDecodeError as error:
            raise BadInput(f"{uri!r}: is no manifest: not UTF-8 text: {error}") from error

    def download(self, objects: Iterable[DataObject], cache: Path) -> list[DataObject]:
        """``objects`` with the files they are in now. Raises `DataDownloadFailed`; what had arrived is kept."""
        from boto3.s3.transfer import TransferConfig
        from s3transfer.manager import TransferManager

        placed = [replace(item, path=_place(item, cache)) for item in objects]
        missing = {item.path: item for item in placed if item.path and not item.path.exists()}
        for path in missing:
            path.parent.mkdir(parents=True, exist_ok=True)
        # Only downloads in parts ask for the very version that was listed; a small object is one part.
        settings = TransferConfig(max_concurrency=_PARALLEL, multipart_threshold=1)
        with TransferManager(self._client, settings) as manager:
            futures = []
            for path, item in missing.items():
                bucket, key = split(item.uri)
                # It writes to a file beside and renames that, and tries again by itself.
                futures.append((item, manager.download(bucket, key, str(path), subscribers=[_known(item)])))
            for item, future in futures:
                with _plain_words(item.uri, DataDownloadFailed):
                    future.result()
        return placed


def s3_client(**options: Any) -> Any:
    """A client for many downloads at once; ``options`` are boto3's, where its usual settings are not meant."""
    import boto3
    from botocore.config import Config

    settings = Config(connect_timeout=10, read_timeout=60, max_pool_connections=2 * _PARALLEL)
    return boto3.session.Session().client("s3", config=settings, **options)


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of an s3:// URI; keys are not encoded in it."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def identity(item: DataObject) -> str:
    """What an object in S3 is known by, without having it: it stands for its content."""
    return hashlib.sha256("\0".join(("s3", item.uri, item.etag, str(item.size))).encode()).hexdigest()


def _place(item: DataObject, cache: Path) -> Path:
    name = identity(item)
    return cache / "s3" / name[:2] / name


def _known(item: DataObject) -> Any:
    """Tells a download what is known from the listing, which saves a request for each object."""
    from s3transfer.subscribers import BaseSubscriber

    class Known(BaseSubscriber):  # type: ignore[misc]  # no types are published for it
        def on_queued(self, future: Any, **_: Any) -> None:
            future.meta.provide_transfer_size(item.size)
            future.meta.provide_object_etag(item.etag)

    return Known()


@contextmanager
def _plain_words(uri: str, kind: type[HarnessError]) -> Iterator[None]:
    """Turns what the SDK raises into one line about ``uri``."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
    from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError, S3ValidationError

    try:
        yield
    except ClientError as error:
        code, said = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        raise kind(f"{uri!r}: {_CODES.get(code) or f'S3 refused: {code}: {said}'}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise kind(
            f"{uri!r}: no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from error
    except (S3DownloadFailedError, S3ValidationError) as error:
        raise kind(f"{uri!r}: the object was replaced while the job was starting; start it again") from error
    except RetriesExceededError as error:
        raise kind(f"{uri!r}: {error.last_exception}") from error
    except (BotoCoreError, Boto3Error, OSError) as error:
        raise kind(f"{uri!r}: {error}") from error


_CODES = {
    "NoSuchBucket": "no such bucket; is the region, or AWS_ENDPOINT_URL, the right one?",
    "NoSuchKey": "no such object",
    "404": "no such object",
    "403": "access denied; the credentials in use may not read it (s3:GetObject, s3:ListBucket)",
    "AccessDenied": "access denied; the credentials in use may not read it (s3:GetObject, s3:ListBucket)",
    "InvalidAccessKeyId": "the AWS access key in use does not exist",
    "SignatureDoesNotMatch": "the AWS secret key in use does not fit its access key",
    "ExpiredToken": "the AWS credentials in use have expired",
    "PermanentRedirect": "the bucket is in another region; set AWS_DEFAULT_REGION to it",
}
