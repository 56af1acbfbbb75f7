"""Hosts are followed from their first byte to their end: what they print is kept, what they died of is asked."""

from __future__ import annotations

import threading
from collections.abc import Callable

from harness import contract
from harness.errors import EngineLost
from harness.outcome import HostExit
from harness.run import Run
from harness.tar import first_file


def followers(run: Run, started: threading.Event, tell: Callable[[HostExit], object]) -> None:
    """A thread per host that follows it once ``started`` is set, and at its end tells what became of it."""

    def follow(host: str) -> None:
        started.wait()
        tell(_follow(run, host))

    for host in run.hosts:
        threading.Thread(target=follow, args=(host,), daemon=True).start()


def _follow(run: Run, host: str) -> HostExit:
    """Keep everything ``host`` prints, wait for its end, and ask what it died of."""
    try:
        with run.record.host_log(host) as log:
            for lines in run.cluster.follow(host):
                log.write(lines)
                run.heard(host, lines)
                run.record.add_metrics(run.metrics.read(host, lines))
                run.reporter.lines(host, [line.text for line in lines])
        code = run.cluster.wait(host)
        starved = run.cluster.out_of_memory(host)
        if code == 0:
            return HostExit(host, 0, out_of_memory=starved)
        failure = run.cluster.fetch(host, contract.FAILURE_FILE)
        text = first_file(failure, contract.FAILURE_REASON_LIMIT) if failure else ""
        return HostExit(host, code, text, starved)
    except EngineLost as error:
        return HostExit(host, 255, str(error), lost=True)
    except Exception as error:  # whatever it was, the job must end, and say so
        return HostExit(host, 255, f"the engine lost sight of {host}: {error!r}")
