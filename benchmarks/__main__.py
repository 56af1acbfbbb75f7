"""`python -m benchmarks [ROW …]`: measure, print the table, and write it as a page when asked to."""

from __future__ import annotations

import shlex
import signal
import sys
import tempfile
from pathlib import Path

import click

from benchmarks import machine, results
from benchmarks.jobs import ROOT, Jobs
from benchmarks.peers import Harness, SdkLocalMode
from benchmarks.rows import ROWS, Bench
from harness.errors import HarnessError
from harness.process import run
from harness.steps import Steps

EXPLANATION = """\
Each number is the median of a few repetitions, with the smallest and the largest behind it; what is compared took
turns in one run. A ratio is the harness's number by the other's. Whole runs are the wall clock of the command, from
its start to the last container removed; image and data were there. The SDK is `sagemaker` 2.257 in local mode with
the same job on the same image, but for AWS's own `train` in it; up to 30 s of its run are a fixed sleep of AWS's
toolkit, which the cloud has as well. `horovodrun` by hand finds its hosts running and, as its first run is not
counted, its check of ssh remembered. Unconnected hosts train the same script without `distribution`. Epochs are
counted without the first of a run. Lines that the harness keeps go to the run's logs with their times and to the
screen; a script's own time is that of the slower host. Jobs in a session are timed within one process, from the
reading of their job file to their result.
"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("rows", nargs=-1, type=click.Choice(list(ROWS)))
@click.option("--repetitions", type=click.IntRange(1), default=3, show_default=True, help="At most; slow ones have 2.")
@click.option("--write", type=click.Path(path_type=Path), help="Also write the table as this markdown page.")
def main(rows: tuple[str, ...], repetitions: int, write: Path | None) -> None:
    """Measure ROWS, all of them by default, and print them side by side with the peers.

    Exit code 1 when something failed to run; a missed aim is no failure.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever is running is removed either way
    try:
        lines = measure(rows or tuple(ROWS), repetitions, write)
    except HarnessError as error:
        click.echo(f"benchmarks: {error}", err=True)
        sys.exit(error.exit_code)
    click.echo(results.plain_table(lines))
    for who, words in results.failures(lines):
        click.echo(f"\n{who} failed:\n{words.strip()}")
    sys.exit(1 if results.failures(lines) else 0)


def measure(rows: tuple[str, ...], repetitions: int, write: Path | None) -> list[results.Line]:
    """Measure ``rows`` in this order; the page is written after each, so that an interruption costs one row."""
    from harness.compose_command import ensure_compose
    from harness.engine import ensure_engine
    from harness.image_build import ensure_image

    steps = Steps()
    client, compose = ensure_engine(steps), ensure_compose(steps)
    image = ensure_image(client, steps)
    with steps.step("data"):
        run((sys.executable, str(ROOT / "mnist_job" / "prepare_data.py")), seconds=900)
    # Not the arguments as typed: where the page goes is a path of this machine.
    command = shlex.join(("python", "-m", "benchmarks", *rows, "--repetitions", str(repetitions)))
    described = machine.describe(client, compose, image, command)
    lines: list[results.Line] = []
    with tempfile.TemporaryDirectory(prefix="harness-bench-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        harness, sdk = Harness(client, folder / "runs"), SdkLocalMode(client, image, folder / "sdk")
        bench = Bench(client, compose, image, Jobs(folder), harness, sdk, repetitions)
        try:
            for row in rows:
                with steps.step(f"measuring {row}") as step:
                    measured = ROWS[row](bench, step)
                    step.ok = not results.failures(measured)
                lines += measured
                if write:
                    write.write_text(results.document(lines, described, EXPLANATION))
        finally:
            harness.clean()
            sdk.clean()
    return lines


if __name__ == "__main__":
    main()
