"""The fast door to hosting: a model archive becomes an endpoint, and files become invocations."""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import hosting, payload, picture
from harness.endpoint_log import last_words
from harness.engine import connect, ensure_engine
from harness.errors import BadInput, EndpointFailed
from harness.image_build import ensure_image
from harness.job import JobFile
from harness.model_archive import repack
from harness.steps import Steps


def serve(job: JobFile, model: Path, *, endpoint_name: str | None, port: int | None, steps: Steps) -> hosting.Endpoint:
    """Host ``model`` (a model.tar.gz) with the hosting code of ``job``, as the SDK's ``deploy`` would.

    Raises `BadInput` before anything starts, `EndpointFailed` with the handler's traceback.
    """
    if job.hosting is None:
        raise BadInput(f"{job.path}: no [hosting] table, so there is no code to host the model with; add one")
    if not model.is_file():
        raise BadInput(f"no model archive {str(model)!r}: run harness train first, or name one")
    client = ensure_engine(steps)
    image = job.hosting.image_uri or ensure_image(client, steps)
    with tempfile.TemporaryDirectory(prefix="harness-model-") as folder:
        archive = Path(folder) / "model.tar.gz"
        with steps.step("repacking the model with its code"):
            repack(model, job.hosting.source_dir, job.hosting.entry_point, archive)
        plan = hosting.EndpointPlan(
            endpoint_name=endpoint_name
            or f"{job.training.base_job_name}-{datetime.now(UTC):%Y-%m-%d-%H-%M-%S-%f}"[:63],
            image=image,
            model_archive=archive,
            environment=hosting.hosting_environment(job.hosting.entry_point, job.hosting.environment),
            host_port=port,
            initial_instance_count=job.hosting.initial_instance_count,
            log_file=model.resolve().parent / "logs" / "endpoint.log",
        )
        with steps.step(f"starting endpoint {plan.endpoint_name}"):
            return hosting.deploy(client, plan)


def serve_lines(endpoint: hosting.Endpoint) -> list[str]:
    """What to do with a new endpoint."""
    url = f"{endpoint.route.url}/invocations"
    return [
        f"InService: {endpoint.endpoint_name} at {endpoint.route.url}",
        f"  curl {url} -H 'Content-Type: application/json' -H 'Accept: application/json' -d @input.json",
        "  next: make local-predict (harness invoke INPUT), make local-stop (harness stop)",
    ]


def invoke(
    source: Path,
    *,
    index: int | None,
    shape: tuple[int, ...] | None,
    endpoint_name: str | None,
    content_type: str,
    accept: str,
) -> tuple[Any, Any]:
    """Send ``source`` to an endpoint; the values sent and the answer, as arrays or lists.

    Raises `EndpointFailed` with the container's words when it does not answer 200.
    """
    values = payload.read_input(source, shape=shape, index=index)
    endpoint = hosting.find(connect(), endpoint_name)
    response = hosting.invoke(endpoint, payload.as_body(values, content_type), content_type, accept)
    if response.status != 200:
        said = response.body.decode(errors="replace").strip() or last_words(hosting.logs(endpoint))
        raise EndpointFailed(f"endpoint {endpoint.endpoint_name!r} answered {response.status}: {said}")
    return values, payload.read_answer(response.body, response.content_type)


def show(values: Any, answer: Any) -> None:
    """The picture that was sent, where it is one, and the answer: as probabilities where it holds some."""
    from rich.console import Console

    image = values.squeeze()
    probabilities = payload.as_probabilities(answer)
    picture.show(Console(file=sys.stdout), image if image.ndim == 2 else None, probabilities)
    if probabilities is None:
        sys.stdout.write(f"{answer}\n")


def stop(name: str | None, steps: Steps) -> list[str]:
    """Remove the endpoint ``name``, or all of them; the names of those that went."""
    endpoints = hosting.list_endpoints(connect(), name)
    if name and not endpoints:
        raise BadInput(f"no endpoint and no training job {name!r}; harness ps lists what there is")
    names = [endpoint.endpoint_name for endpoint in endpoints]
    if endpoints:
        with steps.step(f"stopping endpoint{'s' * (len(names) > 1)} {', '.join(names)}"):
            hosting.delete(*endpoints)
    return names
