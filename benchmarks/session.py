"""Jobs of one process, as the tests of a session run them: on hosts made ready beforehand, or on new ones."""

from __future__ import annotations

import io
import time
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from harness import labels, local_run
from harness.control import Control
from harness.deadline import Deadline
from harness.errors import HarnessError
from harness.fault_injector import FaultInjector
from harness.job_file import read_job_file
from harness.owner import this_process
from harness.steps import Steps
from harness.warm_hosts import WarmHosts

if TYPE_CHECKING:
    from docker import DockerClient


class Session:
    """Runs the job of ``job_file``, from its reading to its result."""

    def __init__(self, client: DockerClient, job_file: Path, runs: Path) -> None:
        self._client = client
        self._job_file = job_file
        self._runs = runs
        self._quiet = io.StringIO()
        self._marks = this_process().labels()
        self._warm = WarmHosts(self._marks, Steps(self._quiet))

    def cold(self) -> float:
        """Seconds of a job whose hosts are made when it begins, and gone when it is over."""
        return self._train(None)

    def warm(self) -> float:
        """Seconds of a job that finds its hosts ready; the next ones are made when the time has been taken.

        The first call only makes them ready.
        """
        seconds = self._train(partial(self._warm.for_job, another=True))
        self._await_spares()
        return seconds

    def _train(self, hosts_for: local_run.HostsFor | None) -> float:
        began = time.perf_counter()
        with redirect_stderr(self._quiet):
            read = read_job_file(self._job_file)
            described = local_run.train(
                read.training,
                local_run.Manner("gloo", "type", read.instance_types),
                local_run.Attendance(Control(), FaultInjector(), hosts_for=hosts_for),
                runs=self._runs,
                retain=False,
                steps=Steps(self._quiet),
            )
        if described["TrainingJobStatus"] != "Completed":
            raise HarnessError(f"{described['TrainingJobName']}: {described.get('FailureReason')}")
        return time.perf_counter() - began

    def _await_spares(self) -> None:
        """Return when the hosts of the last job are gone and those of the next are up."""
        deadline = Deadline(60, "waiting for spare hosts")
        label = f"{labels.OWNER}={self._marks[labels.OWNER]}"
        while True:
            found = self._client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
            runs = {item.labels[labels.RUN] for item in found}
            if len(found) == 2 and len(runs) == 1 and all(item.status == "running" for item in found):
                return
            deadline.check()
            time.sleep(0.2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._warm.close()
