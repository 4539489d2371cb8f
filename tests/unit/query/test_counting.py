"""How many points lie where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.errors import InvalidInputError, UnknownStructureError
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.terminology import Record, Terminology
from bg_atlasapi.query import counting, lazily
from bg_atlasapi.query.subject import Subject

NAME = "phantom_mouse_100um"
COLUMNS = ["id", "acronym", "name", "own", "total", "left", "right", "density_per_mm3"]


@pytest.fixture(scope="module")
def atlas() -> BrainGlobeAtlas:
    """Return the embedded atlas."""
    return BrainGlobeAtlas(NAME)


@pytest.fixture(scope="module")
def points(atlas: BrainGlobeAtlas) -> np.ndarray:
    """Return points in and around it."""
    rng = np.random.default_rng(8)
    return (rng.random((5000, 3)) * 1.1 - 0.05) * atlas.shape_um


def small(*labels: int, dtype: type = np.uint32) -> Subject:
    """Return a row of voxels of 10 µm with labels, over root > (A > A1, B)."""
    paths = [(1,), (1, 2), (1, 2, 3), (1, 4)]
    names = ("root", "A", "A1", "B")
    rows = [Record(p[-1], n, n, p, (0, 0, 0)) for p, n in zip(paths, names, strict=True)]
    volume = np.array(labels, dtype).reshape(-1, 1, 1)
    space = CoordinateSpace((len(labels), 1, 1), (10.0, 10.0, 10.0), "lsa")
    return Subject(LabelVolume(ArraySource(volume), Terminology(rows)), space, None)


def middles(*voxels: float) -> list[list[float]]:
    """Return points in voxels of that row."""
    return [[10 * voxel + 5, 5, 5] for voxel in voxels]


def test_own_total_and_sides() -> None:
    """A region's total holds what is below it; the row of outside closes the table."""
    subject = small(3, 2, 0, 4)
    frame = counting.count(subject, middles(0, 0, 1, 2, 3, 9))
    assert frame.columns.tolist() == COLUMNS
    assert frame.drop(columns=["name", "density_per_mm3"]).to_numpy().tolist() == [
        [1, "root", 0, 4, 3, 1],
        [2, "A", 1, 3, 3, 0],
        [3, "A1", 2, 2, 2, 0],
        [4, "B", 1, 1, 0, 1],
        [0, "Outside atlas", 2, 2, 0, 1],
    ]
    # A voxel is 1e-6 mm³: 4 points in 3 of them, 3 in 2, 2 in 1, 1 in 1.
    np.testing.assert_allclose(
        frame["density_per_mm3"], [4e6 / 3, 1.5e6, 2e6, 1e6, np.nan], rtol=1e-14
    )


def test_zeros() -> None:
    """Regions without a point are rows on request; without a voxel, they have no density."""
    subject = small(3, 77)
    frame = counting.count(subject, middles(0))
    assert frame["acronym"].tolist() == ["root", "A", "A1", "Outside atlas"]
    frame = counting.count(subject, middles(0), zeros=True)
    assert frame["acronym"].tolist() == ["root", "A", "A1", "B", "unlisted 77", "Outside atlas"]
    assert frame["density_per_mm3"].isna().tolist() == [False, False, False, True, False, True]


def test_depths_are_rows_once() -> None:
    """At a depth, structures above it are rows only for points of their own."""
    subject = small(3, 2, 4, 1)
    frame = counting.count(subject, middles(0, 1, 2), at=1)
    assert frame["acronym"].tolist() == ["A", "B", "Outside atlas"]
    assert frame["own"].tolist() == frame["total"].tolist() == [2, 1, 0]
    frame = counting.count(subject, middles(0, 3), at=1)
    assert frame[["acronym", "own", "total"]].to_numpy().tolist() == [
        ["root", 1, 2],
        ["A", 1, 1],
        ["Outside atlas", 0, 0],
    ]


def test_given_structures_are_the_rows() -> None:
    """A point goes to the deepest of them; what no row holds is elsewhere, unlisted labels too."""
    subject = small(3, 2, 4, 77)
    frame = counting.count(subject, middles(0, 1, 1, 2, 3), at=["A1", "A"])
    assert frame[["acronym", "own", "total"]].to_numpy().tolist() == [
        ["A", 2, 3],
        ["A1", 1, 1],
        ["Elsewhere", 2, 2],
        ["Outside atlas", 0, 0],
    ]
    assert counting.count(subject, [], at="B", zeros=True)["acronym"].tolist() == [
        *("B", "Elsewhere", "Outside atlas"),
    ]


@pytest.mark.parametrize(("label", "dtype"), [(2**32 - 1, np.uint32), (2**64 - 1, np.uint64)])
def test_labels_that_the_terminology_lacks(label: int, dtype: type) -> None:
    """They are rows of their own, by their number, whatever its size."""
    frame = counting.count(small(3, label, dtype=dtype), middles(0, 1, 1))
    assert frame["id"].tolist() == [1, 2, 3, label, 0]
    assert frame["acronym"].iloc[3] == f"unlisted {label}"
    assert frame["own"].tolist() == [0, 0, 1, 2, 0]
    assert frame["density_per_mm3"].iloc[3] == pytest.approx(2e6)


