"""The 1.x atlas object on the embedded atlas."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from pprint import pformat
from typing import Any

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.core import AdditionalRefDict, Atlas
from bg_atlasapi.errors import (
    AtlasError,
    IncompleteAtlasError,
    InvalidInputError,
    UnknownStructureError,
)
from bg_atlasapi.testing import tiny_package

TH_RIGHT, TH_LEFT = (71, 39, 45), (71, 39, 68)
BACKGROUND = (0, 0, 0)
OUTSIDE = [
    (-1, 0, 0),
    (-0.5, 39, 45),
    (132, 0, 0),
    (71, 80, 45),
    (71, 39, 114),
    (71, 39, 1e300),
    (float("nan"), 39, 45),
    (71, float("inf"), 45),
    (71, 39, float("-inf")),
]


@pytest.fixture
def atlas() -> BrainGlobeAtlas:
    """Open the embedded atlas."""
    return BrainGlobeAtlas("phantom_mouse_100um")


def test_every_line_of_the_1x_readme(atlas: BrainGlobeAtlas) -> None:
    """The documented session of 1.0.3 prints what it says."""
    assert atlas.reference.shape == (132, 80, 114)
    assert atlas.annotation.shape == (132, 80, 114)
    assert atlas.hemispheres.shape == (132, 80, 114)
    head = atlas.lookup_df.head(8)
    assert list(head.columns) == ["acronym", "id", "name"]
    assert head["acronym"].tolist() == [
        "root",
        "grey",
        "CH",
        "CTX",
        "CTXpl",
        "Isocortex",
        "FRP",
        "FRP1",
    ]
    assert head["id"].tolist() == [997, 8, 567, 688, 695, 315, 184, 68]
    filename = atlas.root_dir / "meshes" / "385.obj"
    assert pformat(atlas.structures["VISp"]) == (
        "{'acronym': 'VISp',\n 'id': 385,\n 'mesh': None,\n"
        f" 'mesh_filename': {filename!r},\n"
        " 'name': 'Primary visual area',\n 'rgb_triplet': [8, 133, 140],\n"
        " 'structure_id_path': [997, 8, 567, 688, 695, 315, 669, 385]}"
    )


def test_descriptive_attributes(atlas: BrainGlobeAtlas) -> None:
    """Shape, resolution, orientation and space say the same thing."""
    assert atlas.shape == (132, 80, 114)
    assert atlas.resolution == (100.0, 100.0, 100.0)
    assert atlas.shape_um == (13200.0, 8000.0, 11400.0)
    assert atlas.orientation == "asr"
    assert atlas.space.origin_string == "asr"
    assert atlas.space.shape == atlas.shape
    assert repr(atlas) == "phantom mouse atlas (res. 100um)"
    assert "phantom_mouse" in str(atlas)


@pytest.mark.parametrize("coords", [TH_LEFT, list(TH_LEFT), np.array(TH_LEFT), np.float32(TH_LEFT)])
def test_scalar_questions(atlas: BrainGlobeAtlas, coords: Any) -> None:
    """One triplet, however it is spelt, answers one value."""
    assert atlas.structure_from_coords(coords) == 549
    assert atlas.structure_from_coords(coords, as_acronym=True) == "TH"
    microns = [(c + 0.99) * 100 for c in coords]
    assert atlas.structure_from_coords(microns, microns=True) == 549
    assert atlas.hemisphere_from_coords(coords) == atlas.left_hemisphere_value == 1
    assert atlas.hemisphere_from_coords(coords, as_string=True) == "left"
    assert atlas.hemisphere_from_coords(TH_RIGHT, as_string=True) == "right"


@pytest.mark.parametrize("point", OUTSIDE)
def test_outside_is_an_answer(atlas: BrainGlobeAtlas, point: tuple[float, ...]) -> None:
    """Nothing beyond the volume wraps round or raises, scalar and vectorised alike."""
    assert atlas.structure_from_coords(point) == 0
    assert atlas.structure_from_coords(point, as_acronym=True) == "Outside atlas"
    assert atlas.structure_from_coords(point, as_acronym=True, key_error_string="no") == "no"
    assert atlas.structure_from_coords(point, hierarchy_lev=3) == 0
    assert atlas.hemisphere_from_coords(point) == 0
    assert atlas.hemisphere_from_coords(point, as_string=True) == "Outside atlas"
    assert atlas.structure_from_coords([point, TH_LEFT]).tolist() == [0, 549]
    assert atlas.hemisphere_from_coords([point, TH_LEFT]).tolist() == [0, 1]
    row = atlas.lookup([point], unit="voxel").iloc[0]
    assert (row["id"], row["acronym"], row["name"]) == (0, "Outside atlas", "Outside atlas")
    assert not row["inside"]


def test_background_is_outside_but_inside_the_volume(atlas: BrainGlobeAtlas) -> None:
    """A background voxel has no structure, yet a hemisphere."""
    assert atlas.structure_from_coords(BACKGROUND, as_acronym=True) == "Outside atlas"
    row = atlas.lookup([BACKGROUND], unit="voxel").iloc[0]
    assert (row["id"], row["hemisphere"], row["inside"]) == (0, "right", True)


@pytest.mark.parametrize(
    "bad", ["abc", ["a", "b", "c"], [1, 2], [[1, 2]], 7, None, [[1, 2, 3], [4, 5]], [1j, 2, 3]]
)
def test_what_is_not_points_is_refused(atlas: BrainGlobeAtlas, bad: Any) -> None:
    """Strings, wrong shapes and ragged lists raise one clear error, everywhere."""
    for question in (
        atlas.structure_from_coords,
        atlas.hemisphere_from_coords,
        atlas.lookup,
        atlas.mirror_point_across_hemispheres,
    ):
        with pytest.raises(InvalidInputError, match="Points must"):
            question(bad)


def test_an_unknown_unit_is_refused(atlas: BrainGlobeAtlas) -> None:
    """The error lists the units."""
    with pytest.raises(InvalidInputError, match="um, mm, voxel"):
        atlas.lookup([1, 2, 3], unit="inch")


def test_no_points_give_no_rows(atlas: BrainGlobeAtlas) -> None:
    """An empty array is a valid question."""
    assert len(atlas.lookup(np.empty((0, 3)))) == 0
    assert atlas.structure_from_coords(np.empty((0, 3))).shape == (0,)
    assert atlas.structure_from_coords(np.empty((0, 3)), as_acronym=True).shape == (0,)


def test_depths_and_structures_to_answer_at(atlas: BrainGlobeAtlas) -> None:
    """``at`` and ``hierarchy_lev`` answer ancestors; what lies higher answers itself."""
    point = (22, 31, 48)  # FRP5
    assert atlas.structure_from_coords(point, as_acronym=True) == "FRP5"
    assert atlas.structure_from_coords(point, hierarchy_lev=0) == 997
    assert atlas.structure_from_coords(point, hierarchy_lev=6, as_acronym=True) == "FRP"
    assert atlas.structure_from_coords(point, hierarchy_lev=99, as_acronym=True) == "FRP5"
    table = atlas.lookup([point, TH_LEFT, BACKGROUND], unit="voxel", at=["Isocortex", "CTX"])
    assert table["acronym"].tolist() == ["Isocortex", "Elsewhere", "Outside atlas"]
    assert table["id"].tolist() == [315, 0, 0]
    assert atlas.lookup([point], unit="voxel", at=1)["acronym"].tolist() == ["grey"]
    with pytest.raises(UnknownStructureError, match="Close matches"):
        atlas.lookup([point], at=["Isocortx"])
    with pytest.raises(InvalidInputError):
        atlas.lookup([point], at=True)


def test_units_agree(atlas: BrainGlobeAtlas) -> None:
    """µm, mm and voxels of the same place answer the same."""
    voxels = np.argwhere(np.asarray(atlas.annotation) > 0)[::977]
    by_voxel = atlas.lookup(voxels, unit="voxel")
    assert by_voxel.equals(atlas.lookup(voxels * 100.0 + 50, unit="um"))
    assert by_voxel.equals(atlas.lookup(voxels / 10 + 0.05, unit="mm"))
    assert (by_voxel["id"] == atlas.annotation[tuple(voxels.T)]).all()


def test_hemispheres_split_in_the_middle(atlas: BrainGlobeAtlas) -> None:
    """Of 114 planes the first 57 are right; 1.0.3 gave the 58th to the right too."""
    assert (atlas.hemispheres[:, :, :57] == 2).all()
    assert (atlas.hemispheres[:, :, 57:] == 1).all()


def test_the_middle_plane_of_an_odd_number_is_left(atlas: BrainGlobeAtlas) -> None:
    """Metadata may be edited before the volume is made, as 1.x allowed."""
    atlas.metadata["shape"] = [132, 80, 115]
    assert atlas.hemispheres.shape == (132, 80, 115)
    assert (atlas.hemispheres[:, :, 56] == 2).all()
    assert (atlas.hemispheres[:, :, 57] == 1).all()


def test_mirroring_points(atlas: BrainGlobeAtlas) -> None:
    """A mirrored point lies as far on the other side; the argument is left alone."""
    point = np.array([100.0, 200.0, 300.0])
    assert atlas.mirror_point_across_hemispheres(point).tolist() == [100.0, 200.0, 11100.0]
    assert point.tolist() == [100.0, 200.0, 300.0]
    assert atlas.mirror_point_across_hemispheres([[1, 2, 0]], microns=False)[0, 2] == 114


def test_masks_hold_the_id_or_one(atlas: BrainGlobeAtlas) -> None:
    """A mask covers the structure and everything below it."""
    ids = [s.id for s in (atlas.structures["VISp"], *atlas.structures["VISp"].descendants)]
    expected = np.isin(atlas.annotation, ids)
    mask = atlas.get_structure_mask("VISp")
    assert mask.dtype == np.uint32
    assert ((mask == 385) == expected).all()
    assert set(np.unique(mask)) == {0, 385}
    binary = atlas.get_structure_mask(385, values="binary")
    assert binary.dtype == np.uint8
    assert (binary.astype(bool) == expected).all()
    with pytest.raises(InvalidInputError, match="binary"):
        atlas.get_structure_mask("VISp", values="boolean")
    with pytest.raises(KeyError):
        atlas.get_structure_mask("nowhere")


def test_arrays_are_private_and_writable(atlas: BrainGlobeAtlas) -> None:
    """Editing an array changes this atlas's answers, not the file nor another atlas."""
    before = atlas.get_structure_mask("TH", values="binary").sum()
    atlas.annotation[:, :, :57] = 0
    atlas.reference[:] = 1
    assert atlas.structure_from_coords(TH_RIGHT) == 0
    assert atlas.structure_from_coords([TH_RIGHT, TH_LEFT]).tolist() == [0, 549]
    assert atlas.get_structure_mask("TH", values="binary").sum() == before / 2
    other = BrainGlobeAtlas("phantom_mouse_100um")
    assert other.structure_from_coords(TH_RIGHT) == 549
    assert other.reference.max() > 1


