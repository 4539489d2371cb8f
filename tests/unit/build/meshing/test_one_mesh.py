from __future__ import annotations

import itertools

import numpy as np
import pytest

from bg_atlasapi.build.mesh_quality import quality_of
from bg_atlasapi.build.meshing import Finish, Made, mesh_of
from bg_atlasapi.build.meshing.cuberille import squares_of
from bg_atlasapi.build.meshing.merging import triangles_of
from bg_atlasapi.build.meshing.pinches import parted
from bg_atlasapi.model.mesh import TriangleMesh

UNIT = (1.0, 1.0, 1.0)
USUAL = Finish(0.5)


def made(mask, spacing_um=UNIT, finish=USUAL, origin=(0, 0, 0)) -> Made:
    """Return the mesh of a mask."""
    within = np.asarray(mask, bool)
    return mesh_of(lambda a, b: within[a:b], within.shape, spacing_um, finish, origin)


def sound(mesh: TriangleMesh) -> bool:
    """Say whether a mesh is closed, manifold and the right way round."""
    quality = quality_of(mesh)
    return quality.watertight and quality.manifold and quality.outward


def test_all_ways_eight_voxels_can_meet_give_a_manifold_surface_of_their_volume():
    """Every configuration around a corner, as it is cut from voxels: closed, manifold, exact."""
    for config in range(1, 256):
        mask = np.array([(config >> bit) & 1 for bit in range(8)], bool).reshape(2, 2, 2)
        points, surface = parted(squares_of(lambda a, b, mask=mask: mask[a:b], mask.shape))
        triangles = triangles_of(points, surface.squares)
        quality = quality_of(TriangleMesh(points.T.astype(float), triangles.T.astype(np.int64)))
        assert (quality.watertight, quality.manifold, quality.outward) == (True, True, True)
        assert quality.volume_um3 == pytest.approx(mask.sum())


def test_voxels_that_touch_along_an_edge_whose_ends_are_joined_stay_manifold():
    """The one case a vertex for each sheet does not settle: an edge that is in the surface twice."""
    mask = np.ones((2, 2, 3), bool)
    mask[0, 0, 1] = mask[1, 1, 1] = False
    points, surface = parted(squares_of(lambda a, b: mask[a:b], mask.shape))
    whole = TriangleMesh(
        points.T.astype(float), triangles_of(points, surface.squares).T.astype(int)
    )
    assert points.shape[1] > squares_of(lambda a, b: mask[a:b], mask.shape).corners.shape[1]
    assert sound(whole)
    assert sound(made(mask).mesh)


def test_a_small_body_is_not_simplified_away():
    """Two voxels of which each half would become a point: nothing would lie between the two."""
    mesh = made(np.ones((2, 1, 1)), (10, 10, 20), Finish(10.0, 20), (0, 3, 1)).mesh
    assert sound(mesh)
    assert set(mesh.triangles.reshape(-1)) == set(range(len(mesh.points)))


@pytest.mark.parametrize("axis", range(3))
def test_a_chain_of_such_edges_in_one_square_is_settled_too(axis):
    """Squares that meet two of these edges are parted one after the other."""
    mask = np.ones((2, 2, 7), bool)
    mask[0, 0, 1::2] = mask[1, 1, 1::2] = False
    mask = np.moveaxis(mask, 2, axis)
    assert sound(made(mask).mesh)
    assert sound(made(mask, finish=Finish(0.0, 0)).mesh)


def test_a_single_voxel_is_a_closed_body_of_its_volume_around_its_middle():
    """Smoothing does not make the smallest thing vanish, and simplifying does not flatten it."""
    mesh = made(np.ones((1, 1, 1)), origin=(4, 5, 6)).mesh
    quality = quality_of(mesh)
    assert sound(mesh)
    assert quality.volume_um3 == pytest.approx(1, rel=0.01)
    assert np.allclose(mesh.points.mean(axis=0), [4.5, 5.5, 6.5], atol=0.01)


