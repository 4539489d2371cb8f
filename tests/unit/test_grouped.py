"""Grouped atlases: everything an atlas can be asked, of groups."""

from __future__ import annotations

import copy
import dataclasses
import gc
import math
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import (
    AtlasError,
    GroupingWarning,
    IncompleteAtlasError,
    InvalidInputError,
    UnknownStructureError,
)
from bg_atlasapi.query.grouping import Grouping
from bg_atlasapi.testing import tiny_package

TH = (71, 39, 45)
NAMED = {"forebrain": ["CH", "TH"], "rest": ["MB"]}


@pytest.fixture
def atlas() -> BrainGlobeAtlas:
    """Open the embedded atlas."""
    return BrainGlobeAtlas("phantom_mouse_100um")


def same_voxels(mask: Any, *others: Any) -> bool:
    """Say whether a mask is the union of others."""
    return np.array_equal(mask > 0, np.logical_or.reduce([one > 0 for one in others]))


def test_a_grouped_atlas_is_an_atlas(atlas: BrainGlobeAtlas) -> None:
    """Structures, tree, tables, volumes and scalar questions answer as any atlas does."""
    groups = atlas.group(NAMED, name="two")
    assert isinstance(groups, Atlas)
    assert groups.structures["forebrain"].name == "forebrain"
    assert groups.structures["forebrain"]["rgb_triplet"] == atlas.structures["CH"].rgb_triplet
    assert groups.structures["rest"].parent is groups.structures["root"]
    assert [n.tag for n in groups.hierarchy.children(997)] == [
        "forebrain (10001)",
        "rest (10002)",
    ]
    assert groups.lookup_df["acronym"].tolist() == ["root", "forebrain", "rest"]
    assert [one["id"] for one in groups.structures_list] == [997, 10001, 10002]
    assert groups.structure_from_coords(TH) == 10001
    assert groups.structure_from_coords(TH, as_acronym=True) == "forebrain"
    assert groups.structure_from_coords([TH, (0, 0, 0)]).tolist() == [10001, 0]
    assert groups.structure_from_coords(TH, hierarchy_lev=0) == 997
    assert groups.get_structure_descendants("root") == ["forebrain", "rest"]
    assert groups.get_structure_ancestors("rest") == ["root"]
    assert groups.hemisphere_from_coords(TH) == atlas.hemisphere_from_coords(TH)
    assert (groups.shape, groups.resolution, groups.orientation) == (
        *(atlas.shape, atlas.resolution),
        atlas.orientation,
    )
    assert np.array_equal(groups.reference, atlas.reference)
    assert np.array_equal(groups.hemispheres, atlas.hemispheres)
    assert set(groups.additional_references) == set(atlas.additional_references)
    assert groups.atlas_name == "phantom_mouse_100um"
    assert groups.metadata["name"].endswith("-two")
    assert groups.metadata["grouping"]["structures"] == 3
    assert "69.1 %" in repr(groups)


def test_masks_and_the_annotation_are_unions(atlas: BrainGlobeAtlas) -> None:
    """Voxels of a group are those of its structures; the root's mask stays; nothing is lost."""
    groups = atlas.group(NAMED)
    parts = [atlas.get_structure_mask(one) for one in NAMED["forebrain"]]
    mask = groups.get_structure_mask("forebrain")
    assert same_voxels(mask, *parts)
    assert set(np.unique(mask)) == {0, 10001}
    assert same_voxels(groups.get_structure_mask("root"), atlas.get_structure_mask("root"))
    assert np.array_equal(groups.annotation == 10001, mask > 0)
    lazy = groups.volumes["annotation"]
    assert np.array_equal(lazy[60:70, ::3, 5], groups.annotation[60:70, ::3, 5])
    assert np.array_equal(np.asarray(lazy), groups.annotation)
    assert np.array_equal(lazy.level(200)[30], groups.volumes["annotation"].level(200)[30])
    assert np.array_equal(groups.mask("forebrain"), (mask > 0).astype(np.uint8))
    table = groups.region_table().set_index("acronym")
    assert table.loc["forebrain", "voxels"] == np.count_nonzero(mask)


