"""Whose something in the engine is, and when nobody wants it any more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness import labels
from harness.owner import Owner, is_gone, owner_of, start_time

ME = Owner(42, "1000", "pid:[4026531836]", "boot-a", "machine-a")
OTHER = replace(ME, pid=7, started="500")


def test_an_owner_is_read_back_from_its_labels() -> None:
    assert owner_of(ME.labels()) == ME


@pytest.mark.parametrize("text", ["", "x", "1 2 3", "one 2 3 4 5"])
def test_labels_that_tell_of_no_owner_tell_of_none(text: str) -> None:
    assert owner_of({labels.OWNER: text}) is None
    assert owner_of({}) is None


def test_a_process_that_runs_since_then_is_not_gone() -> None:
    assert not is_gone(OTHER, ME, started="500")


def test_a_process_that_has_ended_is_gone_also_when_its_number_is_used_again() -> None:
    assert is_gone(OTHER, ME, started=None)
    assert is_gone(OTHER, ME, started="900")


@pytest.mark.parametrize(
    ("state", "flags", "started"), [("S", 4194560, "500"), ("Z", 4227084, None), ("X", 4227084, None), ("R", 4, None)]
)
def test_a_process_that_is_at_its_end_counts_as_ended(
    tmp_path: Path, state: str, flags: int, started: str | None
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/stat").write_text(f"7 (a) b) {state} 1 7 7 0 -1 {flags} {' '.join('0' for _ in range(12))} 500 0\n")

    assert start_time(7, tmp_path) == started


def test_whatever_ran_before_this_boot_is_gone() -> None:
    assert is_gone(replace(OTHER, boot="boot-b"), ME, started="500")


def test_what_lives_in_another_container_or_on_another_machine_is_not_ours_to_judge() -> None:
    assert not is_gone(replace(OTHER, namespace="pid:[1]"), ME, started=None)
    assert not is_gone(replace(OTHER, machine="machine-b", boot="boot-b"), ME, started=None)
    assert not is_gone(replace(OTHER, machine="-"), replace(ME, machine="-"), started=None)
