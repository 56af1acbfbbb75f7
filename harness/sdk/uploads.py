"""Channels on their way to S3: under a prefix named by their content, uploaded once."""

from __future__ import annotations

from typing import Any

import sagemaker
from botocore.exceptions import ClientError


class Inputs:
    """``uploads`` maps a channel to its {path, files, key}: see harness/cloud_job.py.

    A prefix is complete when the object beside it says so: an upload that was interrupted is not taken for a whole one,
    and is gone on with under the same names. The mark lies outside of the prefix, where no host would see it.
    """

    def __init__(self, session: sagemaker.Session, uploads: dict[str, Any]) -> None:
        self._session = session
        self._uploads = uploads

    def uri(self, channel: str) -> str | None:
        """The s3:// URI of an uploaded channel, None for one that is in S3 as it is."""
        wanted = self._uploads.get(channel)
        return f"s3://{self._session.default_bucket()}/{wanted['key']}/data/" if wanted else None

    def upload(self) -> dict[str, str]:
        """What was done for each channel: 'uploaded' or 'was there'."""
        return {name: self._upload(wanted) for name, wanted in self._uploads.items()}

    def _upload(self, wanted: dict[str, Any]) -> str:
        bucket, mark = self._session.default_bucket(), f"{wanted['key']}/complete"
        s3 = self._session.boto_session.client("s3", region_name=self._session.boto_region_name)
        try:
            s3.head_object(Bucket=bucket, Key=mark)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchKey", "NotFound"):
                raise
        else:
            return "was there"
        self._session.upload_data(wanted["path"], bucket=bucket, key_prefix=f"{wanted['key']}/data")
        s3.put_object(Bucket=bucket, Key=mark, Body=b"")
        return "uploaded"