def test_attributes_are_assignable(atlas: BrainGlobeAtlas) -> None:
    """What is assigned is what is read, and what questions are asked of."""
    annotation = np.zeros((10, 11, 12), np.uint32)
    annotation[5] = 549
    atlas.annotation = annotation
    atlas.reference = annotation
    assert atlas.template is annotation
    atlas.template = annotation + 1
    assert atlas.reference[0, 0, 0] == 1
    assert atlas.structure_from_coords((5, 0, 0), as_acronym=True) == "TH"
    assert atlas.structure_from_coords((71, 39, 68)) == 0
    assert atlas.get_structure_mask("TH").shape == (10, 11, 12)
    assert atlas.get_structure_mask("BS", values="binary").sum() == 132
    del atlas.annotation
    assert atlas.annotation.shape == (132, 80, 114)
    atlas.resolution, atlas.shape, atlas.orientation = (50.0,) * 3, (1, 2, 3), "lsa"
    assert (atlas.resolution, atlas.shape, atlas.orientation) == ((50.0,) * 3, (1, 2, 3), "lsa")


def test_edited_structures_are_heard(atlas: BrainGlobeAtlas) -> None:
    """A mask takes its ids from the dictionaries, which 1.x callers edit."""
    atlas.structures["VISp"]["id"] = 672  # CP
    mask = atlas.get_structure_mask("VISp")
    assert (mask[np.asarray(atlas.annotation) == 672] == 672).all()


