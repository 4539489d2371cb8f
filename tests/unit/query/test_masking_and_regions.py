"""Masks and region tables asked of an atlas: what it hands out, and what it refuses."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas, query
from bg_atlasapi.errors import InvalidInputError, UnknownStructureError
from bg_atlasapi.query.region_pass import region_sums


@pytest.fixture
def atlas() -> BrainGlobeAtlas:
    """Return the embedded atlas, opened anew."""
    return BrainGlobeAtlas("phantom_mouse_100um")


def test_masks_agree_with_those_of_1x(atlas: BrainGlobeAtlas) -> None:
    """One engine: the mask of a structure is the one that ``get_structure_mask`` makes."""
    for acronym in ("root", "CTX", "VISp", "CA1"):
        ids = atlas.mask(acronym, values="id")
        np.testing.assert_array_equal(ids, atlas.get_structure_mask(acronym))
        np.testing.assert_array_equal(atlas.mask(acronym), ids > 0)
        assert atlas.mask(acronym).dtype == np.uint8


def test_structures_are_named_in_any_way(atlas: BrainGlobeAtlas) -> None:
    """Id, numpy id, acronym, name and object name the same voxels, alone and in a list."""
    expected = atlas.mask("VISp")
    for key in (385, np.uint32(385), "Primary visual area", atlas.structures["VISp"]):
        np.testing.assert_array_equal(atlas.mask(key), expected)
        np.testing.assert_array_equal(atlas.mask([key]), expected)


def test_the_array_in_turn_is_one_and_ends_empty(atlas: BrainGlobeAtlas) -> None:
    """Whole masks come in one array, cleared between; cropped ones are arrays of their own."""
    seen = [(found.array, int(found.array.sum())) for found in query.masks(atlas, ["CA1", "TH"])]
    assert seen[0][0] is seen[1][0]
    assert [total for _, total in seen] == [19960, 18028]
    assert not seen[0][0].any()
    first, second = query.masks(atlas, ["CA1", "TH"], crop=True)
    assert first.array is not second.array


def test_a_structure_without_voxels(atlas: BrainGlobeAtlas) -> None:
    """It has an empty mask, an empty crop, and a row that says so."""
    atlas.annotation[atlas.annotation == 549] = 0
    assert not atlas.mask("TH").any()
    array, offset = atlas.mask("TH", crop=True)
    assert (array.shape, offset) == ((0, 0, 0), (0, 0, 0))
    row = atlas.region_table().set_index("acronym").loc["TH"]
    assert row["voxels"] == 0
    assert np.isnan(row["centroid_ap_um"])
    assert query.components(atlas, "TH").empty


def test_edited_and_assigned_labels_are_what_is_counted(atlas: BrainGlobeAtlas) -> None:
    """Tables follow the array that was edited, then the one that was assigned, then the file."""
    before = atlas.region_table()
    atlas.annotation[0, 0, :3] = 549
    after = atlas.region_table()
    thalamus = (after["acronym"] == "TH").to_numpy().argmax()
    assert after["voxels"][thalamus] == before["voxels"][thalamus] + 3
    atlas.annotation[0, 0, :3] = 0
    assert atlas.region_table().equals(before)
    atlas.annotation = np.full((2, 3, 4), 549, np.uint32)
    assert atlas.region_table()["voxels"][thalamus] == 24
    del atlas.annotation
    assert atlas.region_table().equals(before)


def test_a_table_is_the_callers_own(atlas: BrainGlobeAtlas) -> None:
    """What a caller does to a table does not show in the next one."""
    table = atlas.region_table()
    table["voxels"] = 0
    table.loc[0, "acronym"] = "mine"
    again = atlas.region_table()
    assert again["voxels"][0] == 365522
    assert again["acronym"][0] == "root"


def test_other_hemispheres_are_counted_anew(atlas: BrainGlobeAtlas) -> None:
    """Sides that a caller assigns are used, though the sums were kept."""
    first = atlas.region_table()
    assert first["left_mm3"][0] == first["right_mm3"][0]
    atlas.hemispheres = np.full(atlas.shape, 1, np.uint8)
    second = atlas.region_table()
    assert second["left_mm3"][0] == second["volume_mm3"][0]
    assert second["right_mm3"][0] == 0


def test_another_voxel_size_scales_the_table(atlas: BrainGlobeAtlas) -> None:
    """Volumes and places follow the voxel size that metadata state."""
    first = atlas.region_table()
    atlas.resolution = (50, 100, 200)
    second = atlas.region_table()
    assert second["volume_mm3"][0] == pytest.approx(first["volume_mm3"][0])
    assert second["centroid_ap_um"][0] == pytest.approx(first["centroid_ap_um"][0] / 2)
    assert second["centroid_lr_um"][0] == pytest.approx(first["centroid_lr_um"][0] * 2)


BAD: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    ("nowhere", {}, UnknownStructureError, "nowhere"),
    (["VISp", 0], {}, UnknownStructureError, "0"),
    ([], {}, InvalidInputError, "at least one"),
    ({}, {}, InvalidInputError, "at least one"),
    ({"one": []}, {}, InvalidInputError, "at least one"),
    ({"one": ["CA1"], "two": ["TH", "CA1"]}, {}, InvalidInputError, "'one' and 'two'"),
    ({0: "CA1"}, {}, InvalidInputError, "whole number from 1"),
    ({2**32: "CA1"}, {}, InvalidInputError, "whole number from 1"),
    ({5: "CA1", "two": "TH"}, {}, InvalidInputError, "not a mixture"),
    (None, {}, UnknownStructureError, "None"),
    (3.5, {}, UnknownStructureError, "3.5"),
    ("CA1", {"hemisphere": "top"}, InvalidInputError, "'left'"),
    ("CA1", {"hemisphere": 1}, InvalidInputError, "'left'"),
    ("CA1", {"values": "mean"}, InvalidInputError, "'binary' or 'id'"),
]


@pytest.mark.parametrize(("structures", "options", "kind", "said"), BAD)
def test_what_cannot_be_masked_is_refused(
    atlas: BrainGlobeAtlas,
    structures: Any,
    options: dict[str, Any],
    kind: type[Exception],
    said: str,
) -> None:
    """Unknown structures, empty lists, groups that share and wrong options are one sentence."""
    with pytest.raises(kind, match=said):
        atlas.mask(structures, **options)


def test_questions_are_asked_of_an_atlas() -> None:
    """Something else is refused by name."""
    with pytest.raises(InvalidInputError, match="not of ndarray"):
        query.region_table(np.zeros((2, 2, 2)))


def test_questions_are_listed_and_misspelled_ones_are_not_there() -> None:
    """``dir`` shows what can be asked; another name is an ``AttributeError``."""
    assert {"mask", "masks", "neighbours", "region_table", "components"} <= set(dir(query))
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = query.nothing_such


def test_unknown_neighbours_are_refused(atlas: BrainGlobeAtlas) -> None:
    """A structure that is not there, and a depth that is none, are sentences."""
    with pytest.raises(UnknownStructureError, match="XYZ"):
        query.neighbours(atlas, "XYZ")
    with pytest.raises(InvalidInputError, match="depth"):
        query.neighbours(atlas, "TH", at=True)


def test_neighbours_at_a_depth_are_ancestors(atlas: BrainGlobeAtlas) -> None:
    """Rolled up, the same faces are there; those between children of one ancestor are inside."""
    plain = query.neighbours(atlas, "TH")
    rolled = query.neighbours(atlas, "TH", at=2)
    assert rolled["faces"].sum() <= plain["faces"].sum()
    depths = {atlas.structures[int(one)].depth for one in rolled["neighbour_id"] if one}
    assert max(depths) <= 2


def test_dust_has_as_many_parts_as_grains(atlas: BrainGlobeAtlas) -> None:
    """A checkerboard of 100,000 voxels is as many parts; work that grew with the square never ends."""
    grains = np.indices((60, 60, 56)).sum(axis=0) % 2
    atlas.annotation = (grains * 549).astype(np.uint32)
    parts = query.components(atlas, "TH")
    assert len(parts) == grains.sum()
    assert (parts["voxels"] == 1).all()
    places = np.argwhere(grains)
    np.testing.assert_array_equal(parts[["start_ap", "start_dv", "start_lr"]], places)
    np.testing.assert_allclose(parts["centroid_lr_um"], (places[:, 2] + 0.5) * 100)


def test_arrays_that_were_read_and_not_edited_lose_nothing(atlas: BrainGlobeAtlas) -> None:
    """What was worked out is found again after the annotation and hemispheres were handed out."""
    first = region_sums(atlas._subject(every_voxel=True))
    assert (atlas.hemispheres > 0).all()
    assert atlas.annotation.any()
    assert region_sums(atlas._subject(every_voxel=True)) is first
    atlas.hemispheres[:, :, 50] = 1  # an edit in place
    edited = region_sums(atlas._subject(every_voxel=True))
    assert edited.voxels[2].sum() < first.voxels[2].sum()
    atlas.hemispheres[:, :, 50] = 2
    again = region_sums(atlas._subject(every_voxel=True))
    np.testing.assert_array_equal(again.voxels, first.voxels)


@pytest.mark.parametrize("hemisphere", ["both", "left"])
@pytest.mark.parametrize("structures", [["VISp", "CA1", "TH", "MB", "CBX", "OLF"], {7: "grey"}])
def test_filling_takes_no_memory_beside_the_mask(
    atlas: BrainGlobeAtlas, structures: Any, hemisphere: str
) -> None:
    """A large cropped mask is filled in blocks: temporaries are small against it."""
    atlas.annotation = atlas.annotation.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    subject = atlas._subject(every_voxel=True)
    region_sums(subject)
    tracemalloc.start()
    try:
        array, _ = query.mask(subject, structures, hemisphere, "id", crop=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    whole = array.nbytes * (3 if hemisphere == "left" else 1)
    assert peak < whole + 12_000_000


def test_all_masks_share_one_type(atlas: BrainGlobeAtlas) -> None:
    """Ids of every size come in one array, whose type holds the largest; cropped ones are alike."""
    found = list(query.masks(atlas, ["VISp", "CTX", "root"], values="id"))
    assert len({id(one.array) for one in found}) == 1
    assert found[0].array.dtype == np.uint16
    boxes = query.masks(atlas, ["grey", "root"], values="id", crop=True)
    assert [one.array.dtype for one in boxes] == [np.uint16, np.uint16]
