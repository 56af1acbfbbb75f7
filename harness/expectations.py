"""Assertions in the words of distributed training, over the result of a job.

Each raises AssertionError that says what was expected, what was seen, and ends with the whole evidence.
"""

from __future__ import annotations

from itertools import combinations

from harness.results import JobResult


def assert_completed(result: JobResult) -> None:
    """The job is Completed: every host ended with 0."""
    _check(result.completed, f"expected Completed, the job is {result.status}", result)


def assert_failed(result: JobResult, because: str = "") -> None:
    """The job is Failed, and its FailureReason contains ``because``."""
    _check(result.failed, f"expected Failed, the job is {result.status}", result)
    _check(because in result.failure_reason, f"{because!r} is not in FailureReason", result)


def assert_world(result: JobResult, size: int, layout: dict[int, str] | None = None) -> None:
    """All ranks trained in one world of ``size``; ``layout`` tells the host of each rank.

    Ranks must introduce themselves, as 'rank 0 of 2 on algo-1'.
    """
    found = result.world
    _check(found.size == size, f"expected a world of {size}, the ranks told of one of {found.size}", result)
    _check(len(found.hosts) == size, f"of {size} ranks only {sorted(found.hosts)} introduced themselves", result)
    _check(layout is None or dict(found.hosts) == layout, f"expected {layout}, ranks are on {found.hosts}", result)


def assert_metric(
    result: JobResult, name: str, *, at_least: float = float("-inf"), at_most: float = float("inf")
) -> None:
    """The last value of the metric ``name`` lies between the two."""
    _check(name in result.metrics, f"the metric {name!r} was never printed", result)
    value = result.metrics[name]
    _check(at_least <= value <= at_most, f"{name} is {value:g}, not from {at_least:g} to {at_most:g}", result)


def assert_same_on_all_ranks(result: JobResult, pattern: str) -> None:
    """What the first group of ``pattern`` matched last is one text on every rank.

    A metric that was reduced over all ranks, or a digest of the parameters after training, say.
    """
    values = {rank: found[-1] for rank, found in result.values_by_rank(pattern).items() if found}
    _check(len(values) > 1, f"{pattern!r} was printed by the ranks {sorted(values)}, not by several", result)
    _check(len(set(values.values())) == 1, f"{pattern!r} differs between ranks: {values}", result)


def assert_different_on_all_ranks(result: JobResult, pattern: str) -> None:
    """No text that the first group of ``pattern`` matched was printed by two ranks: each trained on its own samples."""
    values = {rank: set(found) for rank, found in result.values_by_rank(pattern).items() if found}
    _check(len(values) > 1, f"{pattern!r} was printed by the ranks {sorted(values)}, not by several", result)
    for one, other in combinations(sorted(values), 2):
        both = values[one] & values[other]
        _check(not both, f"ranks {one} and {other} both have {sorted(both)[:5]}", result)


def assert_model_has(result: JobResult, *members: str) -> None:
    """model.tar.gz has these members, paths in the archive."""
    missing = [name for name in members if name not in result.model.members]
    _check(not missing, f"model.tar.gz has no {', '.join(missing)}", result)


def assert_wrote_model(result: JobResult, *hosts: str) -> None:
    """These hosts wrote to /opt/ml/model, and no others did."""
    wrote = tuple(host.name for host in result.hosts if host.wrote)
    _check(sorted(wrote) == sorted(hosts), f"expected files of {sorted(hosts)}, {sorted(wrote)} wrote some", result)


def assert_same_model(result: JobResult, other: JobResult) -> None:
    """Both jobs ended with the same model, to the byte: training is deterministic under its seed."""
    one, two = result.model.members, other.model.members
    different = sorted(name for name in {*one, *two} if one.get(name) != two.get(name))
    _check(not different, f"{', '.join(different)} differ from those of {other.folder}", result)


def _check(holds: bool, message: str, result: JobResult) -> None:
    if not holds:
        raise AssertionError(f"{message}\n{result!r}")