@pytest.mark.parametrize(
    "shape", [(1, 30, 30), (30, 1, 30), (30, 30, 1), (1, 1, 40), (40, 1, 1), (2, 25, 25)]
)
def test_thin_sheets_and_threads_keep_both_sides_and_their_volume(shape):
    """What is one voxel thick is a closed body of that volume, not a sheet without thickness."""
    mesh = made(np.ones(shape)).mesh
    assert sound(mesh)
    assert quality_of(mesh).volume_um3 == pytest.approx(np.prod(shape), rel=0.01)


def test_what_touches_the_border_of_the_volume_is_closed_there():
    """A box that is full to its edges has all six sides, within a voxel of them."""
    mesh = made(np.ones((20, 24, 28))).mesh
    low, high = (np.array(corner) for corner in quality_of(mesh).bounds)
    assert sound(mesh)
    assert np.abs(low).max() < 1
    assert np.abs(high - [20, 24, 28]).max() < 1


def test_a_flat_side_stays_where_the_faces_of_the_voxels_are():
    """The surface lies on the faces of voxels, not on their middles."""
    mesh = made(np.ones((40, 40, 40))).mesh
    points = mesh.points
    middle = (np.abs(points[:, 1:] - 20) < 10).all(axis=1)
    assert np.allclose(points[middle & (points[:, 0] < 20), 0], 0, atol=0.1)
    assert np.allclose(points[middle & (points[:, 0] > 20), 0], 40, atol=0.1)


def test_a_hollow_has_a_surface_of_its_own_that_faces_into_it():
    """Volume is that of the voxels, so the inner surface counts the other way."""
    mask = np.ones((20, 20, 20), bool)
    mask[6:14, 6:14, 6:14] = False
    mesh = made(mask).mesh
    quality = quality_of(mesh)
    assert sound(mesh)
    assert quality.components == 2
    assert quality.volume_um3 == pytest.approx(mask.sum(), rel=0.01)


def ball(radius: float, spacing_um=UNIT) -> np.ndarray:
    """Return the voxels of a ball, in a box with its middle."""
    size = [int(np.ceil(2 * radius / one)) + 2 for one in spacing_um]
    places = [
        (np.arange(count) + 0.5 - count / 2) * one
        for count, one in zip(size, spacing_um, strict=True)
    ]
    grid = np.stack(np.meshgrid(*places, indexing="ij"))
    return (grid**2).sum(axis=0) < radius**2


def test_a_ball_comes_out_round_as_large_and_with_a_fraction_of_the_triangles():
    """Smoothed without shrinking, simplified: radius within 3 %, a quarter of the triangles."""
    mask = ball(20)
    result = made(mask)
    radii = np.linalg.norm(result.mesh.points - np.array(mask.shape) / 2, axis=1)
    assert sound(result.mesh)
    assert quality_of(result.mesh).volume_um3 == pytest.approx(mask.sum(), rel=0.001)
    assert np.abs(radii / 20 - 1).max() < 0.03
    assert len(result.mesh.triangles) <= result.raw_triangles / 4


def test_voxels_of_different_sides_give_a_body_in_um():
    """The ball is round in µm, not in voxels."""
    spacing = (10.0, 20.0, 40.0)
    mask = ball(400, spacing)
    mesh = made(mask, spacing, Finish(5.0)).mesh
    radii = np.linalg.norm(mesh.points - np.array(mask.shape) * spacing / 2, axis=1)
    assert sound(mesh)
    assert quality_of(mesh).volume_um3 == pytest.approx(mask.sum() * 8000, rel=0.001)
    assert np.abs(radii / 400 - 1).max() < 0.05


