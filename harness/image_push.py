"""The story of an image on its way to ECR, where training jobs on AWS take theirs from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness.ecr import Ecr, Registry
from harness.errors import BadInput, HarnessError
from harness.image_names import how_to_map, place_in_ecr
from harness.steps import Step, Steps

if TYPE_CHECKING:
    from docker import DockerClient

PLATFORM = "amd64"  # of all of SageMaker's instance types that train (AWS's own images are built for no other)
SILENT_SECONDS = 600  # without a word from the registry


def push(client: DockerClient, image: str, ecr: Ecr, consent: Callable[[str], None], steps: Steps) -> str:
    """Send ``image`` of the engine to ECR, into a repository of its own name; the image_uri that it has there.

    ``consent`` is asked before a repository is made, and raises `BadInput` where nobody agrees. Raises `HarnessError`.
    """
    from docker.errors import ImageNotFound

    try:
        found = client.images.get(image)
    except ImageNotFound:
        raise BadInput(how_to_map(image)) from None
    if found.attrs.get("Architecture") != PLATFORM:
        raise BadInput(
            f"{image!r} is for {found.attrs.get('Architecture')}; SageMaker trains on {PLATFORM}: build it so"
        )
    repository, tag = place_in_ecr(image)
    registry = ecr.registry()
    if not ecr.has_repository(repository):
        size = found.attrs.get("Size", 0) / 1e9
        consent(f"ECR has no repository {repository!r}. Make it? It holds {size:.1f} GB, for some cents a month.")
        ecr.create_repository(repository)
        steps.note(f"made the repository {repository!r} in ECR; aws ecr delete-repository removes it")
    there = f"{registry.host}/{repository}"
    found.tag(there, tag)
    with steps.step(f"pushing {there}:{tag}") as step:
        _push(client, there, tag, registry, step)
    return f"{there}:{tag}"


def _push(client: DockerClient, there: str, tag: str, registry: Registry, step: Step) -> None:
    import requests
    from docker.errors import APIError

    keys = {"username": registry.user, "password": registry.password}
    usual, client.api.timeout = client.api.timeout, SILENT_SECONDS
    try:
        for message in client.api.push(there, tag=tag, auth_config=keys, stream=True, decode=True):
            if "error" in message:
                raise _failed(there, str(message["error"]))
            step.detail(_progress(message))
    except (APIError, requests.RequestException) as error:
        raise _failed(there, str(getattr(error, "explanation", None) or error)) from error
    finally:
        client.api.timeout = usual


def _failed(there: str, why: str) -> HarnessError:
    hint = "allow ecr:InitiateLayerUpload, UploadLayerPart, CompleteLayerUpload and PutImage"
    denied = any(word in why.lower() for word in ("denied", "forbidden", "no basic auth", "not authorized"))
    step = hint if denied else "layers that are there already are not sent again: try again"
    return HarnessError(f"the image could not be pushed to {there}: {' '.join(why.split())}; {step}")


def _progress(message: Mapping[str, Any]) -> str:
    return " ".join(str(message.get(name) or "") for name in ("id", "status", "progress"))
