"""`train`: what every SageMaker training image runs. It turns /opt/ml into a running script on all hosts.

Without a distribution each host runs the script alone. With mpi the leader runs `horovodrun` over all hosts, and
the others serve ssh until it is over. HARNESS_LAUNCHER=toolkit hands over to AWS's own `train` instead.

As with AWS's toolkit, any failure of the script ends the container with exit code 1; the script's own code and
error are in /opt/ml/output/failure (sagemaker-training, trainer.py, errors.py).
"""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from harness import contract
from harness.contract import FrameworkError, HostConfig, Observed
from harness.hyperparameters import command_line_arguments, read_hyperparameters
from harness.image.programs import launch, ssh
from harness.image.programs.rendezvous import HostLost, Leader, follow
from harness.image.programs.script import Script

START_SECONDS = 120  # for all hosts of a job to find each other
OWN_CORES = Path("/run/own-cores")
_FAILED = 1


def main() -> int:
    # As the first process of a container it would otherwise never see a SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    config = read_config()
    launcher = os.environ.pop(contract.LAUNCHER_VARIABLE, "gloo")
    if numbers := os.environ.pop(contract.OWN_CORES_VARIABLE, None):
        choose_own_cores([int(number) for number in numbers.split(",")])
    for folder in (contract.MODEL_DIR, contract.OUTPUT_DATA_DIR):
        Path(folder).mkdir(parents=True, exist_ok=True)
    try:
        code = launch_script(config, launcher)
    except HostLost as lost:
        print(lost, file=sys.stderr, flush=True)
        return fail(f"HostLost: {lost}")
    except FrameworkError as error:
        print(error, file=sys.stderr, flush=True)
        return fail(f"Framework Error: \n{error}")  # as the toolkit begins it (trainer.py)
    if code == 0:
        Path(contract.SUCCESS_FILE).touch()
    return code


def launch_script(config: HostConfig, launcher: str) -> int:
    """Do this host's part. Raises `HostLost` or `FrameworkError`, for the failure file."""
    distributed = contract.leader(config) if contract.distribution_groups(config) else None
    if distributed:
        ssh.ensure_keys()
    if launcher == "toolkit":
        return hand_over_to_toolkit()
    if distributed is None:
        return run_alone(config)
    if distributed == config.resource_config["current_host"]:
        return lead(config, launcher)
    return serve_leader(distributed, config.resource_config["current_host"])


def read_config() -> HostConfig:
    def read(path: str) -> contract.Json:
        return json.loads(Path(path).read_text())

    return HostConfig(
        read(contract.RESOURCE_CONFIG_FILE),
        read(contract.INPUT_DATA_CONFIG_FILE),
        read(contract.HYPERPARAMETERS_FILE),
    )


def choose_own_cores(numbers: list[int]) -> None:
    """Note this host's share of the machine's cores, for `on-own-cores`."""
    cores = sorted(os.sched_getaffinity(0))
    OWN_CORES.write_text(",".join(map(str, launch.own_cores(cores, numbers))))


def observe() -> Observed:
    return Observed(
        num_cpus=os.cpu_count() or 1,
        num_gpus=count_gpus(),
        torch_version=find_torch_version(),
        environment=dict(os.environ),
    )


def count_gpus() -> int:
    """Lines of ``nvidia-smi --list-gpus`` that name a GPU, 0 without the tool (toolkit, environment.py num_gpus)."""
    try:
        listing = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    return sum(line.startswith("GPU ") for line in listing.splitlines())


def find_torch_version() -> str | None:
    """What ``torch.__version__`` is; importing all of torch to ask it takes half a second of every start."""
    torch = importlib.util.find_spec("torch")
    if torch is None or torch.origin is None:
        return None
    version: str = runpy.run_path(str(Path(torch.origin).with_name("version.py")))["__version__"]
    return version


