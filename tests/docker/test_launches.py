"""Every way in which the platform's PyTorch container starts a script, on real hosts."""

from __future__ import annotations

import json
import signal
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import docker
import pytest

from harness import labels
from harness.expectations import assert_completed, assert_failed
from harness.results import JobResult
from tests.docker.conftest import MPI, Training, Workplace, started

TORCH = "distribution = { torch_distributed = { enabled = true } }\n"


def job_of(workplace: Workplace, files: Mapping[str, str], entry_point: str, table: str = "", hosts: int = 1) -> Path:
    """A job whose source directory holds ``files``."""
    job = workplace.job("", table=table, instance_count=hosts)
    (workplace.folder / "code/script.py").unlink()
    for name, text in files.items():
        path = workplace.folder / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    job.write_text(job.read_text().replace('entry_point = "script.py"', f'entry_point = "{entry_point}"'))
    return job


def in_groups(job: Path, *groups: tuple[str, int], distributed: list[str] | None = None) -> Path:
    """The same job on a heterogeneous cluster of ``groups``, as name and number of hosts."""
    lines = [line for line in job.read_text().splitlines() if not line.startswith(("instance_type", "instance_count"))]
    tables = ", ".join(
        f'{{ instance_group_name = "{name}", instance_type = "ml.m5.large", instance_count = {count} }}'
        for name, count in groups
    )
    text = "\n".join([*lines, f"instance_groups = [ {tables} ]", ""])
    if distributed:
        text = text.replace("distribution = { ", f"distribution = {{ instance_groups = {json.dumps(distributed)}, ")
    job.write_text(text)
    return job


def model(result: JobResult) -> dict[str, Any]:
    """The JSON files of the model, by name without suffix."""
    members = result.model.members.items()
    return {name.removesuffix(".json"): json.loads(content) for name, content in members if name.endswith(".json")}


# torchrun


TORCH_WORLD = """
    import os
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo")
    total = torch.ones(1)
    dist.all_reduce(total)
    print(f"rank {dist.get_rank()} of {dist.get_world_size()} sum={total.item()} host={os.environ['SM_CURRENT_HOST']}")
    print("launcher said", os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"], os.environ["LOCAL_RANK"])
    dist.destroy_process_group()
"""


@pytest.mark.parametrize(("launcher", "hosts"), [("gloo", 2), ("gloo", 1), ("gloo", 4), ("toolkit", 2)])
def test_torchrun_on_each_host_makes_one_world(
    workplace: Workplace, left_over: Callable[[], list[str]], launcher: str, hosts: int
) -> None:
    job = workplace.job(TORCH_WORLD, table=TORCH, instance_count=hosts)

    ran = workplace.harness("train", str(job), "--launcher", launcher)

    assert ran.exit_code == 0, ran
    for rank in range(hosts):
        log = workplace.log(f"algo-{rank + 1}")
        assert f"rank {rank} of {hosts} sum={float(hosts)} host=algo-{rank + 1}" in log, log
        if launcher != "toolkit" and hosts > 1:
            place = f"--master_addr algo-1 --master_port 7777 --node_rank {rank}"
            assert f"torchrun --nnodes {hosts} --nproc_per_node 1 {place} script.py" in log
            assert "launcher said algo-1 7777 0" in log
    assert left_over() == []


def test_torchrun_starts_as_many_ranks_per_host_as_the_job_asks_for(training: Training, workplace: Workplace) -> None:
    job = workplace.job(
        TORCH_WORLD, table=f"hyperparameters = {{ sagemaker_mpi_num_of_processes_per_host = 2 }}\n{TORCH}"
    )

    result = training(job).wait()

    assert_completed(result)
    assert result.host("algo-1").log.contains("rank 1 of 4 sum=4.0 host=algo-1")
    assert result.host("algo-2").log.contains("rank 2 of 4 sum=4.0 host=algo-2")


def test_a_rank_of_torchrun_that_leaves_its_world_early_fails_the_job(training: Training, workplace: Workplace) -> None:
    job = workplace.job(FAILING.format(host="algo-2", failure="sys.exit(0)"), table=TORCH)

    result = training(job).wait()

    assert_failed(result)
    assert any(word in result.failure_reason for word in ("Connection closed by peer", "reset by peer", "Broken pipe"))
    assert "rank 0 on algo-1" in result.failure_reason


