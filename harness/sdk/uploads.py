"""Channels on their way to S3: under a prefix named by their content, each object once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sagemaker

_AT_ONCE = 8


class Inputs:
    """``uploads`` maps a channel to its {prefix, name, objects}: see `harness.sdk_order.Upload`."""

    def __init__(self, session: sagemaker.Session, uploads: dict[str, Any]) -> None:
        self._session = session
        self._uploads = uploads

    def uri(self, channel: str) -> str | None:
        """The s3:// URI of an uploaded channel, None for one that is in S3 as it is."""
        wanted = self._uploads.get(channel)
        return f"s3://{self._session.default_bucket()}/{wanted['prefix']}{wanted['name']}" if wanted else None

    def upload(self) -> None:
        """Upload what is not there. The prefix says what its objects hold, so one of the right size is the right one.

        An object is there as a whole or not at all: what was interrupted is gone on with.
        """
        bucket = self._session.default_bucket()
        s3 = self._session.boto_session.client("s3", region_name=self._session.boto_region_name)
        for wanted in self._uploads.values():
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=wanted["prefix"])
            there = {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", ())}
            missing = [
                (path, bucket, wanted["prefix"] + key)
                for key, path, size in wanted["objects"]
                if there.get(wanted["prefix"] + key) != size
            ]
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                for done in [pool.submit(s3.upload_file, *each) for each in missing]:
                    done.result()
