"""The command that starts the script."""

from __future__ import annotations

import shlex

import pytest

from harness.image.programs.launch import (
    horovodrun_command,
    mpirun_options,
    own_cores,
    processes_per_host,
    script_command,
    tuning,
)

SCRIPT = ["python3", "mnist.py", "--name", "a b"]


def command(
    controller: str = "gloo", hosts: tuple[str, ...] = ("algo-1", "algo-2"), each: int = 1, more: str = ""
) -> list[str]:
    return horovodrun_command(controller, hosts, each, "eth0", 120, more, SCRIPT)


def option(argv: list[str], name: str) -> str:
    return argv[argv.index(name) + 1]


def test_alone_the_script_is_run_by_python_with_its_arguments() -> None:
    assert script_command("mnist.py", ["--lr", ""], own_cores=False) == ["python3", "mnist.py", "--lr", ""]


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

    assert shlex.split(given) == ["-x", "NCCL_DEBUG=WARN", "-x", "A=$B"]
    assert not [word for word in command("gloo", more="-x A") if word.startswith("--mpi-args")]
    assert not [word for word in command("mpi") if word.startswith("--mpi-args")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  ", []),
        ("-verbose  --bind-to core", ["-verbose", "--bind-to", "core"]),
        ("--NCCL_DEBUG INFO", ["-x", "NCCL_DEBUG=INFO"]),
        ("-x A --NCCL_DEBUG INFO -x B", ["-x", "A", "-x", "NCCL_DEBUG=INFO", "-x", "B"]),
        ("--NCCL_DEBUG", ["--NCCL_DEBUG"]),
    ],
)
def test_only_nccl_debug_is_interpreted(text: str, words: list[str]) -> None:
    assert mpirun_options(text) == words


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
    script = script_command("mnist.py", [], own_cores=True)

    assert script == ["on-own-cores", "python3", "mnist.py"]
    assert horovodrun_command("gloo", ["algo-1"], 1, "eth0", 120, "", script)[0] == "horovodrun"


def test_waiting_ranks_of_mpi_yield_and_gloo_is_left_as_it_is() -> None:
    assert tuning("mpi")["OMPI_MCA_mpi_yield_when_idle"] == "1"
    assert tuning("gloo") == {}
