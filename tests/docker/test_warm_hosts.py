"""Hosts that were made before their job was known are those that would have been made for it, only sooner."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import docker
import pytest

from harness import labels, local_run
from harness.compose import Project
from harness.control import Control
from harness.fault_injector import FaultInjector
from harness.job_file import read_job_file
from harness.owner import marks
from harness.results import JobResult
from harness.steps import Steps
from harness.sweep import sweep
from harness.warm_cluster import WarmCluster
from harness.warm_hosts import WarmHosts
from tests.docker.conftest import MPI, Workplace

# Leaves in the model all that a script can find around it, but for process numbers, and then what it can leave behind.
LOOK = """
import hashlib, json, os, pathlib, socket

JOB = os.environ["TRAINING_JOB_NAME"].encode()

def files():
    for folder, folders, names in os.walk("/"):
        if folder == "/":
            folders[:] = [name for name in folders if name not in ("proc", "sys", "dev")]
        for name in [*folders, *names]:
            path = os.path.join(folder, name)
            is_ = os.lstat(path)
            content = ""
            if os.path.isfile(path) and folder.startswith(("/opt/ml", "/run", "/root", "/tmp", "/var", "/etc")):
                content = hashlib.md5(pathlib.Path(path).read_bytes().replace(JOB, b"NAME")).hexdigest()
            yield path, [oct(is_.st_mode), is_.st_uid, is_.st_gid, content]

def process(folder):
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
    return {
        "command": (folder / "cmdline").read_text().split("\\0"),
        "environment": sorted((folder / "environ").read_bytes().decode(errors="surrogateescape").split("\\0")),
        "cwd": os.readlink(folder / "cwd"),
        "files": sorted(os.readlink(item).split(":")[0] for item in (folder / "fd").iterdir() if item.is_symlink()),
        "limits": (folder / "limits").read_text(),
        "nice": os.getpriority(os.PRIO_PROCESS, int(folder.name)),
        "adjusted": (folder / "oom_score_adj").read_text(),
        **{key: status[key] for key in ("SigBlk", "SigIgn", "SigCgt", "Umask", "Uid", "Groups", "CapEff", "Seccomp")},
    }

seen = {
    "files": dict(files()),
    "first": process(pathlib.Path("/proc/1")),
    "script": process(pathlib.Path(f"/proc/{os.getpid()}")),
    "mounts": sorted(line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()),
    "cgroup": {name: pathlib.Path("/sys/fs/cgroup", name).read_text() for name in ("memory.max", "cpu.max", "pids.max")
               if pathlib.Path("/sys/fs/cgroup", name).exists()},
    "hostname": socket.gethostname(),
    "address": socket.gethostbyname(socket.gethostname()),
}
import horovod.torch as hvd
hvd.init()
# Only now all processes that launch ranks are there, on every host.
running = {(folder / "comm").read_text() for folder in pathlib.Path("/proc").iterdir() if folder.name.isdigit()}
seen["processes"] = sorted(running)
pathlib.Path(os.environ["SM_MODEL_DIR"], f"seen-{hvd.rank()}.json").write_text(json.dumps(seen))
for place in ("/tmp", "/root", "/run", "/etc", "/opt/ml/input/data/training", "/opt/ml", "/dev/shm"):
    pathlib.Path(place, "of-this-job").write_text("left behind")
"""

JOB = (
    MPI
    + """
inputs = { training = "data" }
environment = { GIVEN = "$a 'b' \\"c\\" é", LINES = "1\\n2" }
hyperparameters = { epochs = 1 }
"""
)


# Of each run alone: addresses, keys, numbers of ports and processes, the time in horovodrun's cache, names of volumes.
OWN_FILES = re.compile(r"/etc/(hosts|mtab|ssh/harness/.*)|/root/.horovod/cache.bin|/run/sshd.pid")
OWN_VARIABLES = re.compile(r"HOROVOD_GLOO_RENDEZVOUS_(ADDR|PORT)|SSH_(CLIENT|CONNECTION)")


def seen_by(run: JobResult, rank: int) -> dict[str, Any]:
    assert run.completed, run
    text = run.model.members[f"seen-{rank}.json"].decode()
    seen: dict[str, Any] = json.loads(text.replace(run.folder.name, "NAME"))
    for path, about in seen["files"].items():
        if OWN_FILES.fullmatch(path):
            about.pop()
    for process in ("first", "script"):
        variables = seen[process]["environment"]
        seen[process]["environment"] = [text for text in variables if not OWN_VARIABLES.match(text)]
    return seen


@pytest.fixture
def place(workplace: Workplace) -> Workplace:
    workplace.job(LOOK, table=JOB)
    (workplace.folder / "data").mkdir()
    (workplace.folder / "data" / "a").write_text("staged")
    return workplace


@pytest.fixture
def session() -> Iterator[WarmHosts]:
    with WarmHosts(marks(retain=False), Steps()) as session:
        yield session


def train(place: Workplace, hosts_for: local_run.HostsFor) -> JobResult:
    job = read_job_file(place.folder / "job.toml")
    described = local_run.train(
        job.training,
        local_run.Manner("gloo", "type", job.instance_types),
        local_run.Attendance(Control(), FaultInjector(), hosts_for=hosts_for),
        runs=place.folder / "runs",
        retain=False,
        steps=Steps(),
    )
    return JobResult(place.folder / "runs" / described["TrainingJobName"])


def test_a_script_cannot_tell_warm_hosts_from_cold_ones(place: Workplace, session: WarmHosts) -> None:
    projects: list[str] = []

    def hosts_for(plan: Any, project: Project, inputs: Any) -> WarmCluster:
        cluster = session.for_job(plan, project, inputs, another=not projects)
        projects.append(cluster.project.name)
        return cluster

    cold = train(place, hosts_for)
    warm = train(place, hosts_for)

    assert [name.startswith("warm-") for name in projects] == [False, True]
    for rank in (0, 1):
        one, other = seen_by(cold, rank), seen_by(warm, rank)
        assert one.pop("address") != other.pop("address")
        assert one == other


TESTS = """
import pytest

