"""Hand an atlas to other processes by reference, and open it there once.

An atlas pickles as the place of its files, and what a caller assigned or edited: less than 1 kB
where nothing was. Tasks carry those bytes; the first task of a process opens the atlas, the others
find it open, so that its map or its decoded chunks are shared.
"""

from __future__ import annotations

import functools
import pickle
from dataclasses import dataclass
from typing import Any


@functools.lru_cache(maxsize=8)
def _opened(payload: bytes) -> Any:
    return pickle.loads(payload)  # noqa: S301 - made below, by the process that sent the task


@dataclass(frozen=True, slots=True)
class SharedAtlas:
    """A reference to an atlas.

    Parameters
    ----------
    payload
        The pickled atlas.
    """

    payload: bytes

    @classmethod
    def of(cls, atlas: Any) -> SharedAtlas:
        """Return a reference to an atlas."""
        return cls(pickle.dumps(atlas))

    def open(self) -> Any:
        """Return the atlas, the same object at each call in a process."""
        return _opened(self.payload)