def test_edits_of_the_base_and_of_its_own_show(atlas: BrainGlobeAtlas) -> None:
    """A grouped atlas answers from what the base holds now, and from its own array once edited."""
    groups = atlas.group(["TH"])
    before = np.count_nonzero(groups.get_structure_mask("TH"))
    atlas.annotation[TH] = 0
    assert groups.structure_from_coords(TH) == 0
    assert np.count_nonzero(groups.get_structure_mask("TH")) == before - 1
    groups.annotation[TH] = 549
    assert groups.structure_from_coords(TH) == 549
    assert np.count_nonzero(groups.get_structure_mask("TH")) == before
    assert atlas.structure_from_coords(TH) == 0
    atlas.hemispheres[TH] = 1
    sides = atlas.group(["TH"], lateralise=True)
    atlas.annotation[TH] = 549
    assert sides.structure_from_coords(TH, as_acronym=True) == "TH-L"


def test_a_list_keeps_its_hierarchy(atlas: BrainGlobeAtlas) -> None:
    """Nested structures of a list stay nested, without a warning: the deepest wins."""
    groups = atlas.group(["CTX", "VISp", atlas.structures["TH"], 512])
    assert groups.structures["VISp"].parent.acronym == "CTX"
    assert groups.structures["VISp"].id == 385
    assert not len(groups.coverage().overlaps)
    where = np.argwhere(atlas.get_structure_mask("VISp"))[0]
    assert groups.lookup(where, "voxel")["acronym"][0] == "VISp"


def test_structures_are_given_in_any_form(atlas: BrainGlobeAtlas) -> None:
    """One structure, a tuple, a set, an array of ids or a column name the same groups."""
    import pandas as pd

    expected = atlas.group(["TH", "CTX"]).grouping
    spellings = (("TH", "CTX"), {"TH", "CTX"}, np.array([549, 688]), pd.Series([549, 688]))
    for by in spellings:
        assert atlas.group(by).grouping == expected
    assert atlas.group(by=atlas.structures["TH"]).grouping == atlas.group([549]).grouping
    groups = {"a": np.array([549]), "b": [atlas.structures["CTX"]]}
    assert atlas.group(groups).lookup_df["acronym"].tolist() == ["root", "a", "b"]
    assert atlas.group(prune=np.array([549])).grouping.outside == (549,)
    assert atlas.group(atlas.group(["TH"])).grouping == atlas.group(["TH"]).grouping
    moved = atlas.group({np.uint32(385): np.int64(7000), "TH": atlas.structures["CTX"]})
    assert moved.structures["VISp"].id == 7000


def test_a_depth_by_position_and_by_name(atlas: BrainGlobeAtlas) -> None:
    """Both give the structures down to there, and lookup answers as with at=."""
    groups = atlas.group(3)
    assert groups.grouping == atlas.group(depth=3).grouping
    assert max(one.depth for one in groups.structures.values()) == 3
    points = np.random.default_rng(1).uniform(0, atlas.shape_um, (2000, 3))
    assert groups.lookup(points)["id"].tolist() == atlas.lookup(points, at=3)["id"].tolist()


def test_a_mapping_moves_voxels_and_leaves_the_rest(atlas: BrainGlobeAtlas) -> None:
    """A structure's voxels become another's or a new id's; everything else is as it was."""
    groups = atlas.group({"VISp": "TH", 315: 5000, "MB": 5001, "HPF": 5001})
    assert same_voxels(
        groups.get_structure_mask("TH"),
        *(atlas.get_structure_mask(one) for one in ("TH", "VISp")),
    )
    assert groups.structures[5000].acronym == "Isocortex"
    assert groups.structures[5001].name == "MB + HPF"
    assert groups.structures[5001].parent.acronym == "grey"
    assert "FRP" not in groups.structures
    untouched = atlas.get_structure_mask("cc")
    assert np.array_equal(groups.get_structure_mask("cc"), untouched)


def test_prune_collapse_and_small_ones(atlas: BrainGlobeAtlas) -> None:
    """What is pruned is outside, what lies below collapsed ones or is small goes to its parent."""
    pruned = atlas.group(prune=["CTX"])
    assert "VISp" not in pruned.structures
    assert not (pruned.annotation[atlas.get_structure_mask("CTX") > 0]).any()
    collapsed = atlas.group(collapse="CTX")
    assert collapsed.structures["CTX"].children == []
    assert collapsed.structures["TH"].id == atlas.structures["TH"].id
    assert np.array_equal(collapsed.get_structure_mask("CTX"), atlas.get_structure_mask("CTX"))
    large = atlas.group(min_volume_mm3=5)
    volumes = atlas.region_table().set_index("acronym")["volume_mm3"]
    kept = {one.acronym for one in large.structures.values()}
    assert kept == {*volumes.index[volumes >= 5], "root"}
    assert large.grouping.name == "merged"


