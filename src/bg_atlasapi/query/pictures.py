"""What people call an image, as planes that can be asked for from several threads.

A numpy array, a lazy ``Volume``, anything with a shape and a type that can be sliced (zarr, h5py),
or the path of a file. Chunked images are read a row of chunks at a time, and each row once.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.images import open_image
from bg_atlasapi.late import np
from bg_atlasapi.model.lazy_volume import Volume
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.query.grids import Grid, grid_of

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

# Of an image that are read at a time, unless its chunks are larger.
_SLAB_BYTES = 128 << 20
# Planes of an array in memory whose first axis runs fastest: a line of cache holds so many values.
_FEW = 32
_KEPT = 3
_AXES = ({"p", "a"}, {"s", "i"}, {"l", "r"})


@dataclass(frozen=True, slots=True)
class Turn:
    """How the axes of an image become those of an atlas.

    Parameters
    ----------
    axes
        For each axis of the atlas, that of the image.
    flipped
        Whether it runs the other way.
    """

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    def apply(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Return one thing for each axis in the order of the atlas."""
        return tuple(values[axis] for axis in self.axes)


def turn_between(orientation: str, wanted: str) -> Turn | None:
    """Return how to turn an image, None if it lies as is wanted."""
    pairs = [next(pair for pair in _AXES if letter in pair) for letter in orientation]
    axes = [pairs.index(next(pair for pair in _AXES if letter in pair)) for letter in wanted]
    first, second, third = axes
    one, two, three = (
        orientation[axis] != letter for axis, letter in zip(axes, wanted, strict=True)
    )
    turn = Turn((first, second, third), (one, two, three))
    return None if turn == Turn((0, 1, 2), (False, False, False)) else turn


class Turned:
    """An image with its axes in the order and direction of an atlas, sliced lazily.

    Parameters
    ----------
    source
        Can be sliced.
    turn
        How.
    """

    def __init__(self, source: Any, turn: Turn) -> None:
        self._source, self._turn = source, turn
        self.shape, self.dtype = turn.apply(source.shape), source.dtype
        chunks = getattr(source, "chunks", None)
        self.chunks = turn.apply(chunks) if chunks else None

    def __getitem__(self, key: tuple[slice, ...]) -> Array:
        inner: list[slice] = [slice(None)] * 3
        steps = []
        for part, axis, flip, length in zip(
            key, self._turn.axes, self._turn.flipped, self.shape, strict=True
        ):
            start, stop, _ = part.indices(length)
            inner[axis] = slice(length - stop, length - start) if flip else slice(start, stop)
            steps.append(slice(None, None, -1 if flip else 1))
        found = np.asarray(self._source[tuple(inner)])
        return found.transpose(self._turn.axes)[tuple(steps)]


class Planes:
    """Planes of an image across the first axis, in native byte order; threads may ask at once.

    Parameters
    ----------
    source
        Of three axes, can be sliced.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self.shape = tuple(int(length) for length in source.shape)
        self.dtype = np.dtype(source.dtype).newbyteorder("=")
        if self.dtype.kind == "b":
            self.dtype = np.dtype(np.uint8)
        self._depth = self._slab_depth()
        self._lock = threading.Lock()
        self._slabs: deque[tuple[int, Array]] = deque(maxlen=_KEPT)

    def _slab_depth(self) -> int:
        """Return how many planes are read together; 0 reads what is asked for."""
        chunks = getattr(self._source, "chunks", None)
        if isinstance(self._source, np.ndarray):
            strides = np.abs(self._source.strides)
            return _FEW if len(strides) == 3 and strides[0] < strides[2] else 0
        depth = int(chunks[0]) if chunks and isinstance(chunks[0], int | np.integer) else _FEW
        plane = max(math.prod(self.shape[1:]) * self.dtype.itemsize, 1)
        return max(1, min(depth, int(_SLAB_BYTES // plane)))

    def __call__(self, first: int, stop: int) -> Array:
        """Return planes, perhaps a view, not to be written to."""
        if not self._depth:
            return self._read(first, stop)
        numbers = range(first // self._depth, -(-stop // self._depth))
        parts = []
        for number in numbers:
            start, slab = number * self._depth, self._slab(number)
            parts.append(slab[max(first - start, 0) : stop - start])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _slab(self, number: int) -> Array:
        with self._lock:
            for kept, slab in self._slabs:
                if kept == number:
                    return slab
            start = number * self._depth
            slab = self._read(start, min(start + self._depth, self.shape[0]))
            slab = np.ascontiguousarray(slab)
            self._slabs.append((number, slab))
            return slab

    def _read(self, first: int, stop: int) -> Array:
        everything = slice(None)
        found = np.asarray(self._source[first:stop, everything, everything])
        if found.dtype.kind == "b":
            return found.view(np.uint8)
        return found.astype(self.dtype, copy=False)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image in the space of an atlas.

    Parameters
    ----------
    planes
        Its voxels.
    grid
        Where they lie.
    """

    planes: Planes
    grid: Grid


def picture_of(
    space: CoordinateSpace, image: Any, resolution: object = None, what: str = "image"
) -> Picture:
    """Return an image in the space of an atlas.

    Parameters
    ----------
    space
        Of the atlas.
    image
        An array, a ``Volume``, anything that can be sliced, or a path.
    resolution
        Its voxel size, µm; None takes what it says, or what its shape says.
    what
        How messages call it.

    Raises
    ------
    InvalidInputError
        If it is no image of real numbers, or not in the atlas's space.
    """
    source, stated = source_in(space, image, what)
    wanted = stated if resolution is None else resolution
    return Picture(Planes(source), grid_of(space, source.shape, wanted, what))


def source_in(space: CoordinateSpace, image: Any, what: str) -> tuple[Any, tuple[Any, ...] | None]:
    """Return what can be sliced, axes as those of an atlas, and the voxel size it states, if any.

    Parameters
    ----------
    space, image, what
        As in ``picture_of``.

    Raises
    ------
    InvalidInputError
        If it is no image of real numbers.
    """
    source, stated, orientation = described(image, space, what)
    check_type(source, what)
    if len(source.shape) == 3 and orientation is not None:
        turn = turn_between(orientation, space.orientation)
        if turn is not None:
            source = Turned(source, turn)
            stated = None if stated is None else turn.apply(stated)
    return source, stated


def described(
    image: Any, space: CoordinateSpace, what: str
) -> tuple[Any, tuple[Any, ...] | None, str | None]:
    """Return what can be sliced, and the voxel size and orientation it states, if any."""
    if isinstance(image, str | os.PathLike):
        stored = open_image(os.fspath(image), space.spacing_um)
        return stored.source, stored.spacing_um, stored.orientation
    if isinstance(image, Volume):
        return image, image.spacing_um, image.orientation
    if hasattr(image, "shape") and hasattr(image, "dtype") and hasattr(image, "__getitem__"):
        return image, None, None
    try:
        array = np.asarray(image)
    except (TypeError, ValueError):
        array = np.empty((), object)
    if array.dtype.kind == "O" and not array.shape:
        message = f"The {what} must be an array or a path, got {type(image).__name__}."
        raise InvalidInputError(message)
    return array, None, None


def check_type(source: Any, what: str) -> None:
    """Refuse what holds no real numbers."""
    try:
        dtype = np.dtype(source.dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "biuf" or dtype.names:
        message = f"The {what} must hold real numbers (or true and false), it holds {dtype}."
        raise InvalidInputError(message)
