"""A job file as an order to the SageMaker SDK: the very arguments that the file holds, its paths made absolute. Pure.

What the SDK is given (harness/sdk carries it out):

    {"estimator": PyTorch(...), "inputs": {channel: TrainingInput(...)}, "create_model": {...}, "deploy": {...},
     "uploads": {channel: {prefix, name, objects}}, "region", "actions", "send", "training_job_name"}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.job import JobFile

Order = dict[str, Any]
FIT, DEPLOY = "fit", "deploy"
NO_ROLE = "arn:aws:iam::000000000000:role/the-role-that-is-missing"
# Arguments that the SDK takes as objects of its own, which a job file has no words for; plain values are passed on.
_OBJECTS = (
    "rules", "debugger_hook_config", "tensorboard_output_config", "profiler_config", "compiler_config"
)  # fmt: skip


@dataclass(frozen=True)
class Upload:
    """A channel of this machine on its way to S3. ``objects`` are (key below the prefix, path, bytes).

    ``digest`` is that of keys and contents; ``name`` is the key that the job is given, empty for all of the prefix.
    """

    objects: tuple[tuple[str, str, int], ...]
    digest: str
    name: str = ""

    @property
    def bytes(self) -> int:
        return sum(size for _, _, size in self.objects)

    @property
    def prefix(self) -> str:
        return f"harness-inputs/{self.digest[:32]}/"


def order_of(
    file: JobFile,
    *,
    role: str | None,
    region: str,
    uploads: Mapping[str, Upload],
    actions: tuple[str, ...] = (FIT, DEPLOY),
    send: bool = False,
    training_job_name: str | None = None,
    endpoint_name: str | None = None,
) -> Order:
    """The order for ``file``; ``role`` None leaves it to the SDK to find the one it runs under.

    Names that are None are for the SDK to make; ``endpoint_name`` is that of the model as well.
    """
    training = file.document["training"]
    inputs = {
        name: dict(given) if isinstance(given, Mapping) else {"s3_data": given}
        for name, given in training.get("inputs", {}).items()
    }
    order: Order = {
        "send": send,
        "region": region,
        "actions": [action for action in actions if action != DEPLOY or file.hosting],
        "training_job_name": training_job_name,
        "estimator": {**_estimator(file), **({"role": role} if role else {})},
        "inputs": inputs,
        "uploads": {
            name: {"prefix": each.prefix, "name": each.name, "objects": each.objects} for name, each in uploads.items()
        },
    }
    if file.hosting:
        order["create_model"] = {
            "entry_point": file.hosting.entry_point,
            "source_dir": str(file.hosting.source_dir.absolute()),
            **({"image_uri": file.hosting.image_uri} if file.hosting.image_uri else {}),
            **({"env": dict(file.hosting.environment)} if file.hosting.environment else {}),
            **({"name": endpoint_name} if endpoint_name else {}),
        }
        order["deploy"] = {
            "initial_instance_count": file.hosting.initial_instance_count,
            "instance_type": file.hosting.instance_type,
            **({"endpoint_name": endpoint_name} if endpoint_name else {}),
        }
    return order


def _estimator(file: JobFile) -> dict[str, Any]:
    given = {name: value for name, value in file.document["training"].items() if name not in ("inputs", "role")}
    job = file.training
    # Locally the folder of the job file is the source_dir of a file that names none.
    given["source_dir"] = str((job.source_dir or Path()).absolute())
    if job.dependencies:
        given["dependencies"] = [str(path.absolute()) for path in job.dependencies]
    given.setdefault("base_job_name", job.base_job_name)
    return given


def without_words(training: Mapping[str, Any]) -> tuple[str, ...]:
    """The arguments of a job file that cannot be handed to the SDK."""
    return tuple(name for name in _OBJECTS if isinstance(training.get(name), Mapping | list))
