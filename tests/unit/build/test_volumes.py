"""Volumes of every format and orientation, read into the order of an atlas; and hostile ones."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import h5py
import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name
import tifffile

from bg_atlasapi.build.volumes import peek_volume, read_volume
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.testing.components import _write_image

SHAPE = (4, 5, 6)
SIZES_MM = (0.1, 0.2, 0.3)
GROWS = {"l": (0, 1), "r": (0, -1), "p": (1, 1), "a": (1, -1), "i": (2, 1), "s": (2, -1)}
ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(["pa", "si", "lr"])
    for letters in itertools.product(*axes)
]


def values(dtype: Any = np.uint16) -> Any:
    """Return a volume in which every voxel is another."""
    return np.arange(1, 1 + np.prod(SHAPE)).reshape(SHAPE).astype(dtype)


def affine_of(orientation: str) -> Any:
    """Return the RAS+ matrix, mm, of a file whose index 0 lies there."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, letter in enumerate(orientation):
        row, sign = GROWS[letter]
        affine[row, axis] = sign * SIZES_MM[axis]
    affine[:3, 3] = [1.5, -2.5, 3.5]
    return affine


def save_nifti(path: Path, array: Any, affine: Any) -> Path:
    """Write NIfTI in mm."""
    image = nibabel.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
    return path


def save_sitk(path: Path, array: Any, affine: Any, *, compressed: bool = False) -> Path:
    """Write any format of ITK; its frame is LPS."""
    sizes = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    lps = np.diag([-1.0, -1.0, 1.0])
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
    image.SetSpacing(sizes.tolist())
    image.SetDirection((lps @ affine[:3, :3] / sizes).reshape(-1).tolist())
    image.SetOrigin((lps @ affine[:3, 3]).tolist())
    sitk.WriteImage(image, str(path), compressed)
    return path


def save_nrrd(path: Path, array: Any, affine: Any) -> Path:
    """Write NRRD with pynrrd, in RAS."""
    header = {
        "space": "RAS",
        "space directions": affine[:3, :3].T,
        "space origin": affine[:3, 3],
        "space units": ["mm", "mm", "mm"],
        "encoding": "raw",
    }
    nrrd.write(str(path), array, header)
    return path


def save_minc(path: Path, array: Any, affine: Any) -> Path:
    """Write MINC2 with h5py; one dimension a body axis, steps may be negative."""
    columns = affine[:3, :3]
    rows = np.abs(columns).argmax(axis=0)
    names = [("xspace", "yspace", "zspace")[row] for row in rows]
    with h5py.File(path, "w") as file:
        dimensions = file.create_group("minc-2.0/dimensions")
        for axis, name in enumerate(names):
            one = dimensions.create_dataset(name, data=0)
            one.attrs["step"] = float(columns[rows[axis], axis])
            one.attrs["start"] = float(affine[rows[axis], 3])
            one.attrs["length"] = array.shape[axis]
            one.attrs["spacing"] = np.bytes_("regular__")
            one.attrs["direction_cosines"] = np.eye(3)[rows[axis]]
        group = file.create_group("minc-2.0/image/0")
        image = group.create_dataset("image", data=array)
        image.attrs["dimorder"] = np.bytes_(",".join(names))
        image.attrs["valid_range"] = np.array([0, 65535], float)
        group.create_dataset("image-min", data=0.0)
        group.create_dataset("image-max", data=65535.0)
    return path


def as_sitk_turns(path: Path) -> Any:
    """Return what SimpleITK makes of a file: its axes run to P, I, L, which begin at "asr"."""
    turned = sitk.DICOMOrient(sitk.ReadImage(str(path)), "PIL")
    return sitk.GetArrayFromImage(turned).transpose(2, 1, 0), turned.GetSpacing()


