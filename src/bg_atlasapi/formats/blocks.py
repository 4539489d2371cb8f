"""A volume in slabs of the depth that a writer wants, whatever depth its file gives.

Conversion never holds a whole volume: readers yield slabs, writers take blocks of chunk rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.volume import VolumeSource

if TYPE_CHECKING:
    import numpy.typing as npt


def blocks(source: VolumeSource, depth: int) -> Iterator[npt.NDArray[Any]]:
    """Yield a volume in order, in parts along the first axis.

    Parameters
    ----------
    source
        The volume.
    depth
        Planes of each part; the last may have fewer.

    Yields
    ------
    numpy.ndarray
        Valid until the next is asked for: its memory may be used again.
    """
    kept: npt.NDArray[Any] | None = None
    filled = 0
    for slab in source.slabs():
        start = 0
        while start < len(slab):
            if not filled and len(slab) - start >= depth:
                yield slab[start : start + depth]
                start += depth
                continue
            if kept is None:
                kept = np.empty((depth, *slab.shape[1:]), slab.dtype)
            taken = min(depth - filled, len(slab) - start)
            kept[filled : filled + taken] = slab[start : start + taken]
            filled, start = filled + taken, start + taken
            if filled == depth:
                yield kept
                filled = 0
    if filled and kept is not None:
        yield kept[:filled]
