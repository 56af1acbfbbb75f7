"""A small real `harness.cluster.Cluster`: every host is a process of this machine with a folder for its /opt/ml."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from harness.engine_log import Line

ML = "/opt/ml"
_BLOCK = 1 << 16
_PAUSE = 0.005


class FakeCluster:
    """``scripts`` is the Python text that each host runs; ``folder`` takes all that the hosts leave.

    A script finds its places where SageMaker's scripts find them, in SM_MODEL_DIR, SM_OUTPUT_DATA_DIR and
    SM_OUTPUT_DIR, and its name in SM_CURRENT_HOST.
    """

    def __init__(self, folder: Path, scripts: Mapping[str, str], out_of_memory: Iterable[str] = ()) -> None:
        self.folder = folder
        self.stops: list[tuple[tuple[str, ...], float]] = []  # what `stop` was asked, in order
        self._scripts = dict(scripts)
        self._out_of_memory = frozenset(out_of_memory)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._lines: dict[str, list[Line]] = {}
        self._pumps: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    @property
    def exists(self) -> bool:
        """Whether anything of this cluster is there."""
        return self.folder.exists() or any(process.poll() is None for process in self._processes.values())

    def prepare(self) -> None:
        for host in self._scripts:
            for name in ("model", "output/data"):
                (self._ml(host) / name).mkdir(parents=True)

    def put(self, host: str, archive: IO[bytes]) -> None:
        inside = f"{ML.strip('/')}/"
        with tarfile.open(fileobj=archive) as tar:
            for entry in tar:
                assert entry.name.startswith(inside), f"{entry.name}: a fake host has {ML} only"
                entry.name = entry.name.removeprefix(inside)
                tar.extract(entry, self._ml(host), filter="data")

    def start(self) -> None:
        for host, script in self._scripts.items():
            self._lines[host] = []
            self._processes[host] = self._run(host, script)
            self._pumps[host] = threading.Thread(target=self._pump, args=(host,), daemon=True)
            self._pumps[host].start()

    def _pump(self, host: str) -> None:
        """Be the engine: note when each line was printed, whoever reads it and when."""
        stream = self._processes[host].stdout
        assert stream
        with stream:
            for data in stream:
                self._lines[host].append(Line(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z".encode(), data))

    def follow(self, host: str) -> Iterator[list[Line]]:
        seen = 0
        while True:
            ended = not self._pumps[host].is_alive()  # asked first: what came before its end is read below
            if lines := self._lines[host][seen:]:
                seen += len(lines)
                yield lines
            if ended:
                return
            time.sleep(_PAUSE)

    def wait(self, host: str) -> int:
        code = self._processes[host].wait()
        return code if code >= 0 else 128 - code

    def out_of_memory(self, host: str) -> bool:
        return host in self._out_of_memory

    def fetch(self, host: str, path: str) -> Iterator[bytes] | None:
        local = self._ml(host) / path.removeprefix(ML).lstrip("/")
        if not local.exists():
            return None
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.add(local, local.name)
        data = buffer.getvalue()
        return (data[start : start + _BLOCK] for start in range(0, len(data), _BLOCK))

    def stop(self, hosts: Iterable[str], grace: float) -> None:
        chosen = tuple(hosts)
        with self._lock:
            self.stops.append((chosen, grace))
        processes = [self._processes[host] for host in chosen if host in self._processes]
        for process in processes if grace else ():
            _signal(process, signal.SIGTERM)
        end = time.monotonic() + grace
        for process in processes:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGKILL)

    def remove(self) -> None:
        for process in self._processes.values():
            _signal(process, signal.SIGKILL)
            process.wait()
        for pump in self._pumps.values():
            pump.join()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, host: str, script: str) -> subprocess.Popen[bytes]:
        ml = self._ml(host)
        places = {
            "SM_CURRENT_HOST": host,
            "SM_MODEL_DIR": str(ml / "model"),
            "SM_OUTPUT_DIR": str(ml / "output"),
            "SM_OUTPUT_DATA_DIR": str(ml / "output/data"),
        }
        return subprocess.Popen(
            [sys.executable, "-S", "-u", "-c", script],
            cwd=ml,
            env={**os.environ, **places},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _ml(self, host: str) -> Path:
        return self.folder / host / "ml"


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):  # it has ended in the meantime: what was wanted
            os.killpg(process.pid, number)
