"""`harness stop`: endpoints, and training jobs."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli_durations import seconds
from harness.steps import Steps


@click.command()
@click.argument("name", required=False)
@click.option("--runs", type=click.Path(path_type=Path), default="runs", show_default=True, help="Where runs are kept.")
@click.option(
    "--grace",
    metavar="TIME",
    callback=seconds,
    help="Between SIGTERM and SIGKILL, for hosts of a job whose own process is gone; the run's own unless given.",
)
def stop(name: str | None, runs: Path, grace: float | None) -> None:
    """Stop a training job, or remove an endpoint.

    NAME is a job's (its beginning will do, or 'latest') or an endpoint's; without it all endpoints go. Returns when the
    job is over, its artifacts are collected and its hosts are gone. Safe to run twice.

    \b
    Examples:
      harness stop latest
      harness stop mnist-2026-11-23-01-01-30-544 --grace 2s
      harness stop
    """
    from harness import local_hosting

    steps = Steps()
    if folder := name and _job_folder(name, runs):
        _stop_job(folder, steps, grace)
    elif not local_hosting.stop(name, steps):
        click.echo("no endpoint is running", err=True)


def _job_folder(name: str, runs: Path) -> Path | None:
    """A job called ``name``; else, unless an endpoint is, a job whose name begins like that."""
    from harness import engine, hosting
    from harness.stop_job import job_called, job_that_begins

    if folder := job_called(name, runs):
        return folder
    return None if hosting.list_endpoints(engine.connect(), name) else job_that_begins(name, runs)


def _stop_job(folder: Path, steps: Steps, grace: float | None) -> None:
    from harness import engine
    from harness.metrics import MetricReader
    from harness.report import Screen
    from harness.stop_job import stop_training_job

    described = stop_training_job(folder, engine.connect(), Screen(steps, MetricReader(())), grace)
    click.echo(f"{described['SecondaryStatus']}: {described['TrainingJobName']}")
