"""Which image of the engine a name in a request stands for. Pure.

AWS's PyTorch images cannot be had without an account, and stand for ours, which holds their toolkits. Any other name
is the engine's own.
"""

from __future__ import annotations

import re

OWN = "harness-pytorch"  # the repository of our image's tags
_AWS = re.compile(r"\d{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/(?P<name>[^:@]+)([:@].+)?")
_PYTORCH = ("pytorch-training", "pytorch-inference")
# Docker's grammar of image references, as far as it keeps a name from being read as something else.
_REFERENCE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._:/\-]*(@sha256:[0-9a-f]{64})?")


def is_reference(image: str) -> bool:
    return _REFERENCE.fullmatch(image) is not None and not re.search(r"\.\.|//", image)


def is_own(image: str) -> bool:
    return image.split(":")[0] == OWN


def is_aws_pytorch(image: str) -> bool:
    """Whether it is one of AWS's PyTorch containers, of whatever account and region."""
    found = _AWS.fullmatch(image)
    return found is not None and found["name"] in _PYTORCH


def place_in_ecr(image: str) -> tuple[str, str]:
    """(repository, tag) that ``image`` has in ECR: its own, without the registry that it may be named after."""
    host, slash, rest = image.partition("/")
    name = rest if slash and ("." in host or ":" in host or host == "localhost") else image
    repository, _, tag = name.partition("@")[0].partition(":")
    return repository, tag or "latest"


def how_to_map(image: str) -> str:
    """What a user can do about ``image`` when the engine does not have it."""
    found = _AWS.fullmatch(image)
    what = f"no image {image!r} in the engine"
    if found:
        return f"{what}: pull it, or give a local image that name: docker tag my-{found['name'].split('/')[-1]} {image}"
    return f"{what}: build or pull it, or name one of docker images; AWS's pytorch images stand for the harness's own"
