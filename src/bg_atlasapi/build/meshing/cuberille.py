"""The surface of voxels, exactly: one square for each face between a voxel within and one outside.

Closed, oriented outwards and manifold whatever the voxels do (see ``sheets``). What is done to it
next (smoothing, simplifying) only moves vertices and joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.build.meshing.sheets import AXES, OTHERS, octant, sheet_tables
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

# Corners of voxels looked at together: tables of them stay in a core's cache.
_CORNERS = 1 << 20


_Faces = list[tuple["npt.NDArray[np.int32]", int]]
_Part = tuple["npt.NDArray[np.int32]", "npt.NDArray[np.bool_]", _Faces]


@dataclass(frozen=True, slots=True)
class Squares:
    """The faces of voxels.

    Parameters
    ----------
    corners
        ``int32``, shape ``(3, n)``: where the vertices lie, in voxels from the corner of the box.
    squares
        ``int32``, shape ``(4, m)``: columns of ``corners``, counter-clockwise seen from outside.
    facing
        ``int8``, shape ``(m,)``: where each faces, 1, 2, 3 for up the axes and -1, -2, -3 for down.
    touching
        ``bool``, shape ``(n,)``: two voxels touch only along an edge that ends at the vertex.
    """

    corners: npt.NDArray[np.int32]
    squares: npt.NDArray[np.int32]
    facing: npt.NDArray[np.int8]
    touching: npt.NDArray[np.bool_]


def squares_of(
    planes: Callable[[int, int], npt.NDArray[Any]], shape: tuple[int, int, int]
) -> Squares:
    """Return the faces between voxels within and voxels outside.

    Parameters
    ----------
    planes
        Given start and stop along the first axis, returns which voxels are within: ``bool`` or 0
        and 1, shape ``(stop - start, rows, columns)``.
    shape
        Of the box. What lies beyond it is outside.
    """
    parts = list(_parts(planes, shape))
    corners = [corners for corners, _, _ in parts]
    touching = [touching for _, touching, _ in parts]
    squares = [square for _, _, some in parts for square, _ in some]
    facing = [
        np.full(square.shape[1], way, np.int8) for _, _, some in parts for square, way in some
    ]
    return Squares(
        np.concatenate([np.empty((3, 0), np.int32), *corners], axis=1),
        np.concatenate([np.empty((4, 0), np.int32), *squares], axis=1),
        np.concatenate([np.empty(0, np.int8), *facing]),
        np.concatenate([np.empty(0, np.bool_), *touching]),
    )


def _parts(
    planes: Callable[[int, int], npt.NDArray[Any]], shape: tuple[int, int, int]
) -> Iterator[_Part]:
    """Yield corners, which of them touch, and squares, some planes of corners at a time."""
    rows, columns = shape[1] + 2, shape[2] + 2
    depth = max(1, _CORNERS // (rows * columns))
    tables = sheet_tables()
    base = np.empty((min(depth, shape[0] + 1) + 1) * rows * columns, np.int32)
    total = 0
    for first in range(0, shape[0] + 1, depth):
        stop = min(first + depth, shape[0] + 1)
        configs = _configs(planes, shape, first, min(stop + 1, shape[0] + 1))
        mixed = np.flatnonzero(configs - np.uint8(1) < 254)  # unsigned: 0 wraps
        counts = tables.sheets.take(configs.take(mixed))
        ends = np.cumsum(counts, dtype=np.int32)
        base[mixed] = total + ends - counts
        own = int(np.searchsorted(mixed, (stop - first) * rows * columns))
        if not own:
            continue
        at = np.repeat(mixed[:own], counts[:own])
        touching = tables.touching.take(configs.take(at))
        corners = _unravelled(at.astype(np.int32), rows * columns, columns)
        corners[0] += first
        strides = (rows * columns, columns, 1)
        yield corners, touching, list(_squares(configs, mixed[:own], base, strides))
        total += int(ends[own - 1])


def _unravelled(places: npt.NDArray[np.int32], plane: int, row: int) -> npt.NDArray[np.int32]:
    """Return indices along the axes; several times as quick as numpy's ``divmod``."""
    first = places // np.int32(plane)
    rest = places - first * np.int32(plane)
    second = rest // np.int32(row)
    return np.stack([first, second, rest - second * np.int32(row)])


def _configs(
    planes: Callable[[int, int], npt.NDArray[Any]],
    shape: tuple[int, int, int],
    first: int,
    stop: int,
) -> npt.NDArray[np.uint8]:
    """Return the eight voxels around each corner of some planes, a bit each, in one row.

    A plane has a row and a column more than there are corners; the very last row is left out.
    """
    rows, columns = shape[1] + 2, shape[2] + 2
    within = np.zeros((stop - first + 1, rows, columns), np.uint8)
    low, high = max(first - 1, 0), min(stop, shape[0])
    within[low - first + 1 : high - first + 1, 1:-1, 1:-1] = planes(low, high)
    configs = within.reshape(-1)
    # Rows end and begin with what is outside, so that one may run on into the next.
    for step, bit in ((1, 2), (columns, 4), (rows * columns, 16)):
        upper = configs[step:] * np.uint8(bit)
        configs = np.bitwise_or(configs[:-step], upper, out=upper)
    return configs


def _squares(
    configs: npt.NDArray[np.uint8],
    mixed: npt.NDArray[np.intp],
    base: npt.NDArray[np.int32],
    strides: tuple[int, int, int],
) -> Iterator[tuple[npt.NDArray[np.int32], int]]:
    """Yield the squares whose lowest corner is one of ``mixed``, and where they face."""
    own = configs.take(mixed)
    sheet = sheet_tables().sheet
    for axis in AXES:
        lower, upper = (np.uint8(1 << octant(axis, side, 1, 1)) for side in (0, 1))
        either = own & (lower | upper)
        u, v = (strides[other] for other in OTHERS[axis])
        # The two other axes, in order, turn about +x and +z, and about -y.
        ring = [(0, 0), (1, 0), (1, 1), (0, 1)] if axis != 1 else [(0, 0), (0, 1), (1, 1), (1, 0)]
        for sign, order in ((1, ring), (-1, ring[::-1])):
            lowest = mixed.take(np.flatnonzero(either == (lower if sign > 0 else upper)))
            out = np.empty((4, len(lowest)), np.int32)
            for row, (du, dv) in zip(out, order, strict=True):
                corner = lowest + (du * u + dv * v)
                slots = sheet[:, 4 * axis + 2 * (1 - du) + (1 - dv)]
                np.add(base.take(corner), slots.take(configs.take(corner)), out=row)
            yield out, sign * (axis + 1)
