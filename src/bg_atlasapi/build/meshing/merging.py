"""Simplify a smoothed surface: patches of it become single vertices, within a stated error.

A patch is what of the surface lies within a block of 2 (then 4, 8, …) voxels a side and hangs
together there. It becomes one vertex where it can be drawn together without changing the surface's
topology (it is a disc, a line or the like), and where the vertex lies within the tolerance of the
plane through every vertex of the smoothed surface that it stands for, and they of the plane through
it. It lies where those planes come closest to meeting. What would leave an edge of more than two
triangles, a triangle turned over, or nothing of a small body, is not merged.

Blocks lie on the grid of the whole volume, so that neighbours are cut alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from bg_atlasapi.build.meshing.pinches import repeated_edges
from bg_atlasapi.build.meshing.smoothing import crossed, unit
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Faces = npt.NDArray[np.int32]

_WORTHWHILE = 0.3  # of the vertices: blocks twice as large are tried if so many went
_LEVELS = 6
_ALIKE = 0.85  # length of the mean of a patch's unit normals: they lie within some 30 degrees of it
_SQUARINGS = 4  # errors are added up in their 16th power
_FIRM = 0.02  # holds a vertex near the middle of its patch where the planes leave it free
_TURNS = 3  # rounds in which triangles that were turned over are put right
_MOST_TURNS = 10_000  # never reached: every round takes a patch back


@dataclass(frozen=True, slots=True)
class Fine:
    """The smoothed surface.

    Parameters
    ----------
    points
        ``float32``, shape ``(n, 3)``, µm.
    normals
        ``float32``, shape ``(n, 3)``, of length 1.
    """

    points: Floats
    normals: Floats


@dataclass(frozen=True, slots=True)
class Coarse:
    """The surface as simplified so far.

    Parameters
    ----------
    points
        ``float32``, shape ``(m, 3)``, µm.
    faces
        ``int32``, shape ``(k, 4)`` or ``(k, 3)``, rows of ``points``.
    corners
        ``int32``, shape ``(m, 3)``: a corner of voxels near each vertex, from that of the volume.
    of
        ``int32``, shape ``(n,)``: the vertex that stands for each of the smoothed surface.
    sums
        ``float32``, shape ``(m, 16)``: sums over those that each stands for; see ``_moments``.
    """

    points: Floats
    faces: Faces
    corners: npt.NDArray[np.int32]
    of: npt.NDArray[np.int32]
    sums: Floats


def merged(fine: Fine, faces: Faces, corners: npt.NDArray[np.int32], tolerance_um: float) -> Coarse:
    """Simplify a surface.

    Parameters
    ----------
    fine
        Its vertices.
    faces
        Its squares.
    corners
        A corner of voxels near each vertex, from the corner of the volume.
    tolerance_um
        How far a vertex may lie from the planes of those it stands for, µm; 0 changes nothing.
    """
    own = np.arange(len(fine.points), dtype=np.int32)
    surface = Coarse(fine.points, faces, corners, own, _moments(fine))
    for level in range(1, _LEVELS + 1):
        before = len(surface.points)
        # Smallest blocks once more, between those that they were: it takes most of what is left.
        for shift in (0, 1) if level == 1 else (0,):
            surface = _Merge(fine, surface, level, shift, tolerance_um).run()
        if tolerance_um <= 0 or len(surface.points) > before * (1 - _WORTHWHILE):
            break
    return surface


class _Merge:
    """One round: blocks of ``2 ** level`` voxels.

    While it is decided what is merged, patch ``i`` is vertex ``i``, and the vertices as they were
    follow after all patches. They are numbered anew at the end.
    """

    def __init__(
        self, fine: Fine, surface: Coarse, level: int, shift: int, tolerance_um: float
    ) -> None:
        self._surface = surface
        patches = _patches(surface, level, shift)
        places = _places(fine, surface, patches, tolerance_um)
        self._patch, self._count = patches.of, len(patches.simple)
        self._fits = patches.simple & places.fits
        self._points = np.concatenate([places.points, surface.points])
        self._sums = np.concatenate([places.sums, surface.sums])
        self._normals = np.ascontiguousarray(self._sums[:, :3])
        alone = np.arange(self._count, len(self._points), dtype=np.int32)
        self._vertex = np.where(self._fits[self._patch], self._patch, alone)

    def run(self) -> Coarse:
        """Merge what fits, and take back what broke the surface."""
        faces = self._surface.faces
        for turn in range(_MOST_TURNS):
            triangles = self._cut(faces)
            broken = self._broken(triangles, turned=turn < _TURNS)
            if turn == 0:  # what is there then stays: later turns only take patches back
                broken = np.union1d(broken, self._vanished(triangles))
            if not len(broken):
                break
            faces = self._taken_back(broken)
        return self._numbered()

    def _cut(self, faces: Faces) -> Faces:
        return triangles_of(self._points, self._vertex[faces])

    def _broken(self, triangles: Faces, *, turned: bool) -> npt.NDArray[np.integer]:
        """Return the merged patches at which triangles are not what they should be."""
        start, end = repeated_edges(triangles, len(self._points))
        parts: list[npt.NDArray[np.integer]] = [start, end]
        if turned:
            first, second, third = (self._points[triangles[:, side]] for side in range(3))
            facing = crossed(second - first, third - first)
            towards = self._normals[triangles[:, 0]]
            for side in (1, 2):
                towards += self._normals[triangles[:, side]]
            against = np.einsum("ij,ij->i", facing, towards) < 0
            parts.append(triangles[against].reshape(-1))
        broken = np.unique(np.concatenate(parts))
        return broken[broken < self._count]

    def _vanished(self, triangles: Faces) -> npt.NDArray[np.integer]:
        """Return the merged patches without a triangle: a small body became a point or a line."""
        there = np.zeros(len(self._points), np.bool_)
        there[triangles] = True
        return np.flatnonzero(self._fits & ~there[: self._count])

    def _taken_back(self, broken: npt.NDArray[np.integer]) -> Faces:
        """Undo patches; return the faces there and around, where something may be wrong still."""
        self._fits[broken] = False
        undone = np.zeros(self._count, np.bool_)
        undone[broken] = True
        loose = undone[self._patch]
        self._vertex[loose] = np.flatnonzero(loose).astype(np.int32) + self._count
        for _ in range(2):  # the faces at what was undone, then those that share a vertex with them
            there = _any(loose[self._surface.faces])
            near = np.zeros(len(self._points), np.bool_)
            near[self._vertex[self._surface.faces[there]]] = True
            loose = near[self._vertex]
        return self._surface.faces[there]

    def _numbered(self) -> Coarse:
        """Return the surface with vertices numbered in order, those of patches first."""
        used = np.zeros(len(self._points), np.bool_)
        used[self._vertex] = True
        vertex = (np.cumsum(used, dtype=np.int32) - 1)[self._vertex]
        points = self._points[used]
        corners = np.empty((len(points), 3), np.int32)
        corners[vertex] = self._surface.corners
        faces = triangles_of(points, vertex[self._surface.faces])
        return Coarse(points, faces, corners, vertex[self._surface.of], self._sums[used])


@dataclass(frozen=True, slots=True)
class _Patches:
    """The parts of a surface within blocks: of each vertex its patch, of each patch its shape."""

    of: npt.NDArray[np.int32]
    simple: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the vertex of each patch would lie, the sums of the patch, and whether it may."""

    points: Floats
    sums: Floats
    fits: npt.NDArray[np.bool_]


