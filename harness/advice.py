"""What to think about before a job goes to the cloud: one text each, out of plain facts. Pure.

`before` says what the job and its sources show, `after` what the run showed. What is true of AWS's images: AWS's
deep-learning-containers repository, pytorch/training/docker; of the SDK: SDK v2, image_uris.py.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.instance_types import InstanceType
from harness.job import MpiDistribution, TrainingJob

_SUCCESSOR = "ml.g4dn.xlarge or ml.g5.xlarge"
_GPU_TYPE = re.compile(r"ml\.(p|g)\d")
_FIRST_WITH_HOROVOD, _LAST_WITH_HOROVOD = (1, 3, 1), (1, 13, 1)
_AWS_IMAGE = re.compile(r"/pytorch-training:(?P<version>[0-9.]+)-(?P<kind>cpu|gpu)")
_CURRENT_HOST = "current_host"
_READS_BOOL = re.compile(r"\btype\s*=\s*bool\b")
_ANCHORED = re.compile(r"(\(\?[a-zA-Z]+\)|\(\?:|\()*\^")


@dataclass(frozen=True)
class Facts:
    """What a run showed: the metrics that got a value, and of each archive the names that several hosts wrote."""

    completed: bool
    model_is_empty: bool = False
    metrics: Iterable[str] = ()
    clashes: Mapping[str, Sequence[str]] = field(default_factory=dict)


def not_together(job: TrainingJob) -> tuple[str, ...]:
    """Hosts that nobody makes one world: AWS's own example of this job does this (its notebook has 2 instances)."""
    if job.instance_count == 1 or job.distribution is not None or not job.entry_point:
        return ()  # an image that brings its own train may see to it itself
    return (
        f"no distribution is set: each of the {job.instance_count} hosts runs {job.entry_point} alone, on all of "
        "its data; they are not training together, here or in the cloud. "
        "To train one model, set distribution = { mpi = { enabled = true } } in the job file, "
        'or distribution={"mpi": {"enabled": True}} of the SDK\'s estimator',
    )


def before(job: TrainingJob, sources: Mapping[str, str], types: Mapping[str, InstanceType]) -> tuple[str, ...]:
    """What ``job`` and its Python sources (text by name) show before anything has run; ``types`` are those known."""
    return (
        *_instances(job, types),
        *without_horovod(job, sources),
        *_same_for_all_ranks(job, sources),
        *_anchored_metrics(job),
        *_changed_arguments(job, sources),
    )


def after(job: TrainingJob, facts: Facts) -> tuple[str, ...]:
    """What the run showed."""
    texts = []
    if facts.completed:
        seen = set(facts.metrics)
        silent = [repr(metric.name) for metric in job.metric_definitions if metric.name not in seen]
        if silent:
            texts.append(f"no line of any log gave a value for {', '.join(silent)}: see Regex in metric_definitions")
        if facts.model_is_empty:
            texts.append("nothing was written to /opt/ml/model (SM_MODEL_DIR): model.tar.gz is empty")
    for archive, names in facts.clashes.items():
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        texts.append(
            f"{archive}: several hosts wrote {shown}; which of them the cloud keeps is not documented. "
            "Write on one rank only, or names with the host's in them"
        )
    return tuple(texts)


def _instances(job: TrainingJob, types: Mapping[str, InstanceType]) -> Iterator[str]:
    for name in job.instance_types:
        if name in types and types[name].retired:
            yield (
                f"instance_type {name!r}: EC2 had ceased to offer it by {types[name].retired}, and it may no longer be "
                f"had; think of {_SUCCESSOR}"
            )
    version = _version(job.framework_version)
    if version >= (1, 13) and any(name.startswith("ml.p2.") for name in job.instance_types):
        yield f"framework_version {job.framework_version!r}: the SDK refuses ml.p2 from 1.13 on"