@pytest.mark.parametrize("tolerance", [0.1, 0.25, 0.5, 1.0])
def test_the_simplified_surface_is_within_the_tolerance_of_the_smoothed_one(tolerance):
    """Of the vertices of the smoothed surface, 95 % lie no further than that from it, noise and all."""
    trimesh = pytest.importorskip("trimesh")
    mask = ball(10)
    mask[:, :6] |= np.random.default_rng(1).random((mask.shape[0], 6, mask.shape[2])) < 0.02
    fine, coarse = made(mask, finish=Finish(0.0)).mesh, made(mask, finish=Finish(tolerance)).mesh
    surface = trimesh.Trimesh(coarse.points, coarse.triangles, process=False)
    _, apart, _ = trimesh.proximity.closest_point_naive(surface, fine.points[::8])
    assert len(coarse.triangles) < len(fine.triangles)
    assert np.percentile(apart, 95) <= tolerance
    assert apart.max() < 2 * tolerance + 0.1


def test_a_larger_tolerance_leaves_fewer_triangles():
    """The bound is what decides how much is simplified; 0 keeps every vertex."""
    mask = ball(15)
    counts = [len(made(mask, finish=Finish(one)).mesh.triangles) for one in (0, 0.2, 0.5, 2.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == made(mask).raw_triangles
    assert counts[-1] < counts[0] / 10


def test_no_vertex_moves_further_than_half_the_diagonal_of_a_voxel():
    """Smoothing keeps every vertex near the corner of voxels where it began, threads included."""
    mask = np.random.default_rng(2).random((14, 14, 14)) < 0.3
    points, surface = parted(squares_of(lambda a, b: mask[a:b], mask.shape))
    from bg_atlasapi.build.meshing.smoothing import smoothed

    moved = smoothed(points, surface, 10).points
    assert np.linalg.norm(moved - points, axis=0).max() <= np.sqrt(3) / 2 + 1e-4


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("finish", [Finish(0.5), Finish(3.0), Finish(0.5, 0), Finish(0.0, 0)])
def test_noise_is_manifold_whatever_is_done_to_it(share, finish):
    """All ways voxels can touch, at once, through every setting."""
    mask = np.random.default_rng(3).random((16, 17, 18)) < share
    assert sound(made(mask, finish=finish).mesh)


def test_no_voxel_gives_no_triangle():
    """An empty box is no error."""
    result = made(np.zeros((3, 4, 5)))
    assert (result.voxels, result.raw_triangles) == (0, 0)
    assert len(result.mesh.triangles) == 0


def test_a_volume_read_in_many_parts_gives_the_same_mesh(monkeypatch):
    """The surface does not depend on how many planes are looked at together."""
    from bg_atlasapi.build.meshing import cuberille

    mask = ball(9) | (np.random.default_rng(4).random(ball(9).shape) < 0.05)
    whole = squares_of(lambda a, b: mask[a:b], mask.shape)
    monkeypatch.setattr(cuberille, "_CORNERS", 1)
    parts = squares_of(lambda a, b: mask[a:b], mask.shape)
    assert np.array_equal(whole.corners, parts.corners)
    assert {tuple(one) for one in whole.squares.T} == {tuple(one) for one in parts.squares.T}


def test_turned_volumes_give_turned_surfaces():
    """No axis is treated differently: the volume of an odd body is the same all ways round."""
    mask = np.zeros((9, 10, 11), bool)
    mask[1:8, 2:5, 3:9] = mask[2:4, 2:9, 3:5] = True
    for order in itertools.permutations(range(3)):
        mesh = made(np.transpose(mask, order)).mesh
        assert sound(mesh)
        assert quality_of(mesh).volume_um3 == pytest.approx(mask.sum(), rel=0.01)


def test_smoothing_leaves_of_each_wavelength_what_twelve_steps_of_taubins_leave():
    """Four steps instead of six pairs by 0.6 and -0.64: the response differs by 0.03 at most."""
    from bg_atlasapi.build.meshing import smoothing

    frequency = np.linspace(0, 2, 1001)
    ours = np.prod([1 - weight * frequency for weight in smoothing._PASS], axis=0)
    taubin = ((1 - 0.6 * frequency) * (1 + 0.64 * frequency)) ** 6
    assert np.abs(ours - taubin).max() < 0.03
    assert np.abs(ours - taubin)[frequency < 0.1].max() < 0.01
