"""Checkpoints: everything in their place is copied to every host before it starts, then hosts are uploaded while they
run (developer guide, 'Use checkpoints in Amazon SageMaker').

There is one place for all hosts, with no prefix per host: whichever wrote a file last wins, and a file that a host
deletes is deleted. Later additions to the place are not copied to hosts.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

from harness.checkpoint_place import CheckpointPlace
from harness.cluster import Cluster
from harness.errors import DataDownloadFailed
from harness.tar import members

# A look at a host copies its whole folder out of the engine, so that it may take a tenth of the time at most. At
# least a second lies between two of them: that is as fine as the engine tells when a file was modified.
LEAST_INTERVAL = 1.0
_SHARE = 10
_CHANGING = -1  # in place of the time of a file that may have changed since, within the second that its time tells
_IN_MEMORY = 16 << 20

Stamp = tuple[int, int]  # size in bytes, and seconds of the last modification


@dataclass
class _Host:
    """``kept`` are the files that the place has as this host has them, ``seen`` those of the last look at it."""

    kept: dict[str, Stamp] = field(default_factory=dict)
    seen: dict[str, Stamp] = field(default_factory=dict)


class CheckpointSync:
    """Keeps ``local_path`` of all hosts of a job and ``place`` in step. ``note`` tells people what goes wrong."""

    def __init__(
        self,
        place: CheckpointPlace,
        local_path: str,
        note: Callable[[str], object],
        least_interval: float = LEAST_INTERVAL,
    ) -> None:
        self._place = place
        self._local_path = local_path
        self._note = note
        self._least_interval = least_interval
        self._hosts: dict[str, _Host] = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._said: set[str] = set()

    def restore(self, cluster: Cluster, hosts: Sequence[str]) -> None:
        """Copy all that is in the place to ``hosts``, which are prepared and not started.

        Raises `DataDownloadFailed`, as for any other input.
        """
        self._cluster = cluster
        self._join()
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as archive:
            try:
                stamps = self._pack(archive)
            except OSError as error:
                raise DataDownloadFailed(f"checkpoints in {self._place}: {error}") from error
            for host in hosts:
                archive.seek(0)
                cluster.put(host, archive)
        self._hosts = {host: _Host(dict(stamps), dict(stamps)) for host in hosts}

    def start(self) -> None:
        """Upload from now on, in a thread."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, args=(self._over,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Upload nothing more, without waiting for what is on its way; safe to repeat."""
        self._over.set()

    def finish(self) -> None:
        """Upload what the hosts, which have ended, have left; nothing more after that."""
        self.stop()
        self._join()
        for host in self._hosts:
            self._look(host, ended=True)

    def _join(self) -> None:
        if self._thread:
            self._thread.join()

    def _pack(self, archive: IO[bytes]) -> dict[str, Stamp]:
        stamps = {}
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.addfile(_folder(self._local_path))
            for name, size, modified in self._place.files():
                info = tarfile.TarInfo(f"{self._local_path.strip('/')}/{name}")
                info.size, info.mtime = size, int(modified)
                with self._place.read(name) as content:
                    tar.addfile(info, content)
                stamps[name] = (size, info.mtime)
        return stamps

    def _keep_up(self, over: threading.Event) -> None:
        interval = self._least_interval
        while not over.wait(interval):
            began = time.monotonic()
            for host in self._hosts:
                self._look(host)
            interval = max(self._least_interval, _SHARE * (time.monotonic() - began))

    def _look(self, host: str, *, ended: bool = False) -> None:
        """Upload what has changed on ``host``, all of it at once where it has ended.

        On a host that runs, a file is taken when it has the size it had at the last look. One that is being written
        grows; one that is written anew all the time, under its own name or another, would never be the same twice.
        """
        known = self._hosts[host]
        found: dict[str, Stamp] = {}
        try:
            stream = self._cluster.fetch(host, self._local_path)
            if stream is None:
                return  # a folder that is gone is not a wish to lose every checkpoint; nor is a host that is
            for relative, info, content in members(stream):
                if self._over.is_set() and not ended:
                    return
                if content is None or ".." in relative.parts:
                    continue  # folders are not objects; links are none either
                name, stamp = relative.as_posix(), (info.size, int(info.mtime))
                found[name] = stamp
                last = known.seen.get(name)
                if known.kept.get(name) != stamp and (ended or (last and last[0] == stamp[0])):
                    self._upload(name, content, stamp)
                    known.kept[name] = stamp if last == stamp else (stamp[0], _CHANGING)
        except tarfile.ReadError:
            return  # a file grew while the engine read it; the next look will see it
        except Exception as error:  # whatever it was: training goes on, and the next look tries again
            if self._over.is_set() and not ended:
                return  # the host has been taken away
            self._complain(f"checkpoints of {host} could not be uploaded to {self._place}: {error}")
            return
        gone = [name for name in known.kept if name not in found and (ended or name not in known.seen)]
        self._delete(gone, known)
        known.seen = found

    def _upload(self, name: str, content: IO[bytes], stamp: Stamp) -> None:
        # Whole, before it goes on: half a file must never replace a good one.
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as whole:
            shutil.copyfileobj(content, whole, 1 << 20)
            whole.seek(0)
            self._place.write(name, whole, stamp[1])

    def _delete(self, names: list[str], known: _Host) -> None:
        for name in names:
            try:
                self._place.delete(name)
            except Exception as error:
                self._complain(f"checkpoint {name} could not be deleted from {self._place}: {error}")
                continue
            del known.kept[name]

    def _complain(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._note(text)


def _folder(path: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path.strip("/"))
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    return info