def test_left_and_right(tmp_path: Path) -> None:
    """Sides of an asymmetric atlas are the stored ones; ids and acronyms are as documented."""
    atlas = Atlas.from_path(tiny_package(tmp_path, symmetric=False))
    sides = atlas.group(lateralise=True)
    assert sides.structures["CTX-L"].id == 1000000688
    assert sides.structures["CTX-R"].id == 2000000688
    for acronym in ("CTX", "BS", "root"):
        mask = atlas.get_structure_mask(acronym) > 0
        for side, value in (("L", 1), ("R", 2)):
            half = sides.get_structure_mask(f"{acronym}-{side}") > 0
            assert np.array_equal(half, mask & (atlas.hemispheres == value))
    left = sides.mesh_from_structure("CTX-L")
    assert 0 < len(left.cells[0].data) < len(atlas.mesh_from_structure("CTX").cells[0].data)


def test_meshes_are_unions(atlas: BrainGlobeAtlas) -> None:
    """An unchanged structure has its published mesh; a group that of its structures together."""
    groups = atlas.group(NAMED)
    parts = [atlas.mesh_from_structure(one) for one in NAMED["forebrain"]]
    mesh = groups.mesh_from_structure("forebrain")
    assert len(mesh.points) == sum(len(part.points) for part in parts)
    assert len(mesh.cells) == 1
    assert mesh.cells_dict["triangle"].max() == len(mesh.points) - 1
    path = groups.meshfile_from_structure("forebrain")
    assert path.is_file()
    from bg_atlasapi.formats.mesh_files import read_obj

    written = read_obj(path)
    assert np.allclose(written.points, mesh.points, atol=1e-4)
    kept = atlas.group(["CTX"])
    assert kept.meshfile_from_structure("CTX") == atlas.meshfile_from_structure("CTX")
    assert groups.root_meshfile() == atlas.root_meshfile()
    half = atlas.group(lateralise=True).mesh_from_structure("root-R")
    assert half.points[:, 2].max() == pytest.approx(atlas.shape_um[2] / 2)
    folder = path.parent
    del groups, path
    gc.collect()
    assert not folder.exists()


def test_a_group_without_meshes_says_so(tmp_path: Path) -> None:
    """Where no structure of a group has a mesh, its mesh is an error and its file is not there."""
    folder = tiny_package(tmp_path)
    for file in (folder / "meshes").glob("*.obj"):
        file.unlink()
    groups = Atlas.from_path(folder).group({"a": ["CTX"]})
    assert not groups.meshfile_from_structure("a").exists()
    with pytest.raises(IncompleteAtlasError, match="mesh"):
        groups.mesh_from_structure("a")


def test_groupings_chain(atlas: BrainGlobeAtlas) -> None:
    """Groups of groups are looked up, measured and pickled like groups."""
    twice = atlas.group(NAMED).group(["forebrain"]).group(lateralise=True)
    assert twice.structure_from_coords(TH, as_acronym=True) == "forebrain-R"
    mask = twice.get_structure_mask("forebrain-R") > 0
    inside = atlas.group(NAMED).get_structure_mask("forebrain") > 0
    assert np.array_equal(mask, inside & (atlas.hemispheres == 2))
    assert pickle.loads(pickle.dumps(twice)).structure_from_coords(TH) == 210001
    assert len(twice.mesh_from_structure("forebrain-R").points)


def test_copies_carry_references(atlas: BrainGlobeAtlas) -> None:
    """Pickles and deep copies are small, answer the same, and work in another process."""
    groups = atlas.group(NAMED)
    assert groups.lookup(TH, "voxel")["id"][0] == 10001
    data = pickle.dumps(groups)
    assert len(data) < 10_000
    for twin in (pickle.loads(data), copy.deepcopy(groups)):
        assert twin.grouping == groups.grouping
        assert np.array_equal(twin.annotation, groups.annotation)
    script = (
        "import pickle, sys; print(pickle.load(sys.stdin.buffer).structure_from_coords((71,39,45)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=data, capture_output=True, check=True
    )
    assert done.stdout.strip() == b"10001"