@pytest.mark.parametrize("turn", [1, 2])
def test_job(training, turn):
    assert training("job.toml").wait().completed

@pytest.mark.parametrize("turn", [1, 2])
def test_cluster(cluster, turn):
    assert cluster(1).run("algo-1", "ls", "/opt/ml/model").output == ""
    assert cluster(1).run("algo-1", "touch", "/opt/ml/model/of-this-test").exit_code == 0
"""
WAITS = """
import time, pytest

@pytest.mark.parametrize("turn", [1, 2])
def test_job(training, turn):
    assert training("job.toml").wait().completed
    print("over", flush=True)
    if turn == 1:
        time.sleep(600)
"""


class Session:
    """A session of pytest on its own: the runs whose hosts were started, and what of it is in the engine."""

    def __init__(self, engine: docker.DockerClient, folder: Path, options: Sequence[str]) -> None:
        self._engine = engine
        # Looked at from the beginning: the engine keeps the last few hundred events only, of all its users.
        self._events = engine.events(filters={"event": "start", "label": labels.OWNER}, decode=True)
        self._seen: list[Mapping[str, str]] = []
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        argv = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *options]
        self.process = subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def _watch(self) -> None:
        for event in self._events:
            self._seen.append(event["Actor"]["Attributes"])

    def started(self) -> list[str]:
        return sorted({marks[labels.RUN] for marks in self._seen if self._is_ours(marks)})

    def left(self) -> list[str]:
        chosen: dict[str, Any] = {"label": labels.OWNER}
        containers = self._engine.containers.list(all=True, filters=chosen, ignore_removed=True)
        found = [(item.name, item.labels) for item in containers]
        for collection in (self._engine.networks, self._engine.volumes):
            found += [(item.name, item.attrs["Labels"]) for item in collection.list(filters=chosen)]
        return [str(name) for name, marks in found if self._is_ours(marks)]

    def _is_ours(self, marks: Mapping[str, str]) -> bool:
        return marks[labels.OWNER].startswith(f"{self.process.pid} ")

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._events.close()
        self._watcher.join()


@pytest.fixture
def start_session(workplace: Workplace, engine: docker.DockerClient) -> Iterator[Callable[..., Session]]:
    """Start pytest on ``tests`` of a job with one host that does nothing."""
    workplace.job("print('hello')", instance_count=1)
    with ExitStack() as sessions:

        def start(tests: str, *options: str) -> Session:
            (workplace.folder / "test_it.py").write_text(tests)
            session = Session(engine, workplace.folder, options)
            sessions.callback(session.close)
            return session

        yield start


def test_a_session_makes_hosts_for_its_next_test_and_none_for_nobody(start_session: Callable[..., Session]) -> None:
    session = start_session(TESTS)

    output, _ = session.process.communicate(timeout=300)
    assert session.process.returncode == 0, output
    runs = session.started()
    assert [name.split("-")[0] for name in runs] == ["cluster"] * 4 + ["test", "warm"], runs
    assert "\nharness: 6 hosts started, 1 job on warm hosts\n" in output
    assert session.left() == []


def test_a_cold_session_makes_hosts_for_each_when_it_begins(start_session: Callable[..., Session]) -> None:
    session = start_session(TESTS, "--harness-cold", "-k", "test_job")

    output, _ = session.process.communicate(timeout=300)
    assert session.process.returncode == 0, output
    assert [name.split("-")[0] for name in session.started()] == ["test", "test"]
    assert "\nharness: 2 hosts started\n" in output
    assert session.left() == []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "SIGKILL"])
def test_spares_go_with_their_session_however_it_ends(
    start_session: Callable[..., Session], engine: docker.DockerClient, ending: signal.Signals
) -> None:
    session = start_session(WAITS)
    assert session.process.stdout
    assert any("over" in line for line in session.process.stdout)
    end = time.monotonic() + 60
    while not any(run.startswith("warm-") for run in session.started()):
        assert time.monotonic() < end, "no spare was made"
        time.sleep(0.1)

    session.process.send_signal(ending)
    session.process.wait(60)

    if ending == signal.SIGKILL:
        sweep(engine)  # as every next start does
    assert session.left() == []
