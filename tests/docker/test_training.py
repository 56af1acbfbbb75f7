"""Training on real hosts: one world of them, the script's contract, and how jobs end."""

from __future__ import annotations

import json
import signal
import tarfile
import time
from collections.abc import Callable

import docker
import pytest

from harness.expectations import assert_completed, assert_failed, assert_world, assert_wrote_model
from harness.limits import shares
from harness.ranks import World
from tests.docker.conftest import MPI, Training, Workplace, started

# Jobs of a kind stand together: each finds the hosts that the one before it had made.

# One world.

WORLD = """
    import os
    import horovod.torch as hvd
    import torch

    hvd.init()
    total = hvd.allreduce(torch.ones(1), op=hvd.Sum).item()
    print(f"rank {hvd.rank()} of {hvd.size()} on {os.uname().nodename} sums to {total}", flush=True)
    if hvd.rank() == 0:
        open(os.path.join(os.environ["SM_MODEL_DIR"], "model.txt"), "w").write(str(hvd.size()))
"""


@pytest.mark.parametrize(("launcher", "hosts"), [("gloo", 4), ("gloo", 1), ("gloo", 2), ("mpi", 2), ("toolkit", 2)])
def test_all_hosts_are_one_horovod_world(training: Training, workplace: Workplace, launcher: str, hosts: int) -> None:
    job = workplace.job(WORLD, table=MPI)

    result = training(job, launcher=launcher, hosts=hosts).wait()

    assert_completed(result)
    assert_world(result, hosts, {rank: f"algo-{rank + 1}" for rank in range(hosts)})
    assert result.values_by_rank(r"sums to (\S+)") == {rank: [f"{hosts}.0"] for rank in range(hosts)}
    assert_wrote_model(result, "algo-1")
    assert result.model.members == {"model.txt": str(hosts).encode()}


def test_processes_per_host_multiply_the_world(training: Training, workplace: Workplace) -> None:
    job = workplace.job(WORLD, table=MPI.replace("host = 1", "host = 2"))

    result = training(job).wait()

    assert_completed(result)
    assert_world(result, 4, {0: "algo-1", 1: "algo-1", 2: "algo-2", 3: "algo-2"})
    assert result.values_by_rank(r"sums to (\S+)") == {rank: ["4.0"] for rank in range(4)}


def test_an_exception_on_one_rank_fails_the_job_within_seconds(training: Training, workplace: Workplace) -> None:
    job = workplace.job(
        """
        import time
        import horovod.torch as hvd
        import torch

        hvd.init()
        hvd.allreduce(torch.ones(1))
        if hvd.rank() == 1:
            print("raising at", time.time(), flush=True)
            raise ValueError("only rank 1 is unhappy")
        time.sleep(600)
        """,
        table=MPI,
    )

    result = training(job).wait()
    ended = time.time()

    (raised,) = result.values_by_rank(r"raising at (\S+)")[1]
    assert_failed(result, because="ValueError: only rank 1 is unhappy")
    assert_failed(result, because="rank 1 on algo-2")
    assert ended - float(raised) < 15


def test_a_killed_host_fails_the_job_and_is_named(training: Training, workplace: Workplace) -> None:
    script = """
        import time
        import horovod.torch as hvd

        hvd.init()
        print("together", hvd.size(), flush=True)
        time.sleep(600)
    """
    job = training(workplace.job(script, table=MPI))
    job.after_log("together 2").kill("algo-2")

    assert_failed(job.wait(), because="algo-2")


# Each host alone.


