"""One training job, from the plan to the last file: read `run_training` for the story."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

from harness import contract, status
from harness.artifacts import write_archive
from harness.deadline import Deadline
from harness.follow import followers
from harness.outcome import HostExit, Outcome, judge
from harness.run import Run

STOP_GRACE = 120.0  # seconds between SIGTERM and SIGKILL when a job is stopped (API reference, StopTrainingJob)
FAILURE_GRACE = 5.0  # the same for the other hosts once one has failed; the platform's own is not documented


def run_training(run: Run, *, max_run: int, retain: bool = False, grace: float = STOP_GRACE) -> Outcome:
    """Run a planned job to its end and leave its record; Ctrl-C (`KeyboardInterrupt`) stops it as the API would.

    ``max_run`` and ``grace`` are in seconds. Raises `HarnessError` when the hosts could not be brought up, after
    recording the job as Failed; containers, network and volumes are gone by then unless ``retain``.
    """
    run.record.move(status.STARTING)
    started = threading.Event()
    try:
        try:
            # Ready before there is anything to follow: whoever sees a first line may press Ctrl-C the moment after.
            events = followers(run, started)
            _bring_up(run, started)
            with run.reporter.step("training") as step:
                exits, stopped_by = _watch(run, events, max_run, grace)
                step.ok = not any(item.exit_code for item in exits)
            with run.reporter.step("collecting artifacts"):
                run.record.move(status.UPLOADING)
                _collect(run, exits)
            outcome = judge(exits, stopped_by)
        except KeyboardInterrupt:
            if run.record.history.secondary_status != status.STOPPING:
                run.record.move(status.STOPPING)
            outcome = Outcome(status.STOPPED)
        except Exception as error:  # a bug of ours or of the engine's client too: no record is left InProgress
            run.record.finish(Outcome(status.FAILED, f"InternalServerError: {error}"[:1024]), run.metrics)
            raise
        run.record.finish(outcome, run.metrics)
    finally:
        started.set()
        if not retain:
            _remove(run)
    return outcome


def _remove(run: Run) -> None:
    with run.reporter.step("removing the hosts"):
        try:
            run.cluster.remove()
        except KeyboardInterrupt:
            run.cluster.remove()  # nothing is left behind, however impatient someone is


def _bring_up(run: Run, started: threading.Event) -> None:
    run.record.move(status.DOWNLOADING)
    with run.reporter.step(f"preparing {', '.join(run.hosts)}"):
        run.cluster.prepare()
    with run.reporter.step("starting the hosts"):
        run.cluster.start()
    run.record.move(status.TRAINING)
    started.set()


def _watch(run: Run, events: queue.Queue[HostExit], max_run: int, grace: float) -> tuple[list[HostExit], str | None]:
    """Every host's exit, in order, and the ending that was asked for, if any.

    The job is over when *all* hosts are; the first to fail takes the others with it.
    """
    deadline = Deadline(max_run, "training")
    running = list(run.hosts)
    exits: list[HostExit] = []
    stopped_by: str | None = None
    while running:
        failed = any(item.exit_code for item in exits)  # then the job is decided, and its time no longer matters
        try:
            ended = events.get(timeout=None if stopped_by or failed else deadline.remaining())
        except queue.Empty:
            stopped_by = status.MAX_RUNTIME_EXCEEDED
            _stop(run, running, grace, f"max_run of {max_run} s is over; stopping all hosts")
        except KeyboardInterrupt:
            hurry = stopped_by is not None
            stopped_by = stopped_by or status.STOPPED
            said = "killing all hosts" if hurry else f"stopping all hosts, {grace:g} s at most; Ctrl-C again kills them"
            _stop(run, running, 0 if hurry else grace, said)
        else:
            running.remove(ended.host)
            exits.append(ended)
            if ended.exit_code and running and not stopped_by and not failed:
                _stop(
                    run,
                    running,
                    FAILURE_GRACE,
                    f"{ended.host} failed; stopping {', '.join(running)}",
                    failed=True,
                )
    return exits, stopped_by


def _stop(run: Run, hosts: Iterable[str], grace: float, why: str, *, failed: bool = False) -> None:
    """Ask ``hosts`` to end, without waiting for them."""
    run.reporter.note(why)
    if not failed and run.record.history.secondary_status != status.STOPPING:
        run.record.move(status.STOPPING)
    threading.Thread(target=_stop_or_remove, args=(run, tuple(hosts), grace), daemon=True).start()


def _stop_or_remove(run: Run, hosts: tuple[str, ...], grace: float) -> None:
    try:
        run.cluster.stop(hosts, grace)
    except Exception as error:  # whatever it was: hosts that cannot be stopped must not be waited for
        run.reporter.note(f"could not stop {', '.join(hosts)}: {error}; removing them")
        run.cluster.remove()


def _collect(run: Run, exits: list[HostExit]) -> None:
    """model.tar.gz and output.tar.gz from all hosts, also after a failure, as the platform uploads them."""
    completed = not any(item.exit_code for item in exits)
    for path, name, always in (
        (contract.MODEL_DIR, "model.tar.gz", completed),
        (contract.OUTPUT_DATA_DIR, "output.tar.gz", False),
    ):
        with ThreadPoolExecutor(len(run.hosts)) as pool:
            streams = dict(zip(run.hosts, pool.map(run.cluster.fetch, run.hosts, repeat(path)), strict=True))
        clashes = write_archive(streams, run.record.folder / name, even_empty=always)
        if clashes:
            run.record.clashes[name] = clashes
            run.reporter.note(f"{name}: several hosts wrote {', '.join(clashes)}; the last host's is kept")
