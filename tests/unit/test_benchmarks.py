"""The benchmarks' pure parts: reading logs, medians and ratios, the table. Nothing is timed here."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from benchmarks.jobs import toml
from benchmarks.log_lines import Epoch, accuracy, epoch_seconds, epochs, images_per_second, printing_seconds, world_size
from benchmarks.reliability import Cell, Seen, cells, page, rows_of
from benchmarks.results import Aim, Line, Measured, document, failures, markdown_table, plain_table
from benchmarks.turns import Way, take_turns
from harness.errors import CommandFailed

TOGETHER = """\
[0]<stdout>:Horovod world: rank 0 of 2 on algo-1
[0]<stdout>:epoch 1: 6400/30000 images, train loss 1.913121
[0]<stdout>:epoch 1: trained 30000 images in 6.00 s (5000 images/s per rank)
[0]<stdout>:epoch 1: test loss 0.1990, test accuracy 93.91 %
[0]<stdout>:epoch 2: trained 30000 images in 4.00 s (7500 images/s per rank)
[0]<stdout>:epoch 3: trained 30000 images in 5.00 s (6000 images/s per rank)
[0]<stdout>:epoch 3: test loss 0.0790, test accuracy 97.52 %
"""
ALONE = """\
Horovod world: rank 0 of 1 on algo-2
epoch 1: trained 60000 images in 9.00 s (6667 images/s per rank)
epoch 2: trained 60000 images in 10.00 s (6000 images/s per rank)
"""


def test_epochs_are_read_behind_a_launchers_tags() -> None:
    assert epochs(TOGETHER) == [Epoch(1, 30000, 6.0), Epoch(2, 30000, 4.0), Epoch(3, 30000, 5.0)]


def test_the_first_epoch_does_not_count() -> None:
    assert epoch_seconds(TOGETHER) == 4.5


def test_a_single_epoch_counts_as_there_is_no_other() -> None:
    assert epoch_seconds(TOGETHER[: TOGETHER.index("epoch 2")]) == 6.0


def test_all_ranks_of_a_world_count_though_only_rank_0_writes() -> None:
    assert world_size(TOGETHER) == 2
    assert images_per_second([TOGETHER, "sshd\n"]) == pytest.approx(2 * 60000 / 9)


def test_unconnected_hosts_add_up() -> None:
    assert images_per_second([ALONE, ALONE]) == 12000


def test_the_last_accuracy_is_the_jobs() -> None:
    assert accuracy(TOGETHER) == 97.52


def test_the_slowest_host_counts_where_lines_are_printed() -> None:
    assert printing_seconds(["printed 9 lines in 0.25 s\n", "line\nprinted 9 lines in 1.5 s\n"]) == 1.5


@pytest.mark.parametrize(
    "read", [lambda log: printing_seconds([log]), epoch_seconds, accuracy, lambda log: images_per_second([log])]
)
def test_a_log_that_does_not_tell_is_an_error_and_no_number(read: Callable[[str], float]) -> None:
    with pytest.raises(ValueError, match="tells of"):
        read("nothing was trained\n")


def test_the_median_is_shown_with_the_spread_behind_it() -> None:
    assert Measured((14.8, 13.94, 14.21)).shown("s") == "14.2 s (13.9 to 14.8)"
    assert Measured((0.251,)).shown("ms") == "0.25 ms"
    assert Measured().shown("s") == "-"


@pytest.mark.parametrize(
    ("aim", "ours", "ratio", "verdict"),
    [
        (Aim(0.4), 20.0, "0.40", "yes"),
        (Aim(0.4), 20.5, "0.41", "no"),
        (Aim(0.85, at_least=True), 42.5, "0.85", "yes"),
        (Aim(0.85, at_least=True), 42.0, "0.84", "no"),
        (None, 60.0, "1.20", ""),
    ],
)
def test_the_ratio_is_ours_by_theirs_and_says_whether_the_aim_is_met(
    aim: Aim | None, ours: float, ratio: str, verdict: str
) -> None:
    cells = Line("run", "s", Measured((ours,)), "peer", Measured((50.0,)), aim).cells()

    assert (cells[4], cells[6]) == (ratio, verdict)


def test_a_number_without_a_peer_has_no_ratio() -> None:
    assert Line("until InService", "s", Measured((2.9,))).cells() == (
        "until InService",
        "2.90 s",
        "-",
        "-",
        "-",
        "",
        "",
    )


def test_what_failed_is_shown_as_failed_with_its_last_words_once() -> None:
    broken = Measured(failure="exit code 1: python3 run.py\nRuntimeError: no such image")
    lines = [Line(what, "s", Measured((1.0,)), "SDK", broken, Aim(0.4)) for what in ("one", "two")]

    assert lines[0].cells() == ("one", "1.00 s", "SDK", "failed", "-", "≤ 0.4", "-")
    assert failures(lines) == [("SDK", broken.failure)]
    assert "RuntimeError: no such image" in document(lines, {}, "how")


def test_what_failed_after_a_while_keeps_its_numbers_and_says_so() -> None:
    assert Measured((5.0,), "killed").shown("s") == "5.00 s, then failed"


def test_the_tables_columns_stand_below_their_headings() -> None:
    heading, row = plain_table([Line("run", "s", Measured((1.0,)), "by hand", Measured((2.0,)), Aim(1.6))]).splitlines()

    assert row.index("0.50") == heading.index("ratio")
    assert row.index("by hand") == heading.index("against")


def test_the_page_has_explanation_machine_and_table() -> None:
    line = Line("a|b", "s", Measured((1.0,)))
    page = document([line], {"date": "2026-01-31", "machine": "2 cores"}, "How it is measured.")

    assert page.startswith("# Benchmarks\n\nHow it is measured.\n\n- date: 2026-01-31\n- machine: 2 cores\n\n| what |")
    assert page.endswith(markdown_table([line]) + "\n")
    assert "| a\\|b |" in page


def test_ways_take_turns_until_each_has_had_its_repetitions() -> None:
    order: list[str] = []

    def way(name: str, repetitions: int) -> Way:
        def measure() -> tuple[float, ...]:
            order.append(name)
            return (float(len(order)), 0.0)

        return Way(name, measure, repetitions)

    taken = take_turns([way("A", 3), way("B", 2)])

    assert order == ["A", "B", "A", "B", "A"]
    assert taken["A"].measured(0).values == (1.0, 3.0, 5.0)
    assert taken["B"].measured(1).values == (0.0, 0.0)


def test_a_way_that_fails_is_not_tried_again_and_the_others_go_on() -> None:
    tried: list[str] = []

    def fail() -> tuple[float, ...]:
        tried.append("peer")
        raise CommandFailed(("peer", "run"), "exit code 1", "no space left on device")

    taken = take_turns([Way("ours", lambda: (1.0,), 3), Way("peer", fail, 3)])

    assert tried == ["peer"]
    assert taken["ours"].measured().values == (1.0, 1.0, 1.0)
    assert taken["peer"].measured() == Measured((), "exit code 1: peer run\nno space left on device")


def test_variants_of_a_job_are_written_as_they_were_read() -> None:
    training = {
        "entry_point": "mnist.py",
        "instance_count": 2,
        "hyperparameters": {"epochs": 6, "batch-size": 64, "lr": 0.01},
        "distribution": {"mpi": {"enabled": True, "processes_per_host": 1}},
        "metric_definitions": [{"Name": "test:accuracy", "Regex": 'test "accuracy" ([0-9]+[.]\\d+)'}],
    }

    assert tomllib.loads(toml({"training": training})) == {"training": training}


def test_the_page_of_the_fault_matrix_keeps_the_rows_that_are_not_run_anew() -> None:
    def seen(cell: Cell, status: str, *wrong: str, hour: int) -> Seen:
        return Seen(cell, status, "a|b\nc", 3.2, wrong, datetime(2026, 1, 31, hour, tzinfo=UTC), load=hour)

    first, second = Cell(2, "gloo", "start-up", "kill leader"), Cell(4, "mpi", "mid-epoch", "slow disk")
    kept = {cell.key: seen(cell, "Completed", "it hangs", hour=9).row() for cell in (second, first)}

    again = page({**rows_of(page(kept)), first.key: seen(first, "Failed", hour=12).row()})

    assert "- as it must be: 1 of 2, of 108 in all" in again
    assert "2026-01-31 09:00 to 2026-01-31 12:00 UTC" in again
    assert again.splitlines()[-2:] == [
        "| 2 | gloo | start-up | kill leader | Failed | a\\|b c | 3 | nothing | 2026-01-31 12:00 | 12 |",
        "| 4 | mpi | mid-epoch | slow disk | Completed | a\\|b c | 3 | it hangs | 2026-01-31 09:00 | 9 |",
    ]
    assert list(rows_of(again)) == [first.key, second.key]


def test_the_fault_matrix_can_be_run_in_parts() -> None:
    part = list(cells([4], ["mpi"], ["partition"]))

    assert [cell.moment for cell in part] == ["start-up", "mid-epoch", "last upload"]
    assert {(cell.hosts, cell.controller, cell.fault) for cell in part} == {(4, "mpi", "partition")}
