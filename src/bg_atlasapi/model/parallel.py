"""Run a function over blocks of an array on all cores.

numpy lets go of the interpreter lock inside its loops, so plain threads do. Blocks are small enough
that temporaries stay in the processor's cache, which matters more than the threads.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_T = TypeVar("_T")
_S = TypeVar("_S")
_AHEAD = 2  # items a worker that are begun before an answer is waited for


_this_thread = threading.local()


@contextmanager
def alone() -> Iterator[None]:
    """Have this thread do its blocks itself: whoever started it has work for the other cores."""
    before = getattr(_this_thread, "alone", False)
    _this_thread.alone = True
    try:
        yield
    finally:
        _this_thread.alone = before


def workers() -> int:
    """Return how many processors this thread may use."""
    if getattr(_this_thread, "alone", False):
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def spans(count: int, block: int) -> Iterator[slice]:
    """Yield consecutive slices of at most ``block`` items that cover ``count`` items."""
    for start in range(0, count, block):
        yield slice(start, min(start + block, count))


def over_blocks(function: Callable[[slice], _T], count: int, block: int) -> list[_T]:
    """Apply a function to consecutive blocks of ``count`` items; return its answers in order."""
    parts = list(spans(count, block))
    if len(parts) <= 1 or workers() == 1:
        return [function(part) for part in parts]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(workers(), len(parts))) as pool:
        return list(pool.map(function, parts))


def stream(function: Callable[[_S], _T], items: Iterable[_S]) -> Iterator[_T]:
    """Yield a function's answers to items, in order; a few items are under way at a time.

    Items are taken as they are needed, so that a long series never lies in memory.
    """
    if workers() == 1:
        yield from map(function, items)
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    under_way: deque[Future[_T]] = deque()
    pool = ThreadPoolExecutor(workers())
    try:
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) > workers() * _AHEAD:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:  # an error, or nobody wants the rest
        pool.shutdown(wait=True, cancel_futures=True)