def without_horovod(job: TrainingJob, sources: Mapping[str, str]) -> Iterator[str]:
    """Whether the job's AWS image lacks what its sources import."""
    if not isinstance(job.distribution, MpiDistribution) or not any(map(_imports_horovod, sources.values())):
        return
    named = _AWS_IMAGE.search(job.image_uri or "")
    if job.image_uri and not named:
        return  # an image of the user's own
    version = _version(named["version"] if named else job.framework_version)
    cpu = named["kind"] == "cpu" if named else not all(_GPU_TYPE.match(name) for name in job.instance_types)
    if cpu:
        what = job.image_uri if named else f"instance_type {', '.join(map(repr, job.instance_types))}"
        yield f"{what}: AWS's images for CPUs have no Horovod; take a type with GPUs or an image_uri of your own"
    elif version and not _FIRST_WITH_HOROVOD <= version[:3] <= _LAST_WITH_HOROVOD and version[:2] != (1, 13):
        yield (
            f"framework_version {'.'.join(map(str, version))!r}: of AWS's images only 1.3.1 to 1.13.1 have Horovod; "
            "take one of them or an image_uri of your own"
        )


def _same_for_all_ranks(job: TrainingJob, sources: Mapping[str, str]) -> Iterator[str]:
    if not isinstance(job.distribution, MpiDistribution) or job.instance_count == 1:
        return
    for name, text in sources.items():
        lines = _host_comparisons(text)
        if lines:
            yield (
                f"{name}:{lines[0]}: compares the current host; under mpi every rank is told that of the leader, "
                "so that all of them take the same branch. Ask for the rank instead: hvd.rank()"
            )


def _anchored_metrics(job: TrainingJob) -> Iterator[str]:
    if not isinstance(job.distribution, MpiDistribution):
        return
    for metric in job.metric_definitions:
        if _ANCHORED.match(metric.regex):
            yield (
                f"metric {metric.name!r}: its Regex begins with '^', and under mpi each line begins with a tag such as "
                "'[1,0]<stdout>:'; leave out the '^'"
            )


def _changed_arguments(job: TrainingJob, sources: Mapping[str, str]) -> Iterator[str]:
    # What the toolkit makes of them on the command line: sagemaker-training, mapping.py.
    for name, value in job.hyperparameters.items():
        if value is False and any(map(_READS_BOOL.search, sources.values())):
            yield (
                f"hyperparameter {name!r} is false: the script is given the text 'False', which type=bool of argparse "
                "reads as true; compare the text instead"
            )
        if value is None:
            yield f"hyperparameter {name!r} is null: the script is given an empty argument"
        elif isinstance(value, Mapping):
            yield f"hyperparameter {name!r} is a table: the script is given it as the text {_as_argument(value)!r}"
        elif isinstance(value, list):
            yield f"hyperparameter {name!r} is a list: the script is given it as the text {str(value)!r}"


def _as_argument(value: Mapping[str, Any]) -> str:
    return ",".join(f"{key}={value[key]}" for key in sorted(value))


def _version(text: str | None) -> tuple[int, ...]:
    """``"1.12.1"`` as numbers, empty where it is none."""
    return tuple(int(part) for part in re.findall(r"\d+", text or ""))


def _imports_horovod(source: str) -> bool:
    return re.search(r"^\s*(import|from)\s+horovod\b", source, re.MULTILINE) is not None


def _host_comparisons(source: str) -> list[int]:
    """Lines that compare what the script was told of its own host, or a name that was set to it."""
    if _CURRENT_HOST not in source.lower():
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the script's own: it will be heard when it runs
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return []  # no script of this Python's; it will say so itself
    known = {_CURRENT_HOST}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _mentions(node.value, known):
            known |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return sorted(node.lineno for node in ast.walk(tree) if isinstance(node, ast.Compare) and _mentions(node, known))


def _mentions(node: ast.AST, names: set[str]) -> bool:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and inner.value == "SM_CURRENT_HOST":
            return True
        if isinstance(inner, ast.Name) and inner.id in names:
            return True
        if isinstance(inner, ast.Attribute) and inner.attr in names:
            return True
    return False