def test_masks_by_side_and_cropped(tmp_path: Path) -> None:
    """Masks of groups, whole, cropped and in turn, are those of the arrays; sides are the base's."""
    from bg_atlasapi import query

    atlas = Atlas.from_path(tiny_package(tmp_path, symmetric=False))
    for groups in (atlas.group({"a": ["CTX", "BS"]}), atlas.group(2, lateralise=True)):
        labels, sides = groups.annotation, atlas.hemispheres
        fresh = pickle.loads(pickle.dumps(groups))
        for structure in groups.structures.values():
            below = [structure.id, *(one.id for one in structure.descendants)]
            truth = np.isin(labels, below)
            assert np.array_equal(fresh.mask(structure), truth.astype(np.uint8))
            left = fresh.mask(structure, hemisphere="left")
            assert np.array_equal(left > 0, truth & (sides == 1))
            box, offset = fresh.mask(structure, crop=True)
            part = tuple(slice(o, o + n) for o, n in zip(offset, box.shape, strict=True))
            assert int(box.sum()) == np.count_nonzero(truth)
            assert np.array_equal(box > 0, truth[part])
        for identifier, _, array, _ in query.masks(fresh):
            structure = groups.structures[identifier]
            below = [structure.id, *(one.id for one in structure.descendants)]
            assert np.array_equal(array > 0, np.isin(labels, below))


def test_workers_open_it_once(atlas: BrainGlobeAtlas) -> None:
    """A reference to a grouped atlas is small, and opens to the same object in a process."""
    from bg_atlasapi.query.sharing import SharedAtlas

    shared = SharedAtlas.of(atlas.group(lateralise=True))
    assert len(shared.payload) < 10_000
    assert shared.open() is SharedAtlas(shared.payload).open()
    assert shared.open().structure_from_coords(TH, as_acronym=True) == "TH-R"


def test_lookup_at_a_grouping(atlas: BrainGlobeAtlas, tmp_path: Path) -> None:
    """A grouping, or the atlas it made, is an at= of lookup; a saved one is a by= of group."""
    groups = atlas.group(NAMED, name="two")
    points = np.random.default_rng(1).uniform(0, atlas.shape_um, (500, 3))
    expected = groups.lookup(points)
    for at in (groups.grouping, groups):
        assert atlas.lookup(points, at=at).equals(expected)
    path = tmp_path / "two.json"
    groups.grouping.save(path)
    for by in (path, str(path), Grouping.load(path), groups.grouping):
        assert atlas.group(by).lookup(points).equals(expected)
    renamed = atlas.group(path, name="other", lateralise=True)
    assert (renamed.grouping.name, renamed.grouping.lateralised) == ("other", True)


def test_a_grouping_may_come_with_an_atlas(tmp_path: Path) -> None:
    """A file in the atlas's folder is found by name; what is not there is said, with what is."""
    folder = tiny_package(tmp_path)
    atlas = Atlas.from_path(folder)
    with pytest.raises(InvalidInputError, match="has none"):
        atlas.group("coarse")
    (folder / "groupings").mkdir()
    atlas.group({"all": ["grey"]}, name="coarse").grouping.save(
        folder / "groupings" / "coarse.json"
    )
    assert "all" in atlas.group("coarse").structures
    with pytest.raises(InvalidInputError, match="it has coarse"):
        atlas.group("fine")


def test_overlaps_and_gaps_are_reported(atlas: BrainGlobeAtlas) -> None:
    """Named groups that overlap warn and are listed with their voxels; gaps are listed, too."""
    with pytest.warns(GroupingWarning, match="VISp is in 'y', and below a structure of 'x'"):
        groups = atlas.group({"x": ["CTX"], "y": ["VISp"]})
    coverage = groups.coverage()
    voxels = np.count_nonzero(atlas.get_structure_mask("VISp"))
    (row,) = coverage.overlaps.itertuples()
    assert (row.acronym, row.group, row.within, row.voxels) == ("VISp", "y", "x", voxels)
    assert row.mm3 == pytest.approx(voxels / 1000)
    assert np.count_nonzero(groups.get_structure_mask("y")) == voxels
    assert "TH" in coverage.gaps["acronym"].tolist()
    assert set(coverage.gaps["reason"]) == {"in no group"}
    pruned = atlas.group(["CTX"], prune=["TH"]).coverage()
    assert dict(zip(pruned.gaps["acronym"], pruned.gaps["reason"], strict=True))["TH"] == "left out"
    assert math.isclose(coverage.share, coverage.covered_mm3 / coverage.mm3)


