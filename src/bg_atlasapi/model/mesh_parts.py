"""Meshes put together and cut apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bg_atlasapi.late import np
from bg_atlasapi.model.mesh import TriangleMesh

if TYPE_CHECKING:
    import numpy.typing as npt


def joined(meshes: Sequence[TriangleMesh]) -> TriangleMesh:
    """Return several surfaces as one; what they share is in it twice."""
    if len(meshes) == 1:
        return meshes[0]
    firsts = np.cumsum([0, *(len(mesh.points) for mesh in meshes)])
    faces = [mesh.triangles + first for mesh, first in zip(meshes, firsts, strict=False)]
    return TriangleMesh(np.concatenate([mesh.points for mesh in meshes]), np.concatenate(faces))


def picked(mesh: TriangleMesh, keep: npt.NDArray[np.bool_]) -> TriangleMesh:
    """Return some triangles of a surface, with the points they need.

    Parameters
    ----------
    mesh
        The surface.
    keep
        Which triangles, shape ``(m,)``.
    """
    faces = mesh.triangles[keep]
    used = np.zeros(len(mesh.points), bool)
    used[faces] = True
    return TriangleMesh(mesh.points[used], (np.cumsum(used) - 1)[faces])


def cut_off(mesh: TriangleMesh, axis: int, at_um: float, *, above: bool) -> TriangleMesh:
    """Return the part of a surface on one side of a plane; the cut stays open.

    Parameters
    ----------
    mesh
        The surface.
    axis, at_um
        The plane across this axis, µm.
    above
        Whether to keep what lies beyond it, or what lies before it.
    """
    heights = (mesh.points[:, axis] - at_um) * (1 if above else -1)
    inside = heights[mesh.triangles] >= 0
    count = inside.sum(axis=1)
    points, faces = [mesh.points], [mesh.triangles[count == 3]]
    total = len(mesh.points)
    for some in (1, 2):  # corners that stay: one leaves a triangle, two a quadrangle
        rows = mesh.triangles[count == some]
        odd = np.argmax(inside[count == some] == (some == 1), axis=1)
        a, b, c = (rows[np.arange(len(rows)), (odd + step) % 3] for step in range(3))
        ab, ac = (_crossing(mesh.points, heights, a, other) for other in (b, c))
        points += [ab, ac]
        first, second = total + np.arange(len(rows)), total + len(rows) + np.arange(len(rows))
        total += 2 * len(rows)
        if some == 1:
            faces.append(np.stack([a, first, second], axis=1))
        else:
            faces += [np.stack([first, b, c], axis=1), np.stack([first, c, second], axis=1)]
    whole = TriangleMesh(np.concatenate(points), np.concatenate(faces))
    return picked(whole, np.ones(len(whole.triangles), bool))


def _crossing(
    points: npt.NDArray[np.float64],
    heights: npt.NDArray[np.float64],
    start: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Return where edges meet the plane."""
    part = heights[start] / (heights[start] - heights[end])
    return np.asarray(points[start] + part[:, np.newaxis] * (points[end] - points[start]))
