"""Parts of an array that lies in a file in one piece, read without mapping the file.

Pages of a map that were touched count as memory of the process, and a file cut short under a map
ends it. Reads do neither.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.parallel import over_blocks
from bg_atlasapi.model.picking import cut, narrowed

if TYPE_CHECKING:
    import numpy.typing as npt

    Indices = npt.NDArray[np.intp]

# A read takes as long as copying about this much: smaller gaps are read over.
_GAP_BYTES = 1 << 16
# What is read over stays in the processor's cache until it was picked from.
_BLOCK_BYTES = 1 << 20
_STRAIGHT_BYTES = 16 << 20
_SEEKING = threading.Lock()


def read_at(descriptor: int, start: int, memory: memoryview) -> int:
    """Read from a place in a file until memory is full; return how many bytes there were."""
    done = 0
    while done < len(memory):
        rest, place = memory[done:], start + done
        if hasattr(os, "preadv"):
            count = os.preadv(descriptor, [rest], place)
        else:  # Windows has one position for all threads
            with _SEEKING:
                os.lseek(descriptor, place, os.SEEK_SET)
                data = os.read(descriptor, len(rest))
            count = len(data)
            rest[:count] = data
        if not count:
            break
        done += count
    return done


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, in C order.

    Parameters
    ----------
    read
        Fills memory with the bytes from a place on; several threads call it at once.
    offset
        Where in the file the array starts.
    shape, dtype
        Of the array, in native byte order.
    """

    read: Callable[[int, memoryview], None]
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def outer(self, indices: Sequence[Indices], out: npt.NDArray[Any]) -> None:
        """Read where sorted indices along each axis meet.

        Parameters
        ----------
        indices
            Along each axis, within the array, at least one.
        out
            Of the shape that the lengths of the indices make; is written to.
        """
        task = _Reading(self, [narrowed(one) for one in indices], indices)
        groups = task.groups(0, straight=out.flags.c_contiguous)
        block = max(1, len(groups) // 64)

        def some(part: slice) -> None:
            for group in groups[part]:
                task.read(0, self.offset, group, out)

        over_blocks(some, len(groups), block)


class _Reading:
    """One selection of a stored array, split into reads axis by axis."""

    def __init__(
        self, array: StoredArray, picked: Sequence[slice | Indices], indices: Sequence[Indices]
    ) -> None:
        self._array, self._picked, self._indices = array, picked, indices
        self._groups: dict[tuple[int, bool], list[slice]] = {}
        size, axes = array.dtype.itemsize, len(array.shape)
        # Along each axis: bytes from one index to the next; and of what lies below one index, the
        # place of the first byte that is needed, and the end of the last.
        self._step = [size * math.prod(array.shape[axis + 1 :]) for axis in range(axes)]
        self._first, self._end = [0] * axes, [size] * axes
        for axis in range(axes - 2, -1, -1):
            below, step = indices[axis + 1], self._step[axis + 1]
            self._first[axis] = int(below[0]) * step + self._first[axis + 1]
            self._end[axis] = int(below[-1]) * step + self._end[axis + 1]
        self._whole = [
            all(len(indices[below]) == array.shape[below] for below in range(axis + 1, axes))
            for axis in range(axes)
        ]

    def groups(self, axis: int, *, straight: bool) -> list[slice]:
        """Split the indices along an axis into those that are read in one go."""
        # Below each of a thousand planes they are the same; two threads may both work them out.
        found = self._groups.get((axis, straight))
        if found is None:
            self._groups[axis, straight] = found = self._split(axis, straight=straight)
        return found

    def _split(self, axis: int, *, straight: bool) -> list[slice]:
        values, step = self._indices[axis], self._step[axis]
        extent = self._end[axis] - self._first[axis]
        direct = straight and self._whole[axis]
        limit = _STRAIGHT_BYTES if direct else _BLOCK_BYTES
        gap = 0 if direct else _GAP_BYTES
        # One more index may follow where the gap is small enough; then groups are cut to size.
        breaks = np.flatnonzero(np.diff(values) * step - extent > gap) + 1
        if len(breaks) == len(values) - 1:  # as of a plane across another axis than the first
            return [slice(at, at + 1) for at in range(len(values))]
        found = []
        for start, stop in zip([0, *breaks.tolist()], [*breaks.tolist(), len(values)], strict=True):
            while start < stop:
                reach = int(values[start]) + max(limit // step, 1)
                end = min(int(np.searchsorted(values, reach)), stop)
                found.append(slice(start, end))
                start = end  # noqa: PLW2901 - the rest of the same stretch
        return found

    def read(self, axis: int, start: int, group: slice, out: npt.NDArray[Any]) -> None:
        """Read a group of indices along an axis; ``start`` is where index 0 lies in the file."""
        array, values, step = self._array, self._indices[axis], self._step[axis]
        place = start + int(values[group.start]) * step
        part = out[group]
        direct = self._whole[axis] and part.flags.c_contiguous
        if len(part) == 1 and axis + 1 < len(self._indices) and not direct:
            for inner in self.groups(axis + 1, straight=part[0].flags.c_contiguous):
                self.read(axis + 1, place, inner, part[0])
            return
        count = int(values[group.stop - 1]) - int(values[group.start]) + 1
        if direct and count == len(part):
            array.read(place, part.reshape(-1).view(np.uint8).data)
            return
        memory = np.empty(count * step, np.uint8)
        first, end = self._first[axis], (count - 1) * step + self._end[axis]
        array.read(place + first, memory[first:end].data)
        read = memory.view(array.dtype).reshape((count, *array.shape[axis + 1 :]))
        along = narrowed(values[group] - values[group.start])
        part[...] = cut(read, [along, *self._picked[axis + 1 :]])