def test_hierarchy_questions(atlas: BrainGlobeAtlas) -> None:
    """Ancestors run from the root, descendants in file order."""
    assert atlas.get_structure_ancestors("CH") == ["root", "grey"]
    assert atlas.get_structure_ancestors("root") == []
    assert atlas.get_structure_descendants("VISC") == [
        *("VISC1", "VISC2/3", "VISC4", "VISC5", "VISC6a", "VISC6b")
    ]
    assert len(atlas.get_structure_descendants("root")) == len(atlas.structures) - 1
    assert atlas.hierarchy.parent(385).identifier == 669
    assert atlas.hierarchy.get_node(385).tag == "VISp (385)"
    with pytest.raises(KeyError):
        atlas.get_structure_descendants("nowhere")


def test_structures_at_a_level(atlas: BrainGlobeAtlas) -> None:
    """Levels answer in the order of the hierarchy; an impossible one is refused."""
    at = atlas.get_structures_at_hierarchy_level
    assert at("root", 0, as_acronym=True) == ["root"]
    assert at("root", 1) == [8, 1009, 73]
    assert at("VISC5", 2, as_acronym=True) == ["CH"]
    assert at("VISC", 7, as_acronym=True) == atlas.get_structure_descendants("VISC")
    path = [*atlas.get_structure_ancestors("VISC"), "VISC"]
    assert at("VISC", as_acronym=True) == path + atlas.get_structure_descendants("VISC")
    for level in (-1, 1.5, True, "2", 99):
        with pytest.raises(ValueError, match=r"level"):
            at("root", level)  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        at("nowhere", 1)


