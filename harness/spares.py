"""Things made before anyone asks for them, in the background: one for a key, and few in all."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

MOST = 2  # keys; whoever needs a third gives up the one that was asked for longest ago


class Spare(Protocol):
    def discard(self) -> None:
        """Undo its making; return when nothing of it is left."""


T = TypeVar("T", bound=Spare)


class Spares(Generic[T]):
    """Spares of one session, for one thread that claims at a time or several.

    What is asked for once is taken to be asked for again, until that was wrong: then only what was asked for twice is.
    ``say`` is told why a spare could not be made; whoever wanted it makes its own.
    """

    def __init__(self, say: Callable[[str], object], most: int = MOST) -> None:
        self._say = say
        self._most = most
        self._lock = threading.Lock()
        self._made: OrderedDict[Hashable, Future[T]] = OrderedDict()
        self._asked: set[Hashable] = set()
        self._guesses = True
        self._makers = ThreadPoolExecutor(1, "spares")
        self._discardrs = ThreadPoolExecutor(2, "removing")
        self._removals: list[Future[None]] = []

    def claim(self, key: Hashable) -> T | None:
        """The spare of ``key``, which is the caller's from now on; waits for one that is being made.

        None where there is none, or where its making has not begun or has failed.
        """
        with self._lock:
            future = self._made.pop(key, None)
        if future is None or future.cancel():
            return None
        try:
            return future.result()
        except CancelledError:
            return None
        except Exception as error:  # whatever it was, the caller can make its own, and meets the cause where it lasts
            self._say(f"no hosts could be made ready beforehand: {error}")
            return None
        except BaseException:  # Ctrl-C while waiting: it is nobody's, and goes when it is there
            future.add_done_callback(self._discard)
            raise

    def provide(self, key: Hashable, make: Callable[[], T]) -> None:
        """Let ``make`` make a spare of ``key`` in the background, where there is none and one may be wanted."""
        with self._lock:
            wanted = self._guesses or key in self._asked
            self._asked.add(key)
            if key in self._made:
                self._made.move_to_end(key)
            elif wanted:
                self._made[key] = self._makers.submit(make)
            gone = [self._made.popitem(last=False)[1] for _ in range(len(self._made) - self._most)]
            self._guesses = self._guesses and not gone
        for future in gone:
            future.add_done_callback(self._discard)
            future.cancel()

    def in_background(self, action: Callable[[], None]) -> Future[None]:
        """Do ``action`` while others go on; it is over at the end of the session, which raises what it raised."""
        future = self._discardrs.submit(action)
        with self._lock:
            self._removals.append(future)
        return future

    def close(self) -> None:
        """Return once no spare is left and all that was to be done is done. Raises what went wrong in that."""
        with self._lock:
            left, self._made = list(self._made.values()), OrderedDict()
        for future in left:
            future.add_done_callback(self._discard)
            future.cancel()
        self._makers.shutdown()
        self._discardrs.shutdown()
        for removal in self._removals:
            removal.result()

    def _discard(self, future: Future[T]) -> None:
        """Called when ``future`` is over, in the thread that made it or in that of the caller."""
        if not future.cancelled() and future.exception() is None:
            self.in_background(future.result().discard)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
