"""Smooth the surface of voxels without shrinking it.

Taubin's filter: a step of averaging with neighbours, then a slightly larger step back, takes the
stairs away and leaves what is larger than a few voxels (G. Taubin, "A signal processing approach to
fair surface design", SIGGRAPH 1995). What it takes from small things is given back: each closed
surface is moved along its normals until it holds as much as its voxels do. No vertex ends up
further than half the diagonal of a voxel from the corner of voxels where it began.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bg_atlasapi.build.meshing.cuberille import Squares
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Whole = npt.NDArray[np.float64]

# Passes what is longer than some 19 edges, 2 pi / sqrt(1 / 0.6 - 1 / 0.64), unchanged.
_IN, _BACK = 0.6, -0.64
_GOOD = 0.05  # of a voxel: a surface moved by this little needs no second look
_MOST = 0.2  # of a voxel, in one step
_STEPS = 12
_SHRUNK = 0.8  # what holds less than this part of its voxels, and is small,
_FAR = 0.866  # of a voxel, half its diagonal: no vertex ends up further from where it was
_SMALL = 64  # vertices, is scaled about its middle first


@dataclass(frozen=True, slots=True)
class Smoothed:
    """A smoothed surface.

    Parameters
    ----------
    points
        ``float32``, shape ``(n, 3)``, voxels from the corner of the box.
    areas
        ``float32``, shape ``(n, 3)``: the vector area of the squares around each vertex.
    """

    points: Floats
    areas: Floats


def smoothed(points: Floats, surface: Squares, iterations: int) -> Smoothed:
    """Smooth a closed surface.

    Parameters
    ----------
    points
        Where the vertices lie, voxels.
    surface
        Its squares.
    iterations
        Pairs of steps; 0 leaves the stairs.
    """
    fans = _Fans(surface.squares, len(points))
    if not iterations:
        return Smoothed(points, fans.areas(points))
    links = fans.links()
    moved = points.copy()
    for _ in range(iterations):
        for weight in (_IN, _BACK):
            mean = links @ moved
            mean *= np.float32(weight)
            moved *= np.float32(1 - weight)
            moved += mean
    closed = import_module("scipy.sparse.csgraph").connected_components(links, connection="strong")
    areas = fans.areas(moved)
    return _refilled(points, Smoothed(moved, areas), surface, closed)


class _Fans:
    """What lies around each vertex.

    Parameters
    ----------
    squares
        Shape ``(m, 4)``.
    count
        How many vertices there are.
    """

    def __init__(self, squares: npt.NDArray[np.int32], count: int) -> None:
        sparse = import_module("scipy.sparse")
        self._squares, self._count = squares, count
        corners = squares.reshape(-1)
        ends = np.arange(len(corners) + 1, dtype=np.int32)
        ones = np.ones(len(corners), np.float32)
        # Sorts corners of squares by vertex, and nothing else, which is why it is done so.
        fans = sparse.csc_matrix((ones, corners, ends), (count, len(corners))).tocsr()
        self._ends, self._corners = fans.indptr, fans.indices
        shape = (count, len(squares))
        self._around = sparse.csr_matrix((ones, self._corners // 4, self._ends), shape)

    def links(self) -> Any:
        """Return the sparse matrix that takes the mean of each vertex's neighbours."""
        after = self._squares[:, [1, 2, 3, 0]].reshape(-1)[self._corners]
        degrees = np.diff(self._ends)
        weights = np.repeat(np.float32(1) / np.maximum(degrees, 1).astype(np.float32), degrees)
        shape = (self._count, self._count)
        return import_module("scipy.sparse").csr_matrix((weights, after, self._ends), shape)

    def areas(self, points: Floats) -> Floats:
        """Return the vector area of the squares around each vertex, shape ``(n, 3)``."""
        squares = self._squares
        across = points[squares[:, 2]] - points[squares[:, 0]]
        along = points[squares[:, 3]] - points[squares[:, 1]]
        return np.asarray(self._around @ (crossed(across, along) * np.float32(0.5)))


def crossed(first: Any, second: Any) -> Any:
    """Return the cross products of rows; numpy's own takes twice as long."""
    out = np.empty_like(first)
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        np.multiply(first[:, u], second[:, v], out=out[:, axis])
        out[:, axis] -= first[:, v] * second[:, u]
    return out


