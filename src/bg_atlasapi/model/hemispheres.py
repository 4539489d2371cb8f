"""The hemispheres: of a symmetric atlas worked out, of another read where they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.space import LEFT, RIGHT, CoordinateSpace
from bg_atlasapi.model.volume import VolumeSource

if TYPE_CHECKING:
    import numpy.typing as npt


class StoredHemispheres:
    """The side of voxels, from a volume that holds it.

    Parameters
    ----------
    source
        1 left, 2 right per voxel.
    """

    def __init__(self, source: VolumeSource) -> None:
        self._source = source

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self._source.shape

    def planes(self, first: int, stop: int) -> npt.NDArray[Any]:
        """Return the sides of consecutive planes across the first axis."""
        if "_whole" in self.__dict__:
            return self._whole.reshape(self.shape)[first:stop]
        indices = [np.arange(first, stop), *(np.arange(length) for length in self.shape[1:])]
        sides = np.zeros([len(one) for one in indices], self._source.dtype)
        self._source.outer(indices, sides)
        return sides

    @cached_property
    def _whole(self) -> npt.NDArray[Any]:
        return self._source.read().reshape(-1)

    def at(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the sides at flat indices; all of it is read once that is cheaper."""
        found = None if "_whole" in self.__dict__ else self._source.gather(flat)
        return self._whole.take(flat, mode="clip") if found is None else found


def sides_of(
    space: CoordinateSpace, stored: StoredHemispheres | None, first: int, stop: int
) -> npt.NDArray[Any]:
    """Return the side of the voxels of some planes: 1 left, 2 right.

    Parameters
    ----------
    space
        Of the annotation.
    stored
        The sides of an asymmetric atlas; None works them out.
    first, stop
        Planes across the first axis.

    Returns
    -------
    numpy.ndarray
        Of three axes, to be broadcast to the shape of the planes: along an axis on which the side
        does not depend it has the length 1.
    """
    if stored is not None:
        return stored.planes(first, stop)
    axis = space.left_right_axis
    along = np.arange(first, stop) if axis == 0 else np.arange(space.shape[axis])
    left_from, left_to = space.left_span
    sides = np.where((along >= left_from) & (along < left_to), LEFT, RIGHT).astype(np.uint8)
    return sides.reshape([-1 if one == axis else 1 for one in range(3)])


class SplitHemispheres:
    """A ``VolumeSource`` that holds 1 on the left and 2 on the right of a space.

    Parameters
    ----------
    space
        Says which axis is split, and where.
    """

    def __init__(self, space: CoordinateSpace) -> None:
        self._space = space

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self._space.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """One byte a voxel."""
        return np.dtype(np.uint8)

    @property
    def chunks(self) -> None:
        """None: each voxel can be worked out alone."""
        return

    @property
    def where(self) -> str:
        """What it comes from."""
        return "the space of a symmetric atlas"

    def mapped(self) -> npt.NDArray[Any] | None:
        """Return None: nothing is stored."""
        return None

    def _sides(self, along: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        first, end = self._space.left_span
        sides = np.where((along >= first) & (along < end), LEFT, RIGHT)
        return sides.astype(np.uint8)

    def gather(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the voxels at flat indices."""
        return self.pick(flat)

    def pick(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the voxels at flat indices."""
        axis = self._space.left_right_axis
        below = int(np.prod(self.shape[axis + 1 :], dtype=np.int64))
        return self._sides(flat // below % self.shape[axis])

    def outer(self, indices: Sequence[npt.NDArray[np.intp]], out: npt.NDArray[Any]) -> None:
        """Write the sides of the voxels where indices along each axis meet."""
        axis = self._space.left_right_axis
        shape = [-1 if other == axis else 1 for other in range(len(indices))]
        out[...] = self._sides(indices[axis]).reshape(shape)

    def read(self) -> npt.NDArray[Any]:
        """Return the whole volume."""
        return self._space.hemispheres()

    def slabs(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the whole volume."""
        yield self.read()
