"""Volumes that come in chunks: read a part, and only the chunks it touches are decoded.

What a chunk is, and how it is decoded, is the business of the subclasses: files of a Zarr array,
pages of a compressed TIFF, boxes of a level that is worked out. This module opens no file.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.chunk_cache import CACHE, Place
from bg_atlasapi.model.parallel import over_blocks
from bg_atlasapi.model.picking import cut, narrowed

if TYPE_CHECKING:
    import numpy.typing as npt

    Indices = npt.NDArray[np.intp]

_SLAB_BYTES = 16 << 20


class Scratch:
    """Memory to decode chunks into, as much as there are threads: clearing new pages costs more."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free: list[bytearray] = []

    @contextlib.contextmanager
    def lent(self) -> Iterator[bytearray]:
        """Lend memory that no other thread uses meanwhile."""
        try:
            memory = self._free.pop()
        except IndexError:  # none yet, or another thread was quicker
            memory = bytearray(self._size)
        yield memory
        self._free.append(memory)


@dataclass(frozen=True, slots=True)
class Run:
    """What one axis of a selection takes from one chunk.

    Parameters
    ----------
    number
        Of the chunk along the axis.
    theirs
        Indices within the chunk.
    ours
        Where they go in the answer.
    """

    number: int
    theirs: slice | Indices
    ours: slice

    @property
    def length(self) -> int:
        """How many indices."""
        return int(self.ours.stop - self.ours.start)