def test_get_from_structure_takes_lists(atlas: BrainGlobeAtlas) -> None:
    """A list of structures answers a list."""
    assert atlas._get_from_structure([997, "CH"], "acronym") == ["root", "CH"]
    assert atlas.meshfile_from_structure("CH") == atlas.root_dir / "meshes/567.obj"
    assert atlas.root_meshfile() == atlas.root_dir / "meshes/997.obj"


def test_meshes_are_meshio_meshes(atlas: BrainGlobeAtlas) -> None:
    """Meshes have points in µm and triangles, and are read once."""
    mesh = atlas.mesh_from_structure("TH")
    assert mesh is atlas.structures["TH"].mesh
    assert mesh.cells[0].type == "triangle"
    assert (mesh.cells[0].data == mesh.cells_dict["triangle"]).all()
    low, high = atlas.root_mesh().points.min(axis=0), atlas.root_mesh().points.max(axis=0)
    assert (low >= 0).all()
    assert (high <= atlas.shape_um).all()
    assert high.max() > 10_000


def test_indices_from_coordinates(atlas: BrainGlobeAtlas) -> None:
    """The private helper of 1.x answers indices that index."""
    assert atlas._idx_from_coords((39.7, 36, 57.2), microns=False) == (39, 36, 57)
    index = atlas._idx_from_coords([[3970, 3600, 5720], [0, 0, 0]], microns=True)
    assert atlas.annotation[index].shape == (2,)
    with pytest.raises(InvalidInputError, match="finite"):
        atlas._idx_from_coords((float("nan"), 0, 0), microns=False)


def test_pickles_and_copies_are_small_and_whole(atlas: BrainGlobeAtlas) -> None:
    """A pickle carries the place, not the bytes; a copy answers like the original."""
    _ = atlas.annotation, atlas.reference, atlas.structures, atlas.space, atlas.root_mesh()
    atlas.fn_update = lambda _done, _total: None
    data = pickle.dumps(atlas)
    assert len(data) < 2_000
    for twin in (pickle.loads(data), copy.deepcopy(atlas), copy.copy(atlas)):
        assert isinstance(twin, BrainGlobeAtlas)
        assert twin.structure_from_coords(TH_LEFT, as_acronym=True) == "TH"
        assert twin.local_version == (1, 0)


def test_edits_survive_pickling(atlas: BrainGlobeAtlas) -> None:
    """An edited or assigned volume travels along: it cannot be read again."""
    atlas.annotation[TH_LEFT] = 672
    atlas.metadata["name"] = "mine"
    atlas.reference = np.ones((2, 2, 2))
    twin = pickle.loads(pickle.dumps(atlas))
    assert twin.structure_from_coords(TH_LEFT, as_acronym=True) == "CP"
    assert twin.metadata["name"] == "mine"
    assert twin.reference.shape == (2, 2, 2)


