"""From a table of regions to a volume, from points to a heat map, and from these to files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.errors import AlreadyThereError, InvalidInputError, UnknownStructureError
from bg_atlasapi.formats.images import open_image
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.terminology import Record, Terminology
from bg_atlasapi.query.heatmaps import heatmap
from bg_atlasapi.query.painting import paint, write_image
from bg_atlasapi.query.subject import Subject

PATHS = {"root": (1,), "A": (1, 2), "A1": (1, 2, 3), "B": (1, 2**32 - 1)}
TREE = Terminology([Record(p[-1], a, f"region {a}", p, (0, 0, 0)) for a, p in PATHS.items()])


@pytest.fixture
def subject() -> Subject:
    """Return a random annotation of odd lengths, left-right axis first, an unlisted label in it."""
    ids = np.array([0, 1, 2, 3, 2**32 - 1, 77], np.uint32)
    labels = np.random.default_rng(1).choice(ids, (5, 7, 9))
    space = CoordinateSpace(labels.shape, (50.0, 20.0, 30.0), "rsa")
    return Subject(LabelVolume(ArraySource(labels), TREE), space, None)


@pytest.fixture
def atlas() -> BrainGlobeAtlas:
    """Return the phantom."""
    return BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)


def test_the_deepest_listed_structure_wins(subject: Subject) -> None:
    """A structure that is not listed has the value of the nearest one above; others none."""
    labels = subject.labels.ids()
    volume = paint(subject, {"A": 2.5, 3: 7, "region B": np.float32(-1)})
    expected = np.full(labels.shape, np.nan, np.float32)
    expected[labels == 2] = 2.5
    expected[labels == 3] = 7
    expected[labels == 2**32 - 1] = -1
    assert volume.dtype == np.float32
    assert np.array_equal(volume, expected, equal_nan=True)
    assert (paint(subject, {"root": 1}, dtype="uint8") == np.isin(labels, TREE.ids[1:])).all()


def test_one_hemisphere(subject: Subject) -> None:
    """The other one is background."""
    both = paint(subject, {"root": 3}, dtype=np.int16, background=-5)
    sides = np.broadcast_to(subject.sides(0, 5), both.shape)
    for side, name in ((1, "left"), (2, "right")):
        one = paint(subject, {"root": 3}, dtype=np.int16, background=-5, hemisphere=name)
        assert np.array_equal(one, np.where(sides == side, both, -5))


def test_tables_of_pandas(subject: Subject) -> None:
    """Series, DataFrames with and without ``id``; what ``measure`` answers paints back."""
    from bg_atlasapi.query.measuring import measure

    expected = paint(subject, {"A": 1.0, "B": 2.0})
    series = pd.Series([1.0, 2.0], ["A", "B"])
    for table in (series, series.to_frame("x"), pd.DataFrame({"id": [2, 2**32 - 1], "x": [1, 2]})):
        assert np.array_equal(paint(subject, table), expected, equal_nan=True)
    image = subject.labels.ids().astype(np.float64)
    answers = measure(subject, image, ("mean",))
    painted = paint(subject, answers, column="own_mean", dtype=np.float64, background=0)
    assert np.array_equal(painted, image)


def test_a_table_of_counts_is_painted() -> None:
    """Its rows of points outside paint nothing; one value said twice is one value."""
    atlas = BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)
    inside = atlas.get_structure_mask("TH") > 0
    for at in (None, ["TH"]):
        counts = atlas.count([[7100, 3870, 4500], [0, 0, 0]], at=at)
        painted = paint(atlas, counts, column="total", background=0)
        assert np.array_equal(painted[inside], np.ones(inside.sum()))
    twice = paint(atlas, {"TH": 1, "Thalamus": 1}, background=0)
    assert np.array_equal(twice > 0, inside)


@pytest.mark.parametrize(
    ("values", "options", "sentence"),
    [
        ([1, 2], {}, "is a mapping"),
        ({"A": "x"}, {}, "is no number"),
        ({"A": 300}, {"dtype": "uint8"}, "is no number that uint8 holds"),
        ({"A": None}, {"dtype": int}, "is no number"),
        ({"A": 1}, {"dtype": complex}, "real numbers"),
        ({"A": 1}, {"dtype": "nonsense"}, "real numbers"),
        ({"A": 1}, {"hemisphere": "top"}, "A hemisphere is one of"),
        ({"A": 1}, {"background": "x"}, "background"),
        ({"nowhere": 1}, {}, "No structure"),
        ({0: 1}, {}, "No structure"),
        ({"A": 1e300}, {}, "is no number that float32 holds"),
        (pd.Series([1, 2], ["A", "A"]), {}, "two values of 'A': 1.0, 2.0"),
        ({"A": 1, 2: math.nan}, {}, "two values of 2: 1.0, nan"),
        (pd.DataFrame({"id": [2], "x": [1], "y": [2]}), {}, "column="),
        (pd.DataFrame({"id": [2], "x": [1]}), {"column": "z"}, "column="),
    ],
)
def test_what_cannot_be_painted(
    subject: Subject, values: Any, options: dict[str, Any], sentence: str
) -> None:
    """One sentence says why."""
    with pytest.raises((InvalidInputError, UnknownStructureError), match=sentence):
        paint(subject, values, **options)


@pytest.mark.parametrize("resolution", [None, 40, (100.0, 60.0, 90.0), (33.0, 20.0, 7.0)])
def test_points_are_counted_where_they_lie(subject: Subject, resolution: Any) -> None:
    """In voxels of any size; what is beyond the volume, or NaN, is left out."""
    points = np.random.default_rng(2).uniform(-20, 300, (500, 3))
    points[3] = np.nan
    sizes = np.broadcast_to((50.0, 20.0, 30.0) if resolution is None else resolution, 3)
    extent = np.multiply((5, 7, 9), (50.0, 20.0, 30.0))
    found = heatmap(subject, points, resolution=resolution)
    assert found.shape == tuple(np.ceil(extent / sizes - 1e-9).astype(int))
    edges = [np.arange(n + 1) * size for n, size in zip(found.shape, sizes, strict=True)]
    expected, _ = np.histogramdd(points[~np.isnan(points[:, 0])], edges)
    assert np.array_equal(found, expected)
    in_mm = heatmap(subject, points / 1000, "mm", resolution=resolution)
    in_voxels = heatmap(subject, points / (50, 20, 30), "voxel", resolution=resolution)
    assert in_mm.sum() == in_voxels.sum() == found.sum()


def test_smoothing_keeps_the_number_of_points(subject: Subject) -> None:
    """With another width on each axis, and next to the edge; the mask is put on after."""
    points = np.array([[120.0, 70.0, 130.0], [1.0, 1.0, 1.0], [249.0, 139.0, 269.0]])
    smooth = heatmap(subject, points, sigma_um=(60, 10, 30))
    assert smooth.dtype == np.float32
    assert smooth.sum() == pytest.approx(3, rel=1e-5)
    assert np.array_equal(heatmap(subject, points, sigma_um=0), heatmap(subject, points))
    masked = heatmap(subject, points, sigma_um=(60, 10, 30), mask=True)
    assert np.array_equal(masked, np.where(subject.labels.ids() == 0, 0, smooth))
    coarse = heatmap(subject, points, resolution=(100, 40, 60), mask=True)
    assert coarse.shape == (3, 4, 5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sigma_um": -1}, "sigma_um="),
        ({"sigma_um": "x"}, "sigma_um="),
        ({"sigma_um": [1, 2]}, "sigma_um="),
        ({"resolution": 0}, "voxel size"),
        ({"resolution": 1e-9}, "too small"),
        ({"unit": "inch"}, "not a unit"),
    ],
)
def test_what_is_no_heat_map(subject: Subject, options: dict[str, Any], sentence: str) -> None:
    """One sentence says why."""
    with pytest.raises(InvalidInputError, match=sentence):
        heatmap(subject, [[1, 2, 3]], **options)


@pytest.mark.parametrize("ending", ["nii.gz", "nii", "tif", "npy", "zarr"])
@pytest.mark.parametrize("dtype", ["float32", "uint8", "int16"])
def test_files_are_read_back(
    atlas: BrainGlobeAtlas, tmp_path: Path, ending: str, dtype: str
) -> None:
    """What is written is measured as the volume itself, at the atlas's voxel size and a coarser."""
    volume = paint(atlas, {"root": 1, "TH": 7}, dtype=dtype, background=0)
    for name, one in (("fine", volume), ("coarse", np.ascontiguousarray(volume[::2, ::2, ::2]))):
        path = tmp_path / f"{name}.{ending}"
        write_image(atlas, one, path)
        pd.testing.assert_frame_equal(atlas.measure(path), atlas.measure(one))
        assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    stored = open_image(tmp_path / f"coarse.{ending}")
    if ending not in ("tif", "npy"):
        assert stored.spacing_um == pytest.approx((200, 200, 200))
    if ending.startswith("nii"):
        assert stored.orientation == atlas.orientation


