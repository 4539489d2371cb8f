"""Smooth the surface of voxels without shrinking it.

Steps of averaging with neighbours, then a larger step back, take the stairs away and leave what is
larger than a few voxels (after G. Taubin, "A signal processing approach to fair surface design",
SIGGRAPH 1995). What they take from small things is given back: each closed surface is moved along
its normals until it holds as much as its voxels do. No vertex ends up further than half the
diagonal of a voxel from the corner of voxels where it began.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bg_atlasapi.build.meshing.bodies import edges_of, parts_of
from bg_atlasapi.build.meshing.cuberille import Squares
from bg_atlasapi.build.meshing.vectors import crossed, dot, unit
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Vertices = npt.NDArray[np.int32]
    Whole = npt.NDArray[np.float64]

# How far a vertex goes towards the mean of its neighbours. At no wavelength does what is left
# differ by more than 0.03 from what six pairs of steps by 0.6 and -0.64 leave, Taubin's own kind;
# it is the polynomial of degree 4 that comes closest. It passes what is longer than some 19 edges.
_PASS = (0.510, 0.629, 0.845, -2.22)
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
        ``float32``, shape ``(3, n)``, voxels from the corner of the box.
    areas
        ``float32``, shape ``(3, n)``: the vector area of the squares around each vertex.
    """

    points: Floats
    areas: Floats


def smoothed(points: Floats, surface: Squares, passes: int) -> Smoothed:
    """Smooth a closed surface.

    Parameters
    ----------
    points
        Where the vertices lie, voxels, shape ``(3, n)``.
    surface
        Its squares.
    passes
        How many times; 0 leaves the stairs.
    """
    fans = _Fans(surface.squares, points.shape[1])
    if not passes:
        return Smoothed(points, fans.areas(points))
    links = fans.links()
    rows = np.ascontiguousarray(points.T)
    for weight in _PASS * passes:
        mean = links @ rows
        mean *= np.float32(weight)
        rows *= np.float32(1 - weight)
        rows += mean
    moved = np.ascontiguousarray(rows.T)
    bodies = parts_of(*edges_of(surface.squares), len(rows))
    return _refilled(points, Smoothed(moved, fans.areas(moved)), surface, bodies)


class _Fans:
    """What lies around each vertex.

    Parameters
    ----------
    squares
        Shape ``(4, m)``.
    count
        How many vertices there are.
    """

    def __init__(self, squares: Vertices, count: int) -> None:
        self._squares, self._count = squares, count
        # Sorts corners of squares by vertex, and nothing else, which is why it is done so.
        ends = np.arange(0, squares.size + 1, 4, dtype=np.int32)
        corners, after = squares.T.reshape(-1), squares[[1, 2, 3, 0]].T.reshape(-1)
        shape = (count, squares.shape[1])
        fans = import_module("scipy.sparse").csc_matrix((after, corners, ends), shape).tocsr()
        self._after, self._around, self._ends = fans.data, fans.indices, fans.indptr

    def links(self) -> Any:
        """Return the sparse matrix that takes the mean of each vertex's neighbours."""
        degrees = np.diff(self._ends)
        weights = np.float32(1) / np.maximum(degrees, 1).astype(np.float32)
        return self._matrix(np.repeat(weights, degrees), self._after, self._count)

    def _matrix(self, weights: Floats, columns: Vertices, count: int) -> Any:
        sparse = import_module("scipy.sparse")
        return sparse.csr_matrix((weights, columns, self._ends), (self._count, count))

    def areas(self, points: Floats) -> Floats:
        """Return the vector area of the squares around each vertex, shape ``(3, n)``."""
        first, second, third, fourth = (points.take(side, axis=1) for side in self._squares)
        areas = crossed(third - first, fourth - second)
        areas *= np.float32(0.5)
        ones = np.ones(len(self._around), np.float32)
        around = self._matrix(ones, self._around, areas.shape[1])
        return np.ascontiguousarray((around @ areas.T).T)


@dataclass(frozen=True, slots=True)
class _Bodies:
    """What closed surfaces hold, voxels, and how large they are, faces of voxels."""

    volumes: Whole
    sizes: Whole