def test_without_distribution_each_host_trains_alone_and_the_user_is_told(
    training: Training, workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    result = training(workplace.job(WORLD)).wait()

    assert_completed(result)
    assert result.worlds() == [World(1, {0: "algo-1"}), World(1, {0: "algo-2"})]
    assert all(host.log.contains("sums to 1.0") for host in result.hosts), result
    assert "they are not training together" in result.receipt["Advice"][0]
    assert "they are not training together" in capsys.readouterr().err


def test_variables_reach_the_script_as_they_are(training: Training, workplace: Workplace) -> None:
    job = workplace.job(
        """
        import json, os, sys
        print("SEEN " + json.dumps([os.environ["NASTY"], sys.argv[1:], os.environ.get("HARNESS_LAUNCHER")]))
        """,
        table="""
        environment = { NASTY = "a$HOME-b$$c ${PATH} \\"q\\"" }
        hyperparameters = { text = "it's $5", flag = true, "batch-size" = 64 }
        """,
    )

    result = training(job).wait()

    assert_completed(result)
    seen = ['a$HOME-b$$c ${PATH} "q"', ["--batch-size", "64", "--flag", "True", "--text", "it's $5"], None]
    for host in ("algo-1", "algo-2"):
        assert json.loads(result.host(host).log.text.split("SEEN ")[1].splitlines()[0]) == seen


def test_every_host_trains_on_its_own_share_of_the_cores(
    training: Training, workplace: Workplace, engine: docker.DockerClient
) -> None:
    job = workplace.job("import os; print('cores', sorted(os.sched_getaffinity(0)))")

    result = training(job).wait()

    assert_completed(result)
    for host, cores in zip(result.hosts, shares(engine.info()["NCPU"], [4, 4]), strict=True):
        assert host.log.contains(f"cores {list(cores)}"), result


def test_logs_are_complete_also_when_the_host_dies_at_once(training: Training, workplace: Workplace) -> None:
    job = workplace.job(
        """
        import os, sys
        for number in range(20000):
            print("line", number)
        sys.stdout.flush()
        os._exit(7)
        """
    )

    result = training(job).wait()

    assert_failed(result)
    host = result.host("algo-2" if "algo-2" in result.failure_reason else "algo-1")
    lines = [line for line in host.log.lines if line.startswith("line ")]
    assert lines == [f"line {number}" for number in range(20000)]


def test_max_run_ends_the_job_as_stopped(training: Training, workplace: Workplace) -> None:
    job = workplace.job("import time; time.sleep(600)", table="max_run = 3\n")

    result = training(job).wait()

    assert result.stopped, result
    assert result.secondary_status == "MaxRuntimeExceeded"


def test_the_users_own_failure_file_becomes_the_failure_reason(training: Training, workplace: Workplace) -> None:
    job = workplace.job(
        """
        open("/opt/ml/output/failure", "w").write("the data has no labels")
        raise SystemExit(3)
        """,
        instance_count=1,
    )

    result = training(job).wait()

    assert_failed(result)
    assert result.failure_reason == "AlgorithmError: the data has no labels, exit code: 1"


def test_channels_are_each_hosts_own_and_the_users_data_is_never_touched(
    training: Training, workplace: Workplace
) -> None:
    data = workplace.folder / "data"
    (data / "deep").mkdir(parents=True)
    (data / "deep/a.txt").write_text("original")
    job = workplace.job(
        """
        import os, time

        folder, host = os.environ["SM_CHANNEL_TRAINING"], os.environ["SM_CURRENT_HOST"]
        path = os.path.join(folder, "deep/a.txt")
        assert open(path).read() == "original"
        open(path, "w").write(host)
        open(os.path.join(folder, "new-" + host), "w").close()
        time.sleep(3)  # both hosts have written by now
        assert open(path).read() == host
        assert sorted(os.listdir(folder)) == ["deep", "new-" + host], os.listdir(folder)
        """,
        table='inputs = { training = "data" }\n',
    )

    first = training(job).wait()
    second = training(job).wait()  # from the same staged volume

    assert_completed(first)
    assert_completed(second)
    assert [path.name for path in data.rglob("*")] == ["deep", "a.txt"]
    assert (data / "deep/a.txt").read_text() == "original"


def test_sm_variables_are_those_of_the_toolkit(training: Training, workplace: Workplace) -> None:
    """The script asks AWS's released toolkit, in the same host, what it would have set."""
    (workplace.folder / "data").mkdir()
    (workplace.folder / "data/x").write_text("x")
    job = workplace.job(
        """
        import json, os, subprocess, sys
        assert os.environ.pop("SM_DLC_TORCH_VERSION")  # the PyTorch layer's, see test_toolkit_parity.py
        ours = {k: v for k, v in os.environ.items() if k.startswith("SM_")}
        bare = {k: v for k, v in os.environ.items() if not k.startswith("SM_")}
        code = "import json; from sagemaker_training import environment as e;"
        code += "print(json.dumps(e.Environment().to_env_vars()))"
        out = subprocess.run([sys.executable, "-c", code], env=bare, stdout=subprocess.PIPE, check=True).stdout
        theirs = json.loads(out.splitlines()[-1])
        different = {k for k in {*ours, *theirs} if ours.get(k) != theirs.get(k)}
        print("DIFFERENT", sorted(different), "OF", len(theirs))
        """,
        table="""
        hyperparameters = { epochs = 6, backend = "gloo", list = [1, 2], nested = { b = 1, a = [true] } }
        inputs = { training = "data" }
        """,
    )

    result = training(job).wait()

    assert_completed(result)
    for host in ("algo-1", "algo-2"):
        assert result.host(host).log.contains("DIFFERENT [] OF"), result


# What the command does: its words, its exit codes, and that it leaves nothing behind.


def test_a_host_that_fails_alone_fails_the_job_and_stops_the_others(
    workplace: Workplace, left_over: Callable[[], list[str]]
) -> None:
    job = workplace.job(
        """
        import os, sys, time

        if os.environ["SM_CURRENT_HOST"] == "algo-2":
            sys.exit("algo-2 gives up")
        open("/opt/ml/model/half", "w").write("half a model")
        time.sleep(600)
        """
    )

    ran = workplace.harness("train", str(job))

    assert ran.exit_code == 1, ran
    assert "algo-2 failed; stopping algo-1" in ran.stderr
    reason = workplace.describe()["FailureReason"]
    assert reason.startswith('AlgorithmError: ExecuteUserScriptError:\nExitCode 1\nErrorMessage "algo-2 gives up"')
    with tarfile.open(workplace.folder / "runs/latest/model.tar.gz") as model:
        assert model.getnames() == ["half"]
    assert left_over() == []


def test_ctrl_c_stops_the_hosts_and_keeps_what_there_is(
    workplace: Workplace, left_over: Callable[[], list[str]]
) -> None:
    job = workplace.job(
        """
        import time
        open("/opt/ml/model/so-far", "w").write("x")
        print("sleeping", flush=True)
        time.sleep(600)
        """
    )
    with started(workplace, job, until="sleeping") as running:
        running.send_signal(signal.SIGINT)
        _, rest = running.communicate(timeout=60)

    assert running.returncode == 3, rest
    description = workplace.describe()
    assert description["TrainingJobStatus"] == "Stopped"
    assert [t["Status"] for t in description["SecondaryStatusTransitions"]][-3:] == ["Stopping", "Uploading", "Stopped"]
    assert (workplace.folder / "runs/latest/model.tar.gz").exists()
    assert left_over() == [], rest


def test_retained_hosts_stay_until_they_are_cleaned(workplace: Workplace, left_over: Callable[[], list[str]]) -> None:
    job = workplace.job("print('done')", instance_count=1)

    ran = workplace.harness("train", str(job), "--retain")

    assert ran.exit_code == 0, ran
    assert any(name.endswith("algo-1") for name in left_over())
    listed = workplace.harness("ps", "--json")
    assert (workplace.folder / "runs/latest").readlink().name in listed.stdout
    workplace.harness("clean")
    assert left_over() == []


def test_a_run_ends_with_its_receipt_and_the_advice_that_it_gave_cause_for(
    workplace: Workplace, left_over: Callable[[], list[str]]
) -> None:
    job = workplace.job(
        """
        print("loss = 0.5")
        """,
        table="""
        metric_definitions = [ { Name = "loss", Regex = "loss=(.*)" } ]
        debugger_hook_config = { hook = 1 }
        distribution = { mpi = { enabled = true } }
        """,
    )

    ran = workplace.harness("train", str(job), "--lenient")

    assert ran.exit_code == 0, ran
    made = json.loads((workplace.folder / "runs/latest/receipt.json").read_text())
    ending = ran.stderr.split("Completed: ")[1].splitlines()
    assert any(line.startswith("  receipt: ") and line.endswith("receipt.json)") for line in ending), ran
    assert "  ignored: debugger_hook_config (--lenient)" in ending
    advice = [line.removeprefix("  advice: ") for line in ending if line.startswith("  advice: ")]
    assert [text.split(":")[0] for text in advice] == [
        "no line of any log gave a value for 'loss'",
        "nothing was written to /opt/ml/model (SM_MODEL_DIR)",
    ]
    assert "WARNING: debugger_hook_config is ignored (--lenient)" in ran.stderr
    assert made["Advice"][-2:] == advice
    assert made["Launcher"].startswith("approximated: horovodrun --gloo")
    assert left_over() == []
