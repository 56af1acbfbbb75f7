from __future__ import annotations

from pathlib import Path

from harness.doctor import GIB, check_data, check_disk, check_python, check_size


def test_what_is_missing_comes_with_what_to_do(tmp_path: Path) -> None:
    checks = [
        check_python((3, 10)),
        check_disk(tmp_path, lambda: 10**9),
        check_size(GIB, 1),
        check_data(tmp_path / "nowhere"),
    ]

    assert [check.ok for check in checks] == [False] * 4
    assert all(check.advice for check in checks)


def test_what_is_well_comes_without_advice(tmp_path: Path) -> None:
    checks = [check_python((3, 14)), check_disk(tmp_path, lambda: 10**12), check_size(8 * GIB, 4)]

    assert [(check.ok, check.advice) for check in checks] == [(True, "")] * 3


def test_the_disk_of_an_engine_elsewhere_is_not_judged(tmp_path: Path) -> None:
    check = check_disk(tmp_path / "its/docker", lambda: 0)

    assert check.ok
    assert "not visible from here" in check.detail


def test_data_is_there_when_the_four_files_are(tmp_path: Path) -> None:
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / f"{name}-ubyte").touch()

    assert check_data(tmp_path).ok
