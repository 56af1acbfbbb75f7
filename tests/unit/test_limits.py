"""What each host may use of the machine that all share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.instance_types import InstanceType
from harness.limits import GIB, Limits, Machine, assigned_gpus, decide, memory_advice, shares

TYPES = {
    "ml.p2.xlarge": InstanceType(4, 61, gpus=1, gpu="K80"),
    "ml.m5.large": InstanceType(2, 8),
    "ml.g5.48xlarge": InstanceType(192, 768, gpus=8, gpu="A10G"),
    "ml.tiny": InstanceType(1, 0.3, shm_gib=0.1),
}
LAPTOP = Machine(cpus=2, memory_bytes=24 * GIB)
SERVER = Machine(cpus=64, memory_bytes=512 * GIB, gpus=4)


def limits(*names: str, machine: Machine = LAPTOP, enforce: bool = True) -> Limits:
    hosts = {f"algo-{number}": name for number, name in enumerate(names, 1)}
    return decide(hosts, TYPES, machine, enforce=enforce)


def test_a_host_gets_what_its_type_has_where_the_machine_has_more() -> None:
    made = limits("ml.p2.xlarge", "ml.p2.xlarge", machine=SERVER)

    for host in made.hosts.values():
        assert (host.cpus, host.memory_bytes, host.shm_bytes) == (4, 61 * GIB, 30.5 * GIB)
    assert made.factor == 1
    assert made.notes == ("limits: ml.p2.xlarge x 2 hosts: 4 cpus, 61 GiB each",)


def test_where_the_machine_is_smaller_memory_is_scaled_by_one_factor_that_is_told() -> None:
    made = limits("ml.p2.xlarge", "ml.p2.xlarge")

    assert made.factor == pytest.approx(0.9 * 24 / 122)
    assert {host.memory_bytes for host in made.hosts.values()} == {int(61 * GIB * made.factor)}
    assert {host.shm_bytes for host in made.hosts.values()} == {int(30.5 * GIB * made.factor)}
    assert made.notes[0] == (
        "limits: ml.p2.xlarge x 2 hosts: 1 cpu, 10.8 GiB each (memory scaled by 0.18 to this machine)"
    )


def test_cores_that_do_not_go_evenly_are_told_as_they_are() -> None:
    made = limits("ml.p2.xlarge", "ml.p2.xlarge", machine=Machine(3, 512 * GIB))

    assert made.notes[0] == "limits: ml.p2.xlarge x 2 hosts: 1 to 2 cpus, 61 GiB each"


def test_no_quota_slows_a_host_whose_type_has_as_many_cpus_as_its_share_of_the_machine() -> None:
    assert {host.cpus for host in limits("ml.p2.xlarge", "ml.tiny").hosts.values()} == {None}
    assert [host.cpus for host in limits("ml.tiny").hosts.values()] == [1]
    eight = Machine(8, 512 * GIB)
    assert [host.cpus for host in limits("ml.p2.xlarge", "ml.m5.large", machine=eight).hosts.values()] == [None, 2]


def test_hosts_of_several_groups_get_each_their_own_types_limits() -> None:
    made = limits("ml.p2.xlarge", "ml.m5.large", machine=SERVER)

    assert [host.memory_bytes for host in made.hosts.values()] == [61 * GIB, 8 * GIB]
    assert [len(host.cores) for host in made.hosts.values()] == [4, 2]
    assert made.notes == ("limits: ml.p2.xlarge x 1 host: 4 cpus, 61 GiB; ml.m5.large x 1 host: 2 cpus, 8 GiB",)


def test_off_withholds_nothing_but_keeps_shared_memory_and_gpus() -> None:
    made = limits("ml.p2.xlarge", "ml.p2.xlarge", machine=SERVER, enforce=False)

    for host in made.hosts.values():
        assert (host.cpus, host.memory_bytes, host.shm_bytes) == (None, None, 30.5 * GIB)
        assert len(host.cores) == 32
        assert host.gpus
    assert made.notes == ()


def test_shared_memory_of_the_job_file_is_kept() -> None:
    assert limits("ml.tiny").hosts["algo-1"].shm_bytes == int(0.1 * GIB)


def test_a_type_that_nobody_knows_runs_without_limits_and_the_note_says_how_to_set_them() -> None:
    made = limits("ml.new.xlarge", "ml.m5.large")

    assert (made.hosts["algo-1"].cpus, made.hosts["algo-1"].memory_bytes) == (None, None)
    assert made.hosts["algo-2"].memory_bytes == 8 * GIB
    assert made.notes[1] == (
        "ml.new.xlarge is not in the catalogue of instance types: its hosts run without limits; a table "
        '[instance_types."ml.new.xlarge"] with vcpu and memory_gib in the job file sets them'
    )


def test_a_host_that_ran_out_of_memory_is_told_how_much_it_had_and_what_can_be_done() -> None:
    assert memory_advice("algo-1", limits("ml.p2.xlarge", "ml.p2.xlarge")) == (
        "algo-1 had 10.8 GiB, 0.18 of its instance type's; --limits off lets it take all of this machine's"
    )
    assert memory_advice("algo-1", limits("ml.tiny")).startswith("algo-1 had 0.3 GiB, as its instance type has;")
    assert "no limit" in memory_advice("algo-1", limits("ml.tiny", enforce=False))


def test_gpus_that_are_not_there_are_told() -> None:
    assert limits("ml.p2.xlarge").notes[1] == (
        "ml.p2.xlarge has 1 GPU, this machine none: the script finds no GPU here"
    )
    assert "8 GPUs, this machine none" in limits("ml.g5.48xlarge").notes[1]
    assert len(limits("ml.m5.large").notes) == 1


def test_every_host_gets_gpus_of_its_own_as_far_as_they_go() -> None:
    assert assigned_gpus({"a": 1, "b": 2}, 4) == {"a": (0,), "b": (1, 2)}
    assert assigned_gpus({"a": 1, "b": 1}, 1) == {"a": (0,), "b": (0,)}
    assert assigned_gpus({"a": 8}, 4) == {"a": (0, 1, 2, 3)}
    assert assigned_gpus({"a": 1}, 0) == {"a": ()}
    assert "8 GPUs in all, this machine 4: hosts share them" in limits("ml.g5.48xlarge", machine=SERVER).notes[1]


@pytest.mark.parametrize(
    ("cores", "vcpus", "expected"),
    [
        (2, [4, 4], [(0,), (1,)]),
        (2, [4], [(0, 1)]),
        (4, [4, 4], [(0, 1), (2, 3)]),
        (3, [4, 4], [(0,), (1, 2)]),
        (2, [4] * 5, [(0,), (1,), (0,), (1,), (0,)]),
        (8, [2, 4], [(0, 1), (2, 3, 4, 5)]),
        (4, [2, 48], [(0,), (1, 2, 3)]),
    ],
)
def test_hosts_share_the_cores_there_are(cores: int, vcpus: list[int], expected: list[tuple[int, ...]]) -> None:
    assert shares(cores, vcpus) == expected


@given(st.integers(1, 128), st.lists(st.integers(1, 200), min_size=1, max_size=12))
def test_no_host_is_left_without_a_core_nor_given_more_than_its_type_has(cores: int, vcpus: list[int]) -> None:
    made = shares(cores, vcpus)
    used = [core for share in made for core in share]

    assert all(1 <= len(share) <= vcpu for share, vcpu in zip(made, vcpus, strict=True))
    assert set(used) <= set(range(cores))
    if len(vcpus) <= cores:
        assert len(used) == len(set(used)) == min(cores, sum(vcpus))


@given(st.lists(st.sampled_from([*TYPES, "ml.unknown"]), min_size=1, max_size=8), st.integers(1, 96))
def test_all_hosts_together_leave_a_tenth_of_the_memory_to_the_engine(names: list[str], gib: int) -> None:
    made = limits(*names, machine=Machine(2, gib * GIB))

    assert sum(host.memory_bytes or 0 for host in made.hosts.values()) <= 0.9 * gib * GIB
    assert made.factor <= 1
