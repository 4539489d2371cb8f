"""An atlas of arrays answers what any atlas answers, without files."""

from __future__ import annotations

import copy
import pickle
import socket
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.errors import IncompleteAtlasError, InvalidAtlasError
from bg_atlasapi.formats.provenance import provenance_of
from bg_atlasapi.store import newer

STRUCTURES = [
    {
        "id": 1,
        "acronym": "root",
        "name": "root",
        "structure_id_path": [1],
        "rgb_triplet": [1, 2, 3],
    },
    {"id": 10, "acronym": "A", "name": "Part a", "parent": 1},
    {"id": 20, "acronym": "B", "name": "Part b", "parent": 10},
    {"id": 70000, "acronym": "C", "name": "Part c", "parent": 1},
]


def labels() -> npt.NDArray[np.uint32]:
    """Return 6 × 5 × 4 voxels: B in A's place at the top, C below."""
    array = np.zeros((6, 5, 4), np.uint32)
    array[1:5, 0] = 10
    array[1:5, 1] = 20
    array[1:5, 2:4] = 70000
    return array


@pytest.fixture
def atlas() -> BrainGlobeAtlas:
    """Return an atlas of 100 µm voxels."""
    return BrainGlobeAtlas.from_arrays(labels(), STRUCTURES, resolution=100, name="mine")


def test_it_answers_points_masks_tables_counts_and_images(atlas: BrainGlobeAtlas) -> None:
    """Questions are answered from the arrays, parents included, as of an atlas in files."""
    assert atlas.atlas_name == "mine_100um"
    assert atlas.structure_from_coords((1, 1, 0), as_acronym=True) == "B"
    found = atlas.lookup([[150.0, 150, 50], [-1, 0, 0]])
    assert found["acronym"].tolist() == ["B", "Outside atlas"]
    assert found["hemisphere"][0] == "right"
    assert int(atlas.mask("A").sum()) == 32
    table = atlas.region_table().set_index("acronym")
    assert table.loc["root", "voxels"] == 64
    counted = atlas.count([[150.0, 150, 50]])
    assert counted.set_index("acronym").loc["A", "total"] == 1
    means = atlas.measure(labels().astype(np.float32))
    assert means.set_index("acronym").loc["C", "mean"] == 70000
    assert atlas.hemispheres[0, 0].tolist() == [2, 2, 1, 1]
    assert not atlas.reference.any()
    assert atlas.reference.shape == (6, 5, 4)
    assert atlas.volumes["annotation"].level(200).shape == (3, 3, 2)


def test_it_can_be_grouped_and_exported(atlas: BrainGlobeAtlas, tmp_path: Path) -> None:
    """A grouping works on it, and both layouts hold the same voxels when opened again."""
    grouped = atlas.group(["A", "C"])
    assert int(grouped.mask("A").sum()) == 32
    for form in ("packaged", "components"):
        written = atlas.export(tmp_path / form, form)
        again = BrainGlobeAtlas.from_path(written)
        assert again.atlas_name == "mine_100um"
        assert np.array_equal(again.annotation, labels())
        assert again.structures["B"]["structure_id_path"] == [1, 10, 20]


def test_copies_and_pickles_carry_the_arrays(atlas: BrainGlobeAtlas) -> None:
    """A pickle or deep copy answers in another place as the atlas does here."""
    for other in (pickle.loads(pickle.dumps(atlas)), copy.deepcopy(atlas)):
        assert np.array_equal(other.annotation, labels())
        assert other.atlas_name == "mine_100um"
        assert other.structures["C"].id == 70000


def test_edits_of_what_it_hands_out_stay_private(atlas: BrainGlobeAtlas) -> None:
    """Arrays it hands out are copies, as of every atlas."""
    atlas.annotation[:] = 0
    assert atlas.volumes["annotation"][1, 0, 0] == 10


def test_structures_may_be_names_tables_or_flat_lists() -> None:
    """What has no hierarchy hangs on a root whose id is free; colours are always the same."""
    array = labels()
    names = {10: "a", 20: "b", 70000: "c", 997: "taken"}
    for given in (
        names,
        [{"id": key, "name": name} for key, name in names.items()],
        [{"id": key, "name": name, "parent": 0} for key, name in names.items()],
        {key: {"name": name, "acronym": None} for key, name in names.items()},
        pd.DataFrame({"id": list(names), "name": list(names.values())}),
    ):
        made = BrainGlobeAtlas.from_arrays(array, given, resolution=(100, 50, 25))
        assert made.structures["root"].id == 70001
        assert made.structures[20]["structure_id_path"] == [70001, 20]
        assert made.structures[20].name == "b"
    colours = {tuple(made.structures[key]["rgb_triplet"]) for key in names}
    assert len(colours) == 4