def as_nibabel_turns(path: Path) -> Any:
    """Return what nibabel makes of a file, its RAS turned to "asr" by hand."""
    image = nibabel.as_closest_canonical(nibabel.load(path))
    sizes = nibabel.affines.voxel_sizes(image.affine)
    return np.asarray(image.dataobj)[::-1, ::-1, ::-1].transpose(1, 2, 0), sizes[[1, 2, 0]]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_of_every_format_ends_where_others_put_it(
    tmp_path: Path, orientation: str
) -> None:
    """48 orientations, in NIfTI, NRRD, MetaImage and MINC2: as nibabel and SimpleITK turn them."""
    affine, array = affine_of(orientation), values()
    files = [
        save_nifti(tmp_path / "a.nii", array, affine),
        save_nifti(tmp_path / "b.nii.gz", array, affine),
        save_nrrd(tmp_path / "c.nrrd", array, affine),
        save_sitk(tmp_path / "d.nrrd", array, affine, compressed=True),
        save_sitk(tmp_path / "e.mha", array, affine),
        save_sitk(tmp_path / "f.mha", array, affine, compressed=True),
        save_sitk(tmp_path / "g.mhd", array, affine, compressed=True),
        save_minc(tmp_path / "h.mnc", array, affine),
    ]
    for path in files:
        judge = as_nibabel_turns if path.suffix == ".mnc" else as_sitk_turns
        expected, sizes_mm = judge(path)
        peek, found = peek_volume(path), read_volume(path, labels=True)
        assert peek.orientation == found.stated_orientation == orientation, path.name
        assert peek.shape == SHAPE
        assert peek.space() == found.space
        assert np.array_equal(found.array, expected), path.name
        assert found.array.flags.c_contiguous
        assert found.space.spacing_um == pytest.approx(np.multiply(sizes_mm, 1000).tolist())
        assert peek.spacing_um == (100.0, 200.0, 300.0)
        assert np.allclose(peek.affine, affine, atol=1e-6)
        assert found.findings == ()
    expected, _ = as_nibabel_turns(files[0])
    assert np.array_equal(read_volume(files[1]).array, expected)
    plain = read_volume(files[0], target=orientation).array
    assert np.array_equal(plain, array)


def test_aslant_axes_go_where_nibabel_puts_them(tmp_path: Path) -> None:
    """Rotated by up to 35°, flipped and permuted: the nearest directions, and a finding."""
    rng = np.random.default_rng(7)
    for number in range(60):
        axis = rng.normal(size=3)
        angle = np.radians(rng.uniform(3, 35))
        cross = np.cross(np.eye(3), axis / np.linalg.norm(axis))
        turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
        affine = affine_of(ORIENTATIONS[number % 48])
        affine[:3, :3] = turn @ affine[:3, :3]
        path = save_nifti(tmp_path / "x.nii", values(), affine)
        expected, _ = as_nibabel_turns(path)
        found = read_volume(path, labels=True)
        assert np.array_equal(found.array, expected)
        assert [one.code for one in found.findings] == ["oblique-axes"]
    affine = affine_of("lpi")
    affine[:2, :2] = [[0.08, -0.07], [0.07, 0.08]]
    path = save_nifti(tmp_path / "x.nii", values(), affine)
    with pytest.raises(InvalidInputError, match="unclear which is which"):
        read_volume(path)
    assert read_volume(path, orientation="lpi").space.orientation == "asr"


def test_what_people_state_counts_and_contradictions_are_told(tmp_path: Path) -> None:
    """A stated orientation or voxel size wins over the header; each contradiction is a finding."""
    array = values()
    path = save_nifti(tmp_path / "x.nii.gz", array, affine_of("lpi"))
    found = read_volume(path, orientation="ASR", spacing_um=25)
    assert np.array_equal(found.array, array)
    assert found.space.spacing_um == (25.0, 25.0, 25.0)
    assert found.stated_spacing_um == (100.0, 200.0, 300.0)
    assert {one.code for one in found.findings} == {
        "orientation-contradiction",
        "spacing-contradiction",
    }
    same = read_volume(path, orientation="lpi", spacing_um=(100, 200, 300.001))
    assert same.findings == ()
    turned = read_volume(path, spacing_um=(1, 2, 3), target="ras")
    assert turned.space.spacing_um == (1.0, 2.0, 3.0)
    assert np.array_equal(turned.array, array[::-1, ::-1, ::-1])
    for wrong in ({"orientation": "asx"}, {"orientation": "as"}, {"target": "aps"}):
        with pytest.raises(InvalidInputError, match="three letters"):
            read_volume(path, **wrong)
    for wrong in (0, -25, (25, 25), "x", float("nan"), (1, 2, float("inf"))):
        with pytest.raises(InvalidInputError, match="one or three positive"):
            read_volume(path, spacing_um=wrong)


