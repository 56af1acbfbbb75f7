"""The command that starts the user's script on one host or on all of them. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from harness.contract import Json

PYTHON = "python3"


def own_cores(cores: Sequence[int], numbers: Sequence[int]) -> list[int]:
    """Those of ``cores`` that belong to this host: ``numbers`` counts those of the whole machine from 0.

    A container may be given fewer than the machine has; then it counts on from the first.
    """
    return sorted({cores[number % len(cores)] for number in numbers})


def tuning(controller: str) -> dict[str, str]:
    """Variables that let hosts of one machine train faster together; a user's own come first."""
    if controller != "mpi":
        return {}  # over gloo waiting threads sleep, and waking them costs more than any cycle time wins back
    return {
        # A rank that waits in MPI spins, on the core that its own training thread needs.
        "OMPI_MCA_mpi_yield_when_idle": "1",
        # Gradients leave with the next cycle of Horovod's background thread, by default every 1 ms: a step of the
        # MNIST job took 9.5 ms instead of 10.3, of which 8.9 are the training itself.
        "HOROVOD_CYCLE_TIME": "0.2",
    }


def script_command(entry_point: str, arguments: Sequence[str], *, own_cores: bool) -> list[str]:
    """One process of the script, run from /opt/ml/code; with ``own_cores`` on its host's share of the cores.

    Only the script is held to them, not what launches it: `horovodrun` starts 0.4 s sooner on all cores.
    """
    return [*(["on-own-cores"] if own_cores else []), PYTHON, entry_point, *arguments]


def processes_per_host(hyperparameters: Mapping[str, Json], num_gpus: int) -> int:
    """What the job asks for, else one per GPU, else 1: never one per CPU (toolkit, runner.py)."""
    return int(hyperparameters.get("sagemaker_mpi_num_of_processes_per_host") or num_gpus or 1)


def horovodrun_command(
    controller: str,
    hosts: Sequence[str],
    per_host: int,
    interface: str,
    start_seconds: int,
    custom_mpi_options: str,
    script: Sequence[str],
) -> list[str]:
    """``horovodrun`` over ``hosts``, with ``controller`` 'gloo' or 'mpi'.

    Naming the interface skips Horovod's own discovery, which starts a helper on every host first. A single host
    is left to find its loopback: horovodrun looks for nothing else there, and refuses any other name.
    """
    command = [
        "horovodrun",
        f"--{controller}",
        "-np",
        str(per_host * len(hosts)),
        "-H",
        ",".join(f"{host}:{per_host}" for host in hosts),
        *(["--network-interfaces", interface] if len(hosts) > 1 else []),
        "--start-timeout",
        str(start_seconds),
    ]
    if controller == "mpi" and custom_mpi_options:
        command.append(f"--mpi-args={shlex.join(mpirun_options(custom_mpi_options))}")
    return [*command, *script]


def mpirun_options(custom_mpi_options: str) -> list[str]:
    """custom_mpi_options as mpirun takes them: ``--NCCL_DEBUG X`` is the one the toolkit interprets (mpi.py)."""
    words = custom_mpi_options.split()
    options: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--NCCL_DEBUG" and words:
            options += ["-x", f"NCCL_DEBUG={words.pop(0)}"]
        else:
            options.append(word)
    return options
