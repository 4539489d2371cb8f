"""What questions of lengths, volumes and distances share: places in voxels and µm, parts of a box.

Answers are looked up elsewhere; nothing here knows a structure.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.space import CoordinateSpace, as_points

if TYPE_CHECKING:
    import numpy.typing as npt

_VOXELS = 1 << 19  # read at a time; temporaries of 100 bytes a voxel stay below 100 MB
_FARTHEST_UM = 1e9  # farther, a µm is lost in the rounding of squares
_SIDE = 80  # of a cube of so many voxels


@dataclass(frozen=True, slots=True)
class Places:
    """Points in both measures, float64, shape ``(n, 3)``.

    Parameters
    ----------
    voxel
        In voxels; the floor is the voxel that ``points.locate`` finds.
    um
        In µm.
    single
        Whether one triplet was given.
    """

    voxel: npt.NDArray[np.float64]
    um: npt.NDArray[np.float64]
    single: bool


def places_of(space: CoordinateSpace, points: npt.ArrayLike, unit: str) -> Places:
    """Return points in voxels and µm.

    Raises
    ------
    InvalidInputError
        If points are not numbers of shape ``(N, 3)`` or the unit is unknown.
    """
    array, single = as_points(points)
    factor, sizes = space.voxel_scale(unit)
    with np.errstate(over="ignore", invalid="ignore"):  # far outside is outside
        scaled = np.multiply(array, factor, dtype=np.float64)
        voxel = np.divide(scaled, np.asarray(sizes), dtype=np.float64)
        um = voxel * space.spacing_um if unit == "voxel" else scaled
    return Places(voxel, um, single)


def voxels_of(
    voxel: npt.NDArray[np.float64], shape: Sequence[int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the voxels of places in voxels, and which of them are within the volume.

    Beyond the volume the voxel is the nearest one, 0 where it is not a number.
    """
    floor = np.floor(voxel)
    inside = np.all((floor >= 0) & (floor < shape), axis=1)
    nearest = np.clip(np.where(np.isnan(floor), 0, floor), 0, np.maximum(np.array(shape) - 1, 0))
    return nearest.astype(np.int64), inside


def near_enough(um: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Say which places have a distance to anything: numbers, and not beyond a kilometre."""
    return np.asarray(np.all(np.abs(um) <= _FARTHEST_UM, axis=1))


def box_gaps_um(
    um: npt.NDArray[np.float64], low: npt.NDArray[Any], high: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """Return how far coordinates are outside intervals, 0 within; all of it is broadcast."""
    return np.asarray(np.maximum(np.maximum(low - um, um - high), 0.0))


def parts_of_box(
    bounds: Sequence[slice], shape: Sequence[int], chunks: Sequence[int] | None
) -> Iterator[tuple[slice, slice, slice]]:
    """Yield parts of a box of voxels small enough to hold, cut where chunks meet.

    Parameters
    ----------
    bounds
        Start and stop along each axis.
    shape
        Of the volume.
    chunks
        Voxels that are decoded together; None: any cut is as good.
    """
    step = list(chunks or (_SIDE, _SIDE, _SIDE))
    for axis in (2, 1, 0):
        room = max(1, _VOXELS // math.prod(step))
        step[axis] *= min(room, max(1, -(-shape[axis] // step[axis])))
    cuts = []
    for bound, size in zip(bounds, step, strict=True):
        first = bound.start if chunks is None else bound.start // size * size
        starts = range(first, bound.stop, size)
        cuts.append([slice(max(one, bound.start), min(one + size, bound.stop)) for one in starts])
    yield from itertools.product(*cuts)
