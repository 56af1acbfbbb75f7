"""Which sources of a job are looked into."""

from __future__ import annotations

from pathlib import Path

from harness.sources import python_sources
from tests.jobs import training_job


def write(path: Path, text: str = "x = 1") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_python_files_of_the_source_folder_and_the_dependencies_are_read_by_name(tmp_path: Path) -> None:
    write(tmp_path / "code/train.py", "a = 1")
    write(tmp_path / "code/lib/deep.py")
    write(tmp_path / "code/notes.txt")
    dependencies = (write(tmp_path / "one.py"), write(tmp_path / "more/two.py").parent)

    found = python_sources(training_job(source_dir=tmp_path / "code", dependencies=dependencies))

    assert found["train.py"] == "a = 1"
    assert sorted(found) == ["lib/deep.py", "one.py", "train.py", "two.py"]


def test_hidden_folders_and_huge_or_broken_files_do_no_harm(tmp_path: Path) -> None:
    write(tmp_path / ".venv/lib/a.py")
    write(tmp_path / "huge.py", "#" * (10**6 + 1))
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "gone.py").symlink_to("nowhere")
    (tmp_path / "broken.py").write_bytes(b"\xff")

    assert python_sources(training_job(source_dir=tmp_path)) == {"broken.py": "\ufffd"}
