"""A model that is hosted for a test: asked through its endpoint, removed when the test is over."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from harness import hosting, local_hosting, payload
from harness.job import JobFile
from harness.steps import Steps


class HostedModel:
    """An endpoint in service."""

    def __init__(self, endpoint: hosting.Endpoint) -> None:
        self._endpoint = endpoint

    @property
    def name(self) -> str:
        return self._endpoint.endpoint_name

    @property
    def url(self) -> str:
        """Where the container answers; /invocations and /ping are below."""
        return self._endpoint.url

    def invoke(self, values: Any, content_type: str = payload.NPY, accept: str = payload.JSON) -> Any:
        """The model's answer to ``values``, an array or nested lists, sent as one request.

        Raises AssertionError with the container's words when it does not answer 200.
        """
        import numpy as np

        response = self.send(payload.as_body(np.asarray(values), content_type), content_type, accept)
        if response.status != 200:
            said = response.body.decode(errors="replace")
            raise AssertionError(f"{self.name} answered {response.status}: {said}\n{self!r}")
        return payload.read_answer(response.body, response.content_type)

    def send(self, body: bytes, content_type: str, accept: str | None = None) -> hosting.Response:
        """The container's answer to ``body``, whatever its status is."""
        return hosting.invoke(self._endpoint, body, content_type, accept)

    def ping(self) -> bool:
        return hosting.ping(self._endpoint)

    def logs(self) -> str:
        return hosting.logs(self._endpoint)

    def close(self) -> None:
        """Stop it as the platform does, and remove it; safe to repeat. The fixture does so when the test is over."""
        hosting.delete(self._endpoint)

    def __repr__(self) -> str:
        return f"endpoint {self.name} at {self.url}\n" + "\n".join(self.logs().splitlines()[-12:])


def host_model(job: JobFile, model: Path, steps: Steps) -> HostedModel:
    """Host the archive ``model`` with the [hosting] table of ``job``.

    Raises `BadInput` before anything starts, `EndpointFailed` with the handler's traceback.
    """
    name = f"{job.training.base_job_name[:40]}-{secrets.token_hex(4)}"
    return HostedModel(local_hosting.serve(job, model, endpoint_name=name, port=None, steps=steps))
