"""Run a function over blocks of an array on all cores.

numpy lets go of the interpreter lock inside its loops, so plain threads do. Blocks are small enough
that temporaries stay in the processor's cache, which matters more than the threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeVar

_T = TypeVar("_T")


def workers() -> int:
    """Return how many processors this process may use."""
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
