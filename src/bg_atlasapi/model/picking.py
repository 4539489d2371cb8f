"""Pick from an array where indices along each axis meet, copying as little as that takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

    Indices = npt.NDArray[np.intp]


def narrowed(indices: Indices) -> slice | Indices:
    """Return sorted indices as a slice, which copies nothing, if they are evenly spaced."""
    count = len(indices)
    if count == 0:
        return slice(0, 0)
    first, last = int(indices[0]), int(indices[-1])
    if count == 1:
        return slice(first, first + 1)
    step = int(indices[1]) - first
    if last - first != step * (count - 1) or (np.diff(indices) != step).any():
        return indices
    return slice(first, last + 1, step)


def cut(array: npt.NDArray[Any], selection: Sequence[slice | Indices]) -> npt.NDArray[Any]:
    """Return the part of an array where the indices along all axes meet."""
    plain = [part if isinstance(part, slice) else slice(None) for part in selection]
    array = array[tuple(plain)]
    for axis, part in enumerate(selection):
        if not isinstance(part, slice):
            array = array.take(part, axis)
    return array
