"""Give freed memory back to the system: what a server of large atlases needs, and nobody else.

The allocator of Linux keeps what threads freed, for each thread apart, and after the first freed
array of some MB keeps all up to 32 MB: 100 MB in a viewer of a 10 µm atlas. Elsewhere, nothing
happens here. Source: mallopt(3), malloc_trim(3).
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_MMAP_THRESHOLD = -3  # what <malloc.h> calls it
_LARGE = 1 << 20  # bytes; an array from here on goes back when it is freed


@cache
def _library() -> ctypes.CDLL | None:
    """Return the C library of Linux, if it is the usual one."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def be_thrifty() -> None:
    """Have large arrays go back to the system when they are freed."""
    if (library := _library()) is not None:
        library.mallopt(_MMAP_THRESHOLD, _LARGE)


def give_back() -> None:
    """Give back what was freed so far."""
    if (library := _library()) is not None:
        library.malloc_trim(0)