def _patches(surface: Coarse, level: int, shift: int) -> _Patches:
    """Find the parts of a surface that hang together within blocks.

    One is simple if it can be drawn together into a point: vertices minus edges plus faces is 1.
    """
    sparse = import_module("scipy.sparse")
    faces, count = surface.faces, len(surface.points)
    blocks = (surface.corners + shift) >> level
    blocks = blocks - blocks.min(axis=0, initial=0)
    sizes = blocks.max(axis=0, initial=0).astype(np.int64) + 1
    block = ((blocks[:, 0] * sizes[1]) + blocks[:, 1]) * sizes[2] + blocks[:, 2]
    at = block[faces]
    sides = faces.shape[1]
    same = [at[:, side] == at[:, (side + 1) % sides] for side in range(sides)]
    # Each edge is met twice, once in each direction; one that is a single vertex is none.
    starts, ends = [], []
    for side in range(sides):
        start, end = faces[same[side], side], faces[same[side], (side + 1) % sides]
        starts.append(start[start < end])
        ends.append(end[start < end])
    start, end = np.concatenate(starts), np.concatenate(ends)
    # Sorts edges by their first vertex, and nothing else, which is why it is done so.
    ones, place = np.ones(len(start)), np.arange(len(start) + 1, dtype=np.int32)
    edges_of = sparse.csc_matrix((ones, start, place), (count, len(start))).tocsr()
    links = sparse.csr_matrix((ones, end[edges_of.indices], edges_of.indptr), (count, count))
    found, of = sparse.csgraph.connected_components(links, directed=False)
    within = np.logical_and.reduce(same)
    vertices = np.bincount(of, minlength=found)
    edges = np.bincount(of[start], minlength=found)
    areas = np.bincount(of[faces[within, 0]], minlength=found)
    return _Patches(of, (vertices - edges + areas == 1) & (vertices > 1))


def _sums(of: npt.NDArray[np.int32], values: Floats, count: int) -> Floats:
    """Add up what vertices say, by what stands for them."""
    sparse = import_module("scipy.sparse")
    ones, ends = np.ones(len(of), np.float32), np.arange(len(of) + 1, dtype=np.int32)
    return np.asarray(sparse.csc_matrix((ones, of, ends), (count, len(of))) @ values)


