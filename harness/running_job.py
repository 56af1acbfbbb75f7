"""A training job that runs while its test goes on: watched, disturbed, waited for."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness import faults, local_run
from harness.budget import hold
from harness.control import Control
from harness.errors import BadInput, HarnessError
from harness.fault_injector import FaultInjector
from harness.faults import AfterLog, AfterSeconds, AtStatus, Fault, Moment, Timed
from harness.job import JobFile
from harness.job_file import read_job_file
from harness.results import JobResult
from harness.steps import Steps

_LOOK = 0.1  # seconds


class RunningJob:
    """A job under way. Faults are said as ``job.after_log("epoch 1").kill("algo-2")``."""

    def __init__(
        self,
        job: JobFile,
        manner: local_run.Manner,
        runs: Path,
        *,
        retain: bool,
        hosts_for: local_run.HostsFor | None = None,
    ) -> None:
        self._job = job
        self._manner = manner
        self._runs = runs
        self._retain = retain
        self._hosts_for = hosts_for
        self._control = Control()
        self._injector = FaultInjector()
        self._began = threading.Event()
        self._folder: Path | None = None
        self._error: BaseException | None = None
        self._unfired: tuple[str, ...] = ()
        self._thread = threading.Thread(target=self._run, name=f"training {job.path}", daemon=True)

    @property
    def folder(self) -> Path:
        """Its run folder, runs/<TrainingJobName>."""
        assert self._folder  # noqa: S101  set before `start` returns
        return self._folder

    @property
    def has_begun(self) -> bool:
        """Whether it got as far as having a run folder."""
        return self._folder is not None

    @property
    def name(self) -> str:
        """``TrainingJobName``."""
        return self.folder.name

    def start(self) -> Self:
        """Return once the job has its name and its folder. Raises what kept it from starting."""
        self._thread.start()
        self._began.wait()
        if self._folder is None and self._error:
            raise self._error
        return self

    def after_log(self, text: str, host: str | None = None) -> At:
        """The moment at which ``text`` has been printed, by ``host`` or by any."""
        return self._at(AfterLog(text, host))

    def after_seconds(self, seconds: float) -> At:
        """So long after the hosts have started."""
        return self._at(AfterSeconds(seconds))

    def at_status(self, status: str) -> At:
        """The moment at which the job enters this SecondaryStatus: Training or Uploading."""
        if status not in faults.HOST_STATUSES:
            raise BadInput(f"at_status({status!r}): hosts are there at {' and '.join(faults.HOST_STATUSES)} only")
        return self._at(AtStatus(status))

    @property
    def fired(self) -> list[tuple[Timed, float]]:
        """The faults that have fired, and when (`time.monotonic`)."""
        return self._injector.fired

    def wait_for_log(self, text: str, host: str | None = None) -> Self:
        """Return once ``text`` has been printed, by ``host`` or by any.

        Raises AssertionError where the job is over and it never was, `BadInput` where there is no such host.
        """
        if host and host not in self._hosts():
            raise BadInput(f"wait_for_log: there is no host {host!r}; there are {', '.join(self._hosts())}")
        over = False
        while not self._printed(text, host):
            if over:
                raise AssertionError(f"{self.name} is over, and {text!r} was not printed\n{self.evidence()}")
            self._thread.join(_LOOK)
            over = not self._thread.is_alive()  # its logs are looked at once more
        return self

    def _printed(self, text: str, host: str | None) -> bool:
        logs = (self.folder / "logs").glob(f"{host or 'algo-*'}.log")
        return any(text in path.read_text(errors="replace") for path in logs)

    def stop(self) -> None:
        """Ask the job to stop, as StopTrainingJob does; `wait` tells what became of it."""
        self._control.stop()

    def interrupt(self) -> None:
        """Take its spot instances away, now."""
        self._control.interrupt()

    def wait(self, seconds: float | None = None) -> JobResult:
        """Its result, once it is over. Raises AssertionError when that takes more than ``seconds``."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise AssertionError(f"{self.name} is not over after {seconds:g} s\n{self.evidence()}")
        if self._error and not (isinstance(self._error, HarnessError) and self._has_status()):
            raise self._error
        return self._result()

    def close(self) -> tuple[str, ...]:
        """Stop it where it still runs, and wait; what became of its faults otherwise than asked, a line each."""
        if self._thread.is_alive():
            self._control.stop(grace=0)
        self._thread.join()
        return self._unfired

    def _at(self, moment: Moment) -> At:
        return At(self, moment)

    def add(self, timed: Timed) -> None:
        """A fault at its moment. Raises `BadInput` where it cannot be done to this job."""
        training = self._job.training
        channels = [channel.name for channel in training.inputs]
        found = list(faults.problems([timed], self._hosts(), channels, spot=training.use_spot_instances))
        if found:
            raise BadInput(found)
        self._injector.add(timed)

    def _hosts(self) -> list[str]:
        return [f"algo-{number}" for number in range(1, self._job.training.instance_count + 1)]

    def evidence(self) -> str:
        """All that there is to know of it by now."""
        if not self._has_status():
            return f"{self.name}: it has a run folder, {self.folder}, and no status yet"
        return repr(self._result())

    def _has_status(self) -> bool:
        return (self.folder / "describe.json").exists()

    def _result(self) -> JobResult:
        return JobResult(self.folder, self._unfired)

    def _run(self) -> None:
        steps = Steps()
        try:
            with hold(self._job.training.instance_count, steps.note, by=str(os.getpid())):
                local_run.train(
                    self._job.training,
                    self._manner,
                    local_run.Attendance(self._control, self._injector, self._named, self._hosts_for),
                    runs=self._runs,
                    retain=self._retain,
                    steps=steps,
                )
        except BaseException as error:  # raised where the test waits for it, not in this thread
            self._error = error
        finally:
            self._unfired = self._injector.close()
            self._began.set()

    def _named(self, folder: Path) -> None:
        self._folder = folder
        self._began.set()


