"""Faults and their moments as people write them."""

from __future__ import annotations

import pytest

from harness import faults
from harness.errors import BadInput
from harness.faults import AfterLog, AfterSeconds, AtStatus, Timed, parse_fault, problems

HOSTS = ("algo-1", "algo-2", "algo-3", "algo-4")

WRITTEN = [
    ("kill algo-2", Timed(faults.KillHost("algo-2"))),
    ("kill algo-2 after 5s", Timed(faults.KillHost("algo-2"), AfterSeconds(5))),
    ("kill rank 1 at Uploading", Timed(faults.KillRank(1), AtStatus("Uploading"))),
    ("pause algo-1 for 10s after 'epoch 1'", Timed(faults.Pause("algo-1", 10), AfterLog("epoch 1"))),
    ("partition algo-2 after saving on algo-1", Timed(faults.Partition(("algo-2",)), AfterLog("saving", "algo-1"))),
    (
        "partition algo-1,algo-2 from algo-3,algo-4 after 500ms",
        Timed(faults.Partition(("algo-1", "algo-2"), ("algo-3", "algo-4")), AfterSeconds(0.5)),
    ),
    ("delay every host by 200ms", Timed(faults.Delay(faults.EVERY_HOST, 0.2))),
    ("lose 5% of algo-2", Timed(faults.Loss("algo-2", 5))),
    ("fill algo-1", Timed(faults.FullDisk("algo-1"))),
    ("slow disk of algo-2 to 512KiB/s", Timed(faults.SlowDisk("algo-2", 512))),
    ("slow disk of every host to 2MiB/s after 1s", Timed(faults.SlowDisk(faults.EVERY_HOST, 2048), AfterSeconds(1))),
    ("limit algo-2 to 64MiB", Timed(faults.MemoryLimit("algo-2", 64))),
    ("corrupt training of algo-2", Timed(faults.Corrupt("training", "algo-2"))),
    ("interrupt after 3s", Timed(faults.Interrupt(), AfterSeconds(3))),
    ("stall engine for 2s", Timed(faults.StallEngine(2))),
]


@pytest.mark.parametrize(("text", "timed"), WRITTEN, ids=[text for text, _ in WRITTEN])
def test_a_fault_is_read_as_it_is_written(text: str, timed: Timed) -> None:
    assert parse_fault(text) == timed


@pytest.mark.parametrize("timed", [timed for _, timed in WRITTEN], ids=str)
def test_a_fault_prints_itself_as_it_can_be_read(timed: Timed) -> None:
    assert parse_fault(str(timed)) == timed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not of the form 'kill HOST'"),
        ("kill", "not of the form"),
        ("kill the-other", "not of the form"),
        ("skew algo-1 by 5s", "all hosts share this machine's"),
        ("kill algo-2 after", "is no moment"),
        ("kill algo-2 at Starting", "'Starting' is not one of Training, Uploading"),
        ("lose 0% of algo-2", "0% is not more than 0"),
        ("slow disk of algo-2 to 0KiB/s", "0KiB/s is not more than 0"),
        ("slow disk of algo-2 to 5", "not of the form"),
        ("lose 101% of algo-2", "101% is not more than 0 and 100 at most"),
        ("pause algo-2 for long", "'long' is no duration"),
        ("kill algo-2 after 'x", "No closing quotation"),
    ],
)
def test_what_is_no_fault_is_refused_with_the_words_there_are(text: str, words: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_fault(text)

    (line,) = refused.value.problems
    assert line.startswith(f"--fault {text!r}: ")
    assert words in line


def check(text: str, *, hosts: tuple[str, ...] = HOSTS[:2], spot: bool = False) -> list[str]:
    return list(problems([parse_fault(text)], hosts, ["training"], spot=spot))


def test_what_cannot_be_done_to_a_job_is_said_before_it_starts() -> None:
    assert check("kill algo-3") == ["fault 'kill algo-3 after 0s': there is no host 'algo-3'; there are algo-1, algo-2"]
    assert "no channel 'test'" in check("corrupt test of algo-1")[0]
    assert "nobody to be parted from" in check("partition algo-1,algo-2")[0]
    assert "use_spot_instances" in check("interrupt")[0]


def test_what_can_be_done_is_no_problem() -> None:
    assert check("partition algo-1") == []
    assert check("delay every host by 1s") == []
    assert check("corrupt training of algo-2") == []
    assert check("interrupt", spot=True) == []


def test_every_host_is_every_host_there_is() -> None:
    assert faults.hosts_of(faults.Delay(faults.EVERY_HOST, 1), HOSTS) == HOSTS
    assert faults.hosts_of(faults.Partition(("algo-2",)), HOSTS[:3]) == ("algo-2", "algo-1", "algo-3")
