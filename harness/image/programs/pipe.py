"""`pipe`: feeds the Pipe channels of one host, through FIFOs in a volume that both see.

Each channel is at <folder>/<channel>_<epoch>, epochs counted from 0, each FIFO read once (developer guide, 'Access
Training Data'). The next one is made before a reader can be done with the present one, so that no script finds it
missing. Prints 'ready' when scripts may start. Ends with code 1, saying why, when a channel cannot be fed.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import os
import random
import shutil
import struct
import tempfile
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

CONFIG = Path("/pipe.json")
READY = "ready"
_MAGIC = 0xCED7230A  # of a record of RecordIO (MXNet, dmlc recordio.h)
_IN_MEMORY = 64 << 20
_CHUNK = 1 << 20


def main() -> int:
    config = json.loads(CONFIG.read_text())
    folder = Path(config["folder"])
    failed: list[str] = []
    over = threading.Event()

    def keep_feeding(channel: Mapping[str, Any]) -> None:
        try:
            feed(folder, channel)
        except Exception as error:  # whatever it was: a reader would wait for the rest for ever
            failed.append(f"channel {channel['name']!r}: {error}")
            over.set()

    for channel in config["channels"]:
        make_fifo(folder, channel["name"], 0)
    print(READY, flush=True)
    for channel in config["channels"]:
        threading.Thread(target=keep_feeding, args=(channel,), daemon=True).start()
    over.wait()
    print(failed[0], flush=True)
    os._exit(1)  # other channels are waiting for readers and would not let go


def feed(folder: Path, channel: Mapping[str, Any], epochs: int | None = None) -> None:
    """Serve ``channel`` epoch after epoch; ``epochs`` None is for ever. Raises OSError where data cannot be read."""
    for epoch in itertools.count() if epochs is None else range(epochs):
        fifo = make_fifo(folder, channel["name"], epoch)
        make_fifo(folder, channel["name"], epoch + 1)
        # A reader that has seen enough closes early, which is no failure: the next epoch begins.
        with contextlib.suppress(BrokenPipeError), fifo.open("wb", buffering=_CHUNK) as pipe:
            for item in in_order(channel["items"], channel["seed"], epoch, channel["share"]):
                for part in item:
                    _write(pipe, part, zipped=channel["gzip"], wrapped=channel["recordio"])
        fifo.unlink()


def make_fifo(folder: Path, name: str, epoch: int) -> Path:
    path = folder / f"{name}_{epoch}"
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path)
        path.chmod(0o666)
    return path


def in_order(items: Sequence[Any], seed: int | None, epoch: int, share: Sequence[int]) -> Iterator[Any]:
    """The items of this host in ``epoch``; ``share`` is (number of the host from 0, hosts).

    With a seed all are shuffled anew for each epoch, in the same way on all hosts, and then dealt out: a host may get
    others in the next one (API reference, ShuffleConfig).
    """
    numbers = list(range(len(items)))
    if seed is not None:
        random.Random(f"{seed} {epoch}").shuffle(numbers)  # noqa: S311  it only has to be the same everywhere
    host, hosts = share
    return (items[number] for number in numbers[host::hosts])


def _write(pipe: IO[bytes], part: Mapping[str, str], *, zipped: bool, wrapped: bool) -> None:
    with _opened(part, zipped=zipped, measured=wrapped) as content:
        size = content.seek(0, os.SEEK_END) if wrapped else 0
        if wrapped:
            content.seek(0)
            pipe.write(struct.pack("<II", _MAGIC, size))
        try:
            shutil.copyfileobj(content, pipe, _CHUNK)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _not_gzip(part, error) from error
        if wrapped:
            pipe.write(bytes(-size % 4))


@contextlib.contextmanager
def _opened(part: Mapping[str, str], *, zipped: bool, measured: bool) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """The content of ``part``; where it must be ``measured`` it can be sought in at no cost."""
    if "text" in part:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as text:
            text.write(part["text"].encode())
            text.seek(0)
            yield text
    elif not zipped:
        with Path(part["path"]).open("rb") as file:
            yield file
    elif not measured:
        with gzip.open(part["path"]) as unzipped:
            yield unzipped
    else:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as whole, gzip.open(part["path"]) as unzipped:
            try:
                shutil.copyfileobj(unzipped, whole, _CHUNK)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise _not_gzip(part, error) from error
            whole.seek(0)
            yield whole


def _not_gzip(part: Mapping[str, str], error: Exception) -> OSError:
    return OSError(f"{part['path']}: compression = 'Gzip', but the object is not gzip: {error}")
