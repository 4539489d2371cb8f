"""Coarser levels worked out from a volume: labels by mode, images by mean, by whole factors.

A coarse voxel covers a block of the finer ones, so the corner of voxel 0 stays where it was; where
the factor does not divide the length, the last block holds fewer. Nothing is smoothed or shifted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.chunk_cache import Place
from bg_atlasapi.model.chunked import ChunkedSource
from bg_atlasapi.model.indexing import outer
from bg_atlasapi.model.parallel import over_blocks
from bg_atlasapi.model.volume import Pyramid, VolumeSource

if TYPE_CHECKING:
    import numpy.typing as npt

    Triplet = tuple[float, float, float]

MODE, MEAN = "mode", "mean"
# Of volumes without chunks: enough for each piece to keep a core busy, few enough to fit its cache.
_CHUNK = 64
_PART_BYTES = 8 << 20


class Downsampled(ChunkedSource):
    """A level that is worked out from a finer one, chunk by chunk, as it is asked for.

    Parameters
    ----------
    base
        The finer one.
    factors
        Whole numbers, one for each axis.
    how
        ``"mode"``: the most frequent value of a block, of several the smallest; ``"mean"``, rounded
        to even for whole numbers.
    base_spacing_um
        Voxel size of the finer one, µm.
    """

    def __init__(
        self, base: VolumeSource, factors: tuple[int, ...], how: str, base_spacing_um: Triplet
    ) -> None:
        self.base, self.factors, self.how = base, factors, how
        self.base_spacing_um = base_spacing_um

    @property
    def derived(self) -> str:
        """How it is worked out, for people."""
        times = " × ".join(str(factor) for factor in self.factors)
        return f"by the {self.how} of {times} voxels of {text_of(self.base_spacing_um)} µm"

    @property
    def levels(self) -> tuple[Triplet, ...]:
        """The voxel sizes that are stored, µm, finest first."""
        return self.base.levels if isinstance(self.base, Pyramid) else (self.base_spacing_um,)

    def at(self, spacing_um: Triplet) -> VolumeSource:
        """Return what is stored at one of these voxel sizes."""
        return self.base.at(spacing_um) if isinstance(self.base, Pyramid) else self.base

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis, the last one perhaps of a block cut short."""
        pairs = zip(self.base.shape, self.factors, strict=True)
        return tuple(-(-length // factor) for length, factor in pairs)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values, that of the finer level."""
        return np.dtype(self.base.dtype)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Voxels that are worked out together: those of a chunk of the finer level."""
        stored = self.base.chunks or (_CHUNK,) * len(self.factors)
        pairs = zip(stored, self.factors, strict=True)
        return tuple(max(1, size // factor) for size, factor in pairs)

    @property
    def where(self) -> str:
        """What it is worked out from."""
        return self.base.where

    def outer(self, indices: Sequence[npt.NDArray[np.intp]], out: npt.NDArray[Any]) -> None:
        """Work out the voxels where indices along each axis meet.

        Of a volume without chunks just those are worked out, in parts along the first axis.
        """
        if self.base.chunks is not None or 0 in out.shape:
            super().outer(indices, out)
            return
        fine = [self._finer(one, axis) for axis, one in enumerate(indices)]
        plane = math.prod(len(one) for one in fine[1:]) * self.dtype.itemsize * self.factors[0]

        def some(part: slice) -> None:
            first = self._finer(indices[0][part], 0)
            out[part] = reduce_blocks(outer(self.base, [first, *fine[1:]]), self.factors, self.how)

        over_blocks(some, len(out), max(1, _PART_BYTES // plane))

    def _finer(self, indices: npt.NDArray[np.intp], axis: int) -> npt.NDArray[np.intp]:
        """Return the indices, along an axis, of the finer voxels that coarse ones are made of."""
        length = self.base.shape[axis]
        factor = min(self.factors[axis], length)  # one voxel may be far larger than the volume
        fine = (indices[:, np.newaxis] * factor + np.arange(factor)).reshape(-1)
        return fine[fine < length]

    def _decode(self, place: Place, _scratch: bytearray | None) -> npt.NDArray[Any]:
        pairs = zip(place, self.chunks, self.shape, strict=True)
        coarse = [np.arange(n * size, min(n * size + size, length)) for n, size, length in pairs]
        indices = [self._finer(one, axis) for axis, one in enumerate(coarse)]
        return reduce_blocks(outer(self.base, indices), self.factors, self.how)


def text_of(spacing_um: Triplet) -> str:
    """Return a voxel size for people: one number if it is the same along all axes."""
    sizes = [f"{size:g}" for size in spacing_um]
    return sizes[0] if len(set(sizes)) == 1 else " × ".join(sizes)


def reduce_blocks(array: npt.NDArray[Any], factors: tuple[int, ...], how: str) -> npt.NDArray[Any]:
    """Return one value for each block of an array.

    Parameters
    ----------
    array
        Any shape.
    factors
        Length of a block along each axis; the last may be shorter.
    how
        ``"mode"`` or ``"mean"``.
    """
    for axis, factor in enumerate(factors):
        length = array.shape[axis]
        rest = length % factor
        if rest and length > factor:
            whole, last = np.split(array, [length - rest], axis)
            parts = [reduce_blocks(part, factors, how) for part in (whole, last)]
            return np.concatenate(parts, axis)
    sizes = [min(factor, length) for factor, length in zip(factors, array.shape, strict=True)]
    counts = [length // max(size, 1) for length, size in zip(array.shape, sizes, strict=True)]
    split = [one for pair in zip(counts, sizes, strict=True) for one in pair]
    axes = tuple(range(1, 2 * len(sizes), 2))
    blocks = array.reshape(split)
    return _modes(blocks, axes) if how == MODE else _means(blocks, axes)


def _means(blocks: npt.NDArray[Any], axes: tuple[int, ...]) -> npt.NDArray[Any]:
    mean = blocks.mean(axes, dtype=np.float64)
    rounded = mean if blocks.dtype.kind == "f" else np.rint(mean, out=mean)
    return np.asarray(rounded.astype(blocks.dtype))


def _modes(blocks: npt.NDArray[Any], axes: tuple[int, ...]) -> npt.NDArray[Any]:
    least = blocks.min(axes)
    mixed = least != blocks.max(axes)
    if mixed.any():  # most blocks hold one label only; sorting is for the others
        kept = [axis for axis in range(blocks.ndim) if axis not in axes]
        rows = blocks.transpose([*kept, *axes])[mixed]
        least[mixed] = _modes_of_rows(rows.reshape(len(rows), -1))
    return np.asarray(least)


def _modes_of_rows(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the most frequent value of each row, of several the smallest."""
    rows.sort(axis=1)
    places = np.arange(rows.shape[1], dtype=np.int32)
    starts = np.zeros(rows.shape, np.int32)
    np.copyto(starts[:, 1:], places[1:], where=rows[:, 1:] != rows[:, :-1])
    np.maximum.accumulate(starts, axis=1, out=starts)
    best = np.argmax(places - starts, axis=1)
    return np.asarray(rows[np.arange(len(rows)), best])
