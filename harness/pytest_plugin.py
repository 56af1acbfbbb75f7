"""Fixtures for tests of SageMaker jobs on real local hosts. Registered as the pytest plugin ``harness``.

What is heavy is imported by the fixture that needs it: collecting tests costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.hosted_model import HostedModel
    from harness.idle_hosts import IdleHosts
    from harness.job_contract import JobContract
    from harness.results import JobResult
    from harness.running_job import RunningJob
    from harness.sagemaker_env import SageMakerEnv
    from harness.warm_hosts import WarmHosts

_JOBS: pytest.StashKey[list[RunningJob]] = pytest.StashKey()
STARTED: pytest.StashKey[list[tuple[int, int]]] = pytest.StashKey()  # hosts, jobs on warm ones; per process
_LAUNCHERS = ("gloo", "mpi", "toolkit")
_MAX_HOSTS = 8


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "SageMaker jobs on local hosts")
    group.addoption(
        "--harness-hosts",
        type=_hosts,
        metavar="N",
        help="Number of hosts of every job and cluster of a test, unless the test itself says how many.",
    )
    group.addoption("--harness-retain", action="store_true", help="Keep hosts and endpoints, to look around in them.")
    group.addoption(
        "--harness-cold",
        action="store_true",
        help="Make the hosts of every job and cluster when it begins, instead of some beforehand.",
    )
    group.addoption(
        "--harness-launcher",
        choices=_LAUNCHERS,
        default="gloo",
        help="How distributed scripts are started: horovodrun over gloo (default) or mpi, or AWS's own toolkit.",
    )


def _hosts(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= _MAX_HOSTS:
        import argparse

        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {_MAX_HOSTS}")
    return int(text)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "multihost(n): jobs and clusters of this test have n hosts, unless it says else")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the whole evidence of its jobs, of which pytest itself shows the beginning only."""
    report = yield
    if call.excinfo and call.when == "call":
        for job in (job for job in item.stash.get(_JOBS, ()) if job.has_begun):
            report.sections.append((f"training job {job.name}", job.evidence()))
    return report


@pytest.fixture
def harness_hosts(request: pytest.FixtureRequest) -> int | None:
    """How many hosts jobs of this test have, by the marker ``multihost(n)`` or --harness-hosts; None: as they say."""
    marker = request.node.get_closest_marker("multihost")
    if marker is None:
        found: int | None = request.config.getoption("--harness-hosts")
        return found
    if len(marker.args) != 1 or not isinstance(marker.args[0], int) or not 1 <= marker.args[0] <= _MAX_HOSTS:
        raise pytest.UsageError(f"multihost takes a whole number from 1 to {_MAX_HOSTS}, not {marker.args!r}")
    return int(marker.args[0])


@pytest.fixture
def sagemaker_env(tmp_path: Path) -> Iterator[Callable[..., SageMakerEnv]]:
    """The contract of a host in the test's own process, without docker.

    ``sagemaker_env(hyperparameters={…}, channels={"training": folder}, hosts=2, current_host="algo-1")`` lays out
    /opt/ml in a temporary folder, sets the ``SM_*`` variables until the test is over, and returns a `SageMakerEnv`
    with the folders, the variables and the script's ``arguments``.
    """
    from harness.sagemaker_env import make_sagemaker_env

    with pytest.MonkeyPatch.context() as patch:

        def make(
            *,
            hyperparameters: Mapping[str, Any] | None = None,
            channels: Mapping[str, str | os.PathLike[str]] | None = None,
            hosts: int = 1,
            current_host: str = "algo-1",
            entry_point: str = "train.py",
            instance_type: str = "ml.m5.xlarge",
        ) -> SageMakerEnv:
            made = make_sagemaker_env(
                tmp_path / "opt-ml",
                hyperparameters=hyperparameters or {},
                channels={name: Path(source) for name, source in (channels or {}).items()},
                hosts=hosts,
                current_host=current_host,
                entry_point=entry_point,
                instance_type=instance_type,
            )
            for name, value in made.variables.items():
                patch.setenv(name, value)
            return made

        yield make


@pytest.fixture
def contract(harness_hosts: int | None, request: pytest.FixtureRequest) -> Callable[..., JobContract]:
    """What the hosts of a job would be given, without docker: ``contract("job.toml", hosts=2)``.

    Returns a `JobContract`: per host the documents of /opt/ml/input/config, the platform's variables and the ``SM_*``
    variables, and the script's arguments. Raises `BadInput` with every problem the job file has.
    """
    from harness.job_contract import job_contract

    def read(
        job: str | os.PathLike[str], *, hosts: int | None = None, hyperparameters: Mapping[str, Any] | None = None
    ) -> JobContract:
        launcher = request.config.getoption("--harness-launcher")
        return job_contract(Path(job), hosts or harness_hosts, hyperparameters or {}, launcher)

    return read