def test_ctrl_c_stops_a_world_of_torchrun(workplace: Workplace, left_over: Callable[[], list[str]]) -> None:
    job = workplace.job(FAILING.format(host="nobody", failure=""), table=TORCH)
    with started(workplace, job, until="together 2") as running:
        running.send_signal(signal.SIGINT)
        _, rest = running.communicate(timeout=60)

    assert running.returncode == 3, rest
    assert workplace.describe()["TrainingJobStatus"] == "Stopped"
    assert left_over() == [], rest


FAILING = """
    import os, sys, time
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo")
    x = torch.ones(1)
    dist.all_reduce(x)
    print("together", dist.get_world_size(), flush=True)
    if os.environ["SM_CURRENT_HOST"] == "{host}":
        print("failing at", time.time(), flush=True)
        {failure}
    while True:
        dist.all_reduce(x)
"""


@pytest.mark.parametrize(
    ("host", "failure", "reason"),
    [
        ("algo-1", 'raise ValueError("only one is unhappy")', "ValueError: only one is unhappy"),
        ("algo-2", 'raise ValueError("only one is unhappy")', "ValueError: only one is unhappy"),
        ("algo-2", 'sys.exit("no labels in the data")', "no labels in the data"),
        ("algo-2", "os.kill(os.getpid(), 9)", "Signal 9 (SIGKILL) received by PID"),
    ],
)
def test_the_host_whose_rank_failed_first_is_the_one_that_is_named(
    workplace: Workplace, left_over: Callable[[], list[str]], host: str, failure: str, reason: str
) -> None:
    job = workplace.job(FAILING.format(host=host, failure=failure), table=TORCH)

    ran = workplace.harness("train", str(job))

    description = workplace.describe()
    assert ran.exit_code == 1, ran
    assert reason in description["FailureReason"], description
    assert f"rank {int(host[-1]) - 1} on {host}" in description["FailureReason"]
    assert left_over() == []


@pytest.mark.parametrize("host", ["algo-1", "algo-2"])
def test_a_host_that_dies_takes_the_others_of_its_world_with_it(
    workplace: Workplace, engine: docker.DockerClient, left_over: Callable[[], list[str]], host: str
) -> None:
    job = workplace.job(FAILING.format(host="nobody", failure=""), table=TORCH)
    with started(workplace, job, until="together 2") as running:
        name = (workplace.folder / "runs/latest").readlink().name
        chosen = [f"{labels.JOB}={name}", f"{labels.HOST}={host}"]
        (victim,) = engine.containers.list(filters={"label": chosen})
        victim.kill()
        _, rest = running.communicate(timeout=60)

    assert running.returncode == 1, rest
    assert host in workplace.describe()["FailureReason"]
    assert left_over() == []


def test_a_package_cannot_be_run_by_torchrun(training: Training, workplace: Workplace) -> None:
    files = {"train.py": "", "setup.py": "from setuptools import setup; setup(name='x', py_modules=['train'])\n"}
    job = job_of(workplace, files, "train.py", TORCH, hosts=2)

    result = training(job).wait()

    assert_failed(result)
    assert "torch_distributed runs a .py file and no package" in result.failure_reason


def test_hosts_without_a_launcher_find_each_other_by_what_they_are_told(
    training: Training, workplace: Workplace
) -> None:
    # AWS's own examples of torch.distributed begin like this.
    job = workplace.job(
        """
        import json, os
        import torch
        import torch.distributed as dist

        hosts, host = json.loads(os.environ["SM_HOSTS"]), os.environ["SM_CURRENT_HOST"]
        dist.init_process_group("gloo", rank=hosts.index(host), world_size=len(hosts))
        total = torch.ones(1)
        dist.all_reduce(total)
        print("sum", total.item(), "over", os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"])
        """
    )

    result = training(job).wait()

    assert_completed(result)
    for host in ("algo-1", "algo-2"):
        assert result.host(host).log.contains("sum 2.0 over algo-1 7777")


