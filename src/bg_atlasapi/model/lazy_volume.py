"""A volume of an atlas that reads what it is asked for.

What an index means is decided in ``indexing``, how a coarser level is worked out in ``downsample``;
where the voxels come from is the business of the source.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import AtlasError, InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model import indexing
from bg_atlasapi.model.chunk_cache import CACHE
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.volume import Pyramid, VolumeSource

if TYPE_CHECKING:
    import numpy.typing as npt

    Triplet = tuple[float, float, float]

# Of what is handed out at a time where chunks do not say it: about what a disk reads in 20 ms.
_PART_BYTES = 16 << 20
# Divided and rounded, lengths are a little off: 1.1 mm is 11.000000000000002 voxels of 100 µm.
_NEARLY = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class Volume:
    """An array in a space, read from its file as it is indexed.

    Indexing follows numpy: numbers, slices with steps of either sign, ``...``, booleans and numbers
    along axes, points as an array for each axis. What it returns is a new array, writable and
    private to the caller. ``numpy.asarray(volume)`` reads all of it. Threads may share a volume; a
    pickle carries the path of its file, not its voxels.

    Parameters
    ----------
    name
        ``"annotation"``, ``"template"``, ``"hemispheres"`` or that of an additional reference.
    source
        What is read.
    spacing_um
        Voxel size along each axis, µm.
    orientation
        Side of index 0 of each axis, for example ``"asr"``.
    labels
        Whether the values are labels, which have no mean.
    """

    name: str
    source: VolumeSource
    spacing_um: Triplet
    orientation: str
    labels: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return np.dtype(self.source.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole volume in memory."""
        return self.size * self.dtype.itemsize

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Voxels of what is decoded in one piece; None where each can be read alone."""
        return self.source.chunks

    @cached_property
    def space(self) -> CoordinateSpace:
        """Shape, voxel size and orientation."""
        if self.ndim != 3:
            raise InvalidInputError(f"{self.name} has {self.ndim} axes; a space has three.")
        first, second, third = self.shape
        return CoordinateSpace((first, second, third), self.spacing_um, self.orientation)

    @property
    def levels(self) -> tuple[Triplet, ...]:
        """The voxel sizes that are stored, µm along each axis, finest first."""
        return self.source.levels if isinstance(self.source, Pyramid) else (self.spacing_um,)

    @property
    def derived(self) -> str:
        """How it was worked out from a finer level, empty for what is stored."""
        return getattr(self.source, "derived", "")

    def __getitem__(self, key: Any) -> Any:
        return indexing.take(self.source, key)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the planes across the first axis, each a new array."""
        count, *rest = self.shape
        plane = max(math.prod(rest) * self.dtype.itemsize, 1)
        depth = max(1, max(CACHE.limit, _PART_BYTES) // plane)
        if self.chunks and depth > self.chunks[0]:
            depth = self.chunks[0]
        for start in range(0, count, depth):
            for plane_of_part in self[start : start + depth]:
                yield plane_of_part.copy()

    def __array__(
        self,
        dtype: npt.DTypeLike | None = None,
        copy: bool | None = None,  # noqa: FBT001 - numpy's
    ) -> npt.NDArray[Any]:
        if copy is False:
            message = "A volume is read from its file; it cannot become an array without a copy."
            raise ValueError(message)
        return self.source.read().astype(self.dtype if dtype is None else dtype, copy=False)

    def __repr__(self) -> str:
        try:
            sizes = " × ".join(f"{size:g}" for size in self.spacing_um)
            chunks = f"chunks {self.chunks}" if self.chunks else "no chunks"
            text = f"{self.shape} {self.dtype}, voxels of {sizes} µm ({self.orientation}), {chunks}"
        except AtlasError as error:
            return f"<Volume {self.name}: {error}>"
        derived = f", derived {self.derived}" if self.derived else ""
        return f"<Volume {self.name}: {text}{derived}, from {self.source.where}>"

    def box_slices(
        self, lo: npt.ArrayLike, hi: npt.ArrayLike, unit: str = "um"
    ) -> tuple[slice, ...]:
        """Return the voxels that a box touches, as a slice for each axis.

        Parameters
        ----------
        lo, hi
            Opposite corners, a number for each axis, origin at the corner of voxel 0. A side that
            lies on the border between two voxels touches the inner one only.
        unit
            ``"um"``, ``"mm"`` or ``"voxel"``.

        Returns
        -------
        tuple of slice
            What lies beyond the volume is cut off, so ``start`` is the first voxel inside; of a
            box that lies beyond it altogether nothing is left.

        Raises
        ------
        InvalidInputError
            If the corners are not finite numbers, one for each axis, in order.
        """
        factor, sizes = self.space.voxel_scale(unit)
        corners = []
        for corner, rounded in ((lo, np.floor), (hi, np.ceil)):
            try:
                given = np.asarray(corner, np.float64)
            except (TypeError, ValueError, OverflowError):
                given = np.empty(0)
            if given.shape != (3,) or not np.isfinite(given).all():
                text = f"A corner of a box is a finite number for each axis, got {corner!r}."
                raise InvalidInputError(text)
            voxels = given * factor / np.asarray(sizes)
            near = np.rint(voxels)
            exact = np.where(np.abs(voxels - near) < _NEARLY, near, rounded(voxels))
            corners.append(np.clip(exact, 0, self.shape).astype(np.intp).tolist())
            if corner is hi and (given < np.asarray(lo, np.float64)).any():
                raise InvalidInputError(f"The box ends at {hi!r} before it begins at {lo!r}.")
        return tuple(slice(start, stop) for start, stop in zip(*corners, strict=True))

    def box(self, lo: npt.ArrayLike, hi: npt.ArrayLike, unit: str = "um") -> npt.NDArray[Any]:
        """Return the voxels that a box touches; see ``box_slices`` for which these are.

        Parameters
        ----------
        lo, hi
            Opposite corners, a number for each axis.
        unit
            ``"um"``, ``"mm"`` or ``"voxel"``.
        """
        return np.asarray(self[self.box_slices(lo, hi, unit)])

    def level(self, resolution_um: float | Sequence[float]) -> Volume:
        """Return the volume at another voxel size: a stored level, or one that is worked out.

        Parameters
        ----------
        resolution_um
            Voxel size, µm; one number, or one for each axis. What is not stored must be a whole
            multiple of what is. Of labels the most frequent in each block is taken (of several the
            smallest), of images the mean.

        Raises
        ------
        InvalidInputError
            If no stored level has, or divides, this voxel size.
        """
        from bg_atlasapi.model.levels import level_of

        return level_of(self, resolution_um)

    def dask(self, chunks: Any = None) -> Any:
        """Return the volume as a dask array, read when it is computed.

        Parameters
        ----------
        chunks
            As dask takes it. Default: the stored chunks; where there are none, parts of 16 MB.

        Raises
        ------
        ImportError
            If dask is not installed.
        """
        try:
            import dask.array as da
        except ImportError as error:
            message = 'volume.dask() needs the package dask: pip install "bg-atlasapi[dask]".'
            raise ImportError(message) from error
        if chunks is None:
            chunks = self.chunks
        if chunks is None:
            plane = max(self.nbytes // max(len(self), 1), 1)
            chunks = (max(1, _PART_BYTES // plane), *self.shape[1:])
        meta = np.empty((0,) * self.ndim, self.dtype)
        # Threads may read at once (lock), and dask must not read it to look at it (meta, asarray).
        return da.from_array(self, chunks, name=False, lock=False, asarray=True, meta=meta)
