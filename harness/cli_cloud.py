"""`harness plan`, and the commands that go to AWS."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli_options import parse_hyperparameters
from harness.steps import Steps

WOULD_FAIL = 4


@click.command()
@click.argument("job_file", type=click.Path(path_type=Path), default="mnist_job/job.toml")
@click.option("--hosts", type=int, help="Number of hosts; overrides instance_count of the job file.")
@click.option("--hp", multiple=True, metavar="'KEY=VALUE …'", help="Hyperparameters that override the job file's.")
@click.option("--instance-type", metavar="ml.X.Y", help="Of hosts and endpoint; overrides the job file's.")
@click.option("--runs", type=click.Path(path_type=Path), default="runs", show_default=True, help="Where runs are kept.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan(
    job_file: Path, hosts: int | None, hp: tuple[str, ...], instance_type: str | None, runs: Path, *, as_json: bool
) -> None:
    """Show what promoting JOB_FILE to AWS would send, how that differs from the local run, its cost and obstacles.

    Sends nothing, and needs neither AWS settings nor a docker engine. The requests are made by the SageMaker SDK
    itself, in an environment of its own that is made on first use.
    Exit code: 0; 2 bad input; 4 when something would certainly fail.

    \b
    Examples:
      harness plan mnist_job/job.toml
      harness plan mnist_job/job.toml --instance-type ml.g4dn.xlarge --json
    """
    from harness.cloud_planning import make_plan
    from harness.cloud_report import plan_document, plan_lines
    from harness.job_file import read_job_file
    from harness.record import json_text

    file = read_job_file(
        job_file,
        instance_count=hosts,
        hyperparameters=parse_hyperparameters(hp),
        instance_type=instance_type,
        lenient=True,  # what no local host plays, AWS does
    )
    made = make_plan(file, runs, Steps())
    if as_json:
        click.echo(json_text(plan_document(made)))
    else:
        for line in plan_lines(made):
            click.echo(line)
    sys.exit(WOULD_FAIL if made.would_fail else 0)
