"""What ranks said, out of the lines that launchers pass on."""

from __future__ import annotations

import pytest

from harness.ranks import World, rank_lines, worlds


@pytest.mark.parametrize(
    "tag",
    ["[1]<stdout>:", "[1]<stderr>:", "[1,1]<stdout>:", "[1,mpirank:1,algo-2]<stdout>:"],
)
def test_lines_are_told_by_the_tags_of_every_launcher(tag: str) -> None:
    assert rank_lines(["launching", f"{tag}hello", f"{tag}again"]) == {1: ["hello", "again"]}


def test_a_line_in_which_mpirun_has_tagged_several_writes_is_several_ranks_lines() -> None:
    line = "[1,0]<stdout>:rank 0 of 2 on algo-1[1,1]<stdout>:rank 1 of 2 on algo-2[1,0]<stdout>:"

    assert rank_lines([line]) == {0: ["rank 0 of 2 on algo-1"], 1: ["rank 1 of 2 on algo-2"]}
    assert worlds([line]) == [World(2, {0: "algo-1", 1: "algo-2"})]


def told(rank: int, size: int, host: str) -> str:
    return f"[{rank}]<stdout>:Horovod world: rank {rank} of {size} on {host}"


def test_ranks_that_train_together_are_one_world() -> None:
    assert worlds([told(1, 2, "algo-2"), "noise", told(0, 2, "algo-1")]) == [World(2, {1: "algo-2", 0: "algo-1"})]


def test_hosts_that_train_apart_are_worlds_of_their_own() -> None:
    assert worlds([told(0, 1, "algo-1"), told(0, 1, "algo-2")]) == [World(1, {0: "algo-1"}), World(1, {0: "algo-2"})]


def test_a_rank_that_introduces_itself_again_is_in_a_new_world() -> None:
    lines = [told(0, 2, "algo-1"), told(1, 2, "algo-2")]

    assert worlds(lines + lines) == [World(2, {0: "algo-1", 1: "algo-2"})] * 2


def test_jobs_may_introduce_themselves_in_their_own_words() -> None:
    lines = ["I am 3/4 (algo-2)"]

    assert worlds(lines, r"I am (?P<rank>\d+)/(?P<size>\d+) \((?P<host>.+)\)") == [World(4, {3: "algo-2"})]