def test_copies_do_not_share_edits(atlas: BrainGlobeAtlas) -> None:
    """A deep copy is a separate atlas."""
    _ = atlas.annotation
    twin = copy.deepcopy(atlas)
    twin.annotation[:] = 0
    twin.metadata["name"] = "other"
    assert atlas.structure_from_coords(TH_LEFT) == 549
    assert atlas.metadata["name"] == "phantom_mouse"


def test_subclassing_works() -> None:
    """Tools derive from the class, as brainrender does."""

    class Mine(BrainGlobeAtlas):
        def __init__(self) -> None:
            super().__init__("phantom_mouse_100um", check_latest=False)
            self.extra = 1

    mine = Mine()
    assert mine.structures["CH"]["id"] == 567
    assert pickle.loads(pickle.dumps(mine.structures["CH"]["name"])) == "Cerebrum"


def test_an_atlas_opens_from_any_folder(tmp_path: Path) -> None:
    """``core.Atlas(path)`` and ``from_path`` do not care for the folder's name."""
    package = tiny_package(tmp_path)
    plain = package.rename(tmp_path / "anything")
    assert Atlas(plain).structures["root"]["id"] > 0
    atlas = BrainGlobeAtlas.from_path(plain)
    assert (atlas.atlas_name, atlas.local_version, atlas.local_full_name) == (
        "anything",
        None,
        None,
    )
    assert "anything" in repr(atlas)


def test_a_missing_list_of_references_warns_as_1x_did(tmp_path: Path) -> None:
    """Old packages lack ``additional_references``; they open with 1.x's warning."""
    import json

    package = tiny_package(tmp_path)
    metadata = json.loads((package / "metadata.json").read_text())
    del metadata["additional_references"]
    (package / "metadata.json").write_text(json.dumps(metadata))
    with pytest.warns(UserWarning, match="outdated as no additional_references"):
        atlas = BrainGlobeAtlas.from_path(package)
    assert atlas.additional_references.references_list == []


def test_additional_references_load_when_asked(tmp_path: Path) -> None:
    """Each is read on first use; an unknown one warns and answers None."""
    import tifffile

    tifffile.imwrite(tmp_path / "nissl.tiff", np.ones((6, 4, 5), np.uint16))
    references = AdditionalRefDict(["nissl", "gone"], tmp_path)
    assert references["nissl"].shape == (6, 4, 5)
    assert references["nissl"] is references["nissl"]
    with pytest.warns(UserWarning, match="No reference named ara"):
        assert references["ara"] is None
    with pytest.raises(IncompleteAtlasError, match="gone.tiff"):
        _ = references["gone"]


def test_errors_are_both_old_and_new(atlas: BrainGlobeAtlas) -> None:
    """Old ``except KeyError`` and new ``except AtlasError`` catch the same thing."""
    with pytest.raises(KeyError):
        _ = atlas.structures["VISpp"]
    with pytest.raises(AtlasError, match=r"'VISpp'.*Close matches: VISp"):
        _ = atlas.structures["VISpp"]


@pytest.mark.parametrize("name", ["annotation", "reference", "hemispheres"])
def test_an_edit_of_any_volume_survives_copying(atlas: BrainGlobeAtlas, name: str) -> None:
    """What was edited is carried; what was only read is not."""
    getattr(atlas, name)[0, 0, 0] = 1
    twin = pickle.loads(pickle.dumps(atlas))
    assert getattr(twin, name)[0, 0, 0] == 1
    assert set(twin.__dict__) & {"annotation", "reference", "hemispheres"} == {name}


def test_a_border_in_millimetres_is_the_border_in_micrometres(atlas: BrainGlobeAtlas) -> None:
    """9.2 mm is voxel 92 of 100 µm, though 9.2 / 0.1 is 91.999…"""
    index = np.arange(132)
    millimetres = np.column_stack([index / 10, np.full(132, 3.9), np.full(132, 4.5)])
    voxels = np.column_stack([index, np.full(132, 39), np.full(132, 45)])
    found = atlas.lookup(millimetres, unit="mm")["id"]
    assert found.tolist() == atlas.lookup(voxels, unit="voxel")["id"].tolist()


