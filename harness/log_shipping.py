"""Logs into CloudWatch Logs, and the groups and streams that those of instances go to.

Of endpoints: /aws/sagemaker/Endpoints/NAME, VARIANT/INSTANCE-ID; of transform jobs: /aws/sagemaker/TransformJobs,
JOB/INSTANCE-ID.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from harness import labels
from harness.instances import Instance, Instances, Place

Sink = Callable[[str, str, Sequence[tuple[int, str]]], None]
TRANSFORM_GROUP = "/aws/sagemaker/TransformJobs"
PAUSE_SECONDS = 0.2  # lines of this long go together
_MOST = 10_000  # events of one PutLogEvents (API reference)


def group_of(place: Place) -> str:
    return TRANSFORM_GROUP if place.kind == labels.TRANSFORM else group_of_endpoint(place.endpoint_name)


def group_of_endpoint(name: str) -> str:
    return f"/aws/sagemaker/Endpoints/{name}"


def stream_of(instance: Instance) -> str:
    place = instance.place
    first = place.endpoint_name if place.kind == labels.TRANSFORM else place.variant_name
    return f"{first}/{instance.instance_id}"


class Shipper:
    """A thread hands over what has come. Ends with `close`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._waiting: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        self._lock = threading.Lock()
        self._handing_over = threading.Lock()
        self._closed = threading.Event()
        self._shipper = threading.Thread(target=self._ship, name="logs", daemon=True)
        self._shipper.start()

    def add(self, group: str, stream: str, events: Iterable[tuple[int, str]]) -> None:
        """Lines of ``stream`` with their milliseconds since 1970."""
        with self._lock:
            self._waiting[group, stream] += events

    def close(self) -> None:
        """Hand over what has come so far and end."""
        self._closed.set()
        self._shipper.join()

    def hand_over(self) -> None:
        """Return once all that has come so far is there."""
        with self._handing_over:
            with self._lock:
                waiting, self._waiting = self._waiting, defaultdict(list)
            for (group, stream), events in waiting.items():
                for part in _parts(events):
                    self._sink(group, stream, part)

    def _ship(self) -> None:
        while not self._closed.wait(PAUSE_SECONDS):
            self.hand_over()
        self.hand_over()


class LogShipper(Shipper):
    """A thread for each instance reads its log."""

    def __init__(self, instances: Instances, sink: Sink) -> None:
        super().__init__(sink)
        self._instances = instances

    def follow(self, instance: Instance) -> None:
        threading.Thread(target=self._read, args=(instance,), name="log", daemon=True).start()

    def _read(self, instance: Instance) -> None:
        where = (group_of(instance.place), stream_of(instance))
        for event in self._instances.log(instance):
            self.add(*where, [event])


def _parts(events: list[tuple[int, str]]) -> Iterable[list[tuple[int, str]]]:
    events.sort(key=lambda event: event[0])  # PutLogEvents wants them in order
    return (events[at : at + _MOST] for at in range(0, len(events), _MOST))
