"""Records of jobs whose process was killed, and whose hosts are gone: nobody else would ever finish them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from harness import status
from harness.errors import BadInput
from harness.metrics import MetricReader
from harness.outcome import Outcome
from harness.owner import this_process
from harness.record import RunRecord, is_held, read_description
from harness.status import read_history
from harness.stop_job import read_ownership

REASON = "InternalServerError: the process that ran this job ended before the job did, and its hosts are gone"


def finish_abandoned(runs: Path, has_hosts: Callable[[str], bool]) -> Iterator[str]:
    """Enter Failed in every record of the folder ``runs`` that nobody goes on with; the names of their jobs.

    ``has_hosts`` tells whether the job of a name has containers in the engine: `harness stop` can still end that.
    """
    for request in sorted(runs.glob("*/request.json")):
        folder = request.parent
        if folder.is_symlink() or not _is_abandoned(folder) or has_hosts(folder.name):
            continue
        RunRecord.reopen(folder).finish(Outcome(status.FAILED, REASON), MetricReader(()))
        yield folder.name


def _is_abandoned(folder: Path) -> bool:
    # Asked in this order: a record that is let go of meanwhile is over by the time it is read.
    if is_held(folder) or _lives_elsewhere(folder):
        return False
    try:
        return not read_history(read_description(folder)["SecondaryStatusTransitions"]).is_over
    except BadInput:
        return False  # it had not begun to tell of anything


def _lives_elsewhere(folder: Path) -> bool:
    """Whether who runs it cannot be seen from here; a job of a process with other jobs has nobody noted."""
    try:
        owner = read_ownership(folder).owner
    except BadInput:
        return False
    me = this_process()
    return (owner.machine, owner.namespace) != (me.machine, me.namespace)
