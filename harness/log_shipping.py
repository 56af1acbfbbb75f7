"""The logs of instances into CloudWatch Logs: group /aws/sagemaker/Endpoints/NAME, stream VARIANT/INSTANCE-ID."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from harness.instances import Instance, Instances

Sink = Callable[[str, str, Sequence[tuple[int, str]]], None]
PAUSE_SECONDS = 0.2  # lines of this long go together
_MOST = 10_000  # events of one PutLogEvents (API reference)


def group_of(endpoint_name: str) -> str:
    return f"/aws/sagemaker/Endpoints/{endpoint_name}"


def stream_of(instance: Instance) -> str:
    return f"{instance.place.variant_name}/{instance.instance_id}"


class LogShipper:
    """A thread for each instance reads its log, one more hands over what has come. Ends with `close`."""

    def __init__(self, instances: Instances, sink: Sink) -> None:
        self._instances, self._sink = instances, sink
        self._waiting: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._shipper = threading.Thread(target=self._ship, name="logs", daemon=True)
        self._shipper.start()

    def follow(self, instance: Instance) -> None:
        threading.Thread(target=self._read, args=(instance,), name="log", daemon=True).start()

    def close(self) -> None:
        """Hand over what has come so far and end."""
        self._closed.set()
        self._shipper.join()

    def _read(self, instance: Instance) -> None:
        where = (group_of(instance.place.endpoint_name), stream_of(instance))
        for event in self._instances.log(instance):
            with self._lock:
                self._waiting[where].append(event)

    def _ship(self) -> None:
        while not self._closed.wait(PAUSE_SECONDS):
            self._hand_over()
        self._hand_over()

    def _hand_over(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, defaultdict(list)
        for (group, stream), events in waiting.items():
            for part in _parts(events):
                self._sink(group, stream, part)


def _parts(events: list[tuple[int, str]]) -> Iterable[list[tuple[int, str]]]:
    events.sort(key=lambda event: event[0])  # PutLogEvents wants them in order
    return (events[at : at + _MOST] for at in range(0, len(events), _MOST))
