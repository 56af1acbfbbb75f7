"""Repacking a model with its inference code, on archives in temporary folders."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.errors import BadInput
from harness.model_archive import check_model_archive, is_empty, repack

Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes = b"weights") -> Member:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info, content


def folder(name: str) -> Member:
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    return info, b""


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def archive(path: Path, *members: Member) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


def contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path, "r:gz") as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    code = tmp_path / "source"
    (code / "lib").mkdir(parents=True)
    (code / "inference.py").write_text("import lib.net\n")
    (code / "lib" / "net.py").write_text("layers = 3\n")
    return code


def test_the_model_stays_at_the_top_and_all_of_the_source_becomes_code(tmp_path: Path, source: Path) -> None:
    model = archive(tmp_path / "model.tar.gz", file("model.pth"), folder("extra"), file("extra/labels.json", b"[]"))

    repack(model, source, "inference.py", tmp_path / "out" / "repacked.tar.gz")

    assert contents(tmp_path / "out" / "repacked.tar.gz") == {
        "code/inference.py": b"import lib.net\n",
        "code/lib/net.py": b"layers = 3\n",
        "model.pth": b"weights",
        "extra/labels.json": b"[]",
    }


def test_an_old_code_folder_is_replaced_not_merged(tmp_path: Path, source: Path) -> None:
    model = archive(tmp_path / "m.tar.gz", file("code/old.py", b""), file("./code/older.py", b""), file("model.pth"))

    repack(model, source, "inference.py", tmp_path / "out.tar.gz")

    assert sorted(contents(tmp_path / "out.tar.gz")) == ["code/inference.py", "code/lib/net.py", "model.pth"]


def test_what_was_repacked_can_be_repacked_again(tmp_path: Path, source: Path) -> None:
    repack(archive(tmp_path / "m.tar.gz", file("model.pth")), source, "inference.py", tmp_path / "once.tar.gz")

    repack(tmp_path / "once.tar.gz", source, "inference.py", tmp_path / "twice.tar.gz")

    assert contents(tmp_path / "twice.tar.gz") == contents(tmp_path / "once.tar.gz")


def test_the_nameless_root_folder_of_the_sdk_is_tolerated(tmp_path: Path, source: Path) -> None:
    model = tmp_path / "sdk.tar.gz"
    top = tmp_path / "unpacked"
    top.mkdir()
    (top / "model.pth").write_bytes(b"weights")
    with tarfile.open(model, "w:gz") as tar:
        tar.add(top, arcname="/")  # SDK v2 utils.py writes it so

    repack(model, source, "inference.py", tmp_path / "out.tar.gz")

    assert contents(tmp_path / "out.tar.gz")["model.pth"] == b"weights"


def test_links_inside_the_archive_are_kept(tmp_path: Path, source: Path) -> None:
    model = archive(
        tmp_path / "m.tar.gz",
        file("a/model.pth"),
        link("a/b/current.pth", "../model.pth"),
        link("latest", "a"),
    )

    repack(model, source, "inference.py", tmp_path / "out.tar.gz")

    with tarfile.open(tmp_path / "out.tar.gz") as tar:
        assert {m.name: m.linkname for m in tar if m.issym()} == {
            "a/b/current.pth": "../model.pth",
            "latest": "a",
        }


@pytest.mark.parametrize(
    "members",
    [
        [file("/etc/passwd")],
        [file("../evil")],
        [file("model/../../evil")],
        [folder("..")],
        [link("out", "/etc")],
        [link("out", "../etc")],
        [link("a/out", "../../etc")],
        [link("out", "../etc/passwd", tarfile.LNKTYPE)],
        [link("in", "."), file("in/evil")],
        [file("a/b"), link("a", ".")],
        [link("a/b/top", "../.."), link("out", "a/b/top/../evil")],
        [link("device", "", tarfile.CHRTYPE)],
        [link("pipe", "", tarfile.FIFOTYPE)],
    ],
    ids=lambda members: " ".join(f"{m.name}->{m.linkname}" for m, _ in members),
)
def test_a_member_that_leads_out_is_refused_by_name_and_leaves_nothing(
    tmp_path: Path, source: Path, members: list[Member]
) -> None:
    model = archive(tmp_path / "m.tar.gz", file("model.pth"), *members)

    with pytest.raises(BadInput) as refused:
        repack(model, source, "inference.py", tmp_path / "out.tar.gz")

    assert str(model) in str(refused.value)
    assert repr(members[-1][0].name) in str(refused.value)
    assert len(refused.value.problems) == 1
    assert "\n" not in refused.value.problems[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.tar.gz", "source"]


PARTS = st.sampled_from(["..", ".", "", "a", "b", "code", "etc"])
PATHS = st.builds("/".join, st.lists(PARTS, min_size=1, max_size=5))
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(entries=st.lists(st.tuples(KINDS, PATHS, PATHS), max_size=6))
@example(entries=[(tarfile.SYMTYPE, "a/b", ".."), (tarfile.SYMTYPE, "b", "a/b/.."), (tarfile.REGTYPE, "b/etc", "")])
def test_whatever_is_accepted_unpacks_inside_its_folder(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[bytes, str, str]]
) -> None:
    tmp_path = tmp_path_factory.mktemp("case")
    members = [file("model.pth")]
    for kind, name, target in entries:
        members.append(file(name) if kind == tarfile.REGTYPE else link(name, target, kind))
    model = archive(tmp_path / "m.tar.gz", *members)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "inference.py").touch()

    try:
        repack(model, tmp_path / "source", "inference.py", tmp_path / "out.tar.gz")
    except BadInput:
        return

    root = tmp_path / "deep" / "er" / "root"
    root.mkdir(parents=True)
    with tarfile.open(tmp_path / "out.tar.gz") as tar:
        tar.extraction_filter = staticmethod(lambda member, _: member)  # Python's own safety net taken away
        for member in tar:
            assert Path(os.path.realpath(root / member.name)).is_relative_to(os.path.realpath(root))
            try:
                tar.extract(member, root)
            except (OSError, KeyError, tarfile.TarError):
                continue  # a link to nothing, a file where a folder is: harmless nonsense
    for path in root.rglob("*"):
        if path.is_symlink() and path.exists():
            assert Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))
    assert sorted(p.name for p in (tmp_path / "deep").rglob("*") if root not in p.parents) == ["er", "root"]


def test_a_missing_archive_is_one_line(tmp_path: Path, source: Path) -> None:
    with pytest.raises(BadInput, match=r"no model archive '.*gone\.tar\.gz'"):
        repack(tmp_path / "gone.tar.gz", source, "inference.py", tmp_path / "out.tar.gz")


def test_an_archive_without_a_model_is_refused(tmp_path: Path, source: Path) -> None:
    model = archive(tmp_path / "m.tar.gz", folder("code"), file("code/inference.py", b""), folder("empty"))

    with pytest.raises(BadInput, match="has no model"):
        repack(model, source, "inference.py", tmp_path / "out.tar.gz")
    with pytest.raises(BadInput, match="has no model"):
        check_model_archive(model)


@pytest.mark.parametrize("damage", ["text", "plain tar", "cut", "flipped", "empty"])
def test_a_damaged_archive_is_refused(tmp_path: Path, source: Path, damage: str) -> None:
    whole = archive(tmp_path / "m.tar.gz", file("model.pth", bytes(range(256)) * 400)).read_bytes()
    flipped = bytearray(whole)
    flipped[-6] ^= 1  # the check sum
    broken = {
        "text": b"not an archive",
        "plain tar": gzip.decompress(whole),
        "cut": whole[: len(whole) // 2],
        "flipped": bytes(flipped),
        "empty": b"",
    }[damage]
    (tmp_path / "m.tar.gz").write_bytes(broken)

    with pytest.raises(BadInput) as refused:
        repack(tmp_path / "m.tar.gz", source, "inference.py", tmp_path / "out.tar.gz")

    assert "m.tar.gz" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "out.tar.gz").exists()


def test_an_entry_point_that_is_not_there_is_refused_before_anything_is_read(tmp_path: Path, source: Path) -> None:
    with pytest.raises(BadInput, match=r"no entry point 'predict\.py'"):
        repack(tmp_path / "gone.tar.gz", source, "predict.py", tmp_path / "out.tar.gz")


def test_an_archive_is_empty_that_has_no_member_or_is_not_there(tmp_path: Path) -> None:
    assert is_empty(tmp_path / "model.tar.gz")
    assert is_empty(archive(tmp_path / "empty.tar.gz"))
    assert not is_empty(archive(tmp_path / "full.tar.gz", file("model.pth")))
