"""Meshes put together and cut apart."""

from __future__ import annotations

import numpy as np
import pytest

from bg_atlasapi.model.mesh import TriangleMesh
from bg_atlasapi.model.mesh_parts import cut_off, joined, picked

CORNERS = np.array(np.meshgrid([0.0, 1], [0.0, 1], [0.0, 1], indexing="ij")).reshape(3, -1).T
FACES = [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1)]
FACES += [(2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)]
CUBE = TriangleMesh(CORNERS, np.array(FACES, np.int64))


def vectors(mesh: TriangleMesh) -> np.ndarray:
    """Return twice the area of every triangle, along its normal."""
    a, b, c = mesh.points[mesh.triangles].transpose(1, 0, 2)
    return np.cross(b - a, c - a)


def area(mesh: TriangleMesh) -> float:
    """Return the area of a surface."""
    return float(np.linalg.norm(vectors(mesh), axis=1).sum() / 2)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize("at", [0.3, 0.5, 0.999])
def test_a_cube_is_cut(axis: int, at: float, above: bool) -> None:
    """What is left lies on one side, has the right area, and faces outwards as before."""
    half = cut_off(CUBE, axis, at, above=above)
    height = 1 - at if above else at
    assert area(half) == pytest.approx(1 + 4 * height)
    along = half.points[:, axis]
    assert (along >= at - 1e-12).all() if above else (along <= at + 1e-12).all()
    opening = vectors(half).sum(axis=0)[axis] / 2  # a closed surface has none
    assert opening == pytest.approx(1 if above else -1)


def test_a_plane_beside_a_mesh() -> None:
    """On one side of it all is left, on the other nothing; touching it changes nothing."""
    assert area(cut_off(CUBE, 0, -1, above=True)) == pytest.approx(6)
    assert area(cut_off(CUBE, 0, 0, above=True)) == pytest.approx(6)
    empty = cut_off(CUBE, 0, 2, above=True)
    assert (len(empty.points), len(empty.triangles)) == (0, 0)


def test_joined_and_picked() -> None:
    """Joined surfaces keep their triangles; picked ones only the points they need."""
    other = TriangleMesh(CORNERS + 5, CUBE.triangles)
    both = joined([CUBE, other])
    assert area(both) == pytest.approx(12)
    back = picked(both, np.arange(24) >= 12)
    assert np.array_equal(back.points, other.points)
    assert np.array_equal(back.triangles, other.triangles)
    assert joined([CUBE]) is CUBE
