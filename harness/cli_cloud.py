"""`harness plan`, and the commands that go to AWS."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from harness.cli_durations import seconds
from harness.cli_options import parse_hyperparameters
from harness.steps import Steps

EXIT_CODES = {"Completed": 0, "Failed": 1}  # what is stopped, or goes on without us: 3
NOT_OVER = 3
WOULD_FAIL = 4
AGAIN_SECONDS = 30.0
Command = TypeVar("Command", bound=Callable[..., Any])
_runs = click.option(
    "--runs", type=click.Path(path_type=Path), default="runs", show_default=True, help="Where runs are kept."
)
_yes = click.option("--yes", is_flag=True, help="Do not ask before something that costs money is started.")
_every = click.option(
    "--every", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="Seconds between looks at AWS."
)
_region = click.option("--region", help="Of AWS; by default that of the usual AWS settings.")


def _job(command: Command) -> Command:
    """The job file and what overrides it."""
    for option in (
        click.option("--instance-type", metavar="ml.X.Y", help="Of hosts and endpoint; overrides the job file's."),
        click.option(
            "--hp", multiple=True, metavar="'KEY=VALUE …'", help="Hyperparameters that override the job file's."
        ),
        click.option("--hosts", type=int, help="Number of hosts; overrides instance_count of the job file."),
        click.argument("job_file", type=click.Path(path_type=Path), default="mnist_job/job.toml"),
    ):
        command = option(command)
    return command


@click.command()
@_job
@_runs
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.option("--offline", is_flag=True, help="Ask AWS nothing, although there are credentials.")
def plan(
    job_file: Path,
    hosts: int | None,
    hp: tuple[str, ...],
    instance_type: str | None,
    runs: Path,
    *,
    as_json: bool,
    offline: bool,
) -> None:
    """Show what promoting JOB_FILE would send, and its cost.

    Also how that differs from the local run, and what stands in the way. Changes nothing, and needs neither AWS
    settings nor a docker engine. The requests are made by the SageMaker SDK itself, in an environment of its own that
    is made on first use. Where there are credentials, AWS is asked about role, permissions, quotas, prices and buckets.
    Exit code: 0; 2 bad input; 4 when something would certainly fail.

    \b
    Examples:
      harness plan mnist_job/job.toml
      harness plan mnist_job/job.toml --instance-type ml.g4dn.xlarge --json
    """
    from harness.cloud_report import plan_document, plan_lines
    from harness.record import json_text

    made = _plan(job_file, hosts, hp, instance_type, runs, offline=offline)
    if as_json:
        click.echo(json_text(plan_document(made)))
    else:
        for line in plan_lines(made):
            click.echo(line)
    sys.exit(WOULD_FAIL if made.would_fail else 0)


@click.command()
@_job
@_runs
@_yes
@click.option("--anyway", is_flag=True, help="Send it although the plan says that it would certainly fail.")
@_every
def promote(
    job_file: Path,
    hosts: int | None,
    hp: tuple[str, ...],
    instance_type: str | None,
    runs: Path,
    every: float,
    *,
    yes: bool,
    anyway: bool,
) -> None:
    """Run the training job of JOB_FILE on AWS, and watch it.

    The SageMaker SDK sends it. This costs money; it asks first. Leaves the same run folder as a local run. Ctrl-C asks
    whether to stop the job or to leave it running.
    Exit code: 0 Completed, 1 Failed, 2 bad input, 3 stopped or left running, 4 it would certainly fail (nothing sent).

    \b
    Examples:
      harness promote mnist_job/job.toml --instance-type ml.g4dn.xlarge
      harness promote my_job/job.toml --yes
    """
    from harness import promotion

    made = _plan(job_file, hosts, hp, instance_type, runs)
    _end(promotion.train(made, runs, _terminal(yes=yes), Steps(), anyway=anyway, every=every))


@click.command()
@click.argument("name", required=False)
@_runs
@click.option("--stop", "stopping", is_flag=True, help="Stop the job, then watch it end.")
@_every
def attach(name: str | None, runs: Path, every: float, *, stopping: bool) -> None:
    """Watch a training job on AWS again.

    It is the run NAME, or the newest that went there. Reads its logs from the beginning and ends as `harness promote`
    does.

    \b
    Examples:
      harness attach
      harness attach mnist-2026-11-23-01-01-30-544 --stop
    """
    from harness import promotion

    _end(promotion.attach(runs, name, _terminal(yes=False), Steps(), stopping=stopping, every=every))


@click.command("cloud-serve")
@click.argument("name", required=False)
@click.option("--job", type=click.Path(path_type=Path), default="mnist_job/job.toml", show_default=True)
@click.option("--instance-type", metavar="ml.X.Y", help="Of the endpoint; overrides the job file's.")
@_runs
@_yes
@_every
@click.option("--for", "for_", callback=seconds, metavar="30m", help="Remove the endpoint after so long.")
def cloud_serve(
    name: str | None,
    job: Path,
    instance_type: str | None,
    runs: Path,
    every: float,
    for_: float | None,
    *,
    yes: bool,
) -> None:
    """Host the model of a run on AWS.

    It is the run NAME, or the newest that went there. Costs money until it is removed; it asks first. Waits until the
    endpoint is in service; Ctrl-C asks whether to remove it or to leave it, and the same command waits for it again.
    Exit code: 0 InService, 1 it failed, 2 bad input, 3 left or removed.

    \b
    Examples:
      harness cloud-serve --for 30m
      harness cloud-serve mnist-2026-11-23-01-01-30-544 --job mnist_job/job.toml --instance-type ml.m5.large
    """
    from harness import promoted_endpoint
    from harness.job_file import read_job_file

    file = read_job_file(job, instance_type=instance_type, for_hosting=True)
    terminal = _terminal(yes=yes)
    served = promoted_endpoint.serve(file, runs, name, terminal, Steps(), every=every, remove_after=for_)
    sys.exit(0 if served else NOT_OVER)


@click.command("cloud-clean")
@click.argument("name", required=False)
@_runs
@_region
@click.option("--after", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait so long first.")
def cloud_clean(name: str | None, runs: Path, region: str | None, after: float | None) -> None:
    """Remove our endpoints from AWS.

    Their configurations and models go as well; all, or those of the run NAME.

    Lists what else costs or remains. Safe to run twice.
    """
    from harness import cloud_facts, promoted_endpoint

    time.sleep(after or 0)
    again = None if after is None else AGAIN_SECONDS
    for line in promoted_endpoint.remove(runs, name, cloud_facts.region(region), again_after=again):
        click.echo(line)


@click.command()
@click.argument("image", required=False)
@_region
@_yes
def push(image: str | None, region: str | None, *, yes: bool) -> None:
    """Send IMAGE of the engine, or the harness's own, to ECR.

    Prints the image_uri that it has there.

    For jobs that shall run the very same container on AWS. The repository has the image's name; where there is none,
    it asks before making it.

    \b
    Examples:
      harness push
      harness push my-image:1 --yes
    """
    from harness import cloud_facts, image_push
    from harness.ecr import Ecr
    from harness.engine import ensure_engine
    from harness.image_build import ensure_image

    steps = Steps()
    ecr = Ecr(cloud_facts.region(region))
    client = ensure_engine(steps)
    uri = image_push.push(client, image or ensure_image(client, steps), ecr, _terminal(yes=yes).consent, steps)
    click.echo(f'  next: image_uri = "{uri}" in the job file', err=True)
    click.echo(uri)


def list_cloud() -> None:
    """Jobs of the folder runs, and all endpoints of the region."""
    from harness import cloud_facts, promoted_endpoint

    for line in list(promoted_endpoint.listing(Path("runs"), cloud_facts.region(None))) or [
        "nothing is running on AWS"
    ]:
        click.echo(line)


def _plan(
    job_file: Path,
    hosts: int | None,
    hp: tuple[str, ...],
    instance_type: str | None,
    runs: Path,
    *,
    offline: bool = False,
) -> Any:
    from harness.cloud_planning import make_plan
    from harness.job_file import read_job_file

    file = read_job_file(
        job_file,
        instance_count=hosts,
        hyperparameters=parse_hyperparameters(hp),
        instance_type=instance_type,
        lenient=True,  # what no local host plays, AWS does
    )
    return make_plan(file, runs, Steps(), offline=offline)


def _terminal(*, yes: bool) -> Any:
    from harness.consent import Terminal

    return Terminal(_ask if sys.stdin.isatty() else None, yes)


def _ask(question: str) -> str:
    """On standard error, as standard output is for answers."""
    click.echo(question, err=True, nl=False)
    return sys.stdin.readline()


def _end(description: dict[str, Any]) -> None:
    sys.exit(EXIT_CODES.get(description["TrainingJobStatus"], NOT_OVER))


COMMANDS = (plan, promote, attach, cloud_serve, cloud_clean, push)