def test_no_points(atlas: BrainGlobeAtlas) -> None:
    """Nothing to count is an answer."""
    frame = atlas.count([])
    assert frame["acronym"].tolist() == ["Outside atlas"]
    assert frame.dtypes.tolist() == counting.empty_table().dtypes.tolist()
    assert len(atlas.count(np.empty((0, 3)), zeros=True)) == len(atlas.structures) + 1


def test_counts_are_those_of_lookup(atlas: BrainGlobeAtlas, points: np.ndarray) -> None:
    """Own is how often lookup answers a structure, for every way to ask."""
    for at in (None, 0, 4, -2, ["TH", "VISp", 997], atlas.structures["TH"]):
        answers = atlas.lookup(points, at=at)["acronym"].astype(str).value_counts()
        frame = atlas.count(points, at=at).set_index("acronym")["own"]
        assert frame[frame > 0].to_dict() == answers.to_dict()


def test_units(atlas: BrainGlobeAtlas, points: np.ndarray) -> None:
    """Millimetres and voxels are counted as µm."""
    expected = atlas.count(points)
    for factor, unit in ((1e-3, "mm"), (1e-2, "voxel")):
        pd.testing.assert_frame_equal(atlas.count(points * factor, unit=unit), expected)


def test_an_edited_annotation_is_counted_as_it_is(points: np.ndarray) -> None:
    """Points, and volumes, are those of what the caller made of the array."""
    atlas = BrainGlobeAtlas(NAME)
    before = atlas.count(points)
    thalamus = atlas.structures["TH"].id
    atlas.annotation[...] = thalamus
    after = atlas.count(points).set_index("acronym")
    inside = int(atlas.lookup(points)["inside"].sum())
    assert after.loc["TH", "own"] == inside
    assert after.loc["TH", "density_per_mm3"] == pytest.approx(
        inside / (atlas.annotation.size * 1e-3)
    )
    assert not before.equals(after.reset_index())


WRONG: list[tuple[Any, dict[str, Any], type[Exception]]] = [
    ("abc", {}, InvalidInputError),
    ([[1, 2]], {}, InvalidInputError),
    (np.array([[1, 2, None]], object), {}, InvalidInputError),
    (np.ones((2, 3), complex), {}, InvalidInputError),
    ([[1, 2, 3]], {"unit": "inch"}, InvalidInputError),
    ([], {"unit": "inch"}, InvalidInputError),
    ([[1, 2, 3]], {"at": True}, InvalidInputError),
    ([[1, 2, 3]], {"at": 1.5}, InvalidInputError),
    ([[1, 2, 3]], {"at": ["nowhere"]}, UnknownStructureError),
    ([[1, 2, 3]], {"columns": ["x", "y", "z"]}, InvalidInputError),
    (pd.DataFrame({"a": [1.0], "b": 2.0, "c": 3.0, "d": 4.0}), {}, InvalidInputError),
    (pd.DataFrame({"a": ["x"], "b": 2.0, "c": 3.0}), {}, InvalidInputError),
    (da.ones((4, 2)), {}, InvalidInputError),
    (da.ones((4, 3), dtype=complex), {}, InvalidInputError),
    (da.ones((4, 3)), {"unit": "inch"}, InvalidInputError),
    (da.ones((4, 3)), {"at": ["nowhere"]}, UnknownStructureError),
    (da.ones((4, 3)), {"columns": ["x", "y", "z"]}, InvalidInputError),
    (pd.DataFrame(np.ones((2, 3)), columns=["x", "x", "y"]), {}, InvalidInputError),
    (dd.from_pandas(pd.DataFrame({"x": [1.0], "y": 2.0}), npartitions=1), {}, InvalidInputError),
    (dask.delayed([[1, 2, 3]]), {}, InvalidInputError),
    (Path("nowhere.csv"), {}, InvalidInputError),
    ("nowhere.parquet", {}, InvalidInputError),
]


@pytest.mark.parametrize(("given", "options", "error"), WRONG)
@pytest.mark.parametrize("question", ["count", "lookup"])
def test_what_cannot_be_counted(
    atlas: BrainGlobeAtlas, question: str, given: Any, options: Any, error: type[Exception]
) -> None:
    """Bad points, units, columns, files and structures are refused at once, Dask's too."""
    with pytest.raises(error):
        getattr(atlas, question)(given, **options)


def test_what_a_table_holds_is_said() -> None:
    """A table that holds no numbers is described in one line, by the types of its columns."""
    table = pd.DataFrame({"x": [True], "y": [1.0], "z": [1j]})
    with pytest.raises(InvalidInputError, match="got a table of bool, float64, complex128"):
        BrainGlobeAtlas("phantom_mouse_100um").count(table)