@dataclass(frozen=True)
class At:
    """A moment of a job, and what may be done to it then; each verb returns the job."""

    job: RunningJob
    moment: Moment

    def kill(self, host: str) -> RunningJob:
        """The host is gone at once."""
        return self._do(faults.KillHost(host))

    def kill_rank(self, rank: int) -> RunningJob:
        """SIGKILL to one rank; its host lives on."""
        return self._do(faults.KillRank(rank))

    def pause(self, host: str, seconds: float) -> RunningJob:
        """The host stands still for so long, then goes on."""
        return self._do(faults.Pause(host, seconds))

    def partition(self, *hosts: str) -> RunningJob:
        """Nothing passes between ``hosts`` and all others."""
        return self._do(faults.Partition(hosts))

    def delay(self, host: str, seconds: float) -> RunningJob:
        """What the host sends to its peers is so late."""
        return self._do(faults.Delay(host, seconds))

    def lose(self, host: str, percent: float) -> RunningJob:
        """Of what the host sends to its peers, ``percent`` is lost."""
        return self._do(faults.Loss(host, percent))

    def fill_disk(self, host: str) -> RunningJob:
        """The host can write nothing more: no space left on device."""
        return self._do(faults.FullDisk(host))

    def slow_disk(self, host: str, kibibytes: int) -> RunningJob:
        """The host reads from disk, and writes, no more than so many KiB a second."""
        return self._do(faults.SlowDisk(host, kibibytes))

    def limit_memory(self, host: str, mebibytes: int) -> RunningJob:
        """The host has so much memory from now on."""
        return self._do(faults.MemoryLimit(host, mebibytes))

    def corrupt(self, channel: str, host: str) -> RunningJob:
        """The first file of the channel, as the host sees it, has its bytes inverted."""
        return self._do(faults.Corrupt(channel, host))

    def interrupt(self) -> RunningJob:
        """A spot interruption: the hosts are taken away, and the job starts again on new ones."""
        return self._do(faults.Interrupt())

    def stall_engine(self, seconds: float) -> RunningJob:
        """The docker engine answers nobody for so long."""
        return self._do(faults.StallEngine(seconds))

    def _do(self, fault: Fault) -> RunningJob:
        self.job.add(Timed(fault, self.moment))
        return self.job


class JobsOfTest:
    """The jobs of one test: started here, all over when the test is."""

    def __init__(
        self,
        *,
        runs: Path,
        launcher: str,
        retain: bool,
        hosts: int | None,
        hosts_for: local_run.HostsFor | None = None,
    ) -> None:
        self._runs = runs
        self._launcher = launcher
        self._retain = retain
        self._hosts = hosts
        self._hosts_for = hosts_for
        self.jobs: list[RunningJob] = []

    def start(
        self,
        job: str | os.PathLike[str],
        *,
        hosts: int | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        launcher: str | None = None,
        limits: str = "type",
    ) -> RunningJob:
        """Start the training job of a job file. Raises `BadInput` with every problem it has."""
        read = read_job_file(Path(job), instance_count=hosts or self._hosts, hyperparameters=hyperparameters)
        manner = local_run.Manner(launcher or self._launcher, limits, read.instance_types)
        running = RunningJob(read, manner, self._runs, retain=self._retain, hosts_for=self._hosts_for)
        self.jobs.append(running)
        return running.start()

    def close(self) -> list[str]:
        """End what still runs; a line for each fault that was not done as asked."""
        return [line for job in self.jobs for line in job.close()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