def _bodies(now: Smoothed, of: npt.NDArray[np.integer], count: int) -> _Bodies:
    """Measure closed surfaces, taking each square as the mean of its two ways to be cut."""
    through = dot(now.points, now.areas) / np.float32(12)
    sizes = np.sqrt(dot(now.areas, now.areas)) / np.float32(4)
    return _Bodies(weighed(of, through, count), weighed(of, sizes, count))


def _refilled(
    points: Floats, now: Smoothed, surface: Squares, bodies: tuple[int, Vertices]
) -> Smoothed:
    """Move each closed surface along its normals until it holds as much as its voxels do."""
    count, of = bodies
    wanted = _voxels(points, surface, of, count)
    found = _bodies(now, of, count)
    step = (wanted - found.volumes) / np.maximum(found.sizes, 1e-12)
    good = np.abs(step) <= _GOOD
    step[~good] = 0
    moved = now.points + step.astype(np.float32).take(of) * unit(now.areas)
    areas = now.areas
    if not good.all():
        bad = ~good.take(of)
        some = np.flatnonzero(bad)
        squares = surface.squares.take(np.flatnonzero(bad.take(surface.squares[0])), axis=1)
        new = np.cumsum(bad, dtype=np.int32) - np.int32(1)
        label = (np.cumsum(~good) - 1).take(of.take(some))
        patch = _Patch(points.take(some, axis=1), new.take(squares), label, wanted[~good])
        moved[:, some], areas[:, some] = patch.refilled(moved.take(some, axis=1))
    shift = moved - points
    lengths = np.sqrt(dot(shift, shift))
    far = np.flatnonzero(lengths > _FAR)
    held = shift.take(far, axis=1) * (_FAR / lengths.take(far))
    moved[:, far] = points.take(far, axis=1) + held
    return Smoothed(moved, areas)


def _voxels(points: Floats, surface: Squares, of: Vertices, count: int) -> Whole:
    """Return how many voxels each closed surface holds; a cavity holds fewer than none."""
    first, heights = heights_of(points, surface)
    return weighed(of.take(first), heights, count)


def heights_of(points: Floats, surface: Squares) -> tuple[Vertices, Whole]:
    """Return a corner of each face across the first axis, and how high that lies.

    Negative where the face looks down, so that the sum is how many voxels a surface encloses.
    """
    across = np.flatnonzero(np.abs(surface.facing) == 1)
    # No new vertex comes first in a square that has one; the first is a corner of voxels.
    first = surface.squares[0].take(across)
    return first, points[0].take(first).astype(np.float64) * surface.facing.take(across)


def weighed(of: npt.NDArray[Any], weights: npt.NDArray[Any], count: int) -> Whole:
    """Return sums by label, in double precision."""
    return np.asarray(np.bincount(of, weights=weights, minlength=count), np.float64)


class _Patch:
    """The surfaces that smoothing changed much: small things and thin sheets."""

    def __init__(
        self, corners: Floats, squares: Vertices, of: npt.NDArray[np.intp], wanted: Whole
    ) -> None:
        self._corners, self._of, self._wanted = corners, of, wanted
        self._fans = _Fans(squares, corners.shape[1])

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
            points = points + step.take(self._of) * unit(now.areas)
        return points, self._fans.areas(points)

    def _scaled(self, points: Floats, ratio: Whole) -> Floats:
        """Scale what shrank about its middle; what turned inside out is as it was."""
        counts = np.bincount(self._of)
        sums = [weighed(self._of, places, len(ratio)) for places in points]
        middle = (np.stack(sums) / counts).astype(np.float32).take(self._of, axis=1)
        shrunk = (ratio < _SHRUNK) & (ratio > 0) & (counts <= _SMALL)
        scale = np.ones(len(ratio), np.float32)
        scale[shrunk] = np.cbrt(1 / ratio[shrunk])
        scaled = middle + (points - middle) * scale.take(self._of)
        lost = (ratio <= 0).take(self._of)
        return np.where(lost, self._corners, scaled)