def runs(indices: Indices, size: int) -> list[Run]:
    """Split sorted indices along an axis by the chunks, of a size, that they lie in."""
    numbers, starts = np.unique(indices // size, return_index=True)
    ends = [*starts[1:].tolist(), len(indices)]
    found = []
    for number, start, end in zip(numbers.tolist(), starts.tolist(), ends, strict=True):
        within = narrowed(indices[start:end] - number * size)
        found.append(Run(number, within, slice(start, end)))
    return found


def _over_each(function: Callable[[int], None], count: int) -> None:
    """Call a function with 0, 1, … on all cores, several at a time: handing over takes 40 µs."""

    def some(part: slice) -> None:
        for position in range(part.start, part.stop):
            function(position)

    over_blocks(some, count, max(1, count // 64))


class ChunkedSource(ABC):
    """A volume in chunks of one shape, the last along each axis perhaps cut short."""

    _decoded_bytes = 0

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Type of the values, in native byte order."""

    @property
    @abstractmethod
    def chunks(self) -> tuple[int, ...]:
        """Voxels of a chunk along each axis."""

    @property
    @abstractmethod
    def where(self) -> str:
        """What it is read from, for people."""

    @abstractmethod
    def _decode(self, place: Place, scratch: bytearray | None) -> npt.NDArray[Any] | None:
        """Return one chunk, perhaps read-only or in ``scratch``; None: all of it is ``_fill``."""

    def _prepare(self, places: Iterable[Place]) -> None:  # noqa: B027 - most need not
        """Get ready to decode chunks, where several at a time are faster than one by one."""

    @property
    def _fill(self) -> Any:
        return 0

    @cached_property
    def _owner(self) -> int:
        return CACHE.owner(self)

    def __getstate__(self) -> dict[str, Any]:
        passing = ("_owner", "_decoded_bytes")
        return {key: value for key, value in self.__dict__.items() if key not in passing}

    @property
    def _chunk_bytes(self) -> int:
        return math.prod(self.chunks) * self.dtype.itemsize

    def mapped(self) -> npt.NDArray[Any] | None:
        """Return None: the stored bytes are no array."""
        return None

    def gather(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[Any] | None:
        """Return the voxels at flat indices; see ``pick``."""
        return self.pick(flat)

    def outer(self, indices: Sequence[Indices], out: npt.NDArray[Any]) -> None:
        """Read where indices along each axis meet; only chunks that are touched are decoded.

        Parameters
        ----------
        indices
            Along each axis, sorted, without repeats, within the volume.
        out
            Zeros, of the shape that the lengths of the indices make; is written to.
        """
        if 0 in out.shape:
            return
        axes = [runs(one, size) for one, size in zip(indices, self.chunks, strict=True)]
        touched = list(itertools.product(*axes))
        self._prepare(tuple(run.number for run in box) for box in touched)
        scratch = Scratch(self._chunk_bytes)
        room = CACHE.limit // max(self._chunk_bytes, 1)  # more would push each other out
        valid = zip(self.shape, self.chunks, strict=True)
        limits = [(length, size) for length, size in valid]

        def place_one(position: int) -> None:
            box = touched[position]
            whole = all(
                run.length == min(size, length - run.number * size)
                for run, (length, size) in zip(box, limits, strict=True)
            )
            place = tuple(run.number for run in box)
            # A chunk that was taken whole will not be asked for again soon.
            keep = position < room and not whole and CACHE.worth_keeping(self._owner, place)
            with self._chunk(place, scratch, keep=keep) as chunk:
                ours = tuple(run.ours for run in box)
                if chunk is not None:
                    out[ours] = cut(chunk, [run.theirs for run in box])
                elif self._fill != 0:
                    out[ours] = self._fill

        _over_each(place_one, len(touched))

    @contextlib.contextmanager
    def _chunk(
        self, place: Place, scratch: Scratch, *, keep: bool, counted: bool = False
    ) -> Iterator[npt.NDArray[Any] | None]:
        found, chunk = CACHE.get(self._owner, place)
        if found:
            yield chunk
            return
        if counted:  # by threads at once: a rough count is enough
            self._decoded_bytes += self._chunk_bytes
        if keep:
            chunk = self._decode(place, None)
            CACHE.put(self._owner, place, chunk)
            yield chunk
        else:
            with scratch.lent() as memory:
                yield self._decode(place, memory)

    def region(self, bounds: Sequence[slice]) -> npt.NDArray[Any]:
        """Return a box of the volume, new and writable.

        Parameters
        ----------
        bounds
            Start and stop along each axis, within the volume.
        """
        indices = [np.arange(bound.start, bound.stop) for bound in bounds]
        # Pages of zeros are not allocated until they are written to.
        out = np.zeros([len(one) for one in indices], self.dtype)
        self.outer(indices, out)
        return out

    def read(self) -> npt.NDArray[Any]:
        """Return the whole volume, writable and private to the caller."""
        return self.region([slice(0, length) for length in self.shape])

    def slabs(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the volume in parts along the first axis, each some chunks deep."""
        first, *rest = self.shape
        depth = self.chunks[0]
        size = depth * math.prod(rest) * self.dtype.itemsize
        depth *= max(1, _SLAB_BYTES // max(size, 1))
        others = [slice(0, length) for length in rest]
        for start in range(0, first, depth):
            yield self.region([slice(start, min(start + depth, first)), *others])

    def pick(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the voxels at flat indices (C order, all inside).

        Chunks that were decoded are kept, unless so many are touched that they would push each
        other out.
        """
        shape, sizes = self.shape, self.chunks
        voxels = np.unravel_index(flat, shape) if len(flat) else ()
        split = [np.divmod(v, c) for v, c in zip(voxels, sizes, strict=False)]
        scratch = Scratch(self._chunk_bytes)
        out = np.empty(len(flat), self.dtype)
        if len(flat) == 1:
            place = tuple(int(number[0]) for number, _ in split)
            with self._chunk(place, scratch, keep=True, counted=True) as chunk:
                inside = tuple(int(rest[0]) for _, rest in split)
                out[0] = self._fill if chunk is None else chunk[inside]
            return out
        if not len(flat):
            return out
        grid = [-(-a // b) for a, b in zip(shape, sizes, strict=True)]
        numbers = np.ravel_multi_index([number for number, _ in split], grid)
        order = np.argsort(numbers, kind="stable")
        ends = np.flatnonzero(np.diff(numbers[order], append=-1)) + 1
        groups = np.split(order, ends[:-1])
        touched = zip(*np.unravel_index(numbers[order[ends - 1]], grid), strict=True)
        self._prepare(tuple(map(int, place)) for place in touched)
        few = len(groups) * self._chunk_bytes <= CACHE.limit

        def answer(position: int) -> None:
            rows = groups[position]
            place = tuple(int(n) for n in np.unravel_index(numbers[rows[0]], grid))
            with self._chunk(place, scratch, keep=few, counted=True) as chunk:
                inside = tuple(rest[rows] for _, rest in split)
                out[rows] = self._fill if chunk is None else chunk[inside]

        _over_each(answer, len(groups))
        return out