def test_files_that_say_nothing_need_to_be_told(tmp_path: Path) -> None:
    """Of npy and TIFF, orientation and voxel size must be stated, then they are read."""
    np.save(tmp_path / "x.npy", values())
    tifffile.imwrite(tmp_path / "x.tif", values(), photometric="minisblack")
    for name in ("x.npy", "x.tif"):
        path = tmp_path / name
        peek = peek_volume(path)
        assert (peek.spacing_um, peek.orientation, peek.affine) == (None, None, None)
        with pytest.raises(InvalidInputError, match="how its axes lie"):
            read_volume(path, spacing_um=25)
        with pytest.raises(InvalidInputError, match="how large its voxels are"):
            peek.space(orientation="asr")
        found = read_volume(path, orientation="psl", spacing_um=25)
        assert np.array_equal(found.array, values()[::-1, :, ::-1])
        assert found.findings == ()


def test_fortran_order_and_big_endian_are_the_same_volume(tmp_path: Path) -> None:
    """Memory order and byte order of a file leave no trace."""
    np.save(tmp_path / "f.npy", np.asfortranarray(values(">u4")))
    found = read_volume(tmp_path / "f.npy", orientation="asr", spacing_um=1, labels=True)
    assert np.array_equal(found.array, values())
    assert found.array.dtype == np.uint8
    save_nifti(tmp_path / "b.nii", values(">i4"), affine_of("asr"))
    assert np.array_equal(read_volume(tmp_path / "b.nii").array, values())


def test_tiff_slices_are_sorted_as_people_count(tmp_path: Path) -> None:
    """A folder or pattern of slices is one volume, 2 before 10; others in the folder are ignored."""
    array = np.random.default_rng(1).integers(0, 999, (12, 5, 6)).astype(np.uint16)
    folder = tmp_path / "slices"
    folder.mkdir()
    for number, plane in enumerate(array):
        tifffile.imwrite(folder / f"s{number}.tif", plane, compression="zlib")
    (folder / "notes.txt").write_text("x")
    for path in (folder, folder / "s*.tif"):
        assert peek_volume(path).shape == (12, 5, 6)
        found = read_volume(path, orientation="asr", spacing_um=(50, 10, 10))
        assert np.array_equal(found.array, array)
    assert peek_volume(folder / "s[0-4].tif").shape == (5, 5, 6)
    with pytest.raises(InvalidInputError, match="no TIFF file"):
        peek_volume(folder / "t*.tif")
    tifffile.imwrite(folder / "s11.tif", array[0, :4])
    with pytest.raises(InvalidInputError, match="all slices must be alike"):
        read_volume(folder, orientation="asr", spacing_um=1)
    tifffile.imwrite(folder / "s0.tif", array)
    with pytest.raises(InvalidInputError, match="each file holds one plane"):
        read_volume(folder, orientation="asr", spacing_um=1)


def test_voxel_sizes_beside_tiff_are_hints(tmp_path: Path) -> None:
    """ImageJ and OME say voxel sizes, which count unless people say others."""
    tifffile.imwrite(
        tmp_path / "ij.tif",
        values(),
        imagej=True,
        resolution=(1 / 10, 1 / 20),
        metadata={"spacing": 50, "unit": "um", "axes": "ZYX"},
    )
    sizes = {"PhysicalSizeX": 0.01, "PhysicalSizeXUnit": "mm"}
    sizes |= {"PhysicalSizeY": 20, "PhysicalSizeZ": 50}
    tifffile.imwrite(tmp_path / "x.ome.tif", values(), metadata={"axes": "ZYX", **sizes})
    for name in ("ij.tif", "x.ome.tif"):
        assert peek_volume(tmp_path / name).spacing_um == (50.0, 20.0, 10.0)
        found = read_volume(tmp_path / name, orientation="asr", spacing_um=25)
        assert [one.code for one in found.findings] == ["spacing-contradiction"]


def test_zarr_images(tmp_path: Path) -> None:
    """OME-Zarr gives voxel sizes, and the orientation where it has the newer field."""
    _write_image(tmp_path / "a.zarr", values(), (50.0,) * 3, (2, 3, 4))
    with pytest.raises(InvalidInputError, match="how its axes lie"):
        read_volume(tmp_path / "a.zarr")
    found = read_volume(tmp_path / "a.zarr", orientation="asl", labels=True)
    assert np.array_equal(found.array, values()[:, :, ::-1])
    described = tmp_path / "a.zarr" / "zarr.json"
    stated = json.loads(described.read_text())
    axes = stated["attributes"]["ome"]["multiscales"][0]["axes"]
    for axis, side in zip(
        axes, ("posterior-to-anterior", "dorsal-to-ventral", "left-to-right"), strict=True
    ):
        axis["orientation"] = {"type": "anatomical", "value": side}
    described.write_text(json.dumps(stated))
    assert peek_volume(tmp_path / "a.zarr").orientation == "psl"
    found = read_volume(tmp_path / "a.zarr", labels=True)
    assert np.array_equal(found.array, values()[::-1, :, ::-1])


