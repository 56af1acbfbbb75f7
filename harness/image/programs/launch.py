"""How the user's script is started on one host or on all of them: which launcher, and its command. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from harness import contract
from harness.contract import HostConfig, Json
from harness.hyperparameters import read_hyperparameters

PLAIN, MPI, TORCH_DISTRIBUTED = "plain", "mpi", "torch_distributed"

# In the order in which AWS's PyTorch container looks for them (sagemaker-pytorch-training, training.py).
_RUNNERS = {
    "sagemaker_mpi_enabled": MPI,
    "sagemaker_pytorch_ddp_enabled": "pytorchddp",
    "sagemaker_torch_distributed_enabled": TORCH_DISTRIBUTED,
    "sagemaker_distributed_dataparallel_enabled": "smdistributed",
    "sagemaker_pytorch_xla_multi_worker_enabled": "pytorchxla",
}
_PLAYED = (MPI, TORCH_DISTRIBUTED)
# What horovodrun keeps to the leader, by regular expression (horovod 0.28.1, runner/common/util/env.py).
_NOT_FORWARDED = re.compile(r"BASH_FUNC_.*|OLDPWD|.*CUDA_VISIBLE_DEVICES")


class Unsupported(Exception):
    """The job cannot be launched as it asks to be; the text is for its FailureReason."""


def choose_runner(config: HostConfig) -> str:
    """What starts the script on this host: PLAIN, MPI or TORCH_DISTRIBUTED.

    A host outside the distributed instance groups runs the script alone. Raises `Unsupported` for AWS's own
    libraries, which exist for its GPU and Trainium instances only.
    """
    group = config.resource_config.get("current_group_name", contract.HOMOGENEOUS_GROUP)
    if group not in contract.distribution_groups(config):
        return PLAIN
    hyperparameters = read_hyperparameters(config.hyperparameters)
    flag = next((flag for flag in _RUNNERS if hyperparameters.get(flag)), None)
    if flag is None:
        return PLAIN
    if _RUNNERS[flag] not in _PLAYED:
        msg = (
            f"distribution {_RUNNERS[flag]!r} (hyperparameter {flag!r}) is not emulated, as it needs AWS's own "
            "libraries and accelerators: use 'torch_distributed' or 'mpi' for a local run"
        )
        raise Unsupported(msg)
    return _RUNNERS[flag]


def own_cores(cores: Sequence[int], numbers: Sequence[int]) -> list[int]:
    """Those of ``cores`` that belong to this host: ``numbers`` counts those of the whole machine from 0.

    A container may be given fewer than the machine has; then it counts on from the first.
    """
    return sorted({cores[number % len(cores)] for number in numbers})


def on_own_cores(command: Sequence[str], *, own_cores: bool) -> list[str]:
    """``command``, with ``own_cores`` on its host's share of the cores.

    Only the script is held to them, not `horovodrun`: that starts 0.4 s sooner on all cores.
    """
    return [*(["on-own-cores"] if own_cores else []), *command]


def tuning(launcher: str) -> dict[str, str]:
    """Variables that let hosts of one machine train faster together; a user's own come first.

    ``launcher`` is 'gloo' or 'mpi' (horovodrun), or TORCH_DISTRIBUTED.
    """
    if launcher == TORCH_DISTRIBUTED:
        # torchrun looks after its ranks every 5 s, so a job would end, or fail, up to 5 s late.
        return {"PET_MONITOR_INTERVAL": "0.1"}
    if launcher != "mpi":
        return {}  # over gloo waiting threads sleep, and waking them costs more than any cycle time wins back
    return {
        # A rank that waits in MPI spins, on the core that its own training thread needs.
        "OMPI_MCA_mpi_yield_when_idle": "1",
        # Gradients leave with the next cycle of Horovod's background thread, by default every 1 ms: a step of the
        # MNIST job took 9.5 ms instead of 10.3, of which 8.9 are the training itself.
        "HOROVOD_CYCLE_TIME": "0.2",
    }


def processes_per_host(hyperparameters: Mapping[str, Json], num_gpus: int) -> int:
    """What the job asks for, else one per GPU, else 1: never one per CPU (toolkit, runner.py)."""
    return int(hyperparameters.get("sagemaker_mpi_num_of_processes_per_host") or num_gpus or 1)


def torchrun_command(hosts: Sequence[str], current_host: str, per_host: int, script: Sequence[str]) -> list[str]:
    """``torchrun`` for ``current_host``, one of ``hosts``, of which the first leads (toolkit, torch_distributed.py)."""
    command = ["torchrun", "--nnodes", str(len(hosts)), "--nproc_per_node", str(per_host)]
    if len(hosts) > 1:
        command += ["--master_addr", hosts[0], "--master_port", contract.MASTER_PORT]
        command += ["--node_rank", str(hosts.index(current_host))]
    return [*command, *script]


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
    if controller == "mpi" and (options := mpirun_options(custom_mpi_options)):
        command.append(f"--mpi-args={shlex.join(options)}")
    return [*command, *script]


def carrying(environment: Mapping[str, str], script: Sequence[str]) -> list[str]:
    """``script``, given those variables that `horovodrun` would not forward to its ranks."""
    kept_back = [f"{name}={value}" for name, value in environment.items() if _NOT_FORWARDED.match(name)]
    return ["env", *kept_back, *script] if kept_back else list(script)


def mpi_variables(custom_mpi_options: str) -> dict[str, str]:
    """What the toolkit's mpirun sets for every rank (mpi.py).

    ``--NCCL_DEBUG X`` is the one of custom_mpi_options that the toolkit interprets.
    """
    given = re.findall(r"(?:^|\s)--NCCL_DEBUG[\s=](\S+)", custom_mpi_options)
    return {"NCCL_DEBUG": given[-1] if given else "INFO", "NCCL_MIN_NRINGS": "4"}


def mpirun_options(custom_mpi_options: str) -> list[str]:
    """custom_mpi_options as mpirun takes them: split at white space, without what is among `mpi_variables`."""
    return re.sub(r"(^|\s)--NCCL_DEBUG[\s=]\S+", " ", custom_mpi_options).split()
