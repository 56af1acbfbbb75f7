"""What the soak reads of a run of pytest."""

from __future__ import annotations

from benchmarks.soak import Summary, summary

GREEN = """\
........                                                                 [100%]
harness: 205 hosts started, 31 jobs on warm hosts
313 passed in 612.34s (0:10:12)
"""
RED = """\
=========================== short test summary info ============================
FAILED tests/docker/test_push.py::test_an_image_is_pushed - AssertionError: no
ERROR tests/docker/test_door.py::test_it_serves[2 hosts]
harness: 1 host started
==== 1 failed, 311 passed, 1 error in 700.00s (0:11:40) ====
"""


def test_a_green_run_is_its_counts_and_its_hosts() -> None:
    assert summary(GREEN) == Summary("313 passed", 205, 31, ())


def test_a_red_run_names_its_red_tests() -> None:
    red = ("tests/docker/test_push.py::test_an_image_is_pushed", "tests/docker/test_door.py::test_it_serves[2")
    assert summary(RED) == Summary("1 failed, 311 passed, 1 error", 1, 0, red)


def test_a_run_that_did_not_come_to_its_end_has_no_outcome() -> None:
    assert summary("collected 313 items\n....") == Summary("", 0, 0, ())
