"""What an atlas of arrays refuses, in one clear sentence each, and what it takes as it is meant."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.errors import InvalidAtlasError, InvalidInputError
from bg_atlasapi.formats.checks import no_check
from bg_atlasapi.formats.zarr_array import ZarrVolume
from bg_atlasapi.formats.zarr_writing import ImageWriter
from bg_atlasapi.model.space import CoordinateSpace

SHAPE = (6, 5, 4)
NAN = float("nan")


def labels(dtype: Any = np.uint16) -> npt.NDArray[Any]:
    """Return labels 10 and 20."""
    array = np.zeros(SHAPE, dtype)
    array[1:5, 0], array[1:5, 1] = 10, 20
    return array


def rows(**changed: Any) -> list[dict[str, Any]]:
    """Return a root and two structures, the last one changed."""
    return [
        {"id": 1, "acronym": "root", "name": "root"},
        {"id": 10, "acronym": "A", "name": "a", "parent": 1},
        {"id": 20, "acronym": "B", "name": "b", "parent": 1} | changed,
    ]


def made(annotation: Any = None, structures: Any = None, **more: Any) -> BrainGlobeAtlas:
    """Make an atlas, and look that nothing it was made of has changed."""
    annotation = labels() if annotation is None else annotation
    structures = rows() if structures is None else structures
    further = more.get("references")
    given = {"annotation": annotation, **more, **(further if isinstance(further, dict) else {})}
    arrays = {key: one for key, one in given.items() if isinstance(one, np.ndarray)}
    before = {key: one.tobytes() for key, one in arrays.items() if one.dtype != object}
    table = copy.deepcopy(structures)
    try:
        return BrainGlobeAtlas.from_arrays(annotation, structures, **{"resolution": 100, **more})
    finally:
        assert {key: arrays[key].tobytes() for key in before} == before
        assert repr(table) == repr(structures)


def codes(*args: Any, **more: Any) -> set[str]:
    """Return why an atlas is refused; each reason is one sentence or two that end."""
    with pytest.raises(InvalidAtlasError) as caught:
        made(*args, **more)
    assert all(one.message.endswith(".") for one in caught.value.findings)
    assert {one.severity for one in caught.value.findings} == {"error"}
    return {one.code for one in caught.value.findings}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"id": 10}, "duplicate-id"),
        ({"id": 2**32}, "id-out-of-range"),
        ({"id": 2**70}, "id-out-of-range"),
        ({"id": -5}, "id-out-of-range"),
        ({"id": 0}, "id-out-of-range"),
        ({"id": True}, "structure-entry"),
        ({"id": 20.5}, "structure-entry"),
        ({"id": NAN}, "structure-entry"),
        ({"id": None}, "structure-entry"),
        ({"acronym": "A"}, "duplicate-acronym"),
        ({"acronym": ["A"]}, "structure-entry"),
        ({"name": {}}, "structure-entry"),
        ({"parent": 99}, "missing-parent"),
        ({"parent": "Z"}, "structure-entry"),
        ({"parent": True}, "structure-entry"),
        ({"parent": 0}, "several-roots"),
        ({"structure_id_path": "x/y"}, "structure-entry"),
        ({"rgb_triplet": [300, 0, 0]}, "colour-out-of-range"),
        ({"rgb_triplet": [0.5, 0, 0]}, "colour-out-of-range"),
        ({"rgb_triplet": "red"}, "colour-out-of-range"),
    ],
)
def test_structures_that_no_build_takes_are_refused(changed: dict[str, Any], code: str) -> None:
    """Ids, acronyms, parents, paths and colours that would stop a build from files."""
    assert code in codes(structures=rows(**changed))


def test_parents_in_a_circle_are_refused() -> None:
    """Of two structures that are each other's parents, both are named."""
    table = rows(parent=10)
    table[1]["parent"] = 20
    with pytest.raises(InvalidAtlasError, match=r"each other's parents: A \(10\), B \(20\)"):
        made(structures=table)