@pytest.mark.parametrize("flag", ["sagemaker_pytorch_ddp_enabled", "sagemaker_distributed_dataparallel_enabled"])
def test_what_needs_the_platforms_own_libraries_fails_with_one_clear_line(
    training: Training, workplace: Workplace, flag: str
) -> None:
    job = workplace.job("", table=f"hyperparameters = {{ {flag} = true }}\n")

    result = training(job).wait()

    reason = result.failure_reason
    assert_failed(result)
    assert flag in reason
    assert "use 'torch_distributed' or 'mpi'" in reason
    assert not result.host("algo-1").log.contains("Traceback")


# mpi


PROBE = """
    import json, os
    import horovod.torch as hvd
    import torch

    OTHERS = ("CUDA_VISIBLE_DEVICES", "NCCL_DEBUG", "NCCL_MIN_NRINGS", "OPTION")
    hvd.init()
    torch.manual_seed(7)
    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    data = torch.randn(256, 8, generator=torch.Generator().manual_seed(1))
    target = data.sum(dim=1, keepdim=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    hvd.broadcast_parameters(net.state_dict(), root_rank=0)
    optimizer = hvd.DistributedOptimizer(optimizer, named_parameters=net.named_parameters())
    for step in range(30):
        optimizer.zero_grad()
        part = slice(hvd.rank(), None, hvd.size())
        torch.nn.functional.mse_loss(net(data[part]), target[part]).backward()
        optimizer.step()
    seen = {
        "world": [hvd.rank(), hvd.size(), hvd.local_rank(), hvd.local_size(), os.uname().nodename],
        "variables": {key: value for key, value in os.environ.items() if key.startswith("SM_")},
        "user": {key: value for key, value in os.environ.items() if key.startswith("USER_")},
        "others": {key: os.environ.get(key) for key in OTHERS},
        "model": [value for tensor in net.state_dict().values() for value in tensor.flatten().tolist()],
        "folder": os.getcwd(),
    }
    with open("/opt/ml/model/rank-%d.json" % hvd.rank(), "w") as f:
        json.dump(seen, f)
"""
NASTY = {
    "USER_PLAIN": "x",
    "USER_EMPTY": "",
    "USER_SPACES": "  a  b ",
    "USER_QUOTES": 'it\'s "quoted" `id` $(id)',
    "USER_DOLLAR": "$HOME ${PATH} $$",
    "USER_SIGNS": "a=b;c,d|e&f<g>h*i?j\\k#l!m~n",
    "USER_UNICODE": "größe ✓",
    "USER_JSON": '{"a": [1, 2], "b": "c;d"}',
}
ENVIRONMENT = "\n".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in NASTY.items())


@pytest.mark.parametrize("launcher", ["gloo", "mpi"])
def test_the_users_environment_reaches_ranks_on_every_host_unchanged(
    training: Training, workplace: Workplace, launcher: str
) -> None:
    table = f"{MPI}[training.environment]\n{ENVIRONMENT}\nCUDA_VISIBLE_DEVICES = '0, 1'\nUSER_LINES = 'a\\nb'\n"
    job = workplace.job(PROBE, table=table.replace("'a\\nb'", '"a\\nb"'))

    result = training(job, launcher=launcher).wait()

    assert_completed(result)
    for rank in ("rank-0", "rank-1"):
        seen = model(result)[rank]
        assert seen["user"] == {**NASTY, "USER_LINES": "a\nb"}
        assert seen["others"]["CUDA_VISIBLE_DEVICES"] == "0, 1"


# What ranks of `horovodrun` see otherwise than those of the toolkit's mpirun, and why.
DIFFERENT = {
    "SM_DLC_TORCH_VERSION",  # the toolkit sets it too late for mpirun's -x: only its leader's ranks have it
}


