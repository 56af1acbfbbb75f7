"""The door to ECR, AWS's registry of images: repositories, and the keys that an engine pushes with."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from harness.cloud_account import told
from harness.cloud_errors import CloudFailed, Where


@dataclass(frozen=True)
class Registry:
    """``host`` is what names of its images begin with. The password is good for 12 hours, and is shown nowhere."""

    host: str
    user: str
    password: str = field(repr=False)


class Ecr:
    """Every method raises `CloudFailed`, in one line."""

    def __init__(self, region: str) -> None:
        import boto3

        self._where = Where(region)
        with told(self._where):
            self._client = boto3.Session(region_name=region).client("ecr")

    def registry(self) -> Registry:
        """That of the account of these credentials."""
        with told(self._where):
            (given,) = self._client.get_authorization_token()["authorizationData"]
        user, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
        return Registry(urlsplit(given["proxyEndpoint"]).netloc, user, password)

    def has_repository(self, name: str) -> bool:
        try:
            with told(self._where):
                self._client.describe_repositories(repositoryNames=[name])
        except CloudFailed as error:
            if error.error.code == "RepositoryNotFoundException":
                return False
            raise
        return True

    def create_repository(self, name: str) -> None:
        with told(self._where):
            self._client.create_repository(repositoryName=name)
