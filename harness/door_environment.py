"""What a program's environment must say so that all its AWS calls come to the door, and none leaves. Pure.

Names: AWS SDKs and Tools reference, 'Environment variables'; SDK v2, config/config.py.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from harness.describe import REGION

CONFIG, CREDENTIALS, SDK_CONFIG = "aws-config", "aws-credentials", "sagemaker-config.yaml"
# What the files say that the variables point at: nothing of the user's own profiles, and no telemetry.
FILES = {
    CONFIG: f"[default]\nregion = {REGION}\n",
    CREDENTIALS: "",
    SDK_CONFIG: "SchemaVersion: '1.0'\nSageMaker:\n  PythonSDK:\n    Modules:\n      TelemetryOptOut: true\n",
}
# Would lead elsewhere, or to other credentials; AWS_ENDPOINT_URL_<SERVICE> as well.
UNSET = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
)
_OF_ONE_SERVICE = "AWS_ENDPOINT_URL_"
_LOOPBACK = "127.0.0.1"
ALIVE = "/_harness/alive"  # answered by the door itself; no bucket can have this name


@dataclass(frozen=True)
class Door:
    """A door that serves; the keys are made anew for each, and open nothing else."""

    pid: int
    url: str
    access_key_id: str
    secret_access_key: str


@dataclass(frozen=True)
class Keys:
    """What requests are signed with."""

    access_key_id: str
    secret_access_key: str


def variables(door: Door, folder: str, client: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Those to set. ``folder`` holds `FILES`, ``client`` our sitecustomize.py; ``environ`` is what is added to."""
    path = [client, *(part for part in environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != client)]
    direct = [part for part in environ.get("NO_PROXY", environ.get("no_proxy", "")).split(",") if part]
    around_proxies = ",".join(direct if _LOOPBACK in direct else [*direct, _LOOPBACK])
    return {
        "AWS_ENDPOINT_URL": door.url,
        "AWS_ACCESS_KEY_ID": door.access_key_id,
        "AWS_SECRET_ACCESS_KEY": door.secret_access_key,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": f"{folder}/{CONFIG}",
        "AWS_SHARED_CREDENTIALS_FILE": f"{folder}/{CREDENTIALS}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": f"{folder}/{SDK_CONFIG}",
        "SAGEMAKER_HARNESS_URL": door.url,
        "PYTHONPATH": os.pathsep.join(path),
        "NO_PROXY": around_proxies,
        "no_proxy": around_proxies,
    }


def own_client(url: str) -> dict[str, str]:
    """The options of a client of the door in its own process."""
    keys = {"aws_access_key_id": "ASIAHARNESS", "aws_secret_access_key": "of-nobody"}
    return {"endpoint_url": url, "region_name": REGION, **keys}


def host_environment(url: str, keys: Keys) -> dict[str, str]:
    """What leads a training job's hosts to the door at ``url``.

    Toolkits from before AWS_ENDPOINT_URL read S3_ENDPOINT_URL (sagemaker-training, params.py). The platform gives hosts
    an address to ask for credentials at; SDKs would refuse ours, so they are given the credentials themselves.
    """
    return {
        "AWS_ENDPOINT_URL": url,
        "S3_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def servers_own(environ: Mapping[str, str], folder: str) -> dict[str, str]:
    """``environ`` for the door itself, where moto makes clients of botocore's: nothing in it is the user's AWS."""
    kept = {name: value for name, value in environ.items() if not name.startswith("AWS_")}
    files = {"AWS_CONFIG_FILE": f"{folder}/{CONFIG}", "AWS_SHARED_CREDENTIALS_FILE": f"{folder}/{CREDENTIALS}"}
    return {**kept, **files, "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}


def superfluous(environ: Mapping[str, str]) -> list[str]:
    """Those of ``environ`` to take away."""
    return [name for name in environ if name in UNSET or name.startswith(_OF_ONE_SERVICE)]


def program_environment(door: Door, folder: str, client: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a program whose calls come to the door."""
    gone = superfluous(environ)
    kept = {name: value for name, value in environ.items() if name not in gone}
    return kept | variables(door, folder, client, environ)


def shell_lines(door: Door, folder: str, client: str, environ: Mapping[str, str]) -> list[str]:
    """The same for a shell to evaluate."""
    unset = [f"unset {name}" for name in superfluous(environ)]
    return unset + [
        f"export {name}={shlex.quote(value)}" for name, value in variables(door, folder, client, environ).items()
    ]
