"""Balls, paths, random points and distances in the real atlases, against voxel-by-voxel answers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi import BrainGlobeAtlas, query
from bg_atlasapi.core import Atlas

RNG_SEED = 11


def test_a_large_ball_holds_the_brain(atlas: BrainGlobeAtlas) -> None:
    """A ball around everything holds each region's volume, exactly."""
    centre = np.array(atlas.shape_um) / 2
    table = query.within(atlas, centre, 12_000).set_index("id")["volume_mm3"]
    annotation = np.asarray(atlas.volumes["annotation"])
    ids, counts = np.unique(annotation, return_counts=True)
    voxel_mm3 = math.prod(atlas.resolution) / 1e9
    found = table.loc[ids[1:].astype(np.int64)].to_numpy()
    np.testing.assert_allclose(found, counts[1:] * voxel_mm3, rtol=1e-9)
    assert table.sum() == pytest.approx(4 / 3 * math.pi * 12**3, rel=1e-12)


def test_a_ball_is_what_points_in_it_say(atlas: BrainGlobeAtlas) -> None:
    """The composition equals that of a million random points, to five standard errors."""
    rng = np.random.default_rng(RNG_SEED)
    centre, radius = np.array([7100.0, 3870.0, 4500.0]), 730.0
    points = rng.uniform(-1, 1, (1_000_000, 3))
    points = points[(points**2).sum(axis=1) < 1]
    shares = atlas.lookup(centre + radius * points)["id"].value_counts(normalize=True)
    table = query.within(atlas, centre, radius).set_index("id")["fraction"]
    for identifier, share in shares.items():
        error = 5 * math.sqrt(max(share, 1e-5) / len(points))
        assert table.get(identifier, 0.0) == pytest.approx(share, abs=error)


def test_a_track_runs_where_its_points_lie(atlas: BrainGlobeAtlas) -> None:
    """An oblique track answers as dense points along it, and adds up to its length."""
    path = np.array([(7100.0, -300.0, 4530.0), (7513.0, 6100.0, 5012.0), (2100.0, 3000.0, 9000.0)])
    table = query.along(atlas, path)
    steps = np.sqrt((np.diff(path, axis=0) ** 2).sum(axis=1))
    assert table["length_um"].sum() == pytest.approx(steps.sum(), rel=1e-12)
    gone = np.random.default_rng(RNG_SEED).uniform(0, steps.sum(), 100_000)
    corners = np.append(0, np.cumsum(steps))
    points = np.stack([np.interp(gone, corners, path[:, axis]) for axis in range(3)], axis=1)
    row = np.searchsorted(table["left_um"], gone)
    assert (table["id"].to_numpy()[row] == atlas.lookup(points)["id"].to_numpy()).all()
    summed = query.lengths(atlas, path).set_index("acronym")
    below = table["acronym"].isin(atlas.get_structure_descendants("grey"))
    assert summed.loc["grey", "total_um"] == pytest.approx(table["length_um"][below].sum())


def test_random_points_are_in_their_structure(atlas: BrainGlobeAtlas) -> None:
    """Points of a structure lie in it and its hemisphere, spread as its voxels are."""
    points = query.sample(atlas, "TH", 20_000, RNG_SEED, hemisphere="left")
    found = atlas.lookup(points, at=["TH"])
    assert set(found["acronym"]) == {"TH"}
    assert set(found["hemisphere"]) == {"left"}
    mask = atlas.mask("TH", hemisphere="left")
    voxels = np.argwhere(mask) + 0.5
    error = voxels.std(axis=0) * atlas.resolution / math.sqrt(len(points))
    shift = points.mean(axis=0) - voxels.mean(axis=0) * atlas.resolution
    assert (np.abs(shift) < 5 * error).all()


def nearest_by_transform(
    wanted: npt.NDArray[np.bool_], sizes: Any, voxels: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return a bound from scipy: the distance between middles of voxels."""
    from scipy.ndimage import distance_transform_edt

    distances = distance_transform_edt(~wanted, sampling=sizes)
    return np.asarray(distances[tuple(voxels.T)])


def test_distances_agree_with_a_distance_transform(allen_100um: Path) -> None:
    """From the middle of a voxel, distances are those between middles less what a box takes off."""
    atlas = Atlas.from_path(allen_100um)
    annotation = np.asarray(atlas.volumes["annotation"])
    rng = np.random.default_rng(RNG_SEED)
    voxels = np.stack([rng.integers(0, length, 4000) for length in atlas.shape], axis=1)
    middles = (voxels + 0.5) * atlas.resolution
    outside = annotation[tuple(voxels.T)] == 0
    bound = nearest_by_transform(annotation > 0, atlas.resolution, voxels)
    table = atlas.lookup(middles, nearest=True)
    distance = table["distance_um"].to_numpy()
    assert (distance[~outside] == 0).all()
    half = np.sqrt((np.array(atlas.resolution) ** 2).sum()) / 2
    assert (distance[outside] <= bound[outside] - 50 + 1e-9).all()
    assert (distance[outside] >= bound[outside] - half - 1e-9).all()
    border = query.border_distance(atlas, middles, at=["CTX"])
    cortex = atlas.mask("CTX").astype(bool)
    inside = cortex[tuple(voxels.T)]
    to_others = nearest_by_transform(~cortex, atlas.resolution, voxels)
    assert (border[inside] <= to_others[inside] - 50 + 1e-9).all()
    assert (border[inside] >= to_others[inside] - half - 1e-9).all()
    np.testing.assert_allclose(border[outside], distance[outside])


def test_chunks_answer_as_the_package_does(allen_100um: Path, allen_100um_v3: Path) -> None:
    """A component store gives the same numbers as the package of the same atlas."""
    package, store = Atlas.from_path(allen_100um), Atlas.from_path(allen_100um_v3)
    rng = np.random.default_rng(RNG_SEED)
    points = rng.uniform(-0.1, 1.1, (300, 3)) * package.shape_um
    assert query.along(package, points).equals(query.along(store, points))
    assert query.within(package, points[:20], 400).equals(query.within(store, points[:20], 400))
    for at in (None, 3):
        one = query.border_distance(package, points, at=at)
        np.testing.assert_array_equal(one, query.border_distance(store, points, at=at))
    assert package.lookup(points, nearest=True).equals(store.lookup(points, nearest=True))
    drawn = [query.sample(one, "CTX", 50, 1) for one in (package, store)]
    assert (drawn[0] == drawn[1]).all()
