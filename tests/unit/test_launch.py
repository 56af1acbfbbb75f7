"""The command that starts the script."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Iterable

import pytest

from harness import contract
from harness.contract import HostConfig
from harness.image.programs.launch import (
    Unsupported,
    carrying,
    choose_runner,
    horovodrun_command,
    mpi_variables,
    mpirun_options,
    on_own_cores,
    own_cores,
    processes_per_host,
    torchrun_command,
    tuning,
)

SCRIPT = ["python3", "mnist.py", "--name", "a b"]


def command(
    controller: str = "gloo", hosts: tuple[str, ...] = ("algo-1", "algo-2"), each: int = 1, more: str = ""
) -> list[str]:
    return horovodrun_command(controller, hosts, each, "eth0", 120, more, SCRIPT)


def option(argv: list[str], name: str) -> str:
    return argv[argv.index(name) + 1]


FLAGS = {
    "sagemaker_mpi_enabled": "mpi",
    "sagemaker_pytorch_ddp_enabled": "pytorchddp",
    "sagemaker_torch_distributed_enabled": "torch_distributed",
    "sagemaker_distributed_dataparallel_enabled": "smdistributed",
    "sagemaker_pytorch_xla_multi_worker_enabled": "pytorchxla",
}
REFUSED = {"pytorchddp", "smdistributed", "pytorchxla"}


def host(name: str, groups: dict[str, list[str]], **hyperparameters: object) -> HostConfig:
    """A host of the first of ``groups`` that has it; without groups one of algo-1 and algo-2."""
    hosts = sorted(host for members in groups.values() for host in members) or ["algo-1", "algo-2"]
    resources: dict[str, object] = {"current_host": name, "hosts": hosts, "network_interface_name": "eth0"}
    if groups:
        resources["current_group_name"] = next(group for group, members in groups.items() if name in members)
        resources["instance_groups"] = [
            {"instance_group_name": group, "instance_type": "ml.m5.large", "hosts": members}
            for group, members in groups.items()
        ]
    return HostConfig(resources, {}, {key: json.dumps(value) for key, value in hyperparameters.items()})


def chosen(flags: Iterable[str]) -> str:
    try:
        return choose_runner(host("algo-1", {}, **dict.fromkeys(flags, True)))
    except Unsupported as refused:
        return str(refused).split("'")[1]


@pytest.mark.parametrize("flag", FLAGS)
def test_a_single_flag_chooses_its_launcher(flag: str) -> None:
    assert chosen([flag]) == FLAGS[flag]


def test_of_several_flags_the_one_that_the_pytorch_container_asks_for_first_is_chosen() -> None:
    for count in range(1, len(FLAGS) + 1):
        for flags in itertools.combinations(FLAGS, count):
            assert chosen(reversed(flags)) == FLAGS[flags[0]]


@pytest.mark.parametrize("flag", [flag for flag, name in FLAGS.items() if name in REFUSED])
def test_what_needs_the_platforms_own_libraries_is_refused_in_one_line_that_says_what_to_do(flag: str) -> None:
    with pytest.raises(Unsupported) as refused:
        choose_runner(host("algo-1", {}, **{flag: True}))

    text = str(refused.value)
    assert flag in text
    assert "use 'torch_distributed' or 'mpi'" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "hyperparameters", [{}, {"sagemaker_mpi_enabled": False}, {"sagemaker_parameter_server_enabled": True}]
)
def test_with_no_flag_of_pytorchs_every_host_runs_the_script_alone(hyperparameters: dict[str, bool]) -> None:
    assert choose_runner(host("algo-1", {}, **hyperparameters)) == "plain"


GROUPS = {"gpu": ["algo-3", "algo-1"], "cpu": ["algo-2"]}


@pytest.mark.parametrize(
    ("name", "distributed", "runner", "hosts"),
    [
        ("algo-1", ["gpu"], "mpi", ["algo-3", "algo-1"]),
        ("algo-2", ["gpu"], "plain", ["algo-3", "algo-1"]),
        ("algo-2", ["cpu", "gpu"], "mpi", ["algo-3", "algo-1", "algo-2"]),  # in the order of the file
        ("algo-2", None, "mpi", ["algo-2"]),  # none named: each group by itself
        ("algo-3", None, "mpi", ["algo-3", "algo-1"]),
    ],
)
def test_a_distribution_spreads_over_its_groups_and_other_hosts_run_the_script_alone(
    name: str, distributed: list[str] | None, runner: str, hosts: list[str]
) -> None:
    named = {"sagemaker_distribution_instance_groups": distributed} if distributed else {}
    config = host(name, GROUPS, sagemaker_mpi_enabled=True, **named)

    assert choose_runner(config) == runner
    assert contract.distribution_hosts(config) == hosts
    assert contract.leader(config) == hosts[0]


def test_old_documents_without_groups_distribute_over_all_hosts() -> None:
    config = host("algo-2", {}, sagemaker_torch_distributed_enabled=True)

    assert choose_runner(config) == "torch_distributed"
    assert contract.distribution_hosts(config) == ["algo-1", "algo-2"]


def test_torchrun_on_each_of_several_hosts_knows_its_place() -> None:
    assert torchrun_command(["algo-2", "algo-1"], "algo-1", 3, ["train.py", "--lr", ""]) == [
        *("torchrun", "--nnodes", "2", "--nproc_per_node", "3"),
        *("--master_addr", "algo-2", "--master_port", "7777", "--node_rank", "1"),
        *("train.py", "--lr", ""),
    ]


def test_torchrun_on_a_single_host_needs_no_meeting_place() -> None:
    assert torchrun_command(["algo-1"], "algo-1", 1, ["train.py"]) == [
        *("torchrun", "--nnodes", "1", "--nproc_per_node", "1", "train.py")
    ]


def test_what_horovodrun_keeps_to_the_leader_travels_with_the_script() -> None:
    environment = {"CUDA_VISIBLE_DEVICES": "0, 1", "OLDPWD": "/", "HOME": "/root"}

    assert carrying(environment, SCRIPT) == ["env", "CUDA_VISIBLE_DEVICES=0, 1", "OLDPWD=/", *SCRIPT]
    assert carrying({"HOME": "/root"}, SCRIPT) == SCRIPT


@pytest.mark.parametrize("controller", ["gloo", "mpi"])
def test_horovodrun_spreads_over_all_hosts_with_the_leader_first(controller: str) -> None:
    argv = command(controller, ("algo-2", "algo-1"), 3)

    assert argv[:2] == ["horovodrun", f"--{controller}"]
    assert option(argv, "-np") == "6"
    assert option(argv, "-H") == "algo-2:3,algo-1:3"
    assert option(argv, "--network-interfaces") == "eth0"
    assert option(argv, "--start-timeout") == "120"
    assert argv[-len(SCRIPT) :] == SCRIPT


def test_one_host_is_a_world_too() -> None:
    assert option(command(hosts=("algo-1",)), "-H") == "algo-1:1"


def test_mpi_options_reach_mpirun_as_they_were_split_and_gloo_has_none() -> None:
    argv = command("mpi", more="--NCCL_DEBUG WARN -x A=$B")
    (given,) = [word.removeprefix("--mpi-args=") for word in argv if word.startswith("--mpi-args=")]

    assert shlex.split(given) == ["-x", "A=$B"]
    assert not [word for word in command("gloo", more="-x A") if word.startswith("--mpi-args")]
    assert not [word for word in command("mpi") if word.startswith("--mpi-args")]


@pytest.mark.parametrize(
    ("text", "words", "debug"),
    [
        ("", [], "INFO"),
        ("  ", [], "INFO"),
        ("-verbose  --bind-to core", ["-verbose", "--bind-to", "core"], "INFO"),
        ("--NCCL_DEBUG WARN", [], "WARN"),
        ("-x A --NCCL_DEBUG WARN -x B", ["-x", "A", "-x", "B"], "WARN"),
        ("-x A --NCCL_DEBUG=TRACE", ["-x", "A"], "TRACE"),
        ("-x MY--NCCL_DEBUG x", ["-x", "MY--NCCL_DEBUG", "x"], "INFO"),
    ],
)
def test_only_nccl_debug_is_interpreted(text: str, words: list[str], debug: str) -> None:
    assert mpirun_options(text) == words
    assert mpi_variables(text) == {"NCCL_DEBUG": debug, "NCCL_MIN_NRINGS": "4"}


@pytest.mark.parametrize(
    ("hyperparameters", "gpus", "expected"),
    [
        ({}, 0, 1),
        ({}, 4, 4),
        ({"sagemaker_mpi_num_of_processes_per_host": 2}, 4, 2),
        ({"sagemaker_mpi_num_of_processes_per_host": 2}, 0, 2),
    ],
)
def test_processes_are_what_was_asked_for_else_one_per_gpu_and_never_one_per_cpu(
    hyperparameters: dict[str, int], gpus: int, expected: int
) -> None:
    assert processes_per_host(hyperparameters, gpus) == expected


@pytest.mark.parametrize(
    ("cores", "numbers", "own"),
    [
        ([0, 1], [1], [1]),
        ([2, 3, 5, 7], [2, 3], [5, 7]),
        ([4, 6], [0, 1, 2, 3], [4, 6]),
        ([0, 1], [5], [1]),
    ],
)
def test_a_hosts_own_cores_are_among_those_its_container_has(
    cores: list[int], numbers: list[int], own: list[int]
) -> None:
    assert own_cores(cores, numbers) == own


def test_a_script_on_its_own_cores_is_wrapped_and_what_launches_it_is_not() -> None:
    script = on_own_cores(["python3", "mnist.py"], own_cores=True)

    assert script == ["on-own-cores", "python3", "mnist.py"]
    assert horovodrun_command("gloo", ["algo-1"], 1, "eth0", 120, "", script)[0] == "horovodrun"
    assert on_own_cores(["python3", "mnist.py"], own_cores=False) == ["python3", "mnist.py"]


def test_waiting_ranks_of_mpi_yield_and_gloo_is_left_as_it_is() -> None:
    assert tuning("mpi")["OMPI_MCA_mpi_yield_when_idle"] == "1"
    assert tuning("gloo") == {}
