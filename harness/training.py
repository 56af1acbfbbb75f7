"""One training job, from the plan to the last file: read `run_training` for the story."""

from __future__ import annotations

from collections.abc import Callable

from harness import status
from harness.artifacts import collect
from harness.contract import FAILURE_REASON_LIMIT
from harness.control import Control
from harness.errors import ArtifactUploadFailed, CannotStartContainer, DataDownloadFailed
from harness.outcome import HostExit, Outcome, judge
from harness.run import Run
from harness.watch import STOP_GRACE, StopAsked, Times, Watch


def run_training(
    run: Run,
    *,
    max_run: float,
    max_wait: float | None = None,
    retain: bool = False,
    grace: float = STOP_GRACE,
    control: Control | None = None,
) -> Outcome:
    """Run a planned job to its end and leave its record. It can be stopped and interrupted through ``control``, from
    any thread; Ctrl-C (`KeyboardInterrupt`) stops it as the API would.

    ``max_run``, ``max_wait`` and ``grace`` are in seconds. Raises `HarnessError` when the hosts could not be brought
    up for a reason of the engine's, after recording the job as Failed; containers, network and volumes are gone by
    then unless ``retain``.
    """
    watch = Watch(run, control or Control(), Times(max_run, max_wait, grace))
    exits: list[HostExit] = []
    try:
        outcome = _play(run, watch, exits)
        insist(lambda: run.record.finish(outcome, run.metrics, exits))
    finally:
        watch.let_go()
        if not retain:
            _remove(run)
    return outcome


def end_training(run: Run, *, grace: float) -> Outcome:
    """Stop a job whose own process is gone, collect what there is, and leave its record. ``run`` has its live hosts."""
    control = Control()
    control.stop()
    watch = Watch(run, control, Times(float("inf"), None, grace))
    exits: list[HostExit] = []
    try:
        if run.hosts:
            watch.follow()
            watch.resume()
            with run.reporter.step("stopping"):
                exits[:], _ = watch.until_all_ended()
            _collect(run, completed=False)
        outcome = Outcome(status.STOPPED) if run.hosts else _stopped(run)
        run.record.finish(outcome, run.metrics, exits)
    finally:
        watch.let_go()
        _remove(run)
    return outcome


def _play(run: Run, watch: Watch, exits: list[HostExit]) -> Outcome:
    """All attempts at the job, of which only managed spot training may take several; ``exits`` are of the last."""
    try:
        while True:
            _bring_up(run, watch)
            exits[:], asked = _train(run, watch)
            if asked != status.INTERRUPTED:
                completed = not any(item.exit_code for item in exits)
                _collect(run, completed=completed)
                return judge(exits, asked)
            _lose_hosts(run)
            if watch.wait_is_over():
                return Outcome(status.MAX_WAIT_TIME_EXCEEDED)
    except (KeyboardInterrupt, StopAsked):
        return _stopped(run)
    except DataDownloadFailed as error:
        return _failed(f"ClientError: Data download failed: {error}")
    except ArtifactUploadFailed as error:
        return _failed(f"ClientError: Artifact upload failed: {error}")
    except CannotStartContainer as error:
        # The words of real jobs; what they leave out is what the engine says.
        return _failed(
            "AlgorithmError: CannotStartContainerError. Please make sure the container can be run with "
            f"'docker run <image> train'. {error}"
        )
    except Exception as error:  # a bug of ours or of the engine's client too: no record is left InProgress
        run.record.finish(_failed(f"InternalServerError: {error}"), run.metrics)
        raise


def _bring_up(run: Run, watch: Watch) -> None:
    # Ready before there is anything to follow: whoever sees a first line may press Ctrl-C the moment after.
    watch.follow()
    watch.enter(status.STARTING)
    watch.progress()
    watch.enter(status.DOWNLOADING)
    with run.reporter.step(f"preparing {', '.join(run.hosts)}"):
        run.cluster.prepare()
        if run.checkpoints:
            run.checkpoints.restore(run.cluster, run.hosts)
    watch.progress()
    with run.reporter.step("starting the hosts"):
        run.cluster.start()
    watch.started()
    if run.checkpoints:
        run.checkpoints.start()


def _train(run: Run, watch: Watch) -> tuple[list[HostExit], str | None]:
    with run.reporter.step("training") as step:
        exits, asked = watch.until_all_ended()
        step.ok = not any(item.exit_code for item in exits)
    return exits, asked


def _lose_hosts(run: Run) -> None:
    """Nothing of the hosts is left but their logs, and what the checkpoints hold by now."""
    if run.checkpoints:
        run.checkpoints.stop()
    run.record.move(status.INTERRUPTED)
    run.record.keep_attempt()
    with run.reporter.step("removing the hosts"):
        run.cluster.remove()


def _collect(run: Run, *, completed: bool) -> None:
    with run.reporter.step("collecting artifacts"):
        run.record.move(status.UPLOADING)
        if run.checkpoints:
            run.checkpoints.finish()
        found = collect(
            run.cluster, run.hosts, run.record.folder, completed=completed, compressed=run.record.compressed
        )
        run.record.merges = found
        if run.upload:
            run.record.model_artifacts = run.upload(run.record.folder)
        for name, merge in found.items():
            if merge.clashes:
                run.reporter.note(f"{name}: several hosts wrote {', '.join(merge.clashes)}; the last host's is kept")


def _stopped(run: Run) -> Outcome:
    """The end of a job that was asked to end while it had no hosts that train, or is done with them."""
    if run.record.history.secondary_status is None:
        run.record.move(status.STARTING)
    if run.record.history.secondary_status not in (status.STOPPING, status.INTERRUPTED):
        run.record.move(status.STOPPING)
    return Outcome(status.STOPPED)


def _failed(reason: str) -> Outcome:
    return Outcome(status.FAILED, reason[:FAILURE_REASON_LIMIT])


def _remove(run: Run) -> None:
    if run.checkpoints:
        run.checkpoints.stop()
    with run.reporter.step("removing the hosts"):
        insist(run.cluster.remove)


def insist(action: Callable[[], object]) -> None:
    """Do what must be done, however impatient someone is; ``action`` is safe to repeat."""
    try:
        action()
    except KeyboardInterrupt:
        action()