def hand_over_to_toolkit() -> int:
    """Become AWS's `train`; it starts sshd itself but expects the default key of the user."""
    Path("/run/sshd").mkdir(exist_ok=True)
    ssh.link_user_key()
    os.execvp("python3", ["python3", "-m", "sagemaker_training.cli.train"])


def run_alone(config: HostConfig) -> int:
    command, environment, _ = script_of(config)
    return run(Script(command, environment, contract.CODE_DIR), command, [config.resource_config["current_host"]], 1)


def lead(config: HostConfig, controller: str) -> int:
    """Wait for the other hosts, run `horovodrun` over all of them, and let them go."""
    resources = config.resource_config
    hosts = [resources["current_host"], *(h for h in resources["hosts"] if h != resources["current_host"])]
    leader = Leader(hosts[1:])
    script, environment, num_gpus = script_of(config)
    hyperparameters = read_hyperparameters(config.hyperparameters)
    per_host = launch.processes_per_host(hyperparameters, num_gpus)
    command = launch.horovodrun_command(
        controller,
        hosts,
        per_host,
        resources["network_interface_name"],
        START_SECONDS,
        hyperparameters.get("sagemaker_mpi_custom_mpi_options") or "",
        script,
    )
    for name, value in launch.tuning(controller).items():
        environment.setdefault(name, value)
    try:
        leader.wait_for_followers(START_SECONDS)
        ssh.note_reachable(hosts, per_host)
        print(f"launching: {shlex.join(command)}", flush=True)
        return run(Script(command, environment, contract.CODE_DIR), command, hosts, per_host, leader)
    finally:
        leader.dismiss()


def serve_leader(leader: str, host: str) -> int:
    """Serve ssh until the leader says that the job is over.

    Then this host has done its part, whatever became of the script: that is the leader's to say.
    """
    sshd = ssh.start_sshd()
    try:
        follow(leader, host, START_SECONDS)
    finally:
        sshd.kill()
    return 0


def script_of(config: HostConfig) -> tuple[list[str], dict[str, str], int]:
    """The script's command, its environment, and the number of GPUs it will find."""
    observed = observe()
    hyperparameters = read_hyperparameters(config.hyperparameters)
    arguments = command_line_arguments(hyperparameters)
    environment = {
        **os.environ,
        **contract.inherited_variables(config, observed),
        **contract.sm_environment(config, observed),
        "PYTHONUNBUFFERED": "1",
    }
    # The toolkit puts the code folder on the path of what it starts (environment.py write_env_vars).
    environment["PYTHONPATH"] = ":".join(filter(None, [contract.CODE_DIR, os.environ.get("PYTHONPATH")]))
    command = launch.script_command(hyperparameters["sagemaker_program"], arguments, own_cores=OWN_CORES.exists())
    return command, environment, observed.num_gpus


def run(script: Script, command: list[str], hosts: list[str], per_host: int, leader: Leader | None = None) -> int:
    """See ``script`` through to its end; 0, or 1 with the failure file written."""
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True
        script.signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    lost: list[str] = []
    if leader:

        def end(host: str) -> None:
            lost.append(host)
            script.signal(signal.SIGKILL)

        leader.watch(end)
    code = script.wait()
    if lost:
        raise HostLost(f"{lost[0]} went away while the script was running")
    if code == 0 or stopped:
        return code  # a script that was told to end has not failed
    rank, traceback = script.evidence.cause()
    where = f"rank {rank} on {hosts[rank // per_host]}\n" if rank is not None and len(hosts) > 1 else ""
    return fail(
        contract.script_failure(
            code,
            script.evidence.error_message()[:400],
            shlex.join(command),
            where + "\n".join(traceback[-6:]),
        )
    )


def fail(message: str) -> int:
    """Leave ``message`` where the platform looks for it, unless the script has left its own (toolkit, files.py)."""
    failure = Path(contract.FAILURE_FILE)
    if not failure.exists():
        failure.parent.mkdir(parents=True, exist_ok=True)
        failure.write_text(message)
    return _FAILED