def test_a_table_with_parents_becomes_a_tree() -> None:
    """Parents of a table of pandas, NaN at the root, make paths; a cycle is an error."""
    table = pd.DataFrame(
        {"id": [1, 2, 3], "acronym": list("abc"), "parent_structure_id": [np.nan, 1.0, 2.0]}
    )
    made = BrainGlobeAtlas.from_arrays(np.ones((2, 2, 2), np.int16), table, resolution=1)
    assert made.structures["c"]["structure_id_path"] == [1, 2, 3]
    table.loc[0, "parent_structure_id"] = 3.0
    with pytest.raises(InvalidAtlasError, match="cycle"):
        BrainGlobeAtlas.from_arrays(np.ones((2, 2, 2), np.int16), table, resolution=1)


def test_an_image_under_an_unknown_keyword_is_no_metadata() -> None:
    """A template that would silently not be used is an error, as any unknown keyword is."""
    for wrong in ({"template": labels()}, {"additional_references": {"nissl": labels()}}):
        with pytest.raises(TypeError, match="reference="):
            BrainGlobeAtlas.from_arrays(labels(), STRUCTURES, resolution=100, **wrong)


def test_everything_that_does_not_fit_is_said_at_once() -> None:
    """Shapes, kinds of numbers and the orientation are all reported by one error."""
    with pytest.raises(InvalidAtlasError) as caught:
        BrainGlobeAtlas.from_arrays(
            labels().astype(float),
            STRUCTURES,
            resolution=100,
            orientation="xyz",
            reference=np.zeros((2, 2, 2)),
            hemispheres=np.zeros((6, 5, 4)),
            references={"other": np.zeros((6, 5, 4), "U3")},
        )
    codes = sorted(one.code for one in caught.value.findings)
    assert codes == ["metadata-value", "shape-mismatch", *["volume-type"] * 3]
    with pytest.raises(InvalidAtlasError, match="voxel sizes"):
        BrainGlobeAtlas.from_arrays(labels(), STRUCTURES, resolution=(1, -1, 1))
    with pytest.raises(InvalidAtlasError, match="dictionaries"):
        BrainGlobeAtlas.from_arrays(labels(), "root", resolution=1)
    with pytest.raises(InvalidAtlasError, match="dictionaries"):
        BrainGlobeAtlas.from_arrays(labels(), [{"id": 10, "parent": [1]}], resolution=1)


def test_stored_hemispheres_and_further_images_are_used() -> None:
    """Given hemispheres answer instead of computed ones, and further images are found by name."""
    sides = np.full((6, 5, 4), 2, np.uint8)
    sides[..., 3] = 1
    other = np.arange(120, dtype=np.float32).reshape(6, 5, 4)
    made = BrainGlobeAtlas.from_arrays(
        labels(), STRUCTURES, resolution=100, hemispheres=sides, references={"other": other}
    )
    assert made.hemisphere_from_coords((0, 0, 3), as_string=True) == "left"
    assert made.hemisphere_from_coords((0, 0, 2), as_string=True) == "right"
    assert np.array_equal(made.additional_references["other"], other)


def test_it_has_no_meshes_and_says_so(atlas: BrainGlobeAtlas) -> None:
    """Asking for a mesh is one clear error."""
    with pytest.raises(IncompleteAtlasError, match="without"):
        atlas.mesh_from_structure("A")


def test_it_can_be_checked(atlas: BrainGlobeAtlas) -> None:
    """Findings are told of arrays as of files, edits included."""
    assert atlas.check().ok
    atlas.annotation[2, 0, 0] = 99
    assert atlas.check().errors.counts() == {"label-without-structure": 1}


@pytest.mark.parametrize("name", ["reference", "hemispheres"])
def test_an_assigned_array_of_another_shape_is_a_finding(name: str) -> None:
    """It is named for what it is, and not as a check that failed or a template unlike its labels."""
    for shape in ((2, 2, 2), (9, 9, 9)):
        sides = np.full(labels().shape, 2, np.uint8)
        sides[..., 2:] = 1
        made = BrainGlobeAtlas.from_arrays(
            labels(), STRUCTURES, resolution=100, reference=labels(), hemispheres=sides
        )
        setattr(made, name, np.ones(shape, np.uint8))
        found = made.check().select("shape-mismatch")
        assert [one.severity for one in found] == ["error"]
        assert not made.check().select("check-failed")


def test_its_provenance_names_no_files(atlas: BrainGlobeAtlas) -> None:
    """Results of an atlas in memory carry its name and no hash of files it does not have."""
    record = provenance_of(atlas, "count")
    assert (record.atlas, record.version, record.sha256) == ("mine_100um", "1.0", None)


def test_it_never_asks_the_network(atlas: BrainGlobeAtlas, monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket is made by an atlas that only exists here, whatever is asked about newer ones."""
    monkeypatch.setenv("BRAINGLOBE_REMOTES", "http://127.0.0.1:9")
    made: list[object] = []
    monkeypatch.setattr(socket, "socket", lambda *args, **_: made.append(args))
    assert atlas.remote_version is None
    assert atlas.remote_url is None
    assert atlas.check_latest_version() is None
    assert not any(name == "mine_100um" for name, _ in newer._looked_for)
    assert made == []
