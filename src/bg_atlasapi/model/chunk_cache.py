"""Decoded chunks of every volume of this process, those used last, up to a number of bytes.

One limit for the process, not one a volume: who opens ten atlases has not asked for ten times the
memory. Which chunks are worth keeping is decided by those who read them (``chunked``).
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

from bg_atlasapi import settings

if TYPE_CHECKING:
    import numpy.typing as npt

Place = tuple[int, ...]
_REMEMBERED = 1 << 14


class ChunkCache:
    """Least recently used chunks, by owner and place; safe for threads and after a fork."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._gone: deque[int] = deque()
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, Place], npt.NDArray[Any] | None] = OrderedDict()
        self._bytes = 0
        self._passed: OrderedDict[tuple[int, Place], None] = OrderedDict()

    @property
    def limit(self) -> int:
        """The most bytes that may be kept, ``BRAINGLOBE_CACHE_BYTES``."""
        return settings.cache_bytes()

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._kept)

    def owner(self, of: object) -> int:
        """Return a number for what chunks belong to; they go when it goes."""
        number = next(self._numbers)
        weakref.finalize(of, self._disown, number)
        return number

    def _disown(self, number: int) -> None:
        # The collector may call this within any line here that holds the lock: never wait for it.
        self._gone.append(number)
        if self._lock.acquire(blocking=False):
            try:
                self._sweep()
            finally:
                self._lock.release()

    def _sweep(self) -> None:
        while self._gone:
            number = self._gone.popleft()
            for key in [key for key in self._kept if key[0] == number]:
                self._bytes -= _size(self._kept.pop(key))

    def get(self, owner: int, place: Place) -> tuple[bool, npt.NDArray[Any] | None]:
        """Return whether a chunk is kept, and the chunk; None is one that is not stored."""
        with self._lock:
            key = (owner, place)
            if key not in self._kept:
                return False, None
            self._kept.move_to_end(key)
            return True, self._kept[key]

    def worth_keeping(self, owner: int, place: Place) -> bool:
        """Say whether a chunk was asked for before; from now on it was.

        Memory for what is kept is memory the system must find and clear, which takes longer than
        decoding into memory at hand. A single slice never needs it again, the next slice does.
        """
        key = (owner, place)
        with self._lock:
            if key in self._passed:
                return True
            self._passed[key] = None
            if len(self._passed) > _REMEMBERED:
                self._passed.popitem(last=False)
            return False

    def put(self, owner: int, place: Place, chunk: npt.NDArray[Any] | None) -> None:
        """Keep a chunk, letting go of those that were not used for longest."""
        size, limit = _size(chunk), self.limit
        with self._lock:
            self._sweep()
            if size > limit or (owner, place) in self._kept:
                return
            self._kept[owner, place] = chunk
            self._bytes += size
            while self._bytes > limit:
                _, old = self._kept.popitem(last=False)
                self._bytes -= _size(old)

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._kept.clear()
            self._passed.clear()
            self._bytes = 0


def _size(chunk: npt.NDArray[Any] | None) -> int:
    # That nothing is stored at a place is worth remembering too, and takes about this much.
    return 256 if chunk is None else chunk.nbytes + 256


CACHE = ChunkCache()
if hasattr(os, "register_at_fork"):  # the thread that held the lock does not exist in the child
    os.register_at_fork(after_in_child=CACHE._renew)