def test_tables_of_pandas(atlas: BrainGlobeAtlas, points: np.ndarray) -> None:
    """Coordinates are found by name, or named; three columns are what they are; the index stays."""
    table = pd.DataFrame(points, columns=["x", "y", "z"], index=np.arange(len(points)) * 3)
    expected = atlas.count(points)
    wide = table.assign(cell=1.0)[["cell", "z", "y", "x"]]
    renamed = wide.rename(columns={"x": "i", "y": "j", "z": "k"})
    pd.testing.assert_frame_equal(atlas.count(table), expected)
    pd.testing.assert_frame_equal(atlas.count(wide), expected)
    pd.testing.assert_frame_equal(atlas.count(renamed, columns=["i", "j", "k"]), expected)
    pd.testing.assert_frame_equal(atlas.count(table.set_axis(range(3), axis=1)), expected)
    answers = atlas.lookup(wide)
    assert (answers.index == wide.index).all()
    assert answers["id"].tolist() == atlas.lookup(points)["id"].tolist()


def test_tables_of_dask(atlas: BrainGlobeAtlas, points: np.ndarray) -> None:
    """A Dask table is answered as the pandas one it stands for, part by part, index and all."""
    table = pd.DataFrame(points, columns=["x", "y", "z"]).assign(cell=1.0)
    table.index = pd.Index(np.arange(len(points)) * 3)
    lazy = dd.from_pandas(table, npartitions=7)
    counted = atlas.count(lazy, at=4)
    assert counted.npartitions == 1
    pd.testing.assert_frame_equal(counted.compute(), atlas.count(table, at=4))
    looked = atlas.lookup(lazy)
    assert looked.divisions == lazy.divisions
    texts = {"acronym": str, "name": str}
    pd.testing.assert_frame_equal(looked.compute().astype(texts), atlas.lookup(table).astype(texts))
    categories = looked.acronym.cat.categories.tolist()
    assert set(categories) >= {*atlas.lookup_df["acronym"], "Outside atlas", "Elsewhere"}


def test_dask_arrays(atlas: BrainGlobeAtlas, points: np.ndarray) -> None:
    """Chunks along both axes, of unknown length, empty ones, and a triplet."""
    lazy = da.from_array(points, chunks=(999, 2))
    expected = atlas.lookup(points)["id"].tolist()
    looked = atlas.lookup(lazy)
    assert looked.divisions == (0, 999, 1998, 2997, 3996, 4995, 4999)
    assert looked["id"].compute().tolist() == expected
    some = lazy[lazy[:, 0] > 4000]
    kept = points[points[:, 0] > 4000]
    assert atlas.lookup(some)["id"].compute().tolist() == atlas.lookup(kept)["id"].tolist()
    pd.testing.assert_frame_equal(atlas.count(some).compute(), atlas.count(kept))
    pd.testing.assert_frame_equal(atlas.count(da.zeros((0, 3))).compute(), atlas.count([]))
    assert atlas.lookup(da.asarray([7100, 3870, 4500]))["acronym"].compute().tolist() == ["TH"]


def test_many_parts_combine_in_a_tree(atlas: BrainGlobeAtlas, points: np.ndarray) -> None:
    """More tallies than one task adds up give the same count."""
    lazy = da.from_array(points[:1000], chunks=(3, 3))
    assert len(lazy.chunks[0]) > lazily._COMBINED**2
    pd.testing.assert_frame_equal(atlas.count(lazy).compute(), atlas.count(points[:1000]))


def test_a_grouping_is_counted_by_its_groups(atlas: BrainGlobeAtlas, points: np.ndarray) -> None:
    """In memory and with Dask, a grouping gives what the atlas it makes gives."""
    grouped = atlas.group({"seen": ["VIS"], "deep": ["TH", "HY"]})
    expected = grouped.count(points)
    assert {"seen", "deep"} <= {*expected["acronym"]}
    pd.testing.assert_frame_equal(atlas.count(points, at=grouped.grouping), expected)
    lazy = da.from_array(points, chunks=(1000, 3))
    pd.testing.assert_frame_equal(atlas.count(lazy, at=grouped.grouping).compute(), expected)
    looked = atlas.lookup(lazy, at=grouped.grouping)["acronym"].compute().tolist()
    assert looked == grouped.lookup(points)["acronym"].tolist()


@pytest.mark.parametrize("at", [None, 3, ["TH", "CTX"]])
def test_dask_says_what_is_nearest(atlas: BrainGlobeAtlas, points: np.ndarray, at: Any) -> None:
    """Part by part, of arrays and tables, the nearest regions are those of points in memory."""
    expected = atlas.lookup(points, at=at, nearest=True)
    assert (expected["distance_um"] > 0).any()
    table = dd.from_pandas(pd.DataFrame(points, columns=["x", "y", "z"]), npartitions=3)
    texts = {"acronym": str, "name": str, "nearest_acronym": str}
    for lazy in (da.from_array(points, chunks=(1500, 2)), table):
        looked = atlas.lookup(lazy, at=at, nearest=True)
        found = looked.compute()
        assert (found.dtypes == looked.dtypes).all()
        pd.testing.assert_frame_equal(
            found.astype(texts), expected.astype(texts), check_dtype=False
        )
