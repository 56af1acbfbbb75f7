from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from harness.errors import BadInput, HarnessError
from harness.image_build import (
    MODULES,
    ContextFile,
    base_command,
    build_arguments,
    build_failure,
    certificates,
    context_tar,
    current_instruction,
    image_tag,
    needs_host_network,
    read_context,
)

CONTEXT = {"image/Dockerfile": ContextFile(False, b"FROM x"), "image/bin/train": ContextFile(True, b"#!")}


def test_the_tag_is_twelve_digits_of_the_content() -> None:
    name, _, digits = image_tag(CONTEXT).partition(":")

    assert name == "harness-pytorch"
    assert len(digits) == 12
    assert image_tag(dict(reversed(CONTEXT.items()))) == f"{name}:{digits}"


@pytest.mark.parametrize(
    "change",
    [
        {"image/Dockerfile": ContextFile(False, b"FROM y")},
        {"image/bin/train": ContextFile(False, b"#!")},
        {"image/new": ContextFile(False, b"")},
    ],
)
def test_the_tag_changes_with_content_mode_and_names(change: dict[str, ContextFile]) -> None:
    assert image_tag({**CONTEXT, **change}) != image_tag(CONTEXT)


def test_the_context_is_the_image_folder_and_the_shared_modules_without_caches(tmp_path: Path) -> None:
    for name in ("image/Dockerfile", "image/a/__pycache__/x.pyc", "image/.swp", *MODULES, "cli.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")

    assert set(read_context(tmp_path)) == {"image/Dockerfile", *MODULES}


def test_the_tar_has_no_times_and_owners_and_keeps_what_is_executable() -> None:
    with tarfile.open(fileobj=io.BytesIO(context_tar(CONTEXT, None))) as tar:
        entries = {entry.name: (entry.mode, entry.mtime, entry.uid) for entry in tar}

    assert entries == {"image/Dockerfile": (0o644, 0, 0), "image/bin/train": (0o755, 0, 0)}


def test_certificates_are_in_the_tar_and_not_in_the_tag(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(b"CERT")

    found = certificates({"SSL_CERT_FILE": str(bundle), "PIP_CERT": str(tmp_path / "missing.pem")})

    assert found == b"CERT"
    with tarfile.open(fileobj=io.BytesIO(context_tar(CONTEXT, found))) as tar:
        assert "ca-bundle.pem" in tar.getnames()


def test_proxies_in_both_spellings_and_the_index_go_into_the_build_and_nothing_else() -> None:
    environ = {"https_proxy": "http://p:1", "NO_PROXY": "x", "PIP_INDEX_URL": "https://i/simple", "SECRET": "s"}

    assert build_arguments({**environ, "http_proxy": ""}) == {k: v for k, v in environ.items() if k != "SECRET"}


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ({"https_proxy": "http://127.0.0.1:3128"}, True),
        ({"HTTP_PROXY": "http://localhost:3128"}, True),
        ({"https_proxy": "http://proxy.example:3128", "no_proxy": "//localhost"}, False),
        ({}, False),
    ],
)
def test_a_proxy_on_loopback_needs_the_network_of_this_machine(arguments: dict[str, str], answer: bool) -> None:
    assert needs_host_network(arguments) is answer


def test_the_current_instruction_is_one_line() -> None:
    assert current_instruction({"stream": "Step 3/9 : RUN a \\\n  && b\n"}) == "Step 3/9 : RUN a \\ && b"
    assert current_instruction({"stream": " ---> 0123\n"}) == ""
    assert current_instruction({"aux": {"ID": "sha256:0"}}) == ""


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text("tar: write error: No space left on device\n")

    failure = build_failure("The command returned a non-zero code: 2", log)

    assert isinstance(failure, BadInput)
    assert str(failure).startswith("the disk is nearly full: docker has run out of space")
    assert "\n" not in str(failure)


def test_any_other_failure_names_the_log_and_shows_its_end(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text("\n".join(f"line {number}" for number in range(40)))

    failure = build_failure("returned a non-zero code: 1", log)

    assert isinstance(failure, HarnessError)
    assert str(log) in str(failure)
    assert str(failure).splitlines()[-1] == "line 39"


def test_the_base_is_made_for_the_architecture_of_the_engine() -> None:
    assert "--architectures=arm64" in base_command("aarch64", Path("base.tar"))
    assert not any(word.startswith("--architectures") for word in base_command("riscv64", Path("base.tar")))
