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
    faces: npt.NDArray[np.integer], count: int
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
    double, of, _ = _meetings(surface.squares.take(rows, axis=1), points.shape[1])
    if not len(double):
        return points, surface
    rows = rows.take(np.unique(of))
    some = surface.squares.take(rows, axis=1)
    added = _Added(points, some, _voxels(points, some, surface.facing.take(rows)))
    while added.part():
        pass
    parted_squares = np.array(added.squares, np.int32).T
    extra = parted_squares[:, len(rows) :]
    squares = np.concatenate([surface.squares, extra], axis=1)
    squares[:, rows] = parted_squares[:, : len(rows)]
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
    return middles


def _meetings(
    squares: npt.NDArray[np.integer], count: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return where squares meet edges that are double: which edge, which square, which side of it.

    In order of squares.
    """
    start, end = repeated_edges(squares, count)
    double = np.unique((start * count + end)[start != end])
    ends = np.zeros(count, np.bool_)
    ends[double // count] = ends[double % count] = True
    there = np.stack([ends.take(side) for side in squares])
    rows, sides = np.nonzero((there & there[[1, 2, 3, 0]]).T)
    one, other = squares[sides, rows], squares[(sides + 1) % 4, rows]
    keys = np.minimum(one, other).astype(np.int64) * count + np.maximum(one, other)
    which = np.searchsorted(double, keys)
    along = np.flatnonzero(np.append(double, -1).take(which) == keys)
    return which.take(along), rows.take(along), sides.take(along)


class _Added:
    """The squares near such edges, while vertices are added, in lists: there are few of them.

    Attributes
    ----------
    squares : list of list of int
        Their four vertices; those that are new come last.
    made : list of list of float
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
        self._points, self._old = points, points.shape[1]
        self.squares: list[list[int]] = squares.T.tolist()
        self._voxels: list[list[float]] = voxels.T.tolist()
        self.made: list[list[float]] = []
        self.near: list[int] = []

    def part(self) -> bool:
        """Part the edges that are double now; say whether there were any."""
        squares = np.array(self.squares, np.int64).T
        meetings: dict[int, list[tuple[int, int]]] = {}
        found = (one.tolist() for one in _meetings(squares, self._old + len(self.made)))
        for edge, row, side in zip(*found, strict=True):
            meetings.setdefault(edge, []).append((row, side))
        touched: set[int] = set()
        for rows in meetings.values():
            first = self._voxels[rows[0][0]]
            chosen = [one for one in rows if self._voxels[one[0]] == first]
            if touched.isdisjoint(row for row, _ in chosen):
                touched.update(row for row, _ in chosen)
                self._insert(chosen)
        return bool(touched)

    def _insert(self, chosen: list[tuple[int, int]]) -> None:
        """Put a vertex into the edge of two squares."""
        new = self._old + len(self.made)
        for row, side in chosen:
            square, voxel = self.squares[row], self._voxels[row]
            start, end, third, fourth = square[side:] + square[:side]
            if row == chosen[0][0]:
                self.made.append(self._between(start, end, voxel))
                self.near.append(start if start < self._old else end)
            if len({start, end, third, fourth}) == 3:  # a triangle, made here before
                self.squares[row] = [start, new, end, third if third != end else fourth]
                continue
            self.squares[row] = [start, new, third, fourth]
            self.squares.append([new, end, third, third])
            self._voxels.append(voxel)

    def _between(self, start: int, end: int, voxel: list[float]) -> list[float]:
        """Return a place near the middle of an edge, in a voxel beside it."""
        middles = ((a + b) / 2 for a, b in zip(self._place(start), self._place(end), strict=True))
        return [one + _INTO * (other - one) for one, other in zip(middles, voxel, strict=True)]

    def _place(self, vertex: int) -> list[float]:
        if vertex >= self._old:
            return self.made[vertex - self._old]
        place: list[float] = self._points[:, vertex].tolist()
        return place
