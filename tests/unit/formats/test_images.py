"""Images of other tools: what their files say about axes and voxel size, and damaged ones."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name
import tifffile

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.images import open_image
from bg_atlasapi.testing.components import _write_image

ALL = ("n", "sum", "std", "median")


@pytest.fixture
def atlas() -> BrainGlobeAtlas:
    """Return the phantom."""
    return BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)


def to_ras(atlas: BrainGlobeAtlas) -> tuple[Any, Any]:
    """Return the template as an array in RAS+ order and its affine."""
    ras = np.asarray(atlas.reference)[::-1, ::-1, ::-1].transpose(2, 0, 1)
    return ras, np.diag([0.1, 0.1, 0.1, 1])


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
@pytest.mark.parametrize("unit", ["mm", "micron", "unknown"])
def test_nifti_is_turned_to_the_atlas(
    atlas: BrainGlobeAtlas, tmp_path: Path, ending: str, unit: str
) -> None:
    """Axes in the order of NIfTI, flipped, in any unit: the answer is that of the template."""
    values, affine = to_ras(atlas)
    affine = affine * ([1000, 1000, 1000, 1] if unit == "micron" else 1)
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units(unit)
    path = tmp_path / f"x.{ending}"
    nibabel.save(image, path)
    expected = atlas.measure(atlas.reference, ALL)
    pd.testing.assert_frame_equal(atlas.measure(path, ALL), expected)
    series = nibabel.Nifti1Image(values[..., None], affine)
    series.header.set_xyzt_units(unit)
    nibabel.save(series, path)
    pd.testing.assert_frame_equal(atlas.measure(str(path), ALL), expected)


@pytest.mark.parametrize("ending", ["nrrd", "nhdr", "mha", "mhd"])
@pytest.mark.parametrize("compressed", [False, True])
def test_other_formats_are_turned_to_the_atlas(
    atlas: BrainGlobeAtlas, tmp_path: Path, ending: str, compressed: bool
) -> None:
    """NRRD and MetaImage as SimpleITK writes them in LPS: the answer is that of the template."""
    values, _ = to_ras(atlas)
    image = sitk.GetImageFromArray(values[::-1, ::-1].transpose(2, 1, 0))
    image.SetSpacing((0.1, 0.1, 0.1))
    path = tmp_path / f"x.{ending}"
    sitk.WriteImage(image, str(path), compressed)
    expected = atlas.measure(atlas.reference, ALL)
    pd.testing.assert_frame_equal(atlas.measure(path, ALL), expected)


def test_slices_have_the_axes_of_the_atlas(atlas: BrainGlobeAtlas, tmp_path: Path) -> None:
    """A folder or a pattern of TIFF slices is measured as the stack it makes."""
    for number, plane in enumerate(np.asarray(atlas.reference)):
        tifffile.imwrite(tmp_path / f"plane {number}.tif", plane)
    expected = atlas.measure(atlas.reference, ALL)
    for path in (tmp_path, tmp_path / "plane *.tif"):
        pd.testing.assert_frame_equal(atlas.measure(path, ALL), expected)


def test_scaled_nifti_holds_what_it_stands_for(atlas: BrainGlobeAtlas, tmp_path: Path) -> None:
    """Slope and intercept are applied as planes are read."""
    values, affine = to_ras(atlas)
    image = nibabel.Nifti1Image(values.astype(np.int16), affine)
    image.header.set_slope_inter(0.5, -3)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "x.nii")
    scaled = nibabel.load(tmp_path / "x.nii")
    plain = np.asarray(scaled.dataobj).transpose(1, 2, 0)[::-1, ::-1, ::-1]
    found = atlas.measure(tmp_path / "x.nii", ALL)
    pd.testing.assert_frame_equal(found, atlas.measure(plain, ALL), rtol=1e-12)


def test_axes_that_cannot_be_matched(atlas: BrainGlobeAtlas, tmp_path: Path) -> None:
    """An image that lies aslant is refused, one without a frame has the atlas's axes."""
    turned = np.eye(4) * 0.1
    turned[:2, :2] = [[0.08, -0.06], [0.06, 0.08]]
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3), np.uint8), turned), tmp_path / "x.nii")
    with pytest.raises(InvalidInputError, match="aslant"):
        atlas.measure(tmp_path / "x.nii")
    image = nibabel.Nifti1Image(atlas.reference, None)
    image.header.set_zooms((0.1, 0.1, 0.1))
    nibabel.save(image, tmp_path / "y.nii")
    assert open_image(tmp_path / "y.nii").orientation is None
    found = atlas.measure(tmp_path / "y.nii", ALL)
    pd.testing.assert_frame_equal(found, atlas.measure(atlas.reference, ALL))


