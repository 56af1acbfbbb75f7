"""The image of the hosts: named by the content it is built from, so that it is built when that changes.

It is built through the engine's API from a tar made in memory, which works alike with old builders, with
engines elsewhere, and from inside a container. Nothing of this machine stays in the result: the certificates
of a TLS-intercepting proxy go into the build stage only, and proxy addresses are arguments that the
builder does not keep (Dockerfile reference, "Predefined ARGs").
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import debian, process
from harness.engine import is_local
from harness.errors import BadInput, HarnessError
from harness.image_names import OWN as REPOSITORY
from harness.steps import Step, Steps

if TYPE_CHECKING:
    from docker import DockerClient

BASE = "debian:bookworm-slim"
CONTEXT = Path(__file__).parent
# Modules of the package that the programs in the image share with us.
MODULES = ("__init__.py", "contract.py", "hyperparameters.py")
BUILD_SECONDS = 3600  # without a word from the builder
PULL_SECONDS = 20  # without a word from the registry: a closed network shall fail fast
FREE_BYTES = 8 * 10**9
CERTIFICATES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
PACKAGE_INDEX = ("PIP_INDEX_URL",)


@dataclass(frozen=True)
class ContextFile:
    executable: bool
    content: bytes


def read_context(folder: Path = CONTEXT) -> dict[str, ContextFile]:
    """What the image is made of: path in the context → file. Caches and hidden files are left out."""
    found = sorted(path for path in (folder / "image").rglob("*") if path.is_file() and not _ignored(path))
    found += [folder / name for name in MODULES]
    return {str(path.relative_to(folder)): ContextFile(os.access(path, os.X_OK), path.read_bytes()) for path in found}


def _ignored(path: Path) -> bool:
    return "__pycache__" in path.parts or path.suffix == ".pyc" or path.name.startswith(".")


def image_tag(context: Mapping[str, ContextFile]) -> str:
    """`harness-pytorch:` and 12 hex digits of the context's names, modes and contents."""
    digest = hashlib.sha256()
    for name, file in sorted(context.items()):
        digest.update(f"{name}\0{file.executable}\0{len(file.content)}\0".encode())
        digest.update(file.content)
    return f"{REPOSITORY}:{digest.hexdigest()[:12]}"


def context_tar(context: Mapping[str, ContextFile], certificates: bytes | None) -> bytes:
    """The context as a tar without times and owners, which would spoil the builder's cache."""
    files = dict(context)
    if certificates is not None:
        files["ca-bundle.pem"] = ContextFile(False, certificates)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, file in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755 if file.executable else 0o644
            entry.size = len(file.content)
            tar.addfile(entry, io.BytesIO(file.content))
    return out.getvalue()


def build_arguments(environ: Mapping[str, str]) -> dict[str, str]:
    """Proxies, in both spellings, and the package index of ``environ``, for the build."""
    names = (*PROXIES, *(name.upper() for name in PROXIES), *PACKAGE_INDEX)
    return {name: environ[name] for name in names if environ.get(name)}


def certificates(environ: Mapping[str, str]) -> bytes | None:
    """The CA bundle that this machine's programs were told to use, if any."""
    for name in CERTIFICATES:
        if environ.get(name) and Path(environ[name]).is_file():
            return Path(environ[name]).read_bytes()
    return None


def ensure_image(client: DockerClient, steps: Steps, environ: Mapping[str, str] = os.environ) -> str:
    """The tag of the image of the present sources; builds it, and its base, when the engine has it not.

    Raises `BadInput` when the disk is nearly full or no base image can be had, `HarnessError` with the
    path of the whole log when the build fails.
    """
    context = read_context()
    tag = image_tag(context)
    if not _has(client, tag):
        _refuse_full_disk(client)
        _ensure_base(client, steps)
        with steps.step(f"building the image {tag}") as step:
            _build(client, tag, context_tar(context, certificates(environ)), build_arguments(environ), step)
    image = client.images.get(tag)
    if f"{REPOSITORY}:latest" not in image.tags:
        image.tag(REPOSITORY, "latest")
    return tag


def _has(client: DockerClient, name: str) -> bool:
    from docker.errors import ImageNotFound

    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True


def _refuse_full_disk(client: DockerClient) -> None:
    root = Path(str(client.info().get("DockerRootDir", "")))
    if not is_local(client) or not root.is_dir():
        return  # another machine's disk, or that of the machine around this container
    free = shutil.disk_usage(root).free
    if free < FREE_BYTES:
        raise BadInput(disk_full(f"{free / 1e9:.1f} GB are free in {root}"))


def disk_full(what: str) -> str:
    return (
        f"the disk is nearly full: {what}, building the image needs {FREE_BYTES / 1e9:.0f} GB; "
        "make room, for example with: docker system prune"
    )