@pytest.mark.parametrize("layout", ["components", "packaged"])
def test_groups_are_exported_under_a_name_of_their_own(
    atlas: BrainGlobeAtlas, tmp_path: Path, layout: str
) -> None:
    """An export holds groups, meshes and volumes, beside one of the base, and opens again."""
    groups = atlas.group(NAMED, name="two")
    atlas.export(tmp_path, format=layout)
    path = groups.export(tmp_path, format=layout)
    assert "phantom_mouse-two_100um" in str(path)
    opened = Atlas.from_path(path)
    assert np.array_equal(opened.annotation, groups.annotation)
    assert [one["acronym"] for one in opened.structures_list] == ["root", "forebrain", "rest"]
    assert len(opened.mesh_from_structure("forebrain").points)
    again = BrainGlobeAtlas("phantom_mouse_100um", brainglobe_dir=tmp_path, check_latest=False)
    assert np.array_equal(again.annotation, atlas.annotation)


def test_an_export_may_have_a_name_with_blanks(atlas: BrainGlobeAtlas, tmp_path: Path) -> None:
    """What no folder of an atlas has in its name is replaced; left and right have their meshes."""
    groups = atlas.group(["CTX"], prune=["TH"], lateralise=True, name="no thalamus / at all")
    path = groups.export(tmp_path, format="packaged")
    assert path.name == "phantom_mouse-no-thalamus-at-all_100um_v1.0"
    opened = Atlas.from_path(path)
    assert np.array_equal(opened.annotation, groups.annotation)
    assert len(opened.mesh_from_structure("CTX-L").points)


def test_a_structure_without_a_mesh_gets_that_of_its_parts(tmp_path: Path) -> None:
    """A structure that stays as it is, and has no mesh, is given those of the ones below it."""
    folder = tiny_package(tmp_path)
    (folder / "meshes" / "8.obj").unlink()
    groups = Atlas.from_path(folder).group(["grey"])
    parts = [Atlas.from_path(folder).mesh_from_structure(one) for one in ("CH", "BS")]
    assert len(groups.mesh_from_structure("grey").points) == sum(len(p.points) for p in parts)
    assert groups.meshfile_from_structure("grey").is_file()


def test_provenance_says_the_grouping_and_edits_below(atlas: BrainGlobeAtlas) -> None:
    """The record of a result names and hashes the grouping, and tells of an edited base."""
    from bg_atlasapi.formats.provenance import provenance_of

    groups = atlas.group(["TH"])
    record = provenance_of(groups, "count", {"unit": "um"})
    assert record.options["grouping"] == "selection"
    assert len(record.options["grouping_sha256"]) == 64
    assert record.edited == ()
    atlas.annotation[TH] = 0
    assert provenance_of(groups, "count").edited == ("annotation",)


def test_a_lazy_volume_of_groups_travels(atlas: BrainGlobeAtlas) -> None:
    """A pickled volume, and a dask array of it, hold the groups."""
    volume = atlas.group(NAMED, lateralise=True).volumes["annotation"]
    assert np.array_equal(pickle.loads(pickle.dumps(volume))[60], volume[60])
    assert np.array_equal(volume.dask()[60:62].compute(), volume[60:62])


