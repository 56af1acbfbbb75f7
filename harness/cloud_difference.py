"""A local run's CreateTrainingJob request beside the one that goes to AWS, field by field. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.request_fields import FIELDS, entry_name

SAME, MAPPED, DIFFERENT = "same", "mapped", "different"
# What each side must have in its own way, by dotted path: why it is another there.
_MAPPED = {
    "TrainingJobName": "each run has a name of its own",
    "RoleArn": "hosts have no credentials here",
    "AlgorithmSpecification.TrainingImage": "our image, AWS's image",
    "OutputDataConfig.S3OutputPath": "the run's folder, a prefix in S3",
    "HyperParameters.sagemaker_submit_directory": "the code is in the hosts, the code is fetched from S3",
    "HyperParameters.sagemaker_job_name": "each run has a name of its own",
    "HyperParameters.sagemaker_region": "the region that is gone to",
    "HyperParameters.sagemaker_s3_output": "the run's folder, a prefix in S3",
}
_NAMES = ("ChannelName", "InstanceGroupName", "Name", "Key")  # what the items of a list are told apart by
_ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """One leaf of the two requests; ``here`` and ``there`` are empty where a side does not say it."""

    field: str
    mark: str
    here: str
    there: str
    note: str = ""


def differences(local: Mapping[str, Any], cloud: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Every leaf of either request, sorted by its path."""
    here, there = dict(_leaves(local, "", "")), dict(_leaves(cloud, "", ""))
    return tuple(
        _compare(field, plain, here.get((field, plain), _ABSENT), there.get((field, plain), _ABSENT))
        for field, plain in sorted({*here, *there})
    )


def _compare(field: str, plain: str, here: Any, there: Any) -> Difference:
    texts = (_text(here), _text(there))
    if here == there:
        return Difference(field, SAME, *texts)
    if _is_mapped(plain, here, there):
        return Difference(field, MAPPED, *texts, _MAPPED.get(plain, "a folder here, its content under a prefix in S3"))
    return Difference(field, DIFFERENT, *texts, _why(plain, here))


def _is_mapped(plain: str, here: Any, there: Any) -> bool:
    if here is _ABSENT or there is _ABSENT:
        return False
    return plain in _MAPPED or (str(here).startswith("file://") and str(there).startswith("s3://"))


def _why(plain: str, here: Any) -> str:
    name = entry_name(plain)
    if here is not _ABSENT or name is None:
        return ""
    return f"sent by the SDK; here: {FIELDS[name].note.removesuffix('; leave it out')}"


def _leaves(value: Any, field: str, plain: str) -> Iterator[tuple[tuple[str, str], Any]]:
    """((path with the names of list items, path without), leaf) of a request."""
    if isinstance(value, Mapping) and value:
        for name, member in value.items():
            yield from _leaves(member, _below(field, name), _below(plain, name))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for number, item in enumerate(value):
            name = next((str(item[key]) for key in _NAMES if key in item), str(number))
            yield from _leaves(item, f"{field}[{name}]", plain)
    else:
        yield (field, plain), value


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _text(value: Any) -> str:
    if value is _ABSENT:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
