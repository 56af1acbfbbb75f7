"""`harness push`: a real engine pushes to a registry that asks for a password, which ECR's API has named."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import uuid
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from tests.cloud.account import Account, Refusal
from tests.docker.conftest import Ran, Workplace
from tests.docker.registry import Registry

PASSWORD = "a-password-that-nobody-must-see"  # noqa: S105


@pytest.fixture
def account() -> Iterator[Account]:
    with Account() as there:
        yield there


@pytest.fixture
def image(engine: docker.DockerClient) -> Iterator[str]:
    """The name of an image with one file in it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo("hello")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"hello"))
    repository = f"test-push-{uuid.uuid4().hex[:6]}"
    engine.api.import_image_from_data(out.getvalue(), repository=repository, tag="1")
    yield f"{repository}:1"
    # Not `images.list()`: it looks at every image one by one, and others may be removed meanwhile.
    for name in [tag for found in engine.api.images() for tag in found["RepoTags"] or () if repository in tag]:
        engine.images.remove(name)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry("AWS", PASSWORD) as there:
        yield there


def push(workplace: Workplace, account: Account, registry: Registry, *arguments: str, password: str = PASSWORD) -> Ran:
    token = base64.b64encode(f"AWS:{password}".encode()).decode()
    key = {"authorizationToken": token, "proxyEndpoint": registry.url, "expiresAt": 0}
    account.always["GetAuthorizationToken"] = {"authorizationData": [key]}
    return workplace.harness("push", *arguments, env=account.settings)


def test_an_image_is_pushed_into_a_repository_of_its_name(
    workplace: Workplace, account: Account, registry: Registry, image: str
) -> None:
    repository = image.removesuffix(":1")

    pushed = push(workplace, account, registry, image, "--yes")
    again = push(workplace, account, registry, image)

    assert (pushed.exit_code, again.exit_code) == (0, 0), (pushed, again)
    assert pushed.stdout.strip() == f"{registry.url.removeprefix('http://')}/{image}"
    assert f"made the repository {repository!r} in ECR" in pushed.stderr, pushed
    assert 'image_uri = "' in pushed.stderr, pushed
    assert account.operations.count("CreateRepository") == 1
    manifest: dict[str, Any] = json.loads(registry.manifests[repository, "1"])
    assert {layer["digest"] for layer in manifest["layers"]} <= set(registry.blobs)
    assert PASSWORD not in pushed.stdout + pushed.stderr + again.stdout + again.stderr


def test_no_repository_is_made_without_consent(
    workplace: Workplace, account: Account, registry: Registry, image: str
) -> None:
    ran = push(workplace, account, registry, image)

    assert ran.exit_code == 2, ran
    assert "say YES=1 (--yes)" in ran.stderr, ran
    assert "CreateRepository" not in account.operations
    assert registry.manifests == {}


def test_a_registry_that_refuses_is_one_line_without_the_password(
    workplace: Workplace, account: Account, registry: Registry, image: str
) -> None:
    wrong = f"{PASSWORD}-but-wrong"

    ran = push(workplace, account, registry, image, "--yes", password=wrong)

    assert ran.exit_code == 1, ran
    assert ran.stderr.splitlines()[-1].startswith("harness: the image could not be pushed to 127.0.0.1:"), ran
    assert "Traceback" not in ran.stderr, ran
    assert PASSWORD not in ran.stdout + ran.stderr


def test_what_cannot_be_pushed_is_said_before_anything_is_made(
    workplace: Workplace, account: Account, registry: Registry, image: str
) -> None:
    missing = push(workplace, account, registry, "no-such-image:1", "--yes")
    account.wants("GetAuthorizationToken", Refusal("AccessDeniedException", "not authorized"))
    denied = push(workplace, account, registry, image, "--yes")

    assert missing.exit_code == 2, missing
    assert "no image 'no-such-image:1' in the engine" in missing.stderr, missing
    assert denied.exit_code == 1, denied
    assert "these credentials may not do GetAuthorizationToken" in denied.stderr, denied
    assert account.changes == []
