"""Groupings and differences of real atlases."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi import BrainGlobeAtlas, query
from bg_atlasapi.core import Atlas

COARSE = {"cortex": ["Isocortex", "OLF", "HPF", "CTXsp"], "stem": ["BS"], "nuclei": ["CNU"]}


def labels_of(atlas: Atlas, acronym: str) -> list[int]:
    """Return the ids of a structure and all below it, by the published paths."""
    wanted = atlas.structures[acronym].id
    rows = atlas.structures_list
    return [row["id"] for row in rows if wanted in row["structure_id_path"]]


def test_named_groups_are_the_union_of_published_labels(atlas: BrainGlobeAtlas) -> None:
    """Voxels of groups equal those of the labels below their structures; all others are gaps."""
    groups = atlas.group(COARSE)
    found, published = groups.annotation[::16], atlas.annotation[::16]
    voxels = atlas.region_table().set_index("acronym")["voxels"]
    for name, members in COARSE.items():
        ids = [one for member in members for one in labels_of(atlas, member)]
        assert np.array_equal(found == groups.structures[name].id, np.isin(published, ids))
    coverage = groups.coverage()
    assert coverage.covered == sum(voxels[one] for part in COARSE.values() for one in part)
    assert coverage.voxels == np.count_nonzero(atlas.annotation)
    assert len(pickle.dumps(groups)) < 5000


def test_every_depth_conserves_voxels_and_answers_as_lookup(atlas: BrainGlobeAtlas) -> None:
    """Group then count is count then group: own voxels by group are sums of what they hold."""
    points = np.random.default_rng(1).uniform(0, atlas.shape_um, (20_000, 3))
    own = atlas.region_table().set_index("acronym")["own_voxels"]
    for depth in (0, 2, 5):
        groups = atlas.group(depth)
        table = groups.region_table()
        assert int(table["own_voxels"].sum()) == int(own.sum())
        rolled = atlas.lookup(points, at=depth)
        assert groups.lookup(points)["id"].tolist() == rolled["id"].tolist()
    volumes = atlas.region_table().set_index("acronym")["voxels"]
    table = groups.region_table().set_index("acronym")["voxels"]
    assert (table == volumes[table.index]).all()


def test_left_and_right_are_mirror_images_in_number(atlas: BrainGlobeAtlas) -> None:
    """Sides are disjoint, make the whole, and their tables equal the base's left and right."""
    sides = atlas.group(lateralise=True)
    base = atlas.region_table().set_index("acronym")
    table = sides.region_table().set_index("acronym")
    for acronym in ("root", "CTX", "VISp", "fiber tracts"):
        for side, column in (("L", "left_mm3"), ("R", "right_mm3")):
            assert table.loc[f"{acronym}-{side}", "volume_mm3"] == base.loc[acronym, column]
    assert len(pickle.dumps(sides)) < 5000


def test_small_structures_are_merged(atlas: BrainGlobeAtlas) -> None:
    """What stays is as large as was asked; the rest lies in it."""
    groups = atlas.group(min_volume_mm3=1)
    table = groups.region_table()
    base = atlas.region_table()
    assert (table["volume_mm3"][1:] >= 1 - 1e-9).all()
    assert len(table) == (base["volume_mm3"] >= 1 - 1e-9).sum()
    assert table["own_voxels"].sum() == base["own_voxels"].sum()


def test_real_meshes_join(allen_100um: Path) -> None:
    """The mesh of a group holds the published ones of its structures, whole."""
    atlas = Atlas.from_path(allen_100um)
    groups = atlas.group({"two": ["VISp", "CA1"]})
    parts = [atlas.mesh_from_structure(one) for one in ("VISp", "CA1")]
    mesh = groups.mesh_from_structure("two")
    assert np.array_equal(mesh.points, np.concatenate([part.points for part in parts]))
    half = atlas.group(lateralise=True).mesh_from_structure("VISp-L")
    assert half.points[:, 2].min() >= atlas.shape_um[2] / 2
    assert groups.root_meshfile() == atlas.root_meshfile()


def test_a_component_store_is_grouped_alike(allen_100um: Path, allen_100um_v3: Path) -> None:
    """Of chunks or a TIFF, groups are the same; meshes join there, too."""
    one, other = (Atlas.from_path(path).group(COARSE) for path in (allen_100um, allen_100um_v3))
    assert np.array_equal(one.annotation, other.annotation)
    assert np.array_equal(one.volumes["annotation"][66], other.volumes["annotation"][66])
    points = np.random.default_rng(1).uniform(0, one.shape_um, (5000, 3))
    assert one.lookup(points)["id"].tolist() == other.lookup(points)["id"].tolist()
    assert other.meshfile_from_structure("nuclei").is_file()
    assert query.diff(one, other).voxels_moved == 0


def test_an_edited_copy_differs_where_it_was_edited(allen_25um: Path) -> None:
    """The layers of VISp relabelled: just these voxels moved, Dice of all around is 1."""
    old, new = Atlas.from_path(allen_25um), Atlas.from_path(allen_25um)
    voxels = old.get_structure_mask("VISp") > 0
    new.annotation[voxels] = 385
    found = query.diff(old, new)
    assert found.voxels_moved == np.count_nonzero(voxels)
    assert set(found.moved["acronym_b"]) == {"VISp"}
    rows = found.structures.set_index("acronym")
    assert rows.loc["VISp", "dice"] == 1
    assert rows.loc["VISp1", "dice"] == 0
    assert found.counts()["changed"] == len(labels_of(old, "VISp"))


def test_two_voxel_sizes_compare_at_centres(allen_25um: Path, allen_100um: Path) -> None:
    """25 against 100 µm equals indexing the coarser volume at the centres, either way round."""
    fine, coarse = Atlas.from_path(allen_25um), Atlas.from_path(allen_100um)
    wide = at_centres(coarse.annotation, fine.shape)
    found = query.diff(fine, coarse)
    assert found.voxels_moved == np.count_nonzero(wide != fine.annotation)
    back = query.diff(coarse, fine)
    assert (back.voxels, back.voxels_moved) == (found.voxels, found.voxels_moved)
    assert not found.same_grid


def at_centres(volume: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return a volume of 100 µm on a grid of 25 µm."""
    index = [(np.arange(n) * 25 + 12.5) // 100 for n in shape]
    return volume[np.ix_(*(one.astype(int) for one in index))]


@pytest.mark.parametrize("depth", [1, 4])
def test_groups_differ_from_their_base_by_what_was_merged(allen_100um: Path, depth: int) -> None:
    """Structures above the depth are the same; merged ones lead to the ancestor that holds them."""
    atlas = Atlas.from_path(allen_100um)
    rows = query.diff(atlas, atlas.group(depth)).migration.set_index("id")
    for structure in atlas.structures.values():
        if structure.depth <= depth:
            assert rows.loc[structure.id, "note"] == "kept"