BAD: list[tuple[Any, dict[str, Any], str]] = [
    (None, {}, "Say how to group"),
    (None, {"name": "x"}, "Say how to group"),
    (5, {"depth": 5}, "not by both"),
    (-1, {}, "whole number"),
    (True, {}, "whole number|depth"),
    (2.5, {}, "Group by a depth"),
    ([], {}, "empty"),
    ({}, {}, "empty"),
    (b"CTX", {}, "Group by a depth"),
    ("CTX", {}, r"\['CTX'\]"),
    ("nowhere/grouping.json", {}, "cannot be read"),
    ({"a": []}, {}, "lists no structures"),
    ({"": ["CTX"]}, {}, "name of a group"),
    ({5: ["CTX"]}, {}, "name of a group"),
    ({"a": ["CTX"], "b": "TH"}, {}, "not both"),
    ({"a": ["CTX"], "b": ["CTX"]}, {}, "CTX is asked into both 'a' and 'b'"),
    ({"cortex": "CTX"}, {}, "is given a list"),
    ({"CTX": 0}, {}, "prune="),
    ({"CTX": -5}, {}, "prune="),
    ({"CTX": "TH"}, {"prune": ["TH"]}, "both cannot be"),
    ({"CTX": "TH"}, {"min_volume_mm3": 1}, "does not go with"),
    (None, {"min_volume_mm3": 0}, "positive"),
    (None, {"min_volume_mm3": math.nan}, "positive"),
    (None, {"min_volume_mm3": math.inf}, "positive"),
    (None, {"min_volume_mm3": "1"}, "positive"),
    (None, {"prune": ["root"]}, "leave nothing"),
    (None, {"prune": 2.5}, "takes structures"),
    ({"root": ["CTX"]}, {}, "'root' is the root"),
    (None, {"collapse": True}, "takes structures"),
    (None, {"lateralise": 1}, "True or False"),
    (3, {"name": 5}, "is a text"),
    (np.array([]), {}, "empty"),
    ({"CTX": "TH"}, {"collapse": np.array([385])}, "does not go with"),
]


@pytest.mark.parametrize(("by", "options", "said"), BAD, ids=str)
def test_what_cannot_be_understood_is_said(
    atlas: BrainGlobeAtlas, by: Any, options: dict[str, Any], said: str
) -> None:
    """Each mistake has a sentence of its own, never a bare traceback."""
    with pytest.raises(InvalidInputError, match=said):
        atlas.group(by, **options)


@pytest.mark.parametrize(
    "by", [["nonsense"], {"a": ["nonsense"]}, {"nonsense": 5}, [10**30], [math.nan], [None]]
)
def test_unknown_structures_are_named(atlas: BrainGlobeAtlas, by: Any) -> None:
    """A structure that the atlas lacks is an UnknownStructureError, with close matches."""
    with pytest.raises(UnknownStructureError):
        atlas.group(by)
    with pytest.raises(UnknownStructureError):
        atlas.group(prune=["nonsense"])


def test_a_grouping_of_another_atlas_lists_what_is_missing(
    atlas: BrainGlobeAtlas, tmp_path: Path
) -> None:
    """Ids that an atlas lacks are listed, and which atlas the grouping was made for."""
    other = Atlas.from_path(tiny_package(tmp_path))
    with pytest.raises(InvalidInputError, match=r"ids 549.*phantom_mouse_100um 1\.0"):
        other.group(atlas.group(["TH", "CTX"]).grouping)
    with pytest.raises(AtlasError, match="Open the atlas itself"):
        type(atlas.group(2)).from_path(tmp_path)


def test_a_grouping_of_another_atlas_warns_where_ids_happen_to_exist(
    atlas: BrainGlobeAtlas,
) -> None:
    """The same ids may mean other regions; another voxel size or version of the atlas may not."""
    made = atlas.group(["TH", "CTX"]).grouping
    strange = dataclasses.replace(made, atlas="allen_mouse_25um")
    with pytest.warns(GroupingWarning, match="made for allen_mouse_25um, this atlas is phantom"):
        atlas.group(strange)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("phantom_mouse_25um", "phantom_mouse_12.5um", "phantom_mouse", ""):
            atlas.group(dataclasses.replace(made, atlas=name, version="9.9"))


def test_ids_that_leave_no_room(tmp_path: Path) -> None:
    """Next to an id of 2**32 - 1, left and right get numbers that are free."""
    from bg_atlasapi.testing import write_package

    rows = [("root", [997]), ("A", [997, 1]), ("B", [997, 2**32 - 1])]
    structures = [
        {"acronym": a, "id": p[-1], "name": a, "structure_id_path": p, "rgb_triplet": [1, 2, 3]}
        for a, p in rows
    ]
    labels = np.full((2, 3, 4), 2**32 - 1, np.uint32)
    labels[0] = 1
    folder = write_package(
        tmp_path,
        name="odd_100um",
        annotation=labels,
        reference=labels.astype(np.uint16),
        structures=structures,
        resolution=(100, 100, 100),
    )
    sides = Atlas.from_path(folder).group(lateralise=True)
    ids = [one["id"] for one in sides.structures_list]
    assert sorted(ids) == [997, *range(10001, 10007)]
    assert sides.annotation.dtype == np.uint32
    assert (sides.get_structure_mask("B-L") > 0).sum() == 6
