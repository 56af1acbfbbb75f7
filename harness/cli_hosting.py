"""`harness serve` and `invoke`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.steps import Steps

CONTENT_TYPES = {"npy": "application/x-npy", "json": "application/json"}


def parse_shape(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """``"1,28,28"`` as numbers. Raises `click.BadParameter`."""
    if value is None:
        return None
    try:
        shape = tuple(int(part) for part in value.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise click.BadParameter(f"{value!r} is not a shape like 1,28,28")
    return shape


@click.command()
@click.argument("model", type=click.Path(path_type=Path), default="runs/latest/model.tar.gz")
@click.option("--job", type=click.Path(path_type=Path), default="mnist_job/job.toml", show_default=True)
@click.option("--name", help="EndpointName; made of the job's base_job_name and the time unless given.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port on the loopback interface; a free one unless given.")
@click.option("--json", "as_json", is_flag=True, help="Print the endpoint's description, as DescribeEndpoint would.")
def serve(model: Path, job: Path, name: str | None, port: int | None, *, as_json: bool) -> None:
    """Host MODEL, a model.tar.gz, at a local endpoint.

    The [hosting] code of the job file runs on AWS's inference toolkit and TorchServe. Returns once the model is loaded.
    A model that cannot be loaded ends in its own traceback, and exit code 1.

    \b
    Examples:
      harness serve
      harness serve runs/mnist-2026-11-23-01-01-30-544/model.tar.gz --name mnist --port 8080
    """
    from harness import hosting, local_hosting
    from harness.job_file import read_job_file
    from harness.record import json_text

    endpoint = local_hosting.serve(
        read_job_file(job, for_hosting=True), model, endpoint_name=name, port=port, steps=Steps()
    )
    for line in local_hosting.serve_lines(endpoint):
        click.echo(line, err=True)
    if as_json:
        click.echo(json_text(hosting.describe(endpoint)))


@click.command()
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.option("--index", type=int, help="Which entry of INPUT to send, from 0.")
@click.option(
    "--shape",
    callback=parse_shape,
    metavar="N,N,…",
    help="Shape of one instance, as 1,28,28; pictures are scaled to it.",
)
@click.option("--endpoint", help="EndpointName; the newest endpoint unless given.")
@click.option("--cloud", is_flag=True, help="Ask the endpoint on AWS, made by cloud-serve, instead of a local one.")
@click.option("--content-type", type=click.Choice(list(CONTENT_TYPES)), default="npy", show_default=True)
@click.option("--accept", type=click.Choice(list(CONTENT_TYPES)), default="json", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the bare answer as JSON.")
def invoke(
    source: Path,
    index: int | None,
    shape: tuple[int, ...] | None,
    endpoint: str | None,
    content_type: str,
    accept: str,
    *,
    cloud: bool,
    as_json: bool,
) -> None:
    """Send INPUT to an endpoint, and show the answer.

    INPUT is a .npy, .png or .json file, or an IDX file with --index.

    \b
    Examples:
      harness invoke mnist_job/data/MNIST/raw/t10k-images-idx3-ubyte --index 7 --shape 1,28,28
      harness invoke my_digit.png --shape 1,28,28          (light on dark, as in MNIST)
    """
    import json

    from harness import local_hosting, promoted_endpoint

    values, answer = (promoted_endpoint.invoke if cloud else local_hosting.invoke)(
        source,
        index=index,
        shape=shape,
        endpoint_name=endpoint,
        content_type=CONTENT_TYPES[content_type],
        accept=CONTENT_TYPES[accept],
    )
    if as_json:
        click.echo(json.dumps(answer if isinstance(answer, list | dict) else answer.tolist()))
    else:
        local_hosting.show(values, answer)
