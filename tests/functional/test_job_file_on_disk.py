"""A job file on disk, and what it names there: every problem is one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import BadInput
from harness.job import JobFile
from harness.job_file import read_job_file

GOOD = """
[training]
entry_point = "train.py"
source_dir = "code"
instance_type = "ml.p2.xlarge"
instance_count = 2
hyperparameters = { epochs = 6, lr = 0.1 }
inputs = { training = "data" }

[hosting]
entry_point = "inference.py"
instance_type = "ml.p2.xlarge"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good job, to be broken."""
    for name in ("code/train.py", "code/inference.py", "data/deep/file"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "job.toml").write_text(GOOD)
    return tmp_path


def read(folder: Path, **overrides: Any) -> JobFile:
    return read_job_file(folder / "job.toml", **overrides)


def problems(folder: Path, **overrides: Any) -> list[str]:
    """Each without the job file's own path, which every line begins with."""
    with pytest.raises(BadInput) as caught:
        read(folder, **overrides)
    start = f"{folder / 'job.toml'}: "
    assert all(line.startswith(start) and "\n" not in line for line in caught.value.problems)
    return [line.removeprefix(start) for line in caught.value.problems]


def change(folder: Path, old: str, new: str) -> None:
    text = (folder / "job.toml").read_text()
    assert old in text
    (folder / "job.toml").write_text(text.replace(old, new))


def test_a_good_job_is_read_with_paths_beside_its_file(folder: Path) -> None:
    job = read(folder)

    assert job.training.source_dir == folder / "code"
    assert [channel.source for channel in job.training.inputs] == [folder / "data"]
    assert job.hosting
    assert job.hosting.source_dir == folder / "code"


def test_overrides_come_before_what_the_file_says_and_leave_the_rest(folder: Path) -> None:
    job = read(folder, instance_count=4, hyperparameters={"epochs": 1, "new": "x"}).training

    assert job.instance_count == 4
    assert job.hyperparameters == {"epochs": 1, "lr": 0.1, "new": "x"}


def test_another_instance_type_is_that_of_hosts_and_endpoint_and_the_document_has_it_too(folder: Path) -> None:
    file = read(folder, instance_type="ml.g4dn.xlarge")

    assert file.training.instance_types == ("ml.g4dn.xlarge",)
    assert file.hosting is not None
    assert file.hosting.instance_type == "ml.g4dn.xlarge"
    assert file.document["training"]["instance_type"] == "ml.g4dn.xlarge"


def test_an_override_is_checked_like_the_file(folder: Path) -> None:
    assert problems(folder, instance_count=0) == ["training.instance_count: 0 is not a whole number from 1 to 8"]


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    assert problems(tmp_path) == ["no such job file"]


def test_a_folder_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "job.toml").mkdir()

    assert problems(tmp_path) == ["cannot be read: Is a directory"]


def test_bytes_that_are_no_text_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_bytes(b"\xff\xfe")

    (line,) = problems(tmp_path)

    assert line.startswith("cannot be read: 'utf-8' codec can't decode")


def test_broken_toml_is_told_with_its_line(folder: Path) -> None:
    change(folder, "instance_count = 2", "instance_count = ")

    (line,) = problems(folder)

    assert line.startswith("not valid TOML: ")
    assert "line 6" in line


def test_an_empty_file_has_no_training(tmp_path: Path) -> None:
    (tmp_path / "job.toml").touch()

    assert problems(tmp_path) == ["training: is missing"]


def test_a_missing_source_dir_is_named(folder: Path) -> None:
    change(folder, '"code"', '"cod"')

    assert f"training.source_dir: no folder {str(folder / 'cod')!r}" in problems(folder)


def test_a_source_dir_that_is_a_file_is_none(folder: Path) -> None:
    change(folder, '"code"', '"code/train.py"')

    assert f"training.source_dir: no folder {str(folder / 'code/train.py')!r}" in problems(folder)


def test_a_missing_entry_point_is_named_for_training_and_hosting(folder: Path) -> None:
    (folder / "code" / "train.py").unlink()
    (folder / "code" / "inference.py").unlink()

    assert problems(folder) == [
        f"training.entry_point: no file 'train.py' in {str(folder / 'code')!r}",
        f"hosting.entry_point: no file 'inference.py' in {str(folder / 'code')!r}",
    ]


@pytest.mark.parametrize("where", ["../outside.py", "sub/../../outside.py"])
def test_an_entry_point_outside_the_source_dir_is_refused(folder: Path, where: str) -> None:
    (folder / "outside.py").touch()
    (folder / "code" / "sub").mkdir()
    change(folder, '"train.py"', f'"{where}"')

    assert problems(folder) == [f"training.entry_point: {where!r} lies outside source_dir {str(folder / 'code')!r}"]


def test_an_absolute_entry_point_is_refused_too(folder: Path) -> None:
    (folder / "outside.py").touch()
    change(folder, '"train.py"', f'"{folder / "outside.py"}"')

    (line,) = problems(folder)

    assert "lies outside source_dir" in line


def test_a_missing_channel_is_named(folder: Path) -> None:
    change(folder, '"data"', '"other"')

    assert problems(folder) == [f"training.inputs.training: no folder or file {str(folder / 'other')!r}"]


def test_a_channel_may_be_what_names_begin_with_as_a_prefix_in_s3_is(folder: Path) -> None:
    change(folder, '"data"', '"data/de"')

    assert read(folder).training.inputs[0].source == folder / "data/de"


def test_a_channel_that_holds_no_file_is_named(folder: Path) -> None:
    (folder / "data" / "deep" / "file").unlink()

    assert problems(folder) == [f"training.inputs.training: folder {str(folder / 'data')!r} holds no file"]


def test_a_channel_may_be_one_file(folder: Path) -> None:
    change(folder, '"data"', '"data/deep/file"')

    assert read(folder).training.inputs[0].source == folder / "data/deep/file"


def test_what_the_text_and_what_the_disk_says_wrong_is_reported_together(folder: Path) -> None:
    change(folder, "instance_count = 2", "instance_count = 0\nentrypoint = 1")
    change(folder, '"data"', '"other"')
    (folder / "code" / "inference.py").unlink()

    assert [line.split(":")[0] for line in problems(folder)] == [
        "training.instance_count",
        "training.entrypoint",
        "hosting.entry_point",
        "training.inputs.training",
    ]


@pytest.mark.parametrize("line", ["training = 1", "training = [1]"])
def test_a_training_that_is_no_table_takes_no_override(tmp_path: Path, line: str) -> None:
    (tmp_path / "job.toml").write_text(line)

    (problem,) = problems(tmp_path, instance_count=3, hyperparameters={"a": 1})

    assert problem.endswith("is not a table")
