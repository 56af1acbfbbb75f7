"""The `harness` command: options in, stories called, exit codes out.

Heavy modules are imported by the command that needs them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from harness import cli_cloud, cli_door, cli_fail, cli_hosting
from harness.cli_durations import all_seconds, seconds
from harness.cli_options import parse_hyperparameters
from harness.cli_stop import stop
from harness.errors import BadInput, HarnessError
from harness.limits import MODES
from harness.plan import LAUNCHERS
from harness.steps import Steps

EXIT_CODES = {"Completed": 0, "Failed": 1, "Stopped": 3}
DEFAULT_JOB = "mnist_job/job.toml"


class Group(click.Group):
    """Prints the user's errors as lines, without a traceback; a built-in exception is a bug and keeps its own."""

    def invoke(self, ctx: click.Context) -> Any:
        # To be ended, or to lose the terminal, is to be interrupted: hosts are stopped either way.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        try:
            return super().invoke(ctx)
        except HarnessError as error:
            lines = error.problems if isinstance(error, BadInput) else (str(error),)
            for line in lines:
                click.echo(f"harness: {line}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("harness: interrupted", err=True)
            ctx.exit(EXIT_CODES["Stopped"])
        except Exception as error:
            if not _is_the_engines(error):
                raise
            click.echo(f"harness: the docker engine failed: {getattr(error, 'explanation', None) or error}", err=True)
            ctx.exit(HarnessError.exit_code)
        finally:
            # The command is over: a Ctrl-C while Python winds up must not take the place of its exit code.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="sagemaker-harness")
def main() -> None:
    """Run SageMaker training jobs and endpoints on local hosts, before they cost a cent.

    \b
    Start here:
      harness train mnist_job/job.toml      two hosts, one Horovod world, a model.tar.gz
      harness serve                         host the model that came out
      harness invoke INPUT                  ask it something
      harness stop                          remove the endpoint; with a job's name, stop that job
      harness exec -- python my_script.py   run a program of the SageMaker SDK against local hosts
    """


@main.command()
@click.argument("job_file", type=click.Path(path_type=Path), default=DEFAULT_JOB)
@click.option("--hosts", type=int, help="Number of hosts; overrides instance_count of the job file.")
@click.option("--hp", multiple=True, metavar="'KEY=VALUE …'", help="Hyperparameters that override the job file's.")
@click.option(
    "--launcher",
    type=click.Choice(LAUNCHERS),
    default="gloo",
    show_default=True,
    help="How a distributed script is started: horovodrun over gloo or mpi, or AWS's own toolkit (mpirun).",
)
@click.option(
    "--limits",
    type=click.Choice(MODES),
    default="type",
    show_default=True,
    help="Hold hosts to the vCPUs and memory of their instance type, scaled to this machine, or to nothing.",
)
@click.option("--runs", type=click.Path(path_type=Path), default="runs", show_default=True, help="Where runs are kept.")
@click.option(
    "--stop-after", metavar="TIME", callback=seconds, help="Stop the job after so much training: 500ms, 5s, 2m."
)
@click.option(
    "--interrupt-after",
    metavar="TIME",
    multiple=True,
    callback=all_seconds,
    help="Take the hosts of a spot job away after so much training; repeat it to do so again in the next attempt.",
)
@click.option(
    "--fault",
    multiple=True,
    metavar="'FAULT MOMENT'",
    help="Do something to a host, as 'kill algo-2 after 5s'; repeatable. A wrong one lists the words there are.",
)
@click.option("--grace", metavar="TIME", callback=seconds, help="Between SIGTERM and SIGKILL; 120s unless given.")
@click.option("--retain", is_flag=True, help="Keep the hosts after the end, to look around in them.")
@click.option("--lenient", is_flag=True, help="Go on without arguments that are not emulated, with a warning for each.")
@click.option("--dry-run", is_flag=True, help="Print the plan (hosts, files, variables) as JSON and start nothing.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the job's description on standard output, as DescribeTrainingJob would.",
)
def train(
    job_file: Path,
    hosts: int | None,
    hp: tuple[str, ...],
    launcher: str,
    limits: str,
    runs: Path,
    stop_after: float | None,
    interrupt_after: tuple[float, ...],
    fault: tuple[str, ...],
    grace: float | None,
    *,
    retain: bool,
    lenient: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run the training job of JOB_FILE on local hosts.

    They are algo-1 … algo-N. Leaves runs/<TrainingJobName>/ with describe.json, model.tar.gz and logs/, and points
    runs/latest at it.
    Exit code: 0 Completed, 1 Failed, 2 bad input (nothing was started), 3 Stopped.

    \b
    Examples:
      harness train mnist_job/job.toml --hosts 4 --hp "epochs=1 lr=0.02"
      harness train my_job/job.toml --launcher toolkit --json > job.json
      harness train my_job/job.toml --interrupt-after 5s --interrupt-after 2s
      harness train my_job/job.toml --fault "pause algo-2 for 10s after 'epoch 1'"
    """
    from harness import local_run
    from harness.control import Control
    from harness.fault_injector import FaultInjector
    from harness.faults import parse_fault
    from harness.job_file import read_job_file
    from harness.record import json_text
    from harness.watch import STOP_GRACE

    file = read_job_file(job_file, instance_count=hosts, hyperparameters=parse_hyperparameters(hp), lenient=lenient)
    manner = local_run.Manner(
        launcher,
        limits,
        file.instance_types,
        grace=STOP_GRACE if grace is None else grace,
        takes_signals=True,
    )
    if dry_run:
        click.echo(json_text(local_run.dry_run(file.training, manner)))
        return
    attendance = local_run.Attendance(
        Control(stop_after=stop_after, interrupt_after=interrupt_after),
        FaultInjector(parse_fault(text) for text in fault),
    )
    description = local_run.train(file.training, manner, attendance, runs=runs, retain=retain, steps=Steps())
    if as_json:
        click.echo(json_text(description))
    sys.exit(EXIT_CODES[description["TrainingJobStatus"]])


@main.command()
def build() -> None:
    """Build the image of the hosts, where it is not up to date.

    Starts the docker engine first if need be, and prints the image's name.
    """
    from harness.compose_command import ensure_compose
    from harness.engine import ensure_engine
    from harness.image_build import ensure_image

    steps = Steps()
    client = ensure_engine(steps)
    ensure_compose(steps)
    click.echo(ensure_image(client, steps))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.option("--cloud", is_flag=True, help="What runs on AWS instead, and what it costs.")
@cli_door.state
def ps(state: Path, *, as_json: bool, cloud: bool) -> None:
    """List the hosts of training jobs and the endpoints.

    Those in the engine, or with --cloud those on AWS, which cost. What else a door has follows: jobs that wait or are
    over, endpoints that are down, buckets.
    """
    if cloud:
        cli_cloud.list_cloud()
        return
    from harness import door_listing, engine, inventory

    found = inventory.containers(engine.connect())
    there = {(entry["kind"], entry["name"]) for entry in found}
    found += [entry for entry in door_listing.listed(state) if (entry["kind"], entry["name"]) not in there]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("nothing is running", err=True)
    for item in found:
        click.echo(
            "  ".join(f"{value:<{width}}" for value, width in zip(item.values(), (10, 44, 10, 24), strict=False))
        )


@main.command()
@click.argument("words", nargs=-1, metavar="[NAME] [HOST]…")
@click.option("--host", "hosts", multiple=True, metavar="HOST", help="Only this host, as algo-1; the same as HOST.")
@click.option("-f", "--follow", is_flag=True, help="Go on, as the hosts print, until the job is over.")
@click.option("-t", "--timestamps", is_flag=True, help="Begin lines with when they were printed: UTC, in nanoseconds.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Begin with the last N lines of each host.")
@click.option("--runs", type=click.Path(path_type=Path), default="runs", show_default=True)
def logs(
    words: tuple[str, ...], hosts: tuple[str, ...], runs: Path, *, follow: bool, timestamps: bool, tail: int | None
) -> None:
    """Print what the hosts of a training job said.

    NAME is a TrainingJobName, by default the latest run's, or the name of an endpoint. One HOST's lines are printed as
    they are; with several, or none for all of them, each line begins with its host. Works from any shell, during the
    job and after it.

    \b
    Examples:
      harness logs algo-2 --follow          the second host of the latest run
      harness logs --timestamps --tail 20   the last lines of all hosts
    """
    from harness.run_logs import Wanted, log_lines, split_words

    name, named = split_words(words)
    out = sys.stdout.buffer
    for line in log_lines(Wanted(name, (*named, *hosts), follow, timestamps, tail), runs):
        out.write(line)
        if follow:
            out.flush()


@main.command()
@click.option("--all", "everything", is_flag=True, help="Also what is running now, whoever started it.")
def clean(*, everything: bool) -> None:
    """Remove retained hosts and the cache of staged inputs.

    What was left over goes as well; nothing is touched that is not ours.
    """
    from harness import engine, inventory
    from harness.image_build import cache_folder

    steps = Steps()
    with steps.step("cleaning"):
        removed = inventory.clean(engine.connect(), everything=everything, cache=cache_folder(os.environ))
    for line in removed:
        steps.note(line)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
def doctor(*, as_json: bool) -> None:
    """Look at everything a run needs, and change nothing.

    Python, engine, compose, image, disk, data.
    """
    from dataclasses import asdict

    from harness.doctor import diagnose

    checks = diagnose()
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            click.echo(
                f" {'✓' if check.ok else '✗'} {check.name}: {check.detail}"
                + (f"; {check.advice}" if check.advice else "")
            )
    sys.exit(0 if all(check.ok for check in checks) else 1)


main.add_command(cli_door.up)
main.add_command(cli_door.down)
main.add_command(cli_door.execute)
for command in (*cli_cloud.COMMANDS, *cli_fail.COMMANDS):
    main.add_command(command)
main.add_command(cli_hosting.serve)
main.add_command(cli_hosting.invoke)
main.add_command(stop)


def _is_the_engines(error: Exception) -> bool:
    """Whether ``error`` is the docker SDK's: asked by name, as importing it would slow every start."""
    return any(base.__module__.startswith(("docker.errors", "requests.")) for base in type(error).__mro__)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
