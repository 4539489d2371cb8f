"""NIfTI, NRRD and TIFF, read by nibabel, SimpleITK, pynrrd and tifffile: same labels, same points."""

from __future__ import annotations

import csv
import itertools
import json
import warnings
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats import packaged_writing
from bg_atlasapi.formats.tools import turned, volume_files
from bg_atlasapi.testing import TINY_STRUCTURES, tiny_package, write_package

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its wrappers lack what newer Pythons ask for
    import SimpleITK

ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(["lr", "ap", "si"])
    for letters in itertools.product(*axes)
]
SPACING = (50.0, 25.0, 12.5)


def ras_mm(voxels: npt.NDArray[Any], orientation: str, spacing: Any) -> npt.NDArray[np.float64]:
    """Return where centres of voxels lie, told from the meaning of the letters alone."""
    world = np.zeros((len(voxels), 3))
    for axis, begin in enumerate(orientation):
        away_mm = (voxels[:, axis] + 0.5) * spacing[axis] / 1000
        if begin in "lr":
            world[:, 0] = away_mm if begin == "l" else -away_mm
        elif begin in "pa":
            world[:, 1] = away_mm if begin == "p" else -away_mm
        else:
            world[:, 2] = away_mm if begin == "i" else -away_mm
    return world


def voxels_of(shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Return the corners of a volume and some voxels within."""
    corners = np.array([*itertools.product(*[(0, length - 1) for length in shape])])
    return np.concatenate([corners, np.random.default_rng(0).integers(0, shape, (40, 3))])


def the(folder: Path, pattern: str) -> Path:
    """Return the one file of a name."""
    (found,) = folder.rglob(pattern)
    return found


def assert_same_points(path: Path, atlas: Atlas, expected: npt.NDArray[Any]) -> None:
    """Ask each library for the value at the centres of voxels."""
    voxels = voxels_of(atlas.shape)
    world = ras_mm(voxels, atlas.orientation, atlas.resolution)
    values = expected[tuple(voxels.T)]
    image = SimpleITK.ReadImage(str(path))
    lps = world * (-1, -1, 1)
    for point, value in zip(lps.tolist(), values.tolist(), strict=True):
        index = image.TransformPhysicalPointToIndex(point)
        assert image.GetPixel(index) == value
        assert np.allclose(image.TransformIndexToPhysicalPoint(index), point, atol=1e-6)
    if path.name.endswith(".nii.gz"):
        loaded = nibabel.load(path)
        data, affine = np.asarray(loaded.dataobj), loaded.affine
        assert np.allclose(loaded.get_qform(), affine, atol=1e-6)
        assert np.allclose(loaded.get_sform(), affine)
        assert loaded.header["qform_code"] == loaded.header["sform_code"] == 2
        assert loaded.header.get_xyzt_units() == ("mm", "unknown")
        opposite = dict(zip("lrapsi", "rlpais", strict=True))
        axes = "".join(nibabel.aff2axcodes(affine)).lower()
        assert axes == "".join(opposite[letter] for letter in atlas.orientation)
    else:
        data, header = nrrd.read(str(path))
        assert header["space"] == "right-anterior-superior"
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = header["space directions"].T, header["space origin"]
    assert np.array_equal(data, expected)  # index for index
    back = (np.linalg.inv(affine) @ np.c_[world, np.ones(len(world))].T).T[:, :3]
    assert np.allclose(back, voxels, atol=1e-4)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation(orientation: str, tmp_path: Path) -> None:
    """Unequal voxels, all 48 ways round: labels, template and hemispheres where they belong."""
    folder = tiny_package(
        tmp_path, orientation=orientation, shape=(9, 8, 7), resolution=SPACING, symmetric=False
    )
    atlas = Atlas.from_path(folder)
    nifti = atlas.export(tmp_path / "out", format="nifti")
    plain = atlas.export(tmp_path / "out", format="nrrd")
    for path in (the(nifti, "*_atlas-*_dseg.nii.gz"), plain / "annotation.nrrd"):
        assert_same_points(path, atlas, atlas.annotation)
    for path in (the(nifti, "*um_anat.nii.gz"), plain / "template.nrrd"):
        assert_same_points(path, atlas, atlas.reference)
    for path in (the(nifti, "*hemispheres_dseg.nii.gz"), plain / "hemispheres.nrrd"):
        assert_same_points(path, atlas, atlas.hemispheres)


@pytest.mark.parametrize("group", [1, 700, 1 << 30])
def test_the_phantom_in_parts(group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many planes are turned at once, also one at a time."""
    monkeypatch.setattr(turned, "GROUP_BYTES", group * 132 * 80)
    atlas = BrainGlobeAtlas("phantom_mouse_100um")
    folder = atlas.export(tmp_path, format="nifti")
    assert_same_points(the(folder, "*_atlas-*_dseg.nii.gz"), atlas, atlas.annotation)
    assert_same_points(the(folder, "*um_anat.nii.gz"), atlas, atlas.template)
    left = nibabel.load(the(folder, "*hemispheres_dseg.nii.gz"))
    assert np.array_equal(np.asarray(left.dataobj), atlas.hemispheres)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def _one(folder: Path, labels: npt.NDArray[Any], template: npt.NDArray[Any] | None = None) -> Atlas:
    ids = [int(one) for one in np.unique(labels) if 0 < one < 2**63] or [1]
    structures = [
        {**TINY_STRUCTURES[0], "id": one, "structure_id_path": [one], "acronym": f"a{one}"}
        | {"rgb_triplet": [1, 2, 3]}
        for one in ids
    ]
    return Atlas.from_path(
        write_package(
            folder,
            name="some_100um",
            annotation=labels,
            reference=np.zeros(labels.shape, np.uint16) if template is None else template,
            structures=structures,
            resolution=(100, 100, 100),
        )
    )


@pytest.mark.parametrize(
    ("label", "stored", "written"),
    [
        (7, "uint8", "uint8"),
        (40000, "uint16", "uint16"),
        (614454277, "uint32", "int32"),
        (2**31, "uint32", "uint32"),
        (2**24 + 1, "int64", "int32"),
        (2**40, "int64", "int64"),
        (2**62, "uint64", "int64"),
    ],
)
def test_labels_are_exact(label: int, stored: str, written: str, tmp_path: Path) -> None:
    """The signed type of 32 bits where it fits, since readers dislike the other; never a float."""
    labels = np.zeros((4, 5, 6), stored)
    labels[1:3, 2, 3] = label
    atlas = _one(tmp_path, labels)
    loaded = nibabel.load(
        the(atlas.export(tmp_path / "out", format="nifti"), "*_atlas-*_dseg.nii.gz")
    )
    assert loaded.get_data_dtype() == written
    assert np.asarray(loaded.dataobj)[2, 2, 3] == label
    data, _ = nrrd.read(str(atlas.export(tmp_path / "out", format="nrrd") / "annotation.nrrd"))
    assert data.dtype == written
    assert np.array_equal(data, labels)


def test_labels_past_63_bits_are_refused(tmp_path: Path) -> None:
    """A clear error, and nothing is left."""
    atlas = _one(tmp_path, np.full((3, 3, 3), 2**63, np.uint64))
    with pytest.raises(InvalidInputError, match=str(2**63)):
        atlas.export(tmp_path / "out", format="nrrd")
    assert [*(tmp_path / "out").iterdir()] == []


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int16", "uint32", "int64", "float16", "float32", "float64"]
)
def test_images_of_any_type(dtype: str, tmp_path: Path) -> None:
    """Values come back as they were; half floats become ones that files hold."""
    template = np.random.default_rng(1).integers(0, 90, (6, 5, 4)).astype(dtype)
    atlas = _one(tmp_path, np.ones((6, 5, 4), np.uint32), template)
    nifti = the(atlas.export(tmp_path / "out", format="nifti"), "*um_anat.nii.gz")
    assert np.array_equal(np.asarray(nibabel.load(nifti).dataobj), template)
    data, _ = nrrd.read(str(atlas.export(tmp_path / "out", format="nrrd") / "template.nrrd"))
    assert np.array_equal(data, template)
    stack = tifffile.imread(atlas.export(tmp_path / "out", format="tiff") / "template.tif")
    assert stack.dtype == dtype
    assert np.array_equal(stack, template)