def test_a_job_is_the_same_under_horovodrun_and_under_the_toolkit(training: Training, workplace: Workplace) -> None:
    table = f'hyperparameters = {{ epochs = 6, text = "it\'s" }}\n{MPI}[training.environment]\n{ENVIRONMENT}\n'
    job = workplace.job(PROBE, table=table)
    seen: dict[str, dict[str, Any]] = {}
    for launcher in ("gloo", "mpi", "toolkit"):
        result = training(job, launcher=launcher).wait()
        assert_completed(result)
        seen[launcher] = model(result)

    assert [seen["toolkit"][rank]["world"] for rank in ("rank-0", "rank-1")] == [
        [0, 2, 0, 1, "algo-1"],
        [1, 2, 0, 1, "algo-2"],
    ]
    for launcher in ("gloo", "mpi"):
        for rank, theirs in seen["toolkit"].items():
            ours = seen[launcher][rank]
            assert ours["world"] == theirs["world"]
            assert ours["folder"] == theirs["folder"]
            assert ours["others"] == theirs["others"]
            assert comparable(ours["variables"]) == comparable(theirs["variables"])
            assert ours["user"] == theirs["user"] == NASTY
            assert ours["model"] == pytest.approx(theirs["model"], abs=1e-5)
    # As in the cloud, every rank is told of the leader as its current host; its name is what tells ranks apart.
    assert {rank["variables"]["SM_CURRENT_HOST"] for run in seen.values() for rank in run.values()} == {"algo-1"}


def comparable(variables: dict[str, str]) -> dict[str, Any]:
    """Without what is a run's own, or known to differ."""
    found: dict[str, Any] = {name: value for name, value in variables.items() if name not in DIFFERENT}
    found["SM_TRAINING_ENV"] = {**json.loads(found["SM_TRAINING_ENV"]), "job_name": ""}
    return found


def test_mpi_options_reach_the_ranks_over_mpi_and_over_gloo_the_user_is_told(
    training: Training, workplace: Workplace
) -> None:
    options = MPI.replace("host = 1", 'host = 2, custom_mpi_options = "-x OPTION=given --NCCL_DEBUG WARN"')
    job = workplace.job(PROBE, table=options)

    over_mpi = training(job, launcher="mpi").wait()
    over_gloo = training(job, launcher="gloo").wait()

    assert_completed(over_mpi)
    ranks = model(over_mpi)
    assert [ranks[f"rank-{rank}"]["world"] for rank in range(4)] == [
        [0, 4, 0, 2, "algo-1"],
        [1, 4, 1, 2, "algo-1"],
        [2, 4, 0, 2, "algo-2"],
        [3, 4, 1, 2, "algo-2"],
    ]
    assert {(rank["others"]["OPTION"], rank["others"]["NCCL_DEBUG"]) for rank in ranks.values()} == {("given", "WARN")}
    assert_completed(over_gloo)
    assert over_gloo.host("algo-1").log.contains("custom_mpi_options are mpirun's and do not apply over gloo")
    over_gloo_seen = [rank["others"] for rank in model(over_gloo).values()]
    assert {(seen["OPTION"], seen["NCCL_DEBUG"]) for seen in over_gloo_seen} == {(None, "WARN")}


@pytest.mark.parametrize(
    ("launcher", "rank", "reason"),
    [
        ("gloo", 0, "OutOfMemory: Process killed by SIGKILL (signal 9)"),
        ("gloo", 1, "killed, perhaps for lack of memory, or cut off"),
        ("mpi", 1, "OutOfMemory: Process killed by SIGKILL (signal 9)"),
    ],
)
def test_a_rank_that_is_killed_is_named_with_what_may_have_killed_it(
    training: Training, workplace: Workplace, launcher: str, rank: int, reason: str
) -> None:
    job = workplace.job(
        f"""
        import os
        import horovod.torch as hvd
        import torch

        hvd.init()
        hvd.allreduce(torch.ones(1))
        if hvd.rank() == {rank}:
            os.kill(os.getpid(), 9)
        while True:
            hvd.allreduce(torch.ones(1))
        """,
        table=MPI,
    )

    result = training(job, launcher=launcher).wait()

    found = result.failure_reason
    assert_failed(result)
    assert reason in found
    assert f"rank {rank} on algo-{rank + 1}" in found


# Entry points


SHELL = """\
    #!/bin/sh
    echo "in $(pwd) with $# arguments:"
    for argument; do echo "<$argument>"; done
    if [ "$FAIL" ]; then echo "giving up" >&2; exit 3; fi
"""


