"""Edges of voxels that belong to the surface twice, and how they are told apart.

Two voxels that touch only along an edge count as apart, but the surface around both ends of that
edge can be one sheet all the same. Then two edges of the surface join the same two vertices: four
squares meet there. The two squares of one of the voxels get a vertex in the middle of the edge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bg_atlasapi.build.meshing.cuberille import Squares
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

# How far the new vertex lies from the middle of the edge, into its voxel, in voxels.
_INTO = 0.125


def repeated_edges(
    faces: npt.NDArray[np.int32], count: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the edges at which more than two faces meet.

    Parameters
    ----------
    faces
        Shape ``(k, n)``: all that there are at the edges asked about, and turned alike, so that
        half of them go along an edge from its lower vertex to its higher.
    count
        How many vertices there are.

    Returns
    -------
    start, end
        Vertices, one pair for each edge too many.
    """
    keys = []
    for side in range(len(faces)):
        start, end = faces[side - 1], faces[side]
        up = np.flatnonzero(start <= end)
        keys.append(start.take(up) * np.int64(count) + end.take(up))
    sorted_keys = np.sort(np.concatenate(keys))
    twice = sorted_keys[1:][sorted_keys[1:] == sorted_keys[:-1]]
    start, end = np.divmod(twice, max(count, 1))
    return start, end


def parted(surface: Squares) -> tuple[npt.NDArray[np.float32], Squares]:
    """Give edges that belong to the surface twice a vertex in the middle, once.

    Parameters
    ----------
    surface
        As cut from voxels.

    Returns
    -------
    points
        Where the vertices lie, in voxels from the corner of the box; the new ones come last.
    surface
        A square with a new vertex has become two, one of which has a corner twice and faces
        nowhere (0).
    """
    points = surface.corners.astype(np.float32)
    near = [surface.touching.take(side) for side in surface.squares]
    rows = np.flatnonzero((near[0] | near[2]) & (near[1] | near[3]))  # two in a row
    some = surface.squares.take(rows, axis=1)
    added = _Added(points, some.T, _voxels(points, some, surface.facing.take(rows)))
    while added.part():
        pass
    if not added.made:
        return points, surface
    extra = added.squares[len(rows) :].T
    squares = np.concatenate([surface.squares, extra], axis=1)
    squares[:, rows] = added.squares[: len(rows)].T
    beside = surface.corners.take(added.near, axis=1)
    return np.concatenate([points, np.array(added.made, np.float32).T], axis=1), Squares(
        np.concatenate([surface.corners, beside], axis=1),
        squares,
        np.concatenate([surface.facing, np.zeros(extra.shape[1], np.int8)]),
        np.concatenate([surface.touching, np.zeros(beside.shape[1], np.bool_)]),
    )


def _voxels(
    points: npt.NDArray[np.float32],
    squares: npt.NDArray[np.int32],
    facing: npt.NDArray[np.int8],
) -> npt.NDArray[np.float64]:
    """Return the middle of the voxel that each square bounds."""
    middles = np.stack([axis.take(squares).mean(axis=0, dtype=np.float64) for axis in points])
    for axis in range(3):
        middles[axis] -= np.where(np.abs(facing) == axis + 1, np.sign(facing) / 2, 0)
    return middles.T


class _Added:
    """The squares near such edges, while vertices are added.

    Attributes
    ----------
    squares : numpy.ndarray
        Shape ``(n, 4)``; those that are new come last.
    made : list of numpy.ndarray
        The new vertices.
    near : list of int
        An old vertex beside each.
    """

    def __init__(
        self,
        points: npt.NDArray[np.float32],
        squares: npt.NDArray[np.int32],
        voxels: npt.NDArray[np.float64],
    ) -> None:
        self._points, self._voxels, self.squares = points, voxels, squares
        self.made: list[npt.NDArray[np.float64]] = []
        self.near: list[int] = []

    def part(self) -> bool:
        """Part the edges that are double now; say whether there were any."""
        extra: list[list[int]] = []
        of: list[int] = []
        touched: set[int] = set()
        for rows in self._meetings():
            first = self._voxels[rows[0][0]]
            chosen = [one for one in rows if (self._voxels[one[0]] == first).all()]
            if touched.isdisjoint(row for row, _ in chosen):
                touched.update(row for row, _ in chosen)
                for row, new in self._inserted(chosen):
                    extra.append(new)
                    of.append(row)
        self.squares = np.concatenate([self.squares, np.array(extra, np.int32).reshape(-1, 4)])
        self._voxels = np.concatenate([self._voxels, self._voxels[np.array(of, np.intp)]])
        return bool(touched)

    def _meetings(self) -> list[list[tuple[int, int]]]:
        """Return for each double edge the squares along it, and at which side of each it is."""
        count = self._points.shape[1] + len(self.made)
        start, end = repeated_edges(self.squares.T, count)
        double = np.unique((np.minimum(start, end) * count + np.maximum(start, end))[start != end])
        nexts = np.roll(self.squares, -1, axis=1)
        keys = np.minimum(self.squares, nexts).astype(np.int64) * count
        keys += np.maximum(self.squares, nexts)
        rows, sides = np.nonzero(np.isin(keys, double))
        which = np.searchsorted(double, keys[rows, sides])
        meetings: list[list[tuple[int, int]]] = [[] for _ in double]
        for one, row, side in zip(which.tolist(), rows.tolist(), sides.tolist(), strict=True):
            meetings[one].append((row, side))
        return meetings

    def _inserted(self, chosen: list[tuple[int, int]]) -> list[tuple[int, list[int]]]:
        """Put a vertex into the edge of two squares; return what else they become."""
        new = self._points.shape[1] + len(self.made)
        extra = []
        for row, side in chosen:
            start, end, third, fourth = np.roll(self.squares[row], -side).tolist()
            if row == chosen[0][0]:
                middle = (self._place(start) + self._place(end)) / 2
                self.made.append(middle + _INTO * (self._voxels[row] - middle))
                self.near.append(next(one for one in (start, end) if one < self._points.shape[1]))
            if len({start, end, third, fourth}) == 3:  # a triangle, made here before
                self.squares[row] = (start, new, end, third if third != end else fourth)
                continue
            self.squares[row] = (start, new, third, fourth)
            extra.append((row, [new, end, third, third]))
        return extra

    def _place(self, vertex: int) -> npt.NDArray[np.float64]:
        old = self._points.shape[1]
        place = self.made[vertex - old] if vertex >= old else self._points[:, vertex]
        return np.asarray(place, np.float64)