def unit(vectors: Floats) -> Floats:
    """Return vectors of length 1; of no length, where there was none."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return np.asarray(vectors / np.maximum(lengths, np.float32(1e-12))[:, np.newaxis])


@dataclass(frozen=True, slots=True)
class _Bodies:
    """What closed surfaces hold, voxels, and how large they are, faces of voxels."""

    volumes: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.float64]


def _bodies(now: Smoothed, closed: npt.NDArray[np.integer], count: int) -> _Bodies:
    """Measure closed surfaces, taking each square as the mean of its two ways to be cut."""
    through = np.einsum("ij,ij->i", now.points, now.areas) / np.float32(12)
    sizes = np.sqrt(np.einsum("ij,ij->i", now.areas, now.areas)) / np.float32(4)
    return _Bodies(
        weighed(closed, through, count),
        weighed(closed, sizes, count),
    )


def _refilled(
    points: Floats, now: Smoothed, surface: Squares, closed: tuple[int, npt.NDArray[np.int32]]
) -> Smoothed:
    """Move each closed surface along its normals until it holds as much as its voxels do."""
    count, of = closed
    wanted = _voxels(points, surface, of, count)
    bodies = _bodies(now, of, count)
    step = (wanted - bodies.volumes) / np.maximum(bodies.sizes, 1e-12)
    good = np.abs(step) <= _GOOD
    step[~good] = 0
    moved = now.points + step.astype(np.float32)[of][:, np.newaxis] * unit(now.areas)
    areas = now.areas
    if not good.all():
        some = np.flatnonzero(~good[of])
        rows = np.flatnonzero(~good[of[surface.squares[:, 0]]])
        new = np.cumsum(~good[of], dtype=np.int32) - 1
        label = (np.cumsum(~good) - 1)[of[some]]
        patch = _Patch(points[some], new[surface.squares[rows]], label, wanted[~good])
        moved[some], areas[some] = patch.refilled(moved[some])
    shift = moved - points
    lengths = np.sqrt(np.einsum("ij,ij->i", shift, shift))
    far = np.flatnonzero(lengths > _FAR)
    moved[far] = points[far] + shift[far] * (_FAR / lengths[far])[:, np.newaxis]
    return Smoothed(moved, areas)


def _voxels(points: Floats, surface: Squares, of: npt.NDArray[np.int32], count: int) -> Whole:
    """Return how many voxels each closed surface holds; a cavity holds fewer than none."""
    across = np.flatnonzero(np.abs(surface.facing) == 1)
    first = surface.squares[across, 0]
    # No new vertex comes first in a square that has one; the first is a corner of voxels.
    heights = points[first, 0].astype(np.float64) * surface.facing[across]
    return weighed(of[first], heights, count)


def weighed(of: npt.NDArray[Any], weights: npt.NDArray[Any], count: int) -> Whole:
    """Return sums by label, in double precision."""
    return np.asarray(np.bincount(of, weights=weights, minlength=count), np.float64)


class _Patch:
    """The surfaces that smoothing changed much: small things and thin sheets."""

    def __init__(
        self,
        corners: Floats,
        squares: npt.NDArray[np.int32],
        of: npt.NDArray[np.intp],
        wanted: npt.NDArray[np.float64],
    ) -> None:
        self._corners, self._of, self._wanted = corners, of, wanted
        self._fans = _Fans(squares, len(corners))

    def refilled(self, points: Floats) -> tuple[Floats, Floats]:
        """Return points and areas of surfaces that hold what they should."""
        count = len(self._wanted)
        for turn in range(_STEPS):
            now = Smoothed(points, self._fans.areas(points))
            bodies = _bodies(now, self._of, count)
            ratio = bodies.volumes / self._wanted
            if turn == 0 and (ratio < _SHRUNK).any():
                points = self._scaled(points, ratio)
                continue
            step = (self._wanted - bodies.volumes) / np.maximum(bodies.sizes, 1e-12)
            if (np.abs(step) < _GOOD / 10).all():
                return points, now.areas
            step = np.clip(step, -_MOST, _MOST).astype(np.float32)
            points = np.asarray(
                points + step[self._of][:, np.newaxis] * unit(now.areas), np.float32
            )
        return points, self._fans.areas(points)

    def _scaled(self, points: Floats, ratio: npt.NDArray[np.float64]) -> Floats:
        """Scale what shrank about its middle; what turned inside out is as it was."""
        counts = np.bincount(self._of)
        sums = [weighed(self._of, points[:, axis], len(ratio)) for axis in range(3)]
        middles = (np.stack(sums, axis=1) / counts[:, np.newaxis]).astype(np.float32)
        shrunk = (ratio < _SHRUNK) & (ratio > 0) & (counts <= _SMALL)
        scale = np.ones(len(ratio), np.float32)
        scale[shrunk] = np.cbrt(1 / ratio[shrunk])
        middle = middles[self._of]
        scaled = middle + (points - middle) * scale[self._of][:, np.newaxis]
        lost = (ratio <= 0)[self._of]
        scaled[lost] = self._corners[lost]
        return np.asarray(scaled, np.float32)
