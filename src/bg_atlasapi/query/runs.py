"""Runs of equal neighbours: what images are summed up over, some planes at a time.

Voxels of one region lie in rows one after another, so sums are taken over runs first, of which
there are ten times fewer than voxels, and the runs are put together by region. A run never passes
the end of a row, the border between hemispheres, or ``LONGEST`` voxels.

What is counted is counted in *slots*: for each code one for each side (neither, left, right).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.space import LEFT, RIGHT

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

# So many values of 16 bits add up, squared, to less than 2**40; see ``accumulators``.
LONGEST = 256
# Voxels that are worked on at a time: their temporaries stay near a core's cache, and sums of
# 32-bit parts stay below 2**53, which float64 holds exactly.
MOST_VOXELS = 1 << 20
SIDES = 3  # neither, left, right
_OWN = threading.local()


def scratch(name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Return memory of this thread, to be used again under the same name.

    Fresh memory for each box would be brought in page by page, which takes longer than the sums.
    """
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    memory = getattr(_OWN, name, None)
    if memory is None or len(memory) < size:
        memory = np.empty(size, np.uint8)
        setattr(_OWN, name, memory)
    return np.asarray(memory[:size].view(kind).reshape(shape))


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of one region on one side in a box of voxels.

    Parameters
    ----------
    values
        Of all voxels of the box, native byte order.
    starts
        Index of each run's first voxel, ``intp``; together they cover the box.
    slots
        Code times ``SIDES``, plus side; ``intp``.
    codes
        How many codes there are.
    """

    values: Array
    starts: npt.NDArray[np.intp]
    slots: npt.NDArray[np.intp]
    codes: int

    @property
    def size(self) -> int:
        """Number of slots."""
        return SIDES * self.codes

    @property
    def flat(self) -> Array:
        """The values in one row."""
        return self.values.reshape(-1)

    @property
    def lengths(self) -> npt.NDArray[np.intp]:
        """Voxels of each run."""
        lengths = np.empty_like(self.starts)
        np.subtract(self.starts[1:], self.starts[:-1], out=lengths[:-1])
        lengths[-1] = self.values.size - self.starts[-1]
        return lengths

    def total(self, of_runs: Array) -> npt.NDArray[np.float64]:
        """Return sums over the runs of each slot; what is not in a structure is left out."""
        sums = np.bincount(self.slots, of_runs, self.size).astype(np.float64, copy=False)
        sums[:SIDES] = 0
        return sums


def boxes_of(codes: Array, values: Array) -> Iterator[tuple[tuple[slice, ...], Array, Array]]:
    """Yield the parts of some planes that hold structures.

    Parameters
    ----------
    codes, values
        Shape ``(planes, rows, columns)``.

    Yields
    ------
    place, codes, values
        Where a part lies in the planes, and views of what is there; about ``MOST_VOXELS`` at most.
    """
    planes, rows, columns = codes.shape
    deep = max(1, MOST_VOXELS // max(rows * columns, 1))
    high = max(1, MOST_VOXELS // max(columns * deep, 1))
    for plane in range(0, planes, deep):
        for row in range(0, rows, high):
            part = codes[plane : plane + deep, row : row + high]
            seen = np.bitwise_or.reduce(part, axis=0)
            high_up = np.flatnonzero(np.bitwise_or.reduce(seen, axis=1))
            across = np.flatnonzero(np.bitwise_or.reduce(seen, axis=0))
            if len(high_up):
                place = (
                    slice(plane, plane + len(part)),
                    slice(row + int(high_up[0]), row + int(high_up[-1]) + 1),
                    slice(int(across[0]), int(across[-1]) + 1),
                )
                yield place, codes[place], values[place]


def runs_of(codes: Array, values: Array, sides: Array | None, count: int) -> Runs:
    """Find the runs in a box.

    Parameters
    ----------
    codes, values
        Shape ``(planes, rows, columns)``.
    sides
        1 left, 2 right, three axes, broadcast to that shape; None does not tell them apart.
    count
        How many codes there are.
    """
    changes = scratch("changes", codes.shape, np.bool_)
    np.not_equal(codes[..., 1:], codes[..., :-1], out=changes[..., 1:])
    changes[..., ::LONGEST] = True
    if sides is not None and sides.shape[2] > 1:
        turns = sides[..., 1:] != sides[..., :-1]
        if turns.shape[:2] == (1, 1):
            changes[..., 1 + np.flatnonzero(turns)] = True
        else:
            changes[..., 1:] |= turns
    starts = np.flatnonzero(changes.reshape(-1))
    row = scratch("codes", codes.shape, codes.dtype)
    row[...] = codes
    slots = row.reshape(-1).take(starts).astype(np.intp)
    slots *= SIDES
    if sides is not None:
        slots += _side_of(sides, starts, codes.shape)
    return Runs(values, starts, slots, count)


def _side_of(
    sides: Array, starts: npt.NDArray[np.intp], shape: tuple[int, ...]
) -> npt.NDArray[np.intp]:
    """Return the side of single voxels: 1 left, 2 right, 0 for whatever else was stored."""
    places = np.where(sides == LEFT, 1, np.where(sides == RIGHT, 2, 0)).astype(np.intp)
    if places.shape[2] == 1:  # the same along a row
        rows = np.broadcast_to(places[..., 0], shape[:2])
        return rows.reshape(-1).take(starts // shape[2])
    if places.shape[:2] == (1, 1):
        return places.reshape(-1).take(starts % shape[2])
    return np.broadcast_to(places, shape).reshape(-1).take(starts)