@pytest.mark.parametrize(
    "changed",
    [
        {"id": 20.0},
        {"id": "20"},
        {"id": np.uint32(20)},
        {"parent": "1"},
        {"parent": np.float64(1)},
        {"parent": "root"},
        {"structure_id_path": "/1/20/"},
        {"rgb_triplet": np.array([1, 2, 3])},
        {"rgb_triplet": None},
    ],
)
def test_other_spellings_mean_the_same(changed: dict[str, Any]) -> None:
    """Whole numbers however they are spelt, parents by acronym, paths as texts."""
    atlas = made(structures=rows(**changed))
    assert atlas.structures[20]["structure_id_path"] == [1, 20]
    assert atlas.check().ok


@pytest.mark.parametrize("blank", [None, "", "  ", NAN])
def test_what_is_blank_is_made_up(blank: Any) -> None:
    """The id stands for an acronym that is missing, the acronym for a name; both may come twice."""
    structure = made(structures=rows(acronym=blank)).structures[20]
    assert (structure.acronym, structure.name) == ("20", "b")
    assert made(structures=rows(name=blank)).structures[20].name == "B"
    assert made(structures=rows(name="a")).structures["B"].id == 20


@pytest.mark.parametrize(
    ("annotation", "code"),
    [
        (labels()[0], "shape-mismatch"),
        (labels()[None], "shape-mismatch"),
        (np.zeros((0, 5, 4), np.uint8), "shape-mismatch"),
        (np.uint8(1), "shape-mismatch"),
        ([[1, 2], [3]], "volume-type"),
        ("labels.nii", "shape-mismatch"),
        (labels(object), "volume-type"),
        (labels(float), "volume-type"),
        (labels(bool), "volume-type"),
        (labels(complex), "volume-type"),
        (labels("U3"), "volume-type"),
        (np.zeros(SHAPE, [("a", "u1")]), "volume-type"),
        (np.where(labels() == 10, -1, labels(np.int64)), "labels-out-of-range"),
        (np.where(labels() == 10, 2**32 + 10, labels(np.int64)), "labels-out-of-range"),
        (np.where(labels() == 10, 77, labels()), "label-without-structure"),
        (np.zeros(SHAPE, np.uint8), "no-labels"),
    ],
    ids=str,
)
def test_labels_that_no_build_takes_are_refused(annotation: Any, code: str) -> None:
    """Axes, kinds of numbers, ids that do not fit, labels that nobody explains."""
    assert code in codes(annotation)


def test_no_labels_at_all_are_one_finding() -> None:
    """None is no array, and that is all that is said of it."""
    with pytest.raises(InvalidAtlasError) as caught:
        BrainGlobeAtlas.from_arrays(None, rows(), resolution=100)  # type: ignore[arg-type]
    assert [one.code for one in caught.value.findings] == ["volume-type"]


@pytest.mark.parametrize(
    "resolution", [NAN, 0, -1, np.inf, None, "25", True, [1, 2], (1, NAN, 1), 1e-300, 1e300]
)
def test_voxel_sizes_are_positive_numbers(resolution: Any) -> None:
    """Nothing that is not one or three of them is taken for one."""
    assert codes(resolution=resolution) == {"metadata-value"}


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"reference": labels()[:3]}, "shape-mismatch"),
        ({"reference": labels(object)}, "volume-type"),
        ({"reference": np.full(SHAPE, 7)}, "template-empty"),
        ({"hemispheres": np.ones(SHAPE, np.uint8)}, "hemispheres-one-sided"),
        ({"hemispheres": np.zeros(SHAPE, np.uint8)}, "hemispheres-one-sided"),
        ({"hemispheres": np.ones(SHAPE)}, "volume-type"),
        ({"references": {"a": labels()[:3]}}, "shape-mismatch"),
        ({"references": {"annotation": labels()}}, "volume-named-twice"),
        ({"references": {"a/b": labels()}}, "metadata-value"),
        ({"references": {5: labels()}}, "metadata-value"),
        ({"orientation": "abc"}, "metadata-value"),
        ({"orientation": None}, "metadata-value"),
        ({"name": "../x"}, "metadata-value"),
        ({"name": "x" * 300}, "metadata-value"),
        ({"version": "new"}, "metadata-value"),
    ],
)
def test_whatever_else_does_not_fit_is_refused(more: dict[str, Any], code: str) -> None:
    """Images, hemispheres, names and versions that no build from files would take."""
    assert codes(**more) == {code}


