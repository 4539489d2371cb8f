"""What is found out about surfaces."""

from __future__ import annotations

import numpy as np
import pytest

from bg_atlasapi.build.mesh_quality import quality_of, welded
from bg_atlasapi.model.mesh import TriangleMesh

_FACES = np.array(
    [
        *((0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1)),
        *((2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)),
    ]
)


def _box(low=(0, 0, 0), size=(100, 200, 300)) -> TriangleMesh:
    corners = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    return TriangleMesh(corners * size + low, _FACES)


def _both(one: TriangleMesh, other: TriangleMesh) -> TriangleMesh:
    return TriangleMesh(
        np.concatenate([one.points, other.points]),
        np.concatenate([one.triangles, other.triangles + len(one.points)]),
    )


def test_a_box_is_as_good_as_can_be():
    """Volume, area, parts, bounds of a closed box are exact."""
    found = quality_of(_box((10, 20, 30)))
    assert found.watertight
    assert found.manifold
    assert found.outward
    assert found.volume_um3 == pytest.approx(6e6)
    assert found.area_um2 == pytest.approx(2 * (2e4 + 3e4 + 6e4))
    assert (found.triangles, found.components) == (12, 1)
    assert found.bounds == ((10, 20, 30), (110, 220, 330))


def test_inside_out():
    """A mesh whose triangles run the other way is closed, and has a negative volume."""
    found = quality_of(TriangleMesh(_box().points, _box().triangles[:, ::-1]))
    assert found.watertight
    assert not found.outward
    assert found.volume_um3 == pytest.approx(-6e6)


def test_a_hole_and_a_turned_triangle_are_not_watertight():
    """A missing triangle leaves three open edges; a turned one is no closed surface either."""
    found = quality_of(TriangleMesh(_box().points, _box().triangles[1:]))
    assert (found.watertight, found.manifold, found.open_edges) == (False, True, 3)
    turned = _box().triangles.copy()
    turned[0] = turned[0][::-1]
    found = quality_of(TriangleMesh(_box().points, turned))
    assert (found.watertight, found.manifold, found.open_edges) == (False, False, 0)


def test_parts_that_touch_in_a_point_or_edge_are_not_manifold():
    """Two boxes with one common corner or edge are watertight and not manifold."""
    corner = welded(_both(_box(), _box((100, 200, 300))))
    found = quality_of(corner)
    assert (found.watertight, found.manifold, found.pinched_points) == (True, False, 1)
    assert found.components == 2
    edge = quality_of(welded(_both(_box(), _box((100, 200, 0)))))
    assert (edge.watertight, edge.manifold) == (True, False)
    assert edge.crowded_edges == 1
    apart = quality_of(_both(_box(), _box((100, 200, 300))))
    assert (apart.manifold, apart.components) == (True, 2)


def test_triangles_that_share_no_points_become_a_closed_surface_once_welded():
    """A soup of triangles is open as stored, closed when equal points are one."""
    mesh = _box()
    soup = TriangleMesh(mesh.points[mesh.triangles.reshape(-1)], np.arange(36).reshape(-1, 3))
    assert quality_of(soup).open_edges == 36
    found = quality_of(welded(soup))
    assert found.watertight
    assert found.manifold
    assert found.volume_um3 == pytest.approx(6e6)


@pytest.mark.parametrize(
    ("points", "triangles"),
    [
        (np.empty((0, 3)), np.empty((0, 3), int)),
        (np.zeros((3, 3)), np.empty((0, 3), int)),
        (np.full((3, 3), np.nan), np.array([[0, 1, 2]])),
        (np.zeros((3, 3)), np.array([[0, 1, 3]])),
        (np.zeros((3, 3)), np.array([[0, 1, -1]])),
    ],
)
def test_nonsense_is_judged_not_raised(points, triangles):
    """An empty mesh, NaN and triangles of points that are not there are not watertight."""
    found = quality_of(TriangleMesh(points, triangles))
    assert not found.watertight
    assert not found.manifold
    assert found.volume_um3 == 0


def test_a_triangle_without_area_is_counted():
    """A triangle that names a point twice is degenerate and opens nothing."""
    mesh = TriangleMesh(_box().points, np.vstack([_box().triangles, [[0, 0, 1]]]))
    found = quality_of(mesh)
    assert found.degenerate == 1
    assert quality_of(welded(mesh)).degenerate == 0