def test_an_annotation_in_any_memory_order_answers_alike(atlas: BrainGlobeAtlas) -> None:
    """A flipped or Fortran-ordered annotation is read in place, one point or many."""
    plain = np.asarray(atlas.annotation)
    points = np.argwhere(plain[::5, ::5, ::5] > 0)[::40] * 5
    for other in (np.asfortranarray(plain), plain[:, :, ::-1][:, :, ::-1]):
        atlas.annotation = other
        assert atlas.structure_from_coords(points).tolist() == plain[tuple(points.T)].tolist()
        assert atlas.structure_from_coords(tuple(points[0])) == plain[tuple(points[0])]
        assert atlas.get_structure_mask("TH", values="binary").sum() == (plain == 549).sum()


@pytest.mark.parametrize("bad", [None, np.zeros((3, 3), int), np.zeros((3, 3, 3)), "x"])
def test_an_annotation_that_is_none_is_refused(atlas: BrainGlobeAtlas, bad: Any) -> None:
    """What is assigned is checked where it is used: three axes, whole numbers."""
    atlas.annotation = bad
    with pytest.raises(InvalidInputError, match="3-D array of whole numbers"):
        atlas.lookup([[1, 2, 3]])


def test_hemispheres_follow_an_annotation_of_another_size(atlas: BrainGlobeAtlas) -> None:
    """Volumes of different shapes are never indexed with each other's voxels."""
    points = [(30, 20, 10), (30, 20, 50)]
    _ = atlas.hemispheres
    atlas.annotation = np.ascontiguousarray(np.asarray(atlas.annotation)[::2, ::2, ::2])
    atlas.resolution = (200.0, 200.0, 200.0)
    assert atlas.lookup(points, unit="voxel")["hemisphere"].tolist() == ["right", "left"]
    of_its_own_volume = [atlas.hemisphere_from_coords(p) for p in points]
    assert of_its_own_volume == [atlas.hemispheres[p] for p in points] == [2, 2]
    assert atlas.hemisphere_from_coords(points).tolist() == [2, 2]


def test_the_space_follows_the_resolution(atlas: BrainGlobeAtlas) -> None:
    """An assigned resolution reaches ``space`` too; an impossible one is refused where used."""
    assert atlas.space.resolution == (100.0,) * 3
    atlas.resolution = (50.0, 50.0, 50.0)
    assert atlas.space.resolution == (50.0,) * 3
    atlas.resolution = (0.0, 1.0, 1.0)
    with pytest.raises(InvalidInputError, match="resolution"):
        atlas.structure_from_coords((1, 1, 1), microns=True)
    with pytest.raises(InvalidInputError, match="resolution"):
        atlas.lookup([[1, 1, 1]])


@pytest.mark.parametrize("level", [1.5, "CTX", [], True])
def test_a_level_that_is_no_depth_is_refused(atlas: BrainGlobeAtlas, level: Any) -> None:
    """Whether or not the point lies in a structure, and for one point or many."""
    for coords in (TH_LEFT, BACKGROUND, [TH_LEFT]):
        with pytest.raises(InvalidInputError, match="depth"):
            atlas.structure_from_coords(coords, hierarchy_lev=level)


def test_threads_share_one_array() -> None:
    """Threads that ask for an attribute together get the same object, so that edits are not lost."""
    import sys
    import threading

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            atlas = BrainGlobeAtlas("phantom_mouse_100um")
            barrier = threading.Barrier(4)
            found: list[tuple[int, int]] = []

            def ask(atlas=atlas, barrier=barrier, found=found) -> None:
                barrier.wait()
                found.append((id(atlas.annotation), id(atlas.structures)))

            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(set(found)) == 1
    finally:
        sys.setswitchinterval(interval)


def test_missing_coordinates_are_outside(atlas: BrainGlobeAtlas) -> None:
    """Masked arrays and tables with missing values answer outside where a value is missing."""
    import pandas as pd

    masked = np.ma.array([TH_LEFT, TH_LEFT], mask=[[0, 0, 0], [0, 1, 0]])
    assert atlas.structure_from_coords(masked).tolist() == [549, 0]
    table = pd.DataFrame([TH_LEFT, TH_LEFT], dtype="Int64")
    table.iloc[1, 1] = pd.NA
    assert atlas.structure_from_coords(table).tolist() == [549, 0]


