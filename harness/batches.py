"""What arrives in many small pieces, dealt with in few large ones."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator

# A piece by itself costs many times its share of a batch; nobody who watches sees so short a delay.
_GATHERING = 0.01  # seconds


def batches(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """``pieces`` joined to those that arrive with or shortly after them; raises what ``pieces`` raises.

    They are taken from their source at once, however long a batch takes to be dealt with.
    """
    arrived: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()
    threading.Thread(target=_take, args=(pieces, arrived), daemon=True).start()
    last: bytes | Exception | None = b""
    while isinstance(last, bytes):
        batch = [arrived.get()]
        time.sleep(_GATHERING)
        while arrived.qsize():
            batch.append(arrived.get())
        last = batch[-1]
        if joined := b"".join(piece for piece in batch if isinstance(piece, bytes)):
            yield joined
    if last is not None:
        raise last


def _take(pieces: Iterable[bytes], arrived: queue.SimpleQueue[bytes | Exception | None]) -> None:
    try:
        for piece in pieces:
            arrived.put(piece)
    except Exception as error:  # whatever it was, it is raised where the pieces are used
        arrived.put(error)
    else:
        arrived.put(None)