@pytest.mark.parametrize("distribution", ["", MPI], ids=["plain", "mpi"])
def test_a_shell_script_gets_its_arguments_as_they_are(
    training: Training, workplace: Workplace, distribution: str
) -> None:
    table = f'hyperparameters = {{ text = "it\'s $HOME; ls", n = 1 }}\n{distribution}'
    job = job_of(workplace, {"deep/run.sh": SHELL}, "deep/run.sh", table, hosts=2)

    result = training(job).wait()

    assert_completed(result)
    log = result.host("algo-1").log.text
    for line in ("in /opt/ml/code with 4 arguments:", "<-n>", "<1>", "<--text>", "<it's $HOME; ls>"):
        assert line in log, log


def test_a_shell_script_that_fails_is_told_by_its_code_and_its_last_words(
    training: Training, workplace: Workplace
) -> None:
    job = job_of(workplace, {"run.sh": SHELL}, "run.sh", 'environment = { FAIL = "1" }\n')

    result = training(job).wait()

    reason = result.failure_reason
    assert_failed(result)
    assert "ExitCode 3" in reason
    assert "giving up" in reason


PACKAGE = "from setuptools import setup\nsetup(name='tiny', version='1.0', py_modules=['tiny'])\n"


@pytest.mark.parametrize("distribution", ["", MPI, TORCH], ids=["plain", "mpi", "torch_distributed"])
def test_requirements_are_installed_on_every_host_before_the_script_starts(
    training: Training, workplace: Workplace, distribution: str
) -> None:
    files = {
        "requirements.txt": "--no-index\n./lib/tiny\n",
        "lib/tiny/setup.py": PACKAGE,
        "lib/tiny/tiny.py": "WORD = 'installed'\n",
        "train.py": "import os, tiny; print(tiny.WORD, 'on', os.uname().nodename, tiny.__file__)\n",
    }
    job = job_of(workplace, files, "train.py", distribution, hosts=2)

    result = training(job).wait()

    assert_completed(result)
    logs = result.host("algo-1").log.text + result.host("algo-2").log.text
    for host in ("algo-1", "algo-2"):
        assert f"installed on {host} /usr/local/lib/python3.11/dist-packages/tiny.py" in logs, logs


@pytest.mark.parametrize("distribution", ["", MPI], ids=["plain", "mpi"])
def test_requirements_that_cannot_be_installed_fail_the_job_in_pips_words(
    training: Training, workplace: Workplace, distribution: str
) -> None:
    files = {"requirements.txt": "--no-index\nno-such-package-at-all\n", "train.py": "print('started')\n"}
    job = job_of(workplace, files, "train.py", distribution, hosts=2)

    result = training(job).wait()

    reason = result.failure_reason
    assert_failed(result)
    assert reason.startswith("AlgorithmError: InstallRequirementsError:\nExitCode 1\n"), reason
    assert "No matching distribution found for no-such-package-at-all" in reason
    assert 'Command "python3 -m pip install -r requirements.txt"' in reason
    assert not result.host("algo-1").log.contains("started")


@pytest.mark.parametrize("distribution", ["", MPI], ids=["plain", "mpi"])
def test_a_package_is_installed_and_run_as_a_module(
    training: Training, workplace: Workplace, distribution: str
) -> None:
    files = {
        "setup.py": "from setuptools import setup\nsetup(name='mine', version='1.0', py_modules=['train', 'help'])\n",
        "train.py": "import importlib.metadata as m, help, sys; print(help.WORD, m.version('mine'), sys.argv[1:])\n",
        "help.py": "WORD = 'module'\n",
    }
    job = job_of(workplace, files, "train.py", f"hyperparameters = {{ lr = 0.1 }}\n{distribution}", hosts=2)

    result = training(job).wait()

    assert_completed(result)
    assert result.host("algo-1").log.contains("module 1.0 ['--lr', '0.1']")