def test_names_by_id_may_name_what_is_outside() -> None:
    """Tables of labels name 0 the background; it is no structure."""
    atlas = made(structures={0: "background", 10: "a", 20: "b"})
    assert sorted(atlas.structures.keys()) == [10, 20, 997]


def test_a_table_may_be_indexed_by_its_ids() -> None:
    """The index of a table of pandas that is called id holds the ids."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(rows()).set_index("id")
    assert made(structures=table).structures[20]["structure_id_path"] == [1, 20]


def test_swapped_hemispheres_are_refused() -> None:
    """Left where the orientation says right would answer every question of sides wrongly."""
    sides = np.ones(SHAPE, np.uint8)
    sides[..., 2:] = 2
    assert codes(hemispheres=sides) == {"hemispheres-swapped"}
    assert made(hemispheres=3 - sides).hemisphere_from_coords((0, 0, 0), as_string=True) == "right"


def test_references_are_a_dictionary() -> None:
    """A list of images, which has no names, is an error of type."""
    with pytest.raises(TypeError, match="dictionary"):
        made(references=[labels()])


def test_errors_may_be_accepted() -> None:
    """Who knows that labels lack a structure says so, as in a recipe."""
    array = labels()
    array[0, 0, 0] = 77
    atlas = made(array, accept=["label-without-structure"])
    assert atlas.annotation[0, 0, 0] == 77
    assert atlas.check().errors.counts() == {"label-without-structure": 1}
    with pytest.raises(InvalidInputError, match="no finding of the code 'label-without'"):
        made(array, accept=["label-without"])


def stored(tmp_path: Path) -> ZarrVolume:
    """Return the labels in chunks on disk."""
    space = CoordinateSpace(SHAPE, (100, 100, 100))
    ImageWriter(tmp_path / "x", np.dtype("u2"), space, labels=True).put(labels())
    return ZarrVolume(tmp_path / "x", SHAPE, (100, 100, 100), "iu", no_check)


def test_arrays_of_all_kinds_answer_alike(tmp_path: Path) -> None:
    """In any order of bytes and axes, read-only, mapped, computed, stored, masked, nested lists."""
    dask = pytest.importorskip("dask.array")
    np.save(tmp_path / "x.npy", labels())
    fixed = labels()
    fixed.setflags(write=False)
    masked = np.ma.masked_array(np.where(labels() == 0, 99, labels()), labels() == 0)
    for one in (
        np.asfortranarray(labels()),
        labels(">u2"),
        labels(np.uint64),
        labels(np.int8),
        np.repeat(labels(), 2, axis=0)[::2],
        labels()[::-1][::-1],
        fixed,
        np.load(tmp_path / "x.npy", mmap_mode="r"),
        np.memmap(tmp_path / "x.npy", np.uint16, "c", 128, SHAPE),
        dask.from_array(labels(), chunks=3),
        stored(tmp_path),
        masked,
        labels().tolist(),
        memoryview(labels()),
    ):
        atlas = made(one)
        assert np.array_equal(atlas.annotation, labels())
        assert int(atlas.mask("A").sum()) == 16
        assert atlas.structure_from_coords((1, 1, 0), as_acronym=True) == "B"
        atlas.annotation[:] = 0  # private to the atlas, even where what it was made of is fixed
    assert np.array_equal(np.load(tmp_path / "x.npy"), labels())
