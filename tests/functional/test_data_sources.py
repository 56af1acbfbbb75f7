"""Channels on this machine: what is found, in which order, and what is refused."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from harness.data_objects import ChannelData
from harness.data_sources import list_inputs
from harness.errors import BadInput
from harness.file_digests import file_digests
from harness.job import Channel
from tests.jobs import training_job


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("train-1", "train-0", "train/deep/b", "train/a", "eval"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "data"


def listed(source: Path | str, **more: Any) -> ChannelData:
    (found,) = list_inputs(training_job(inputs=(Channel("training", source, **more),)))
    return found


def keys(source: Path, **more: Any) -> list[str]:
    return [item.key for item in listed(source, **more).objects]


def problems(source: Path, **more: Any) -> list[str]:
    with pytest.raises(BadInput) as refused:
        listed(source, **more)
    return list(refused.value.problems)


def test_a_folder_is_all_of_its_files_in_the_order_of_s3(data: Path) -> None:
    assert keys(data) == ["eval", "train-0", "train-1", "train/a", "train/deep/b"]


def test_a_folder_is_not_a_prefix_of_its_neighbours(data: Path) -> None:
    assert keys(data / "train") == ["a", "deep/b"]


def test_what_is_neither_folder_nor_file_is_a_prefix(data: Path) -> None:
    assert keys(data / "tr") == ["train-0", "train-1", "train/a", "train/deep/b"]
    assert keys(data / "train-") == ["train-0", "train-1"]


def test_a_file_is_a_channel_of_one_object(data: Path) -> None:
    (item,) = listed(data / "eval").objects

    assert (item.key, item.size, item.uri) == ("eval", 4, (data / "eval").as_uri())


def test_the_jobs_input_mode_is_that_of_channels_without_their_own(data: Path) -> None:
    channels = (Channel("a", data), Channel("b", data, input_mode="FastFile"))

    assert [found.input_mode for found in list_inputs(training_job(input_mode="Pipe", inputs=channels))] == [
        "Pipe",
        "FastFile",
    ]


def test_links_are_followed(data: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "linked").write_text("x")
    (data / "folder").symlink_to(tmp_path / "other")
    (data / "file").symlink_to(tmp_path / "other" / "linked")

    assert {"folder/linked", "file"} <= set(keys(data))


def test_a_link_to_a_folder_that_it_is_in_is_refused(data: Path) -> None:
    (data / "train" / "again").symlink_to(data)

    (line,) = problems(data)

    assert line.endswith("train/again': the folder is a link to one that it is in")


def test_a_link_to_nothing_is_refused(data: Path) -> None:
    (data / "broken").symlink_to("nowhere")

    (line,) = problems(data)

    assert line == (
        f"training.inputs.training: {str(data / 'broken')!r} is no file that could be uploaded: "
        "a broken link, a socket or a device"
    )


def test_nothing_at_all_is_refused(data: Path) -> None:
    assert problems(data / "nothing") == [
        f"training.inputs.training: no folder or file {str(data / 'nothing')!r}, "
        "nor any that begins so, with a file in it"
    ]


# Manifests.


def manifest(data: Path, *entries: object) -> Path:
    path = data.parent / "manifest.json"
    path.write_text(json.dumps(entries))
    return path


@pytest.mark.parametrize("prefix", ["data/", "{data}/", "file://{data}/"])
def test_a_manifest_names_files_below_its_prefix_wherever_that_is(data: Path, prefix: str) -> None:
    path = manifest(data, {"prefix": prefix.format(data=data)}, "train/deep/b", "eval")

    found = listed(path, s3_data_type="ManifestFile")

    assert [item.key for item in found.objects] == ["train/deep/b", "eval"]
    assert [item.path and item.path.read_text() for item in found.objects] == ["train/deep/b", "eval"]


def test_a_manifest_prefix_is_a_string(data: Path) -> None:
    path = manifest(data, {"prefix": "data/train-"}, "0", "1")

    assert keys(path, s3_data_type="ManifestFile") == ["0", "1"]


def test_every_missing_object_of_a_manifest_is_named(data: Path) -> None:
    path = manifest(data, {"prefix": "data/"}, "eval", "evil", "train")

    assert problems(path, s3_data_type="ManifestFile") == [
        f"training.inputs.training: the manifest {str(path)!r} names 'data/evil', which does not exist",
        f"training.inputs.training: the manifest {str(path)!r} names 'data/train', which does not exist",
    ]


def test_a_manifest_that_climbs_out_is_refused_before_anything_is_read(data: Path) -> None:
    path = manifest(data, {"prefix": "data/train/"}, "../eval")

    (line,) = problems(path, s3_data_type="ManifestFile")

    assert line.startswith(
        "training.inputs.training: '../eval' in the manifest is no path below its prefix 'data/train/'"
    )


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_manifest_that_cannot_be_read_is_refused(data: Path, content: bytes | None) -> None:
    path = data / "manifest"
    if content is not None:
        path.write_bytes(content)

    (line,) = problems(path, s3_data_type="ManifestFile")

    assert line.startswith(f"training.inputs.training: the manifest {str(path)!r} cannot be read: ")


def test_an_augmented_manifest_refers_to_files_and_has_values_of_its_own(data: Path) -> None:
    path = data.parent / "train.jsonl"
    lines = [{"source-ref": (data / name).as_uri(), "class": n} for n, name in enumerate(("eval", "train-0", "eval"))]
    path.write_text("\n".join(map(json.dumps, lines)))

    found = listed(
        path,
        s3_data_type="AugmentedManifestFile",
        attribute_names=("source-ref", "class"),
        input_mode="Pipe",
    )

    assert [item.path and item.path.name for item in found.objects] == ["eval", "train-0"]
    assert [parts[1].text for parts in found.records] == ["0", "1", "2"]
    assert found.records[0][0] == found.records[2][0]


def test_problems_of_all_channels_are_reported_at_once(data: Path) -> None:
    with pytest.raises(BadInput) as refused:
        list_inputs(training_job(inputs=tuple(Channel(name, data / f"no-{name}") for name in ("a", "b"))))

    assert [line.split(":")[0] for line in refused.value.problems] == ["training.inputs.a", "training.inputs.b"]


# Digests of files.


def test_a_file_is_known_by_its_content_and_read_again_when_it_changed(data: Path, tmp_path: Path) -> None:
    path, other = data / "eval", data / "train-0"
    first = file_digests([path, other], tmp_path / "cache")
    path.write_text("EVAL")
    os.utime(path, ns=(other.stat().st_atime_ns, other.stat().st_mtime_ns))

    second = file_digests([path, other], tmp_path / "cache")

    assert first[path] != second[path]
    assert first[other] == second[other]


def test_a_digest_is_remembered(data: Path, tmp_path: Path) -> None:
    path = data / "eval"
    cache = tmp_path / "cache"
    file_digests([path], cache, settled_after=0)
    with sqlite3.connect(cache / "file-digests.sqlite3") as database:
        database.execute("UPDATE digests SET digest = 'remembered'")
    database.close()

    assert file_digests([path], cache) == {path: "remembered"}


def test_a_place_where_nothing_can_be_remembered_costs_time_only(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert list(file_digests([data / "eval"], tmp_path / "file" / "cache")) == [data / "eval"]