@pytest.mark.parametrize("host", ["algo-1", "algo-2"])
@pytest.mark.parametrize("distribution", ["", MPI], ids=["plain", "mpi"])
def test_a_package_that_cannot_be_installed_on_one_host_fails_the_job_with_its_own_exception(
    training: Training, workplace: Workplace, distribution: str, host: str
) -> None:
    setup = f"""
        import os
        from setuptools import setup
        if os.uname().nodename == "{host}":
            raise ValueError("no version")
        setup(name="mine", py_modules=["train"])
    """
    job = job_of(workplace, {"setup.py": setup, "train.py": ""}, "train.py", distribution, hosts=2)

    result = training(job).wait()

    reason = result.failure_reason
    assert_failed(result)
    assert reason.startswith('AlgorithmError: InstallModuleError:\nExitCode 1\nErrorMessage "ValueError: no version"')
    assert reason.endswith(f"({host})")


@pytest.mark.parametrize("host", ["algo-1", "algo-2"])
def test_a_host_of_torchruns_that_cannot_install_what_it_needs_is_the_one_that_is_named(
    training: Training, workplace: Workplace, host: str
) -> None:
    files = {
        "requirements.txt": "--no-index\n./lib\n",
        "lib/setup.py": f"import os\nassert os.uname().nodename != '{host}', 'no version'\n" + PACKAGE,
        "lib/tiny.py": "",
        "train.py": TORCH_WORLD,
    }
    job = job_of(workplace, files, "train.py", TORCH, hosts=2)

    result = training(job).wait()

    reason = result.failure_reason
    assert_failed(result)
    assert 'InstallRequirementsError:\nExitCode 1\nErrorMessage "AssertionError: no version"' in reason
    assert reason.endswith(f"({host})")


# Instance groups


def told(result: JobResult, host: str) -> dict[str, str]:
    """What the script on ``host`` said of itself."""
    line = next(line for line in result.host(host).log.lines if "TOLD " in line)
    found: dict[str, str] = json.loads(line.split("TOLD ")[1])
    return found


GROUPED = """
    import json, os
    import horovod.torch as hvd

    hvd.init()
    names = ("SM_CURRENT_HOST", "SM_CURRENT_INSTANCE_GROUP", "SM_DISTRIBUTION_INSTANCE_GROUPS", "MASTER_ADDR")
    said = {name: os.environ[name] for name in names}
    said["world"] = f"{hvd.rank()} of {hvd.size()}"
    said["is_master"] = json.loads(os.environ["SM_TRAINING_ENV"])["is_master"]
    print("TOLD " + json.dumps(said), flush=True)
"""


def test_a_distribution_spreads_over_its_groups_only(training: Training, workplace: Workplace) -> None:
    job = in_groups(workplace.job(GROUPED, table=MPI), ("cpu", 1), ("gpu", 2), distributed=["gpu"])

    result = training(job).wait()

    assert_completed(result)
    assert told(result, "algo-1") == {
        "SM_CURRENT_HOST": "algo-1",
        "SM_CURRENT_INSTANCE_GROUP": "cpu",
        "SM_DISTRIBUTION_INSTANCE_GROUPS": '["gpu"]',
        "MASTER_ADDR": "algo-2",
        "world": "0 of 1",
        "is_master": False,
    }
    log = result.host("algo-2").log.text
    assert "-np 2 -H algo-2:1,algo-3:1 " in log
    assert '"world": "1 of 2"' in log
    assert told(result, "algo-2")["is_master"]
    assert not result.host("algo-3").log.contains("TOLD")


def test_without_named_groups_each_group_is_a_world_of_its_own(training: Training, workplace: Workplace) -> None:
    script = TORCH_WORLD + "    print('group', os.environ['SM_DISTRIBUTION_INSTANCE_GROUPS'])\n"
    job = in_groups(workplace.job(script, table=TORCH), ("a", 1), ("b", 2))

    result = training(job).wait()

    assert_completed(result)
    assert result.host("algo-1").log.contains("rank 0 of 1 sum=1.0 host=algo-1")
    assert result.host("algo-2").log.contains("rank 0 of 2 sum=2.0 host=algo-2")
    assert result.host("algo-3").log.contains("rank 1 of 2 sum=2.0 host=algo-3")
    assert result.host("algo-3").log.contains("--master_addr algo-2 --master_port 7777 --node_rank 1")
    assert result.host("algo-3").log.contains('group ["b"]')