def test_a_relative_folder_survives_a_change_of_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The atlas remembers where it is, not how it was spelt."""
    tiny_package(tmp_path)
    monkeypatch.chdir(tmp_path)
    atlas = BrainGlobeAtlas("tiny_mouse_100um", brainglobe_dir=".")
    monkeypatch.chdir("/")
    assert atlas.annotation.max() > 0


def test_the_parts_of_an_atlas_pickle_and_copy(atlas: BrainGlobeAtlas) -> None:
    """The model's parts travel without maps, descriptors and locks."""
    atlas.structure_from_coords(TH_LEFT)
    labels = atlas._model.labels
    for twin in (pickle.loads(pickle.dumps(labels)), copy.deepcopy(labels)):
        assert twin.id_at(TH_LEFT) == 549
    assert copy.deepcopy(atlas._model).labels.id_at(TH_LEFT) == 549


def test_an_edited_annotation_can_be_saved_where_it_came_from(tmp_path: Path) -> None:
    """Overwriting the file of an open atlas with its own edited array loses nothing."""
    import tifffile

    package = tiny_package(tmp_path)
    atlas = BrainGlobeAtlas.from_path(package)
    edited = atlas.annotation
    edited[edited > 0] = 8
    expected = edited.copy()
    tifffile.imwrite(package / "annotation.tiff", edited, photometric="minisblack")
    assert (BrainGlobeAtlas.from_path(package).annotation == expected).all()
    assert (edited == expected).all()


def test_structures_may_be_added_and_removed(atlas: BrainGlobeAtlas) -> None:
    """The dictionary stays one: what callers add is found, what they remove is not."""
    added = dict(atlas.structures["VISp"].data) | {"id": 777_777, "acronym": "mine"}
    atlas.structures[777_777] = type(atlas.structures["VISp"])(added)
    assert atlas.structures[777_777].acronym == "mine"
    assert 777_777 in atlas.structures
    assert atlas.structures.copy()[777_777].acronym == "mine"
    del atlas.structures[385]
    assert 385 not in atlas.structures
    with pytest.raises(UnknownStructureError):
        _ = atlas.structures[385]


def test_odd_questions_are_refused_with_a_sentence(atlas: BrainGlobeAtlas) -> None:
    """What is no text, no name, no shape is said to be so."""
    with pytest.raises(InvalidInputError, match="Search for a text"):
        atlas.structures.find(385)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="name is a string"):
        BrainGlobeAtlas(None)  # type: ignore[arg-type]
    masked = np.ma.array(TH_LEFT, mask=[1, 0, 0])
    assert atlas.structure_from_coords(masked).tolist() == [0]
    assert atlas.structure_from_coords((0, 0, 0), as_acronym=True, key_error_string=None) is None  # type: ignore[arg-type]
    atlas.metadata["shape"] = [10**9] * 3
    with pytest.raises(InvalidInputError, match="shape"):
        _ = atlas.hemispheres


def test_numbers_of_numpy_in_the_metadata(atlas: BrainGlobeAtlas) -> None:
    """Callers put arrays into metadata; they count as the numbers they are."""
    atlas.metadata["resolution"] = np.array([50, 50, 50])
    atlas.metadata["shape"] = np.array(atlas.shape)
    assert atlas.structure_from_coords([c * 50 for c in TH_LEFT], microns=True) == 549
    assert atlas.hemispheres.shape == (132, 80, 114)


def test_hemispheres_in_any_memory_order_answer_alike(atlas: BrainGlobeAtlas) -> None:
    """An assigned volume whose bytes lie in another order, and whose sides are swapped, counts."""
    points = [TH_RIGHT, TH_LEFT, BACKGROUND]
    atlas.hemispheres = np.asfortranarray(3 - atlas.hemispheres)
    assert atlas.hemisphere_from_coords(points).tolist() == [1, 2, 1]
    assert [int(atlas.hemisphere_from_coords(point)) for point in points] == [1, 2, 1]
    assert atlas.lookup(points, unit="voxel")["hemisphere"].tolist() == ["left", "right", "left"]