def test_the_level_of_an_image_that_fits(atlas: BrainGlobeAtlas, tmp_path: Path) -> None:
    """An OME-Zarr image without the atlas's voxel size is read at its finest; chunks read once."""
    _write_image(tmp_path / "a.zarr", atlas.reference, (100.0,) * 3, (20, 30, 40))
    found = atlas.measure(tmp_path / "a.zarr", ALL)
    pd.testing.assert_frame_equal(found, atlas.measure(atlas.reference, ALL))
    coarse = np.ascontiguousarray(atlas.reference[::2, ::2, ::2])
    _write_image(tmp_path / "b.zarr", coarse, (200.0,) * 3, (20, 30, 40))
    found = atlas.measure(tmp_path / "b.zarr", ALL)
    pd.testing.assert_frame_equal(found, atlas.measure(coarse, ALL, resolution=200))
    level = next(one.parent for one in (tmp_path / "a.zarr").glob("*/zarr.json"))
    found = atlas.measure(level, ALL)
    pd.testing.assert_frame_equal(found, atlas.measure(atlas.reference, ALL))


def test_damaged_files_are_one_sentence(atlas: BrainGlobeAtlas, tmp_path: Path) -> None:
    """Cut short, empty, of no kind that is known, or not numbers."""
    values, affine = to_ras(atlas)
    for ending in ("nii", "nii.gz"):
        nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / f"x.{ending}")
    np.save(tmp_path / "x.npy", atlas.reference)
    tifffile.imwrite(tmp_path / "x.tif", atlas.reference)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        for length in (len(whole) // 2, 10, 0):
            path.write_bytes(whole[:length])
            with pytest.raises(InvalidInputError, match=path.name):
                atlas.measure(path)
    np.save(tmp_path / "y.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(InvalidInputError, match="Python objects"):
        atlas.measure(tmp_path / "y.npy")
    with pytest.raises(InvalidInputError, match="File name too long"):
        atlas.measure("x" * 5000 + ".nii")
    (tmp_path / "x.jpg").write_bytes(b"x")
    with pytest.raises(InvalidInputError, match="no image that can be read"):
        atlas.measure(tmp_path / "x.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match="neither OME-Zarr nor Zarr"):
        atlas.measure(tmp_path / "empty")


@pytest.mark.parametrize(
    ("offset", "packed", "sentence"),
    [
        (123, b"\x07", "damaged"),  # a unit that there is not
        (70, struct.pack("<h", 999), "damaged"),  # a type that there is not
        (42, struct.pack("<h", -5), "none may be below 1"),  # a negative length
        (42, struct.pack("<h", 32000), "cut short"),  # more than the file holds
        (108, struct.pack("<f", 1e30), "damaged"),  # values that begin far past the end
        (40, struct.pack("<h", 9), "damaged"),  # nine axes
        (280, struct.pack("<12f", *[0.0] * 12), "no voxel size"),
        (280, struct.pack("<12f", *[np.nan] * 12), "no voxel size"),
    ],
)
def test_nifti_headers_of_nonsense_are_one_sentence(
    atlas: BrainGlobeAtlas, tmp_path: Path, offset: int, packed: bytes, sentence: str
) -> None:
    """Whatever a header says, the error names the file; no library's own error gets out."""
    values, affine = to_ras(atlas)
    path = tmp_path / "x.nii"
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    data = bytearray(path.read_bytes())
    data[offset : offset + len(packed)] = packed
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match=sentence) as refused:
        atlas.measure(path)
    assert "x.nii" in str(refused.value)


def test_zarr_that_cannot_be_read_is_not_called_an_atlas(
    atlas: BrainGlobeAtlas, tmp_path: Path
) -> None:
    """The sentence says what is wrong with the image, not that it was cut short."""
    _write_image(tmp_path / "a.zarr", atlas.reference, (100.0,) * 3, (20, 30, 40))
    described = next((tmp_path / "a.zarr").glob("*/zarr.json"))
    text = described.read_text()
    described.write_text(text.replace('"uint16"', '"complex64"'))
    with pytest.raises(InvalidInputError, match="cannot be read as an image: .*complex64") as error:
        atlas.measure(tmp_path / "a.zarr")
    assert "valid atlas" not in str(error.value)
