"""`train`: what every SageMaker training image runs. It turns /opt/ml into a running script on all hosts.

Without a distribution each host runs the script alone. With mpi the leader runs `horovodrun` over all distributed
hosts, and the others serve ssh until it is over; with torch_distributed each of them runs `torchrun`.
HARNESS_LAUNCHER=toolkit hands over to AWS's own `train` instead.

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
import time
from dataclasses import dataclass
from pathlib import Path

from harness import contract
from harness.contract import FrameworkError, HostConfig, Json, Observed
from harness.hyperparameters import command_line_arguments, read_hyperparameters
from harness.image.programs import entry_point, launch, source, ssh
from harness.image.programs.ending import CAUSE_SECONDS, fail, see_through
from harness.image.programs.entry_point import EntryPoint, InstallFailed
from harness.image.programs.launch import Unsupported
from harness.image.programs.rendezvous import Follower, HostLost, Leader
from harness.image.programs.script import Script

START_SECONDS = 45  # for all hosts of a job to find each other; how long each then gets ready is its own affair
OWN_CORES = Path("/run/own-cores")


@dataclass(frozen=True)
class Work:
    """What this host has to do. ``hosts`` are those that train together, the one that leads first."""

    config: HostConfig
    hyperparameters: dict[str, Json]
    observed: Observed
    entry_point: EntryPoint
    hosts: list[str]

    @property
    def host(self) -> str:
        return str(self.config.resource_config["current_host"])

    @property
    def followers(self) -> list[str]:
        return self.hosts[1:]

    @property
    def per_host(self) -> int:
        return launch.processes_per_host(self.hyperparameters, self.observed.num_gpus)

    def script_command(self) -> list[str]:
        """One process of the script."""
        return self.entry_point.command(command_line_arguments(self.hyperparameters))

    def environment(self, launcher: str | None = None) -> dict[str, str]:
        """What the script finds around it; ``launcher`` as `launch.tuning` takes it."""
        variables = {**os.environ, **contract.inherited_variables(self.config, self.observed)}
        variables |= contract.sm_environment(self.config, self.observed)
        # The toolkit puts the code folder on the path of what it starts (environment.py write_env_vars).
        variables["PYTHONPATH"] = ":".join(filter(None, [contract.CODE_DIR, os.environ.get("PYTHONPATH")]))
        return {"PYTHONUNBUFFERED": "1", **(launch.tuning(launcher) if launcher else {}), **variables}


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
    except FrameworkError as error:
        print(error, file=sys.stderr, flush=True)
        return fail(f"Framework Error: \n{error}")  # as the toolkit begins it (trainer.py)
    except (HostLost, Unsupported) as error:
        print(error, file=sys.stderr, flush=True)
        code = fail(f"{type(error).__name__}: {error}")
        if isinstance(error, HostLost):
            time.sleep(CAUSE_SECONDS)
        return code
    except InstallFailed as error:
        return fail(str(error))
    if code == 0:
        Path(contract.SUCCESS_FILE).touch()
    return code


def launch_script(config: HostConfig, launcher: str) -> int:
    """Do this host's part; what it raises (`HostLost`, `FrameworkError` …) is for the failure file."""
    runner = launch.choose_runner(config)
    if runner == launch.MPI:
        ssh.ensure_keys()
    if launcher == "toolkit":
        return hand_over_to_toolkit()
    work = work_of(config)
    if runner == launch.MPI:
        return lead(work, launcher) if work.host == work.hosts[0] else serve_leader(work)
    if runner == launch.TORCH_DISTRIBUTED:
        return run_torchrun(work)
    return run_alone(work)


def read_config() -> HostConfig:
    def read(path: str) -> Json:
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


def work_of(config: HostConfig) -> Work:
    hyperparameters = read_hyperparameters(config.hyperparameters)
    source.fetch(str(hyperparameters.get("sagemaker_submit_directory") or contract.CODE_DIR))
    return Work(
        config=config,
        hyperparameters=hyperparameters,
        observed=observe(),
        entry_point=entry_point.find(str(contract.user_entry_point(hyperparameters, os.environ) or "")),
        hosts=contract.distribution_hosts(config),
    )


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
    ssh.pass_environment(os.environ)
    os.execvp("python3", ["python3", "-m", "sagemaker_training.cli.train"])


def run_alone(work: Work) -> int:
    entry_point.install(work.entry_point)
    command = launch.on_own_cores(work.script_command(), own_cores=OWN_CORES.exists())
    script = Script(command, work.environment(), contract.CODE_DIR)
    # Hosts may well find each other by what they are told, as in AWS's own examples of torch.distributed.
    return see_through(script, [work.host], elsewhere=len(work.config.resource_config["hosts"]) > 1)


def lead(work: Work, controller: str) -> int:
    """Wait for the other hosts, run `horovodrun` over all of them, and let them go."""
    options = str(work.hyperparameters.get("sagemaker_mpi_custom_mpi_options") or "")
    environment = {**work.environment(controller), **launch.mpi_variables(options)}
    script = launch.on_own_cores(work.script_command(), own_cores=OWN_CORES.exists())
    command = launch.horovodrun_command(
        controller,
        work.hosts,
        work.per_host,
        work.config.resource_config["network_interface_name"],
        START_SECONDS,
        options,
        launch.carrying(environment, script),
    )
    leader = Leader(work.followers)
    try:
        entry_point.install(work.entry_point)
        leader.wait_for_followers(START_SECONDS)
        ssh.note_reachable(work.hosts, work.per_host)
        if launch.mpirun_options(options) and controller != "mpi":
            print(f"custom_mpi_options are mpirun's and do not apply over gloo: {options!r}", flush=True)
        print(f"launching: {shlex.join(command)}", flush=True)
        script_over_all = Script(command, environment, contract.CODE_DIR)
        return see_through(script_over_all, work.hosts, work.per_host, peers=leader)
    finally:
        leader.dismiss()


def serve_leader(work: Work) -> int:
    """Serve ssh until the leader says that the job is over.

    Then this host has done its part, whatever became of the script: that is the leader's to say.
    """
    follower = Follower(work.hosts[0], work.host, START_SECONDS)
    entry_point.install(work.entry_point)
    sshd = ssh.start_sshd()
    try:
        follower.ready()
        follower.wait()
    finally:
        sshd.kill()
    return 0


def run_torchrun(work: Work) -> int:
    """Run `torchrun` beside the other hosts, each of which runs its own."""
    if work.entry_point.kind != entry_point.PROGRAM:
        raise Unsupported(
            f"torch_distributed runs a .py file and no {work.entry_point.kind}, which {work.entry_point.name!r} is "
            "(a package is what has a setup.py beside it)"
        )
    torchrun = launch.torchrun_command(work.hosts, work.host, work.per_host, work.script_command()[1:])
    command = launch.on_own_cores(torchrun, own_cores=OWN_CORES.exists())
    environment = {**work.environment(launch.TORCH_DISTRIBUTED), "NCCL_PROTO": "simple"}
    leads = work.host == work.hosts[0]
    peers = Leader(work.followers) if leads else Follower(work.hosts[0], work.host, START_SECONDS)
    try:
        entry_point.install(work.entry_point)
        if isinstance(peers, Leader):
            peers.wait_for_followers(START_SECONDS)
        else:
            peers.ready()
        print(f"launching: {shlex.join(command)}", flush=True)
        script = Script(command, environment, contract.CODE_DIR)
        return see_through(script, work.hosts, work.per_host, peers=peers, elsewhere=len(work.hosts) > 1)
    finally:
        peers.dismiss()