def test_files_say_where_they_come_from(atlas: BrainGlobeAtlas, tmp_path: Path) -> None:
    """Each kind has its place for it."""
    import nibabel
    import nrrd
    import tifffile

    volume = paint(atlas, {"root": 1}, dtype="uint8")
    for ending in ("nii.gz", "nrrd", "tif", "npy", "zarr"):
        write_image(atlas, volume, tmp_path / f"x.{ending}")
    (extension,) = nibabel.load(tmp_path / "x.nii.gz").header.extensions
    data, header = nrrd.read(str(tmp_path / "x.nrrd"))
    assert np.array_equal(data, volume)
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        lines = file.pages[0].description.splitlines()
    texts = [
        json.loads(extension.get_content())["bg_atlasapi"],
        json.loads(header["bg_atlasapi"]),
        json.loads(next(one for one in lines if one.startswith("bg_atlasapi=")).partition("=")[2]),
        json.loads((tmp_path / "x.npy-metadata.json").read_text())["notes"][0]["bg_atlasapi"],
        json.loads((tmp_path / "x.zarr" / "zarr.json").read_text())["attributes"]["bg_atlasapi"],
    ]
    assert {one["atlas"] for one in texts} == {"phantom_mouse_100um"}


def test_what_cannot_be_written(atlas: BrainGlobeAtlas, tmp_path: Path) -> None:
    """An unknown ending, no folder, a folder in the way, another space, no numbers."""
    volume = paint(atlas, {"root": 1})
    for name, sentence in (("x.jpg", "must end in"), ("no/x.npy", "there is no folder")):
        with pytest.raises(InvalidInputError, match=sentence):
            write_image(atlas, volume, tmp_path / name)
    (tmp_path / "x.zarr").mkdir()
    with pytest.raises(AlreadyThereError, match="there already"):
        write_image(atlas, volume, tmp_path / "x.zarr")
    with pytest.raises(InvalidInputError, match="has the shape"):
        write_image(atlas, volume[1:], tmp_path / "x.npy")
    with pytest.raises(InvalidInputError, match="not numbers"):
        write_image(atlas, volume.astype(complex), tmp_path / "x.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["x.zarr"]
