"""One deployment of an endpoint: its variants' instances, started together, and drained before they go."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness import labels
from harness.archives import Archives
from harness.endpoint_records import Variant
from harness.errors import EndpointFailed, HarnessError
from harness.instances import Instance, Instances, Place
from harness.log_shipping import LogShipper
from harness.traffic import Serving

DRAIN_SECONDS = 65.0  # an invocation has 60


@dataclass
class Fleet:
    """Instances by variant; `using` counts the invocations that are under way."""

    generation: str
    serving: tuple[Serving[Instance], ...]
    _idle: threading.Condition = field(default_factory=threading.Condition, repr=False)
    _used: int = 0
    _turns: int = 0

    @contextmanager
    def using(self) -> Iterator[int]:
        """While an invocation is under way; gives its number."""
        with self._idle:
            self._used += 1
            self._turns += 1
            turn = self._turns
        try:
            yield turn
        finally:
            with self._idle:
                self._used -= 1
                self._idle.notify_all()

    def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Return when no invocation is under way, or after ``seconds``."""
        with self._idle:
            self._idle.wait_for(lambda: not self._used, seconds)

    def instances(self) -> list[Instance]:
        return [instance for each in self.serving for instance in each.instances]

    def count(self, variant_name: str) -> int:
        return sum(len(each.instances) for each in self.serving if each.variant_name == variant_name)


def wanted_places(
    name: str, generation: str, variants: Sequence[Variant], kind: str = labels.ENDPOINT
) -> dict[Place, Variant]:
    return {
        Place(name, generation, variant.variant_name, number, kind): variant
        for variant in variants
        for number in range(variant.count)
    }


def fleet_of(generation: str, variants: Sequence[Variant], instances: Sequence[Instance]) -> Fleet:
    """Those of ``instances`` that belong to the variants, dealt out to them."""
    return Fleet(
        generation,
        tuple(
            Serving(
                each.variant_name,
                each.weight,
                tuple(
                    sorted(
                        (one for one in instances if one.place.variant_name == each.variant_name),
                        key=lambda one: one.place.number,
                    )
                ),
            )
            for each in variants
        ),
    )


def start_all(
    instances: Instances, wanted: Mapping[Place, Variant], archives: Archives, logs: LogShipper
) -> list[Instance]:
    """Start an instance for each place, and return when all are in service.

    Raises `HarnessError` with the reason of the first that cannot be; none of them stays then.
    """
    started: list[Instance] = []

    def bring_up(place: Place, variant: Variant) -> None:
        instance = instances.start(place, variant, archives.path(place.generation, variant))
        started.append(instance)
        logs.follow(instance)
        instances.await_service(instance, variant.health_check_seconds)

    with ThreadPoolExecutor(max(1, len(wanted)), thread_name_prefix="instance") as pool:
        futures = [pool.submit(bring_up, place, variant) for place, variant in wanted.items()]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        failures = [error for error in (future.exception() for future in done) if error]
        if failures:
            stop_all(instances, list(started))  # what is still coming up then ends, too
    if failures:
        stop_all(instances, started)  # what was started only after the first of them failed
        raise _known(failures[0])
    return started


def stop_all(instances: Instances, which: Sequence[Instance]) -> None:
    """Stop them together, as the end of each may take its time."""
    if which:
        with ThreadPoolExecutor(len(which), thread_name_prefix="instance") as pool:
            list(pool.map(instances.stop, which))


def _known(error: BaseException) -> BaseException:
    """``error``, where it is one that users make; else as the reason that an endpoint failed for."""
    if isinstance(error, HarnessError):
        return error
    return EndpointFailed(f"the engine failed: {getattr(error, 'explanation', None) or error!r}")
