from __future__ import annotations

import numpy as np
import pytest

from bg_atlasapi.build.meshing.bodies import edges_of, parts_of
from bg_atlasapi.build.meshing.cuberille import squares_of


@pytest.mark.parametrize("edges", [0, 20, 100, 400])
def test_parts_are_those_that_edges_hold_together(edges):
    """Random graphs, from loose vertices to one part: the same parts as scipy finds."""
    sparse = pytest.importorskip("scipy.sparse")
    chance = np.random.default_rng(edges)
    ends = np.sort(chance.integers(0, 200, (2, edges), dtype=np.int32), axis=0)
    start, end = ends[:, ends[0] != ends[1]]
    found, of = parts_of(start, end, 200)
    graph = sparse.csr_matrix((np.ones(len(start)), (start, end)), (200, 200))
    count, expected = sparse.csgraph.connected_components(graph, directed=False)
    assert found == count
    assert np.array_equal(of, expected)


def test_a_long_thread_and_a_ball_beside_it_are_two_bodies():
    """What is far apart along a surface is one body still; a cavity is one of its own."""
    mask = np.zeros((9, 9, 80), bool)
    mask[0, 0] = True
    mask[2:9, 2:9, 2:9] = True
    mask[5, 5, 5] = False
    surface = squares_of(lambda a, b: mask[a:b], mask.shape)
    found, of = parts_of(*edges_of(surface.squares), surface.corners.shape[1])
    assert found == 3
    assert np.bincount(of).min() == 8


def test_every_edge_is_named_once_from_its_lower_vertex():
    """A voxel has twelve."""
    surface = squares_of(lambda a, b: np.ones((b - a, 1, 1), bool), (1, 1, 1))
    start, end = edges_of(surface.squares)
    assert (start < end).all()
    assert len({*zip(start.tolist(), end.tolist(), strict=True)}) == len(start) == 12
