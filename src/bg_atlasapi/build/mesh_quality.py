"""What a surface is like: closed, manifold, the right way round, how large, of how many parts.

It judges a mesh as it is stored and mends nothing. Whether a mesh fits its labels is a question of
``validation``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

    from bg_atlasapi.model.mesh import TriangleMesh

    Triplet = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class MeshQuality:
    """What ``quality_of`` finds.

    Parameters
    ----------
    triangles
        How many.
    watertight
        Every edge has as many triangles on one side as on the other, so that inside and outside
        are told apart everywhere. False for a mesh without triangles, with a number that is not
        finite, or with a triangle that names a point there is not.
    manifold
        No edge has more than two triangles, and no point joins parts of the surface that touch
        nowhere else around it.
    outward
        Triangles run anticlockwise seen from outside: the volume is positive.
    volume_um3
        Enclosed volume, µm³; negative when the mesh is inside out. Means little if not watertight.
    area_um2
        Of the surface, µm².
    components
        Parts that share no edge; a hollow counts as one.
    bounds
        Least and greatest coordinate along each axis, µm; of points that triangles use.
    open_edges, crowded_edges
        Edges with one triangle, and with more than two.
    pinched_points
        Points that join what touches nowhere else around them; counted only without other faults.
    degenerate
        Triangles that name a point twice.
    """

    triangles: int
    watertight: bool
    manifold: bool
    outward: bool
    volume_um3: float
    area_um2: float
    components: int
    bounds: tuple[Triplet, Triplet]
    open_edges: int = 0
    crowded_edges: int = 0
    pinched_points: int = 0
    degenerate: int = 0


_NOTHING = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


def quality_of(mesh: TriangleMesh) -> MeshQuality:
    """Return what a mesh is like.

    Parameters
    ----------
    mesh
        Points ``(n, 3)`` in µm and triangles ``(m, 3)``. Points of equal place and different index
        are different points: ``welded`` makes them one.

    Returns
    -------
    MeshQuality
        Never an error, whatever the mesh.
    """
    points = np.asarray(mesh.points, np.float64).reshape(-1, 3)
    triangles = np.asarray(mesh.triangles).reshape(-1, 3).astype(np.int64)
    count = len(triangles)
    sound = count > 0 and triangles.min() >= 0 and triangles.max() < len(points)
    used = points[_named(triangles, len(points))] if sound else points[:0]
    if not sound or not np.isfinite(used).all():
        return MeshQuality(
            count,
            watertight=False,
            manifold=False,
            outward=False,
            volume_um3=0.0,
            area_um2=0.0,
            components=0,
            bounds=_NOTHING,
        )
    volume, area = _size(points, triangles)
    edges = _Edges(triangles, len(points))
    pinched = edges.pinched() if edges.closed and not edges.crowded else 0
    low, high = used.min(axis=0).tolist(), used.max(axis=0).tolist()
    return MeshQuality(
        count,
        watertight=edges.closed,
        manifold=edges.crowded == 0 and edges.turned == 0 and pinched == 0,
        outward=volume > 0,
        volume_um3=volume,
        area_um2=area,
        components=edges.components(),
        bounds=((low[0], low[1], low[2]), (high[0], high[1], high[2])),
        open_edges=edges.open,
        crowded_edges=edges.crowded,
        pinched_points=pinched,
        degenerate=edges.degenerate,
    )


def _named(triangles: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.bool_]:
    named = np.zeros(count, np.bool_)
    named[triangles.reshape(-1)] = True
    return named


def welded(mesh: TriangleMesh) -> TriangleMesh:
    """Return a mesh in which points at the very same place are one, and no triangle is a line.

    Files of triangles (STL, some OBJ) repeat a point for every triangle; such a surface is closed
    only once these are one.
    """
    from bg_atlasapi.model.mesh import TriangleMesh

    points = np.ascontiguousarray(mesh.points, np.float64) + 0.0  # -0.0 is 0.0
    keys = points.view(np.dtype((np.void, points.dtype.itemsize * 3))).reshape(-1)
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    triangles = place.reshape(-1)[np.asarray(mesh.triangles, np.int64)]
    whole = (triangles != np.roll(triangles, 1, axis=1)).all(axis=1)
    return TriangleMesh(points[first], triangles[whole])


def _size(points: npt.NDArray[np.float64], triangles: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Return the enclosed volume and the area; measured from the middle, to keep digits."""
    middle = points[triangles[:, 0]].mean(axis=0)
    centred = points - middle
    first, second, third = (centred[triangles[:, corner]] for corner in range(3))
    (a, b, c), (d, e, f) = (second - first).T, (third - first).T
    normals = (b * f - c * e, c * d - a * f, a * e - b * d)  # np.cross takes three times as long
    volume = sum(float(np.dot(first[:, axis], normals[axis])) for axis in range(3)) / 6
    area = float(np.sqrt(sum(one * one for one in normals)).sum()) / 2
    return volume, area


class _Edges:
    """The edges of triangles.

    Parameters
    ----------
    triangles
        Shape ``(m, 3)``.
    points
        How many points there are.
    """

    def __init__(self, triangles: npt.NDArray[np.int64], points: int) -> None:
        self._triangles = triangles
        start = triangles.reshape(-1)
        end = np.roll(triangles, -1, axis=1).reshape(-1)
        forward = start < end
        keys = np.where(forward, start * points + end, end * points + start)
        # Half-edges sorted by edge; those of one edge lie together.
        self._order = np.argsort(keys, kind="stable")
        keys = keys[self._order]
        begins = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
        counts = np.diff(np.append(begins, len(keys)))
        sense = np.add.reduceat(np.where(forward, 1, -1)[self._order], begins)
        line = (start == end)[self._order][begins]  # from a point to itself: no edge
        self.degenerate = int((triangles == np.roll(triangles, 1, axis=1)).any(axis=1).sum())
        self.open = int(((counts == 1) & ~line).sum())
        self.crowded = int(((counts > 2) & ~line).sum())
        self.turned = int(((counts == 2) & (sense != 0) & ~line).sum())
        self.closed = bool((sense[~line] == 0).all())
        self._begins, self._counts = begins, counts

    def components(self) -> int:
        """Return how many parts share no edge."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        within = np.ones(len(self._order), np.bool_)
        within[self._begins] = False
        later = np.flatnonzero(within)
        pairs = (self._order[later] // 3, self._order[later - 1] // 3)
        count = len(self._triangles)
        graph = coo_array((np.ones(len(later), np.bool_), pairs), shape=(count, count))
        return int(connected_components(graph, directed=False, return_labels=False))

    def pinched(self) -> int:
        """Return how many points join several fans; every edge has its two triangles.

        Turning about a point from triangle to triangle is a permutation of the triangles' corners;
        a sound point is one round of it. Rounds are told apart by their least corner, found by
        looking 1, 2, 4, … steps ahead.
        """
        if self.degenerate:
            return 0
        one, other = self._order[self._begins], self._order[self._begins + 1]
        twin = np.empty(len(self._order), np.int64)
        twin[one], twin[other] = other, one
        corner = np.arange(len(twin))
        before = corner - corner % 3 + (corner + 2) % 3
        step = twin[before]  # the half-edge that starts at the same point, one triangle on
        least = corner
        while True:
            further = np.minimum(least, least[step])
            if np.array_equal(further, least):
                break
            least, step = further, step[step]
        rounds = np.flatnonzero(least == corner)
        return int((np.bincount(self._triangles.reshape(-1)[rounds]) > 1).sum())