@pytest.mark.parametrize(
    ("dtype", "most", "kept"),
    [
        (np.float32, 200, np.uint8),
        (np.float64, 2**32 - 1, np.uint32),
        (np.float32, 2**24 - 1, np.uint32),
        (np.int16, 300, np.uint16),
        (np.int64, 70_000, np.uint32),
        (np.uint64, 2**32 - 1, np.uint32),
        (np.float16, 2047, np.uint16),
        (bool, 1, np.uint8),
    ],
)
def test_labels_stay_what_they_were(tmp_path: Path, dtype: Any, most: int, kept: Any) -> None:
    """Whole numbers of any type become the smallest unsigned type that holds them all."""
    array = np.zeros(SHAPE, dtype)
    array[1, 2, 3] = most
    np.save(tmp_path / "x.npy", array)
    found = read_volume(tmp_path / "x.npy", orientation="asr", spacing_um=1, labels=True)
    assert found.array.dtype == kept
    assert int(found.array[1, 2, 3]) == most
    assert int(found.array.sum()) == most


@pytest.mark.parametrize(
    ("dtype", "value", "told"),
    [
        (np.float32, 2**24, "cannot tell it from its neighbours"),
        (np.float32, 2**31, "cannot tell it from its neighbours"),
        (np.float16, 2048, "cannot tell it from its neighbours"),
        (np.float32, 1.5, "interpolated"),
        (np.float64, 2**53, "the label 9007199254740992"),
        (np.float32, np.nan, "nan where a label should be"),
        (np.float32, np.inf, "inf where a label should be"),
        (np.float32, -1, "the label -1"),
        (np.int16, -1, "the label -1"),
        (np.int64, 2**32, "the label 4294967296"),
        (np.uint64, 2**64 - 1, "the label 18446744073709551615"),
        (np.float64, 1e300, "the label 1"),
    ],
)
def test_labels_that_are_no_ids_are_refused(
    tmp_path: Path, dtype: Any, value: float, told: str
) -> None:
    """Fractions, negatives, too large ones, NaN, and floats that cannot tell neighbours apart."""
    array = np.zeros(SHAPE, dtype)
    array[1, 2, 3] = value
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(InvalidInputError, match=told):
        read_volume(tmp_path / "x.npy", orientation="asr", spacing_um=1, labels=True)


def test_scaled_headers(tmp_path: Path) -> None:
    """Slope and intercept of NIfTI count for labels and templates alike."""
    image = nibabel.Nifti1Image(values(np.int16), affine_of("asr"))
    image.header.set_slope_inter(2, 10)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "x.nii.gz")
    held = np.asarray(nibabel.load(tmp_path / "x.nii.gz").dataobj)
    assert np.array_equal(read_volume(tmp_path / "x.nii.gz", labels=True).array, held)
    found = read_volume(tmp_path / "x.nii.gz")
    factor, offset = found.scaling
    assert np.allclose(found.array, (held - offset) * factor, atol=0.501)
    image.header.set_slope_inter(0.3, 0)
    nibabel.save(image, tmp_path / "y.nii.gz")
    with pytest.raises(InvalidInputError, match="no id of a region"):
        read_volume(tmp_path / "y.nii.gz", labels=True)


def test_templates_become_16_bits_by_a_rule_that_is_told(tmp_path: Path) -> None:
    """8 and 16 bits stay, whole numbers that fit are kept, all else is scaled, and told."""

    def read(array: Any) -> Any:
        np.save(tmp_path / "x.npy", array)
        return read_volume(tmp_path / "x.npy", orientation="asr", spacing_um=1)

    for dtype in (np.uint8, np.uint16):
        assert read(values(dtype)).array.dtype == dtype
    for dtype in (np.int16, np.int64, np.float32):
        found = read(values(dtype))
        assert found.array.dtype == np.uint16
        assert np.array_equal(found.array, values())
        assert found.findings == ()
    assert read(values() > 60).array.max() == 1
    shifted = read(values(np.int16) - 50)
    assert np.array_equal(shifted.array, values() - 1)
    assert shifted.scaling == (1.0, -49.0)
    fractions = values(np.float64) / 7
    fractions[0, 0, 0] = np.nan
    found = read(fractions)
    factor, offset = found.scaling
    assert {one.code for one in found.findings} == {"template-scaled", "template-not-finite"}
    assert f"{factor:.9g}" in str(found.findings[1])
    fractions[0, 0, 0] = 0
    assert np.array_equal(found.array, np.rint((fractions - offset) * factor))
    assert found.array.max() == 65535
    assert read(np.full(SHAPE, 0.0)).array.max() == 0
    with pytest.raises(InvalidInputError, match="too far apart"):
        read(np.array([-1.7e308, 1.7e308] * 60).reshape(SHAPE))


