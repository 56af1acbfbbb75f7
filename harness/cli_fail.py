"""`harness fail`: what the local AWS door shall answer instead of its own."""

from __future__ import annotations

from pathlib import Path

import click

from harness import cli_door


@click.command()
@click.argument("answers", nargs=-1, metavar="'OPERATION: CODE: MESSAGE' …")
@cli_door.state
@click.option("--times", type=click.IntRange(min=0), default=1, show_default=True, help="How often; 0 is always.")
@click.option("--clear", is_flag=True, help="Want none any more.")
def fail(answers: tuple[str, ...], state: Path, times: int, *, clear: bool) -> None:
    """Have the local AWS door answer with errors.

    One sees what a program makes of them. Without any, those to come are listed. Each is told once, in the protocol of
    its service, and the door does nothing else for that request. With 'OPERATION = {…}' it does what was asked, and
    these members are put into its answer.

    \b
    Examples:
      harness fail 'CreateTrainingJob: ResourceLimitExceeded: the limit is 0 Instances'
      harness fail 's3:HEAD: 403' 'GetCallerIdentity: ExpiredToken'
      harness fail 'DescribeEndpoint = {"EndpointStatus": "Creating"}' --times 0
      harness fail --clear
    """
    from harness.door_state import StateFolder
    from harness.wanted_answers import WantedAnswers, read_wanted

    queue = WantedAnswers(StateFolder(state).path)
    wanted = [read_wanted(text, times) for text in answers]
    if clear:
        queue.clear()
    for each in wanted:
        queue.add(each)
    for each in queue.all():
        click.echo(str(each))


COMMANDS = (fail,)
