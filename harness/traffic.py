"""Which instance answers an invocation: a variant by weight or by name, then its instances in turn. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.wire import ServiceError

I = TypeVar("I")  # noqa: E741 - an instance, of whatever type


@dataclass(frozen=True)
class Serving(Generic[I]):
    """A variant in service, with the instances that answer for it."""

    variant_name: str
    weight: float
    instances: tuple[I, ...]


def choose_variant(serving: Sequence[Serving[I]], target: str | None, chance: float, endpoint: str) -> Serving[I]:
    """The variant ``target``, or one with the probability that its weight gives it.

    ``chance`` is a number from 0 up to 1 without it, drawn anew for each invocation. Raises `ServiceError`.
    """
    if target is not None:
        found = next((each for each in serving if each.variant_name == target), None)
        if found is None:
            raise ServiceError("ValidationError", f"Variant {target} of endpoint {endpoint} not found.")
        return found
    total = sum(each.weight for each in serving)
    if not total:
        message = f"Endpoint {endpoint} has no variant with a weight; name one as TargetVariant."
        raise ServiceError("ValidationError", message)
    left = chance * total
    for each in serving:
        left -= each.weight
        if left < 0:
            return each
    return next(each for each in reversed(serving) if each.weight)


def in_turn(instances: Sequence[I], turn: int) -> list[I]:
    """All instances, beginning with the one whose turn it is: the others stand in where it does not answer."""
    first = turn % len(instances) if instances else 0
    return [*instances[first:], *instances[:first]]