def test_what_is_no_volume_is_refused(tmp_path: Path) -> None:
    """Two or four axes, no voxels, complex numbers, colours."""
    for array, told in [
        (np.zeros((3, 4)), "three axes"),
        (np.zeros((2, 3, 4, 5)), "three axes"),
        (np.zeros((0, 3, 4)), "three axes"),
        (np.zeros(SHAPE, complex), "real numbers"),
    ]:
        np.save(tmp_path / "x.npy", array)
        with pytest.raises(InvalidInputError, match=told):
            read_volume(tmp_path / "x.npy", orientation="asr", spacing_um=1)
    rgb = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(rgb, np.eye(4)), tmp_path / "x.nii")
    with pytest.raises(InvalidInputError, match="real numbers"):
        read_volume(tmp_path / "x.nii")
    series = nibabel.Nifti1Image(np.zeros((*SHAPE, 2), np.uint8), np.eye(4))
    nibabel.save(series, tmp_path / "x.nii")
    with pytest.raises(InvalidInputError, match="three axes"):
        read_volume(tmp_path / "x.nii")
    nibabel.save(nibabel.Nifti1Image(values()[..., None], affine_of("asr")), tmp_path / "x.nii")
    assert np.array_equal(read_volume(tmp_path / "x.nii").array, values())


def test_what_holds_no_numbers_shows_in_the_header(tmp_path: Path) -> None:
    """A recipe is told before anything is read: of texts, and of more than any file holds."""
    np.save(tmp_path / "x.npy", np.full(SHAPE, "a"))
    with pytest.raises(InvalidInputError, match="real numbers"):
        peek_volume(tmp_path / "x.npy")
    for length in (9_999_999, 2**32, 2**62):
        shape = {"descr": "<u4", "fortran_order": False, "shape": (length, length, length)}
        with (tmp_path / "x.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, shape)
            file.write(bytes(100))
        with pytest.raises(InvalidInputError, match="cut short"):
            peek_volume(tmp_path / "x.npy")


def test_sform_and_qform_that_disagree_are_told(tmp_path: Path) -> None:
    """The trap of left and right: both matrices are sound and say the opposite."""
    image = nibabel.Nifti1Image(values(), affine_of("lpi"))
    image.set_qform(affine_of("rpi"), 1)
    image.set_sform(affine_of("lpi"), 1)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "x.nii")
    found = read_volume(tmp_path / "x.nii")
    assert found.stated_orientation == "lpi"
    assert [one.code for one in found.findings] == ["sform-qform"]


def test_units_are_believed_or_guessed_and_told(tmp_path: Path) -> None:
    """Voxels of 25 without a unit are µm where mm would be absurd; odd sizes are findings."""
    big = np.zeros((50, 60, 70), np.uint8)
    affine = affine_of("lpi")
    affine[:3, :3] = np.diag([25.0, 25, 25])
    image = nibabel.Nifti1Image(big, affine)
    nibabel.save(image, tmp_path / "x.nii")
    found = read_volume(tmp_path / "x.nii")
    assert found.space.spacing_um == (25.0, 25.0, 25.0)
    assert [one.code for one in found.findings] == ["spacing-unit"]
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "x.nii")
    assert read_volume(tmp_path / "x.nii").findings == ()
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "x.nii")
    found = read_volume(tmp_path / "x.nii")
    assert found.space.spacing_um == (25_000.0,) * 3
    assert [one.code for one in found.findings] == ["spacing-unlikely"]


def test_a_file_of_more_voxels_than_its_header_says_is_told(tmp_path: Path) -> None:
    """Plain or packed, surplus bytes mean that the header may belong to another file."""
    path = save_nifti(tmp_path / "x.nii", values(), affine_of("asr"))
    path.write_bytes(path.read_bytes() + b"\1" * 100)
    (tmp_path / "x.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    for name in ("x.nii", "x.nii.gz"):
        found = read_volume(tmp_path / name)
        assert [one.code for one in found.findings] == ["surplus-voxels"]
        assert np.array_equal(found.array, values())
