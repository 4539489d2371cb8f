"""The two real Allen atlases, against facts known of them and against brute force."""

from __future__ import annotations

import json
import pprint
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.testing import write_package

KNOWN = {
    "allen_mouse_25um": ((528, 320, 456), 25.0, 671),
    "allen_mouse_100um": ((132, 80, 114), 100.0, None),
}
SAMPLE = ("root", "grey", "CTX", "VISp", "TH", "fiber tracts", "VISp2/3", "CP")


def test_volumes_have_the_published_shape_and_type(atlas: BrainGlobeAtlas) -> None:
    """Shape, voxel size, types: what the data's README states, not what the files repeat."""
    shape, size, _ = KNOWN[atlas.atlas_name]
    assert atlas.shape == atlas.annotation.shape == atlas.reference.shape == shape
    assert atlas.hemispheres.shape == shape
    assert atlas.resolution == (size, size, size)
    assert atlas.shape_um == tuple(count * size for count in shape)
    assert atlas.annotation.dtype == np.uint32
    assert atlas.reference.dtype == np.uint16


def test_lookup_df_lists_every_structure_once(atlas: BrainGlobeAtlas) -> None:
    """The table has one row per entry of structures.json, in its order."""
    entries = json.loads((atlas.root_dir / "structures.json").read_bytes())
    table = atlas.lookup_df
    assert list(table.columns) == ["acronym", "id", "name"]
    assert len(table) == 840
    for column in table.columns:
        assert table[column].tolist() == [entry[column] for entry in entries]


def test_a_structure_prints_as_the_documentation_of_1x_shows(atlas: BrainGlobeAtlas) -> None:
    """Printing a structure prettily shows the dictionary with its documented keys and values."""
    structure = atlas.structures["VISp"]
    text = pprint.pformat(structure)
    for piece in (
        "'acronym': 'VISp'",
        "'id': 385",
        "'mesh': None",
        "'mesh_filename': ",
        "'name': 'Primary visual area'",
        "'rgb_triplet': [8, 133, 140]",
        "'structure_id_path': [997, 8, 567, 688, 695, 315, 669, 385]",
    ):
        assert piece in text
    assert structure["mesh_filename"] == atlas.root_dir / "meshes" / "385.obj"


@pytest.mark.parametrize("acronym", SAMPLE)
def test_masks_equal_brute_force(atlas: BrainGlobeAtlas, acronym: str) -> None:
    """The mask of a structure is where any structure whose path holds it is annotated."""
    wanted = atlas.structures[acronym]["id"]
    below = [entry["id"] for entry in atlas.structures_list if wanted in entry["structure_id_path"]]
    table = np.unique(atlas.annotation)
    inside = np.isin(table, below)  # on the few ids, so that 77 M voxels take no minute
    expected = np.zeros(atlas.shape, np.bool_)
    for first in range(0, atlas.shape[0], 64):
        part = slice(first, first + 64)
        expected[part] = inside[np.searchsorted(table, atlas.annotation[part])]
    mask = atlas.get_structure_mask(acronym)
    assert mask.dtype == atlas.annotation.dtype
    assert np.array_equal(mask != 0, expected)
    assert mask.max() == wanted


def test_every_mask_of_the_small_atlas_equals_isin(allen_100um: Path) -> None:
    """All 840 masks at 100 µm, voxel by voxel, against plain np.isin of a slab of ids."""
    atlas = BrainGlobeAtlas.from_path(allen_100um)
    annotation = np.asarray(atlas.annotation)
    ids, where = np.unique(annotation, return_inverse=True)
    where = where.reshape(annotation.shape).astype(np.uint16)
    for structure in atlas.structures_list:
        wanted = structure["id"]
        below = [
            entry["id"] for entry in atlas.structures_list if wanted in entry["structure_id_path"]
        ]
        expected = (np.isin(ids, below) * wanted).astype(np.uint32)[where]
        assert np.array_equal(atlas.get_structure_mask(wanted), expected), structure["acronym"]


def test_ids_survive_the_way_to_codes_and_back(atlas: BrainGlobeAtlas) -> None:
    """Codes lose nothing: the coded volume gives back the ids of the file, voxel by voxel."""
    labels = atlas._model.labels
    codes = labels.coded.codes
    assert codes.dtype == np.uint16
    assert np.array_equal(labels.ids(), atlas.annotation)
    _, _, count = KNOWN[atlas.atlas_name]
    if count is not None:
        assert len(np.unique(codes[codes > 0])) == count


def test_25um_annotation_is_the_published_one(
    allen_25um: Path, annotation_25um: npt.NDArray[np.uint32]
) -> None:
    """The packaged volume reads back as the NRRD it came from, its largest id included."""
    annotation = BrainGlobeAtlas.from_path(allen_25um).annotation
    assert annotation.max() == 614454277
    assert np.array_equal(annotation, annotation_25um)
    assert annotation.flags.writeable


def test_hemispheres_split_the_real_brains_in_half(atlas: BrainGlobeAtlas) -> None:
    """456 and 114 planes are even: each half has as many; right comes first."""
    sides = atlas.hemispheres
    planes = atlas.shape[2]
    assert (sides[..., : planes // 2] == atlas.right_hemisphere_value).all()
    assert (sides[..., planes // 2 :] == atlas.left_hemisphere_value).all()


def test_the_edges_of_the_volume(atlas: BrainGlobeAtlas) -> None:
    """The first and last voxel belong to the atlas; one step further, on any axis, is outside."""
    size = np.array(atlas.resolution)
    extent = np.array(atlas.shape_um)
    just_inside = [(0, 0, 0), tuple(np.nextafter(extent, 0))]
    outside = [tuple(extent)]
    for axis in range(3):
        for value in (-1e-9, -1.0, extent[axis], extent[axis] + size[axis], np.nan, np.inf):
            point = extent / 2
            point[axis] = value
            outside.append(tuple(point))
    table = atlas.lookup([*just_inside, *outside])
    assert table["inside"].tolist() == [True] * 2 + [False] * len(outside)
    for corner in just_inside:
        assert atlas.hemisphere_from_coords(corner, microns=True) in (1, 2)
    for place in outside:
        assert atlas.structure_from_coords(place, microns=True) == 0
        answer = atlas.structure_from_coords(place, microns=True, as_acronym=True)
        assert answer == "Outside atlas"
        assert atlas.hemisphere_from_coords(place, microns=True) == 0


def test_an_odd_number_of_planes_keeps_its_middle_left(allen_100um: Path, tmp_path: Path) -> None:
    """A real annotation cropped to 113 planes: the middle one is left, in volume and in answers."""
    whole = BrainGlobeAtlas.from_path(allen_100um)
    folder = write_package(
        tmp_path,
        name="allen_odd_100um",
        annotation=whole.annotation[:, :, 1:],
        reference=whole.reference[:, :, 1:],
        structures=json.loads((allen_100um / "structures.json").read_bytes()),
        resolution=whole.resolution,
    )
    odd = BrainGlobeAtlas("allen_odd_100um", brainglobe_dir=folder.parent, check_latest=False)
    assert odd.shape == (132, 80, 113)
    assert np.array_equal(odd.annotation, whole.annotation[:, :, 1:])
    planes = odd.hemispheres[60, 40]
    assert planes.tolist() == [2] * 56 + [1] * 57
    points = [(60, 40, plane) for plane in range(113)]
    assert odd.hemisphere_from_coords(points).tolist() == planes.tolist()
    for acronym in ("root", "TH"):
        mask = odd.get_structure_mask(acronym)
        assert np.array_equal(mask, whole.get_structure_mask(acronym)[:, :, 1:])