def test_a_long_axis_becomes_nifti_2(tmp_path: Path) -> None:
    """NIfTI-1 counts to 32767."""
    labels = np.arange(40000, dtype=np.uint32).reshape(40000, 1, 1) % 3
    atlas = _one(tmp_path, labels)
    folder = atlas.export(tmp_path / "out", format="nifti")
    loaded = nibabel.load(the(folder, "*_atlas-*_dseg.nii.gz"))
    assert isinstance(loaded, nibabel.Nifti2Image)
    assert np.array_equal(np.asarray(loaded.dataobj), labels)


def test_names_and_tables_are_those_of_bids(tmp_path: Path) -> None:
    """A derivative dataset of one template and one atlas; every structure has a row."""
    atlas = Atlas.from_path(
        tiny_package(tmp_path, name="tiny_mouse_50um", resolution=SPACING, shape=(9, 8, 7))
    )
    folder = atlas.export(tmp_path / "out", format="nifti")
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    stem, res = "tpl-tinymouse/anat/tpl-tinymouse", "res-50x25x12p5um"
    sides, labels = f"{stem}_{res}_desc-hemispheres_dseg", f"{stem}_atlas-tinymouse_{res}_dseg"
    assert folder.name == "tiny_mouse_50um_v1.0_nifti"
    assert names == {
        *("dataset_description.json", "atlas-tinymouse_description.json", ".bidsignore"),
        "README",
        *(f"{stem}_{res}_anat.{end}" for end in ("nii.gz", "json")),
        *(f"{stem}_{res}_desc-nissl_anat.{end}" for end in ("nii.gz", "json")),
        *(f"{name}.{end}" for name in (labels, sides) for end in ("nii.gz", "json", "tsv")),
    }
    stated = json.loads((folder / "dataset_description.json").read_bytes())
    assert (stated["DatasetType"], stated["BIDSVersion"]) == ("derivative", "1.11.0")
    about = json.loads((folder / f"{labels}.json").read_bytes())
    assert about["SpatialReference"] == f"bids::{stem}_{res}_anat.nii.gz"
    assert about["Resolution"] == "50 x 25 x 12.5 um"
    with (folder / f"{labels}.tsv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    known = {one["id"]: one for one in atlas.structures_list}
    assert {int(row["index"]) for row in rows} == set(known)
    for row in rows:
        one = known[int(row["index"])]
        assert (row["name"], row["abbreviation"]) == (one["name"], one["acronym"])
        assert row["color"] == "#{:02x}{:02x}{:02x}".format(*one["rgb_triplet"])
        above = one["structure_id_path"][-2:-1]
        assert row["parent_index"] == (str(above[0]) if above else "n/a")


def test_names_that_bids_cannot_tell_apart(tmp_path: Path) -> None:
    """Letters and digits only, so two references may collide: an error that names them."""
    labels = np.ones((3, 3, 3), np.uint32)
    folder = write_package(
        tmp_path,
        name="some_100um",
        annotation=labels,
        reference=labels,
        structures=[{**TINY_STRUCTURES[0], "rgb_triplet": [1, 2, 3]}],
        resolution=(100, 100, 100),
        additional_references={"a_b": labels, "a-b": labels},
    )
    with pytest.raises(InvalidInputError, match="a_b, a-b"):
        Atlas.from_path(folder).export(tmp_path / "out", format="nifti")
    assert Atlas.from_path(folder).export(tmp_path / "out", format="nrrd").is_dir()


def test_without_nibabel_the_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the two formats that need it; the others do not."""

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(volume_files, "import_module", missing)
    atlas = Atlas.from_path(tiny_package(tmp_path))
    for form in ("nifti", "itksnap"):
        with pytest.raises(InvalidInputError, match=r"bg-atlasapi\[export\]"):
            atlas.export(tmp_path / "out", format=form)
    atlas.export(tmp_path / "out", format="nrrd")
    atlas.export(tmp_path / "out", format="slicer")


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("limit", [100, 1 << 30])
def test_stacks_state_their_voxel_size(
    symmetric: bool, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ImageJ does: pixels per micron in the tags, unit and spacing in the description."""
    monkeypatch.setattr(packaged_writing, "_CLASSIC_BYTES", limit)
    folder = tiny_package(tmp_path, shape=(9, 8, 7), resolution=SPACING, symmetric=symmetric)
    atlas = Atlas.from_path(folder)
    out = atlas.export(tmp_path / "out", format="tiff")
    assert {path.name for path in out.iterdir()} == {
        *("annotation.tif", "template.tif", "hemispheres.tif", "nissl.tif", "labels.tif"),
        *("labels.csv", "structures.csv"),
    }
    for name in ("annotation", "template", "hemispheres", "labels"):
        with tifffile.TiffFile(out / f"{name}.tif") as file:
            assert file.is_imagej
            assert file.is_bigtiff == (limit == 100)
            stated = file.imagej_metadata
            assert stated is not None
            assert (stated["unit"], stated["spacing"], stated["slices"]) == ("micron", 50.0, 9)
            across, up = file.pages[0].get_resolution()
            assert (1 / across, 1 / up) == pytest.approx((12.5, 25.0))
            assert file.series[0].axes == "ZYX"
    for name in ("annotation", "hemispheres"):
        data = tifffile.imread(out / f"{name}.tif")
        assert data.dtype == getattr(atlas, name).dtype
        assert np.array_equal(data, getattr(atlas, name))
    assert np.array_equal(tifffile.imread(out / "template.tif"), atlas.reference)
    with (out / "labels.csv").open(encoding="utf-8", newline="") as table:
        ids = {0: 0} | {int(row["label"]): int(row["id"]) for row in csv.DictReader(table)}
    labels = tifffile.imread(out / "labels.tif")
    assert labels.dtype == np.uint16
    assert np.array_equal(np.vectorize(ids.get)(labels), atlas.annotation)


def test_a_reference_of_another_shape_is_refused(tmp_path: Path) -> None:
    """Nobody knows its voxel size."""
    folder = tiny_package(tmp_path)
    tifffile.imwrite(folder / "nissl.tiff", np.ones((2, 3, 4), np.uint8), photometric="minisblack")
    atlas = Atlas.from_path(folder)
    for form in ("nifti", "nrrd", "tiff"):
        with pytest.raises(InvalidInputError, match="'nissl' has the shape"):
            atlas.export(tmp_path / "out", format=form)


@pytest.mark.parametrize("name", ["labels", "Labels"])
def test_a_reference_that_is_called_as_the_labels_are(name: str, tmp_path: Path) -> None:
    """One of them would replace the other, on some disks."""
    folder = tiny_package(tmp_path)
    stated = (folder / "metadata.json").read_text().replace('"nissl"', f'"{name}"')
    (folder / "metadata.json").write_text(stated)
    (folder / "nissl.tiff").rename(folder / f"{name}.tiff")
    with pytest.raises(InvalidInputError, match=f"'{name}' cannot be .*: it is taken"):
        Atlas.from_path(folder).export(tmp_path / "out", format="tiff")
