"""Dask arrays are measured lazily, and answer what arrays answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bg_atlasapi import BrainGlobeAtlas, query
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.query.sharing import SharedAtlas

da = pytest.importorskip("dask.array")
ALL = ("n", "sum", "mean", "std", "min", "max", "median", "p5", "area_fraction")


@pytest.fixture
def atlas() -> BrainGlobeAtlas:
    """Return the phantom."""
    return BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)


@pytest.mark.parametrize("chunks", [(7, 50, 50), (40, 80, 114), (132, 20, 20)])
@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64"])
def test_lazy_is_plain(atlas: BrainGlobeAtlas, chunks: Any, dtype: str) -> None:
    """Whatever the chunks: exactly for 16 bits, to 1e-12 for others; NaN and masks too."""
    image = atlas.reference.astype(dtype) + np.dtype(dtype).type(3)
    if image.dtype.kind == "f":
        image[::7] = np.nan
    exclude = atlas.reference % 5 == 0
    expected = atlas.measure(image, ALL, threshold=300, exclude=exclude)
    for mask in (exclude, da.from_array(exclude, chunks=33)):
        lazy = atlas.measure(da.from_array(image, chunks=chunks), ALL, threshold=300, exclude=mask)
        assert not isinstance(lazy, pd.DataFrame)
        found = lazy.compute(scheduler="threads")
        pd.testing.assert_frame_equal(found, expected, rtol=1e-12, atol=0, check_exact=False)
        rounded = {"std", "mean", "sum"} if image.dtype.kind == "f" else {"std"}
        same = [name for name in expected if not rounded & set(name.split("_"))]
        same = expected.columns.tolist() if dtype == "uint16" else same
        pd.testing.assert_frame_equal(found[same], expected[same], check_exact=True)


def test_lazy_at_another_voxel_size(atlas: BrainGlobeAtlas) -> None:
    """Finer and coarser voxels, a depth, one side; a sketch states the same error."""
    fine = np.kron(atlas.reference, np.ones((2, 2, 2), np.uint16))
    coarse = np.ascontiguousarray(atlas.reference[::3, ::3, ::3])
    for image in (fine, coarse):
        lazy = da.from_array(image, chunks=31)
        for options in ({"at": 2}, {"hemispheres": False}, {"at": ["TH", "HY"]}):
            size = 100 * atlas.shape[0] / image.shape[0] if image is fine else 300
            expected = atlas.measure(image, ALL[:4], resolution=size, **options)
            found = atlas.measure(lazy, ALL[:4], resolution=size, **options).compute()
            pd.testing.assert_frame_equal(found, expected)
    image = atlas.reference.astype(np.float32)
    expected = atlas.measure(image, ("p5",), sketch=True)
    found = atlas.measure(da.from_array(image, chunks=40), ("p5",), sketch=True).compute()
    pd.testing.assert_frame_equal(found, expected)
    assert found.attrs == expected.attrs


def test_other_processes_open_the_atlas_by_reference(atlas: BrainGlobeAtlas) -> None:
    """Tasks carry less than 10 kB of atlas; labels met in one part only have their row."""
    assert len(SharedAtlas.of(atlas).payload) < 10_000
    lazy = atlas.measure(da.from_array(atlas.reference, chunks=70), ALL[:4])
    expected = atlas.measure(atlas.reference, ALL[:4])
    pd.testing.assert_frame_equal(lazy.compute(scheduler="processes", num_workers=2), expected)


def test_parts_that_are_read_alone(atlas: BrainGlobeAtlas, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where codes are not kept, a task reads only the labels of its planes."""
    expected = atlas.measure(atlas.reference, ALL[:4])
    monkeypatch.setattr("bg_atlasapi.model.labels._KEPT_BYTES", 0)
    other = BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)
    lazy = other.measure(da.from_array(atlas.reference, chunks=25), ALL[:4])
    pd.testing.assert_frame_equal(lazy.compute(scheduler="synchronous"), expected)


@pytest.mark.parametrize(
    ("image", "options", "sentence"),
    [
        (np.zeros((2, 2)), {}, "has 2 axes"),
        (np.zeros((3, 3, 3), complex), {}, "real numbers"),
        (np.zeros((131, 80, 114)), {}, "has the shape"),
        (np.zeros((132, 80, 114)), {"exclude": np.zeros((1, 2, 3))}, "exclusion mask"),
        (np.zeros((132, 80, 114)), {"at": "nowhere"}, "No structure"),
    ],
)
def test_mistakes_are_told_at_once(
    atlas: BrainGlobeAtlas, image: Any, options: dict[str, Any], sentence: str
) -> None:
    """Not when the answer is computed."""
    with pytest.raises((InvalidInputError, KeyError), match=sentence):
        atlas.measure(da.from_array(image), **options)


def test_groups_are_measured_lazily(atlas: BrainGlobeAtlas) -> None:
    """A grouped atlas, left and right apart too, answers of a dask array what it does of another."""
    image = da.from_array(atlas.reference, chunks=50)
    for grouped in (atlas.group(3), atlas.group(lateralise=True), atlas.group(4).group(["CTX"])):
        expected = grouped.measure(atlas.reference, ALL[:4])
        lazy = grouped.measure(image, ALL[:4])
        pd.testing.assert_frame_equal(lazy.compute(scheduler="threads"), expected)
    grouping = atlas.group(["CTX"]).grouping
    lazy = atlas.measure(image, ALL[:4], grouping)
    expected = atlas.measure(atlas.reference, ALL[:4], grouping)
    pd.testing.assert_frame_equal(lazy.compute(), expected)


def test_masked_blocks_leave_out_what_they_mask(atlas: BrainGlobeAtlas) -> None:
    """As numpy's masked arrays do, with an exclusion mask beside."""
    image, exclude = atlas.reference.astype(np.float32), atlas.reference % 5 == 0
    expected = atlas.measure(np.ma.masked_greater(image, 300), ALL[:4], exclude=exclude)
    masked = da.ma.masked_greater(da.from_array(image, chunks=50), 300)
    found = atlas.measure(masked, ALL[:4], exclude=exclude).compute()
    pd.testing.assert_frame_equal(found, expected, rtol=1e-12)


@pytest.mark.parametrize("ending", ["tif", "nii", "nii.gz", "npy", "zarr"])
def test_what_is_left_out_may_be_a_file(
    atlas: BrainGlobeAtlas, tmp_path: Path, ending: str
) -> None:
    """Of any kind, turned if need be; other processes read it, too."""
    exclude = (atlas.reference > 300).astype(np.uint8)
    path = tmp_path / f"mask.{ending}"
    query.write_image(atlas, exclude, path)
    lazy = atlas.measure(da.from_array(atlas.reference, chunks=60), ALL[:4], exclude=path)
    expected = atlas.measure(atlas.reference, ALL[:4], exclude=exclude)
    pd.testing.assert_frame_equal(lazy.compute(scheduler="threads"), expected)
    found = lazy.compute(scheduler="processes", num_workers=2)
    pd.testing.assert_frame_equal(found, expected)


def test_chunks_of_unknown_size_are_refused(atlas: BrainGlobeAtlas) -> None:
    """With what to do about them."""
    image = da.from_array(atlas.reference, chunks=60)
    with pytest.raises(InvalidInputError, match="compute_chunk_sizes"):
        atlas.measure(image[image[:, 0, 0] >= 0])
