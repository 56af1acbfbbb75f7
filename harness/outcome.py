"""The verdict on a job, from what all of its hosts did."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness import status
from harness.contract import FAILURE_REASON_LIMIT

_HOST = re.compile(r"\balgo-\d+\b")


@dataclass(frozen=True)
class HostExit:
    """How one host ended. ``exit_code`` is the container's; ``failure`` the text of /opt/ml/output/failure.

    ``out_of_memory``: something on it was killed for want of memory, be it the container's first process or not.
    ``lost``: nobody has seen how it ended.
    """

    host: str
    exit_code: int
    failure: str = ""
    out_of_memory: bool = False
    lost: bool = False


@dataclass(frozen=True)
class Outcome:
    """``ending`` is the final SecondaryStatus; ``failed_host`` the host whose failure decided.

    ``starved_host`` is the same host where it was want of memory.
    """

    ending: str
    failure_reason: str | None = None
    failed_host: str | None = None
    starved_host: str | None = None


def judge(exits: Sequence[HostExit], stopped_by: str | None) -> Outcome:
    """The outcome of a job whose hosts ended in the order of ``exits``.

    Completed only when every host exited 0. ``stopped_by`` is Stopped or MaxRuntimeExceeded when the job was
    asked to end: then exit codes no longer matter, as on the platform (API reference, StopTrainingJob).
    """
    if stopped_by:
        return Outcome(stopped_by)
    bad = [item for item in exits if item.exit_code != 0]
    if not bad:
        return Outcome(status.COMPLETED)
    first = bad[0]
    # A rank that the kernel kills takes the launcher's host along; its own then ends in order, with 0.
    if first.lost:
        return Outcome(status.FAILED, f"InternalServerError: {first.failure}", first.host)
    starved = next((item.host for item in exits if item.out_of_memory), None)
    reason = failure_reason(first, several_hosts=len(exits) > 1, starved=starved)
    return Outcome(status.FAILED, reason, starved or first.host, starved)


def failure_reason(failed: HostExit, *, several_hosts: bool, starved: str | None = None) -> str:
    """``FailureReason``, at most 1,024 characters, in the words real jobs use; with several hosts one is named.

    The failure text names the host itself where a launcher's leader failed because of a rank on another host.
    ``starved`` is the host that ran out of memory, if any.
    """
    head, code, where = "AlgorithmError: ", f", exit code: {failed.exit_code}", f" ({failed.host})"
    text = failed.failure.strip()
    if starved:
        killed = f"OutOfMemoryError: a process on {starved} was killed because the host ran out of memory"
        text = ". ".join(filter(None, [killed, text]))
    elif not text and failed.exit_code > 128:
        text = f"the container was killed by signal {failed.exit_code - 128}"
    text = text[: FAILURE_REASON_LIMIT - len(head) - len(code) - len(where)]
    named = not several_hosts or _HOST.search(text)  # in what is left of the text, not in what was cut off
    return head + text + code + ("" if named else where)