def _build(client: DockerClient, tag: str, context: bytes, arguments: dict[str, str], step: Step) -> None:
    log = cache_folder(os.environ) / f"build-{tag.partition(':')[2]}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    messages = client.api.build(
        fileobj=io.BytesIO(context),
        custom_context=True,
        dockerfile="image/Dockerfile",
        tag=tag,
        rm=True,
        forcerm=True,
        buildargs=arguments,
        network_mode="host" if needs_host_network(arguments) else None,
        timeout=BUILD_SECONDS,
        decode=True,
    )
    with log.open("w") as out:
        for message in messages:
            out.write(str(message.get("stream") or message.get("error") or ""))
            if "error" in message:
                out.flush()
                raise build_failure(str(message["error"]), log)
            if text := current_instruction(message):
                step.detail(text)


def current_instruction(message: Mapping[str, Any]) -> str:
    """The `Step 3/12 : RUN …` that a message of the builder announces, on one line; else nothing."""
    text = str(message.get("stream", ""))
    return " ".join(text.split()) if text.startswith("Step ") else ""


def build_failure(error: str, log: Path) -> HarnessError:
    """The builder's error as one of ours: a full disk in one line, the rest with the end of the log."""
    if "no space left on device" in error.lower() or "no space left on device" in log.read_text().lower():
        return BadInput(disk_full("docker has run out of space while building"))
    tail = "\n".join(log.read_text().strip().splitlines()[-15:])
    return HarnessError(f"the image could not be built: {error.strip()}; the whole log is in {log}\n{tail}")


def needs_host_network(arguments: Mapping[str, str]) -> bool:
    """Whether a proxy listens on this machine's loopback, which a build container has not."""
    proxies = (value for name, value in arguments.items() if name.lower() not in ("no_proxy", *PACKAGE_INDEX))
    return any(host in proxy for proxy in proxies for host in ("//127.", "//localhost", "//[::1]"))


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where logs of builds are kept: XDG Base Directory Specification."""
    return Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sagemaker-harness"


def _ensure_base(client: DockerClient, steps: Steps) -> None:
    if _has(client, BASE):
        return
    with steps.step(f"looking for {BASE} in the registry") as step:
        why = _pull(client, step)
    if not why:
        return
    steps.note(f"{BASE} cannot be pulled ({why}); it is made from Debian's packages instead")
    if shutil.which("mmdebstrap") is None:
        if not debian.can_install():
            raise BadInput(
                f"the base image {BASE} is not there and cannot be pulled ({why}); "
                f"run: docker pull {BASE}, or: sudo apt-get install -y mmdebstrap debian-archive-keyring"
            )
        with steps.step("installing mmdebstrap"):
            debian.install(("mmdebstrap", "debian-archive-keyring"))
    with steps.step(f"making {BASE} from Debian's packages"):
        make_base(client, BASE)


def _pull(client: DockerClient, step: Step) -> str:
    """Pull the base image; returns why that was not possible, or nothing."""
    import requests
    from docker.errors import APIError

    repository, _, tag = BASE.partition(":")
    usual, client.api.timeout = client.api.timeout, PULL_SECONDS
    try:
        for message in client.api.pull(repository, tag=tag, stream=True, decode=True):
            if "error" in message:
                return str(message["error"]).strip()
            step.detail(str(message.get("status", "")))
    except APIError as error:
        return str(error.explanation or error)
    except requests.RequestException:
        return f"no answer for {PULL_SECONDS} s"
    finally:
        client.api.timeout = usual
    return ""


def make_base(client: DockerClient, name: str) -> None:
    """Make a minimal Debian image from the package mirrors, as ``name``.

    Raises `CommandFailed` with mmdebstrap's words, or `HarnessError` when the engine refuses the result.
    """
    repository, _, tag = name.partition(":")
    with tempfile.TemporaryDirectory() as folder:
        tar = Path(folder) / "base.tar"
        process.run(base_command(client.info().get("Architecture", ""), tar), seconds=900)
        # Not import_image_from_stream, which announces chunks and then sends none (docker SDK 7.2).
        answer = client.api.import_image_from_file(
            str(tar), repository=repository, tag=tag, changes=['CMD ["bash"]', "LABEL sagemaker-harness.kind=base"]
        )
    if "error" in answer:
        raise HarnessError(f"the engine could not import {name}: {answer.strip()}")


def base_command(architecture: str, tar: Path) -> tuple[str, ...]:
    """mmdebstrap's arguments for a small bookworm of the engine's ``architecture`` (as `uname -m` says)."""
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    excluded = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
    return (
        "mmdebstrap",
        "--variant=minbase",
        "--quiet",
        *([f"--architectures={names[architecture]}"] if architecture in names else []),
        *(f"--dpkgopt=path-exclude={path}" for path in excluded),
        "bookworm",
        str(tar),
    )
