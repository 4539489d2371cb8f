"""Simplify a smoothed surface: patches of it become single vertices, within a stated error.

A patch is what of the surface lies within a block of 2 (then 4, 8, …) voxels a side and hangs
together there (``patches``). It becomes one vertex where that changes neither the surface's
topology nor, beyond the tolerance, its shape. What would leave an edge of more than two triangles,
a triangle turned over, or nothing of a small body, is not merged.

Blocks lie on the grid of the whole volume, so that neighbours are cut alike.

Coordinates and corners of faces lie in an array each, here and in the modules around: numpy takes a
third of the time it needs for rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bg_atlasapi.build.meshing.patches import Coarse, Fine, moments, patches_of, places_of
from bg_atlasapi.build.meshing.pinches import repeated_edges
from bg_atlasapi.build.meshing.vectors import any_of, crossed, dot
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Faces = npt.NDArray[np.int32]
    Flags = npt.NDArray[np.bool_]

_WORTHWHILE = 0.3  # of the vertices: blocks twice as large are tried if so many went
_LEVELS = 6
_TURNS = 3  # rounds in which triangles that were turned over are put right
_MOST_TURNS = 10_000  # never reached: every round takes a patch back


def merged(
    fine: Fine, faces: Faces, cells: npt.NDArray[np.int64], tolerance_um: float
) -> tuple[Floats, Faces]:
    """Simplify a surface.

    Parameters
    ----------
    fine
        Its vertices.
    faces
        Its squares, shape ``(4, k)``.
    cells
        A corner of voxels near each vertex, from the corner of the volume, packed.
    tolerance_um
        How far a vertex may lie from the planes of those it stands for, µm; 0 changes nothing.

    Returns
    -------
    points, triangles
        Shapes ``(3, m)``, µm, and ``(3, t)``.
    """
    if tolerance_um <= 0:
        return fine.points, triangles_of(fine.points, faces)
    own = np.arange(fine.points.shape[1], dtype=np.int32)
    surface = Coarse(fine.points, faces, cells, own, moments(fine))
    for level in range(1, _LEVELS + 1):
        before = len(surface.cells)
        # Smallest blocks once more, between those that they were: it takes most of what is left.
        for shift in (0, 1) if level == 1 else (0,):
            surface = _Merge(fine, surface, level, shift, tolerance_um).run()
        if len(surface.cells) > before * (1 - _WORTHWHILE):
            break
    return surface.points, surface.faces


class _Merge:
    """One round: blocks of ``2 ** level`` voxels.

    While it is decided what is merged, patch ``i`` is vertex ``i``, and the vertices as they were
    follow after all patches. They are numbered anew at the end.
    """

    def __init__(
        self, fine: Fine, surface: Coarse, level: int, shift: int, tolerance_um: float
    ) -> None:
        self._surface = surface
        patches = patches_of(surface, level, shift)
        places = places_of(fine, surface, patches, tolerance_um)
        self._patch, self._count = patches.of, len(patches.simple)
        self._fits = places.fits
        self._points = np.concatenate([places.points, surface.points], axis=1)
        self._sums = np.concatenate([places.sums, surface.sums])
        self._normals = np.ascontiguousarray(self._sums[:, :3].T)
        self._alone = np.arange(self._count, len(self._sums), dtype=np.int32)
        self._vertex = np.where(self._fits.take(self._patch), self._patch, self._alone)

    def run(self) -> Coarse:
        """Merge what fits, and take back what broke the surface."""
        triangles, origin = cut(self._points, self._vertex.take(self._surface.faces))
        fresh = triangles
        for turn in range(_MOST_TURNS):
            broken = self._broken(fresh, turned=turn < _TURNS)
            if turn == 0:  # what is there then stays: later turns only take patches back
                broken |= self._vanished(triangles)
            if not broken.any():
                break
            loose = self._taken_back(broken[: self._count])
            whole = np.flatnonzero(~loose.take(origin))
            rows = np.flatnonzero(loose)
            again, of = cut(self._points, self._vertex.take(self._surface.faces.take(rows, axis=1)))
            triangles = np.concatenate([triangles.take(whole, axis=1), again], axis=1)
            origin = np.concatenate([origin.take(whole), rows.take(of)])
            near = np.zeros(len(broken), np.bool_)
            near[again] = True  # something may be wrong there still
            fresh = triangles.take(np.flatnonzero(any_of(near, triangles)), axis=1)
        return self._numbered(triangles)

    def _broken(self, triangles: Faces, *, turned: bool) -> Flags:
        """Say of vertices which are merged patches where triangles are not what they should be."""
        broken = np.zeros(len(self._sums), np.bool_)
        for ends in repeated_edges(triangles, len(broken)):
            broken[ends] = True
        if turned:
            first, second, third = (self._points.take(side, axis=1) for side in triangles)
            towards = self._normals.take(triangles[0], axis=1)
            for side in triangles[1:]:
                towards += self._normals.take(side, axis=1)
            against = dot(crossed(second - first, third - first), towards) < 0
            broken[triangles.take(np.flatnonzero(against), axis=1)] = True
        broken[self._count :] = False
        return broken

    def _vanished(self, triangles: Faces) -> Flags:
        """Say which are merged patches without a triangle, of a small body that became a line."""
        gone = np.zeros(len(self._sums), np.bool_)
        gone[: self._count] = self._fits
        gone[triangles] = False
        return gone

    def _taken_back(self, broken: Flags) -> Flags:
        """Undo patches; say which faces lie there."""
        self._fits &= ~broken
        loose = broken.take(self._patch)
        some = np.flatnonzero(loose)
        self._vertex[some] = self._alone.take(some)
        return any_of(loose, self._surface.faces)

    def _numbered(self, triangles: Faces) -> Coarse:
        """Return the surface with vertices numbered in order, those of patches first."""
        used = np.zeros(len(self._sums), np.bool_)
        used[self._vertex] = True
        number = np.cumsum(used, dtype=np.int32) - np.int32(1)
        kept, vertex = np.flatnonzero(used), number.take(self._vertex)
        cells = np.empty(len(kept), np.int64)
        cells[vertex] = self._surface.cells
        return Coarse(
            self._points.take(kept, axis=1),
            number.take(triangles),
            cells,
            vertex.take(self._surface.of),
            self._sums.take(kept, axis=0),
        )


def triangles_of(points: Floats, faces: Faces) -> Faces:
    """Return faces cut into triangles; see ``cut``."""
    return cut(points, faces)[0]


def cut(points: Floats, faces: Faces) -> tuple[Faces, npt.NDArray[np.intp]]:
    """Cut squares along their shorter diagonal; leave out faces that became lines or points.

    Parameters
    ----------
    points
        Vertices, shape ``(3, n)``.
    faces
        Shape ``(4, m)`` or ``(3, m)``; a square may have a corner twice.

    Returns
    -------
    triangles, origin
        Shape ``(3, k)``, and the face that each is of.
    """
    sides = len(faces)
    different = np.zeros(faces.shape[1], np.uint8)
    for side in range(sides):
        different += faces[side - 1] != faces[side]
    three = np.flatnonzero(different == 3)
    if sides == 3:
        return faces.take(three, axis=1), three
    first, second, third, fourth = faces.take(three, axis=1)
    early = (first == second) | (second == third)
    single = np.stack([first, np.where(early, third, second), np.where(early, fourth, third)])
    four = np.flatnonzero(different == 4)
    first, second, third, fourth = faces.take(four, axis=1)
    along, across = (
        points.take(one, axis=1) - points.take(other, axis=1)
        for one, other in ((first, third), (second, fourth))
    )
    turned = dot(along, along) > dot(across, across)
    ring = (first, second, third, fourth, first)
    a, b, c, d = (np.where(turned, ring[side + 1], ring[side]) for side in range(4))
    halves = [single, np.stack([a, b, c]), np.stack([a, c, d])]
    return np.concatenate(halves, axis=1), np.concatenate([three, four, four])
