"""`harness up`, `down` and `exec`."""

from __future__ import annotations

from pathlib import Path

import click

state = click.option(
    "--state",
    type=click.Path(path_type=Path),
    default="runs/door",
    show_default=True,
    help="Folder that the door keeps runs, models, endpoints, buckets and its log in.",
)
port = click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port on the loopback interface; a free one unless given."
)


@click.command()
@state
@port
@click.option("--foreground", is_flag=True, help="Serve here, until Ctrl-C, instead of behind.")
def up(state: Path, port: int, *, foreground: bool) -> None:
    """Start the local AWS door, and print how to reach it.

    What is printed is the environment for a shell; a door that serves already is left alone. It answers for SageMaker's
    training, hosting, invocations and batch transform and, by moto, for S3, STS, IAM, CloudWatch Logs and ECR, on one
    port of the loopback interface. No AWS account, credentials or network are needed, and none of the user's own are
    used.

    \b
    Examples:
      eval "$(harness up)"
      harness up --port 4566
    """
    from harness import door
    from harness.door_state import StateFolder

    folder = StateFolder(state)
    if foreground:
        door.serve(folder, port)
        return
    found, started = door.up(folder, port)
    click.echo(f"the AWS door {'serves' if started else 'served already'} at {found.url}", err=True)
    click.echo("  next: harness exec -- python my_script.py, or evaluate these lines; harness down stops it", err=True)
    for line in door.export_lines(folder, found):
        click.echo(line)


@click.command()
@state
def down(state: Path) -> None:
    """Stop the local AWS door, its jobs and its endpoints.

    Safe to repeat. Jobs are Stopped and upload what they have. Endpoints come up again with the next door, which has
    all buckets.

    \b
    Examples:
      harness down
    """
    from harness import door
    from harness.door_state import StateFolder

    if not door.down(StateFolder(state)):
        click.echo("no door serves", err=True)


@click.command(name="exec", context_settings={"ignore_unknown_options": True})
@state
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(state: Path, command: tuple[str, ...]) -> None:
    """Run COMMAND with its AWS calls going to the local door.

    The door is started where none serves. The program needs no change. The exit code is its own.

    \b
    Examples:
      harness exec -- python my_script.py
      harness exec -- aws s3 ls
    """
    from harness import door
    from harness.door_state import StateFolder

    folder = StateFolder(state)
    found, started = door.up(folder, 0)
    if started:
        click.echo(f"the AWS door serves at {found.url}; harness down stops it", err=True)
    door.execute(folder, found, command)