def _moments(fine: Fine) -> Floats:
    """Return what is added up of each vertex of the smoothed surface, shape ``(n, 16)``.

    Its normal n (3), n times the height of its plane (3), the products xx, yy, zz, xy, xz, yz of n
    (6), its place (3), and 1.
    """
    points, normals = fine.points, fine.normals
    moments = np.empty((len(points), 16), np.float32)
    moments[:, :3] = normals
    moments[:, 3:6] = normals * np.einsum("ij,ij->i", points, normals)[:, np.newaxis]
    moments[:, 6:9] = normals * normals
    moments[:, 9:11] = normals[:, :1] * normals[:, 1:]
    moments[:, 11] = normals[:, 1] * normals[:, 2]
    moments[:, 12:15] = points
    moments[:, 15] = 1
    return moments


def _places(fine: Fine, surface: Coarse, patches: _Patches, tolerance_um: float) -> _Places:
    """Return where the vertex of each patch would lie, and whether it may.

    Minimises the sum of squared distances to the planes (Garland and Heckbert, "Surface
    simplification using quadric error metrics", SIGGRAPH 1997), close to the mean of the points.
    """
    count = len(patches.simple)
    sums = _sums(patches.of, surface.sums, count)
    normals, members = sums[:, :3], sums[:, 15]
    middles = sums[:, 12:15] / members[:, np.newaxis]
    places = middles + _solved(sums[:, 6:12], sums[:, 3:6], middles)
    fits = np.einsum("ij,ij->i", normals, normals) >= (_ALIKE * members) ** 2
    fits &= patches.simple & (tolerance_um > 0)
    of = patches.of[surface.of]
    asked = np.flatnonzero(fits[of])
    of = of[asked]
    apart = fine.points[asked] - places[of]
    errors = np.empty((len(of), 2), np.float32)
    errors[:, 0] = np.einsum("ij,ij->i", apart, fine.normals[asked])
    errors[:, 1] = np.einsum("ij,ij->i", apart, unit(normals)[of])
    errors *= np.float32(1 / max(tolerance_um, 1e-6))
    np.clip(errors, -2, 2, out=errors)  # so that powers stay numbers
    for _ in range(_SQUARINGS):
        errors *= errors
    # A sum of high powers is no less than the highest: none is beyond the tolerance.
    fits &= _sums(of, errors, count).max(axis=1, initial=0) <= 1
    return _Places(places, sums, fits)


def _solved(products: Floats, right: Floats, middles: Floats) -> Floats:
    """Return how far from its middle the planes of each patch come closest to meeting.

    Parameters
    ----------
    products
        Shape ``(n, 6)``: xx, yy, zz, xy, xz, yz of the symmetric matrix.
    right
        Shape ``(n, 3)``: normals times the heights of planes.
    middles
        Shape ``(n, 3)``.
    """
    xx, yy, zz, xy, xz, yz = products.T
    x, y, z = middles.T
    wanted = (
        right[:, 0] - (xx * x + xy * y + xz * z),
        right[:, 1] - (xy * x + yy * y + yz * z),
        right[:, 2] - (xz * x + yz * y + zz * z),
    )
    firm = (xx + yy + zz) * np.float32(_FIRM) + np.float32(1e-6)
    xx, yy, zz = xx + firm, yy + firm, zz + firm
    rows = [
        [yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy],
        [xz * yz - xy * zz, xx * zz - xz * xz, xy * xz - xx * yz],
        [xy * yz - xz * yy, xy * xz - xx * yz, xx * yy - xy * xy],
    ]
    scale = 1 / (xx * rows[0][0] + xy * rows[0][1] + xz * rows[0][2])
    return np.stack(
        [sum(a * b for a, b in zip(row, wanted, strict=True)) * scale for row in rows], axis=1
    )


def triangles_of(points: Floats, faces: Faces) -> Faces:
    """Cut squares along their shorter diagonal; leave out faces that became lines or points.

    Parameters
    ----------
    points
        Vertices.
    faces
        Shape ``(n, 4)`` or ``(n, 3)``; a square may have a corner twice.
    """
    sides = faces.shape[1]
    once = [faces[:, side] != faces[:, (side + 1) % sides] for side in range(sides)]
    different = once[0].astype(np.uint8)
    for one in once[1:]:
        different += one
    if sides == 3:
        return np.asarray(faces[different == 3])
    cut: list[Faces] = []
    for side in range(4):
        rows = faces[(different == 3) & ~once[side]]
        cut.append(rows[:, [(side + 1) % 4, (side + 2) % 4, (side + 3) % 4]])
    squares = faces[different == 4]
    first, second, third, fourth = (points[squares[:, side]] for side in range(4))
    across = _squared(first - third) <= _squared(second - fourth)
    cut += [squares[across][:, [0, 1, 2]], squares[across][:, [0, 2, 3]]]
    cut += [squares[~across][:, [0, 1, 3]], squares[~across][:, [1, 2, 3]]]
    return np.concatenate(cut)


def _any(rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Say of rows of three or four whether anything is true; quicker than numpy's own."""
    if rows.shape[1] == 4:
        return np.asarray(rows.view(np.uint32)[:, 0] != 0)
    return np.asarray(rows[:, 0] | rows[:, 1] | rows[:, 2])


def _squared(vectors: Floats) -> Floats:
    return np.asarray(np.einsum("ij,ij->i", vectors, vectors))