@pytest.fixture(scope="session")
def harness_warm_hosts(request: pytest.FixtureRequest) -> Iterator[WarmHosts]:
    """The hosts of all tests of the session; made beforehand, but with --harness-cold and --harness-retain."""
    from harness.owner import marks
    from harness.steps import Steps
    from harness.warm_hosts import Tally, WarmHosts

    config, tally = request.config, Tally()
    retain = config.getoption("--harness-retain")
    beforehand = not (retain or config.getoption("--harness-cold"))
    with WarmHosts(marks(retain=retain), Steps(), beforehand=beforehand, tally=tally) as hosts:
        yield hosts
    config.stash[STARTED] = [*config.stash.get(STARTED, []), (tally.hosts, tally.warm_jobs)]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands over what it has counted."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["harness"] = session.config.stash.get(STARTED, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist is over; one that crashed hands over nothing."""
    counted = getattr(node, "workeroutput", {}).get("harness", [])
    node.config.stash[STARTED] = [*node.config.stash.get(STARTED, []), *counted]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.stash.get(STARTED, []):
        return
    from harness.warm_hosts import Tally

    tally = Tally()
    for hosts, warm_jobs in config.stash[STARTED]:
        tally.add(hosts, warm_jobs)
    if tally.hosts:
        terminalreporter.write_line(f"harness: {tally}")


def _follows(request: pytest.FixtureRequest) -> bool:
    """Whether a later test of the session asks for the fixture of ``request``, which may then want hosts like these."""
    items = request.session.items
    later = items[items.index(request.node) + 1 :]
    return any(request.fixturename in getattr(item, "fixturenames", ()) for item in later)


@pytest.fixture
def training(
    harness_hosts: int | None,
    harness_warm_hosts: WarmHosts,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> Iterator[Callable[..., RunningJob]]:
    """Start training jobs on real hosts: ``job = training("job.toml", hosts=2, hyperparameters={"epochs": 1})``.

    Returns a `RunningJob` at once; ``job.wait()`` gives its `JobResult`. Jobs that still run when the test is over are
    stopped, faults that never fired fail the test, and nothing is left in the engine.
    """
    from harness.running_job import JobsOfTest

    with JobsOfTest(
        runs=tmp_path / "runs",
        launcher=request.config.getoption("--harness-launcher"),
        retain=request.config.getoption("--harness-retain"),
        hosts=harness_hosts,
        hosts_for=partial(harness_warm_hosts.for_job, another=_follows(request)),
    ) as run:
        request.node.stash[_JOBS] = run.jobs
        yield run.start
        unfired = run.close()
    if unfired:
        pytest.fail("\n".join(unfired), pytrace=False)


@pytest.fixture
def cluster(
    harness_hosts: int | None, harness_warm_hosts: WarmHosts, request: pytest.FixtureRequest
) -> Iterator[Callable[..., IdleHosts]]:
    """Idle hosts to run commands on: ``hosts = cluster(2)``, then ``hosts.run("algo-1", "hostname")``."""
    from harness.budget import hold
    from harness.steps import Steps

    retain = request.config.getoption("--harness-retain")
    with ExitStack() as made:

        def start(hosts: int | None = None) -> IdleHosts:
            count = hosts or harness_hosts or 2
            made.enter_context(hold(count, Steps().note, by=str(os.getpid())))
            ready = harness_warm_hosts.idle(count, another=_follows(request))
            if not retain:
                made.callback(harness_warm_hosts.remove, ready.discard)
            return ready.hosts

        yield start


@pytest.fixture
def endpoint(harness_warm_hosts: WarmHosts, request: pytest.FixtureRequest) -> Iterator[Callable[..., HostedModel]]:
    """Host a model: ``endpoint("job.toml", result)``, with the result of a job or the path of a model.tar.gz.

    Returns a `HostedModel` in service: ``invoke``, ``send``, ``ping``, ``logs``.
    """
    from harness.hosted_model import host_model
    from harness.job_file import read_job_file
    from harness.results import JobResult
    from harness.steps import Steps

    retain = request.config.getoption("--harness-retain")
    with ExitStack() as made:

        def host(job: str | os.PathLike[str], model: JobResult | str | os.PathLike[str]) -> HostedModel:
            archive = model.model.path if isinstance(model, JobResult) else Path(model)
            read = read_job_file(Path(job), for_hosting=True)
            hosted = host_model(read, archive, Steps())
            if not retain:
                made.callback(harness_warm_hosts.remove, hosted.close)  # a model server takes seconds to its end
            return hosted

        yield host
