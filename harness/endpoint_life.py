"""The lives of the door's endpoints: created, updated without downtime, scaled, deleted, found again.

Each operation returns at once and goes on in a thread; what it has come to is in the endpoint's record. The old
instances of an endpoint serve until all the new ones do.
"""

from __future__ import annotations

import threading
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from harness import endpoint_records as status
from harness import labels
from harness.archives import Archives
from harness.endpoint_records import EndpointRecord, Variant
from harness.errors import HarnessError
from harness.fleet import Fleet, fleet_of, start_all, stop_all, wanted_places
from harness.instances import Instance, Instances, Place
from harness.log_shipping import LogShipper
from harness.records import Records


class EndpointLife:
    def __init__(
        self,
        records: Records[EndpointRecord],
        instances: Instances,
        archives: Archives,
        logs: LogShipper,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.records = records
        self._instances, self._archives, self._logs, self._now = instances, archives, logs, now
        self._fleets: dict[str, Fleet] = {}
        self._threads: list[threading.Thread] = []

    def fleet(self, name: str) -> Fleet | None:
        """What serves now."""
        return self._fleets.get(name)

    def create(self, record: EndpointRecord) -> None:
        """Bring up an endpoint whose record is there and Creating."""
        self._go_on(self._create, record)

    def update(
        self,
        record: EndpointRecord,
        config_name: str,
        variants: Sequence[Variant],
        async_config: Mapping[str, Any] | None = None,
    ) -> None:
        """Go from ``record``, which is Updating, to ``variants``."""
        changes = {"config_name": config_name, "variants": tuple(variants), "async_config": async_config}
        self._go_on(self._update, record, changes)

    def scale(self, record: EndpointRecord, variants: Sequence[Variant]) -> None:
        """Go from ``record``, which is Updating, to the weights and counts of ``variants``."""
        self._go_on(self._scale, record, variants)

    def delete(self, record: EndpointRecord) -> None:
        """Remove an endpoint whose record is Deleting."""
        self._go_on(self._delete, record)

    def recover(self) -> None:
        """Take up what an earlier door has left: instances that run serve on, what is missing is brought up again."""
        records = self.records.all()
        if not records:
            return
        running = [each for each in self._instances.running() if each.place.kind == labels.ENDPOINT]
        # Of an update that the end of the door has ended:
        strays = [each for each in running if not any(_belongs(each, record) for record in records)]
        stop_all(self._instances, strays)
        for record in records:
            if record.status == status.DELETING:
                self.delete(record)
            elif record.status != status.FAILED:
                self._take_up(record, [each for each in running if _belongs(each, record)])

    def close(self, *, stop: bool) -> None:
        """Wait for what is going on; with ``stop`` no instance is left, and the records say what to bring up again."""
        if stop:
            for name in self.records.names():
                self._instances.discard(name)
        for thread in self._threads:
            thread.join(60)

    def _go_on(self, work: Callable[..., None], *arguments: Any) -> None:
        def run() -> None:
            try:
                work(*arguments)
            except Exception as error:  # a bug of ours, or a disk that is full: nobody is to wait for ever
                traceback.print_exc()
                self._move(arguments[0].name, status.FAILED, status.CREATING, failure_reason=repr(error))

        self._threads = [each for each in self._threads if each.is_alive()]
        thread = threading.Thread(target=run, name=work.__name__, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _create(self, record: EndpointRecord) -> None:
        try:
            fleet = self._bring_up(record.name, record.generation, record.variants)
        except HarnessError as error:
            self._move(record.name, status.FAILED, status.CREATING, failure_reason=str(error))
            return
        self._serve(record.name, fleet, status.CREATING)

    def _update(self, record: EndpointRecord, changes: dict[str, Any]) -> None:
        generation = new_generation()
        try:
            fleet = self._bring_up(record.name, generation, changes["variants"])
        except HarnessError as error:
            self._move(record.name, status.ROLLING_BACK, status.UPDATING)
            self._retire(record.name, None, generation)
            self._move(record.name, status.IN_SERVICE, status.ROLLING_BACK, failure_reason=str(error))
            return
        old = self._fleets.get(record.name)
        if self._serve(record.name, fleet, status.UPDATING, **changes, generation=generation, failure_reason=""):
            self._retire(record.name, old, record.generation)

    def _scale(self, record: EndpointRecord, variants: Sequence[Variant]) -> None:
        old = self._fleets[record.name]
        there = {each.place: each for each in old.instances()}
        wanted = wanted_places(record.name, record.generation, variants)
        missing = {place: variant for place, variant in wanted.items() if place not in there}
        try:
            more = start_all(self._instances, missing, self._archives, self._logs)
        except HarnessError as error:
            self._move(record.name, status.ROLLING_BACK, status.UPDATING)
            self._move(record.name, status.IN_SERVICE, status.ROLLING_BACK, failure_reason=str(error))
            return
        kept = [each for place, each in there.items() if place in wanted]
        fleet = fleet_of(record.generation, variants, [*kept, *more])
        self._serve(record.name, fleet, status.UPDATING, variants=tuple(variants), failure_reason="")
        surplus = [each for place, each in there.items() if place not in wanted]
        if surplus:
            old.drain()
        stop_all(self._instances, surplus)

    def _delete(self, record: EndpointRecord) -> None:
        fleet = self._fleets.pop(record.name, None)
        stop_all(self._instances, fleet.instances() if fleet else ())
        self._instances.discard(record.name)
        self._archives.drop(record.generation)
        self.records.remove(record.name)

    def _take_up(self, record: EndpointRecord, own: list[Instance]) -> None:
        for instance in own:
            self._logs.follow(instance)
        there = {each.place for each in own}
        wanted = wanted_places(record.name, record.generation, record.variants)
        missing = {place: variant for place, variant in wanted.items() if place not in there}
        if not missing and record.status != status.CREATING:
            self._fleets[record.name] = fleet_of(record.generation, record.variants, own)
            self.records.change(record.name, self._settled)
            return
        if record.status != status.CREATING:
            self._move(record.name, status.CREATING, record.status)
        self._go_on(self._bring_up_missing, record, own, missing)

    def _bring_up_missing(self, record: EndpointRecord, own: list[Instance], missing: dict[Place, Variant]) -> None:
        try:
            for variant in record.variants:
                if not self._archives.whole(record.generation, variant):
                    self._archives.keep(record.generation, variant)
            more = start_all(self._instances, missing, self._archives, self._logs)
        except HarnessError as error:
            self._move(record.name, status.FAILED, status.CREATING, failure_reason=str(error))
            return
        fleet = fleet_of(record.generation, record.variants, [*own, *more])
        self._serve(record.name, fleet, status.CREATING)

    def _settled(self, record: EndpointRecord) -> EndpointRecord | None:
        if record.status == status.IN_SERVICE:
            return None
        return record.move(status.IN_SERVICE, self._now()) if record.status != status.DELETING else None

    def _bring_up(self, name: str, generation: str, variants: Sequence[Variant]) -> Fleet:
        for variant in variants:
            self._archives.keep(generation, variant)
        wanted = wanted_places(name, generation, variants)
        started = start_all(self._instances, wanted, self._archives, self._logs)
        return fleet_of(generation, variants, started)

    def _serve(self, name: str, fleet: Fleet, expected: str, **changes: Any) -> bool:
        """Let ``fleet`` answer from now on; whether the endpoint was still to be: what was started goes otherwise."""
        before = self._fleets.get(name)
        self._fleets[name] = fleet
        if self._move(name, status.IN_SERVICE, expected, **changes):
            return True
        if before is None:
            self._fleets.pop(name, None)
        else:
            self._fleets[name] = before
        self._retire(name, None, fleet.generation)
        return False

    def _move(self, name: str, to: str, expected: str, **changes: Any) -> bool:
        """Whether the endpoint was ``expected`` and is now ``to``."""
        moved = []

        def change(record: EndpointRecord) -> EndpointRecord | None:
            if record.status != expected:
                return None
            moved.append(True)
            return record.move(to, self._now(), **changes)

        self.records.change(name, change)
        return bool(moved)

    def _retire(self, name: str, fleet: Fleet | None, generation: str) -> None:
        """Remove a generation that no longer serves, after its last invocation."""
        if fleet:
            fleet.drain()
            stop_all(self._instances, fleet.instances())
        self._instances.discard(name, generation)
        self._archives.drop(generation)


def new_generation() -> str:
    return uuid.uuid4().hex


def _belongs(instance: Instance, record: EndpointRecord) -> bool:
    return (instance.place.endpoint_name, instance.place.generation) == (record.name, record.generation)
