"""What is wrong with the voxels comes as findings, all at once; refused builds leave nothing."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi.build import pipeline, recipe_files
from bg_atlasapi.build.pipeline import Wish
from bg_atlasapi.errors import Finding, InvalidAtlasError, InvalidRecipeError, StorageError
from bg_atlasapi.formats.zarr_writing import ImageWriter
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.testing.server import Server

from .conftest import Write, drawn, image, sha

BOTH = ("nii.gz", "nrrd")


def refused(path: Path, target: Path) -> tuple[Finding, ...]:
    """Return why a build ends."""
    with pytest.raises(InvalidAtlasError) as caught:
        pipeline.build(path, Wish(target))
    assert all(one.mend for one in caught.value.findings)
    return tuple(one for one in caught.value.findings if one.severity == "error")


def odd(value: float, dtype: Any) -> npt.NDArray[Any]:
    """Return labels with one voxel that is none."""
    labels = drawn().astype(dtype)
    labels[14, 14, 14] = value
    return labels


@pytest.mark.parametrize(
    ("value", "dtype", "code"),
    [
        (1.5, np.float32, "labels-not-whole"),
        (np.nan, np.float32, "labels-not-finite"),
        (np.inf, np.float64, "labels-not-finite"),
        (-1, np.int16, "labels-out-of-range"),
        (2**32, np.int64, "labels-out-of-range"),
        (-3, np.float32, "labels-out-of-range"),
        (2**24, np.float32, "labels-inexact"),
    ],
)
def test_labels_that_are_none_are_findings(
    recipe: Write, tmp_path: Path, value: float, dtype: Any, code: str
) -> None:
    """Each way not to be a label has a code, names the file as the recipe does, and a voxel count."""
    path = recipe(annotation='[annotation]\npath = "odd.npy"')
    np.save(path.parent / "odd.npy", odd(value, dtype))
    (finding,) = refused(path, tmp_path / "out")
    assert (finding.code, finding.where) == (code, "annotation")
    assert finding.message.startswith("odd.npy holds ")
    assert "(1 voxel)" in finding.message


def cut(path: Path, array: npt.NDArray[Any]) -> None:
    """Write a compressed volume that ends in its middle, its header whole."""
    if path.suffix == ".gz":
        import nibabel

        nifti = nibabel.Nifti1Image(array, np.diag([0.1, 0.1, 0.1, 1]))
        nifti.header.set_xyzt_units("mm")
        whole = gzip.compress(nifti.to_bytes())
        path.write_bytes(whole[: len(whole) // 2])
        return
    data = gzip.compress(array.tobytes(order="F"))
    sizes = " ".join(map(str, array.shape))
    head = "\n".join(
        [
            *("NRRD0004", "type: uint16", "dimension: 3", f"sizes: {sizes}", "encoding: gzip"),
            *("endian: little", "space: left-posterior-superior", "space units: mm mm mm"),
            *("space directions: (0.1,0,0) (0,0.1,0) (0,0,0.1)", "\n"),
        ]
    )
    path.write_bytes(head.encode() + data[: len(data) // 2])


@pytest.mark.parametrize("ending", BOTH)
def test_everything_that_reading_shows_comes_at_once(
    recipe: Write, tmp_path: Path, ending: str
) -> None:
    """A template cut short, labels of two odd kinds, hemispheres that are fractions: one error."""
    pytest.importorskip("nibabel", reason="NIfTI needs the extra 'build'")
    path = recipe(
        annotation='[annotation]\npath = "odd.npy"',
        template=f'[template]\npath = "cut.{ending}"\norientation = "asr"',
        meshes='[meshes]\nbuild = false\n[hemispheres]\npath = "sides.npy"',
    )
    labels = odd(0.5, np.float32)
    labels[20:22] = np.nan
    np.save(path.parent / "odd.npy", labels)
    np.save(path.parent / "sides.npy", np.full(drawn().shape, 1.25, np.float32))
    noise = np.random.default_rng(0).integers(0, 2**15, drawn().shape).astype(np.uint16)
    cut(path.parent / f"cut.{ending}", noise)
    assert not [one for one in recipe_files.check(path).findings if one.severity == "error"]
    found = {(one.code, one.where) for one in refused(path, tmp_path / "out")}
    assert found == {
        ("labels-not-whole", "annotation"),
        ("labels-not-finite", "annotation"),
        ("source-unreadable", "template"),
        ("labels-not-whole", "hemispheres"),
    }


def test_a_label_without_structure_is_told_with_a_template_that_is_cut(
    recipe: Write, tmp_path: Path
) -> None:
    """What the labels say is not hidden by another volume that cannot be read."""
    pytest.importorskip("nibabel", reason="NIfTI needs the extra 'build'")
    path = recipe(
        annotation='[annotation]\npath = "more.npy"',
        template='[template]\npath = "cut.nii.gz"\norientation = "asr"',
    )
    np.save(path.parent / "more.npy", odd(77, np.uint16))
    cut(path.parent / "cut.nii.gz", image())
    codes = {one.code for one in refused(path, tmp_path / "out")}
    assert codes == {"source-unreadable", "label-without-structure"}


@pytest.mark.parametrize("what", ["template.tif", "template.zarr", "template.npy"])
def test_damage_of_other_formats_is_a_finding_too(recipe: Write, tmp_path: Path, what: str) -> None:
    """A TIFF or Zarr whose compressed data are damaged, an array cut short: no traceback."""
    path = recipe(template=f'[template]\npath = "{what}"')
    place = path.parent / what
    if what.endswith(".tif"):
        tifffile = pytest.importorskip("tifffile")
        tifffile.imwrite(place, image(), compression="zlib", rowsperstrip=8)
        data = bytearray(place.read_bytes())
        data[2000:4000] = bytes(2000)
        place.write_bytes(data)
    elif what.endswith(".zarr"):
        space = CoordinateSpace(drawn().shape, (100, 100, 100))
        ImageWriter(place, np.dtype("u2"), space, labels=True).put(image())
        chunk = next(one for one in place.rglob("*") if one.is_file() and one.suffix != ".json")
        chunk.write_bytes(chunk.read_bytes()[:50])
    else:
        place.write_bytes(place.read_bytes()[:-1000])
    with pytest.raises((InvalidAtlasError, InvalidRecipeError)) as caught:
        pipeline.build(path, Wish(tmp_path / "out"))
    errors = [one for one in caught.value.findings if one.severity == "error"]
    assert [one.code for one in errors] == ["source-unreadable"]
    assert not (tmp_path / "out").exists()


def test_a_level_that_leaves_nothing_is_a_finding(recipe: Write, tmp_path: Path) -> None:
    """A level of next to no voxels stops the build; what is accepted is built."""
    space = '[space]\norientation = "asr"\nresolution_um = 100\nlevels_um = [400, 4000]'
    path = recipe(space=space)
    (error,) = [one for one in recipe_files.check(path).findings if one.severity == "error"]
    assert error.code == "level-too-coarse"
    assert "4000 µm keeps 1 × 1 × 1 voxels of 40 × 32 × 36" in error.message
    head = 'name = "boxes"\nversion = "1.0"\naccept = ["level-too-coarse"]'
    assert pipeline.build(recipe(space=space, head=head), Wish(tmp_path / "out")).is_new


def test_codes_that_there_are_not_are_not_accepted_in_silence(recipe: Write) -> None:
    """A code that is misspelt under accept is a warning, with its line."""
    head = 'name = "boxes"\nversion = "1.0"\naccept = ["label-without-structures"]'
    checked = recipe_files.check(recipe(head=head))
    (finding,) = [one for one in checked.findings if one.code == "unknown-code"]
    assert finding.where == "boxes.toml:3, accept[0]"


def test_what_is_missing_is_said_once(recipe: Write, tmp_path: Path) -> None:
    """Recipe and check of the atlas both miss licence, species and citation: one finding each."""
    built = pipeline.build(recipe(head='name = "boxes"\nversion = "1.0"'), Wish(tmp_path / "out"))
    codes = [one.code for one in built.findings if one.code.endswith("-missing")]
    assert sorted(codes) == ["citation-missing", "licence-missing", "species-missing"]
    assert {one.severity for one in built.findings if one.code == "licence-missing"} == {"note"}


def test_a_root_that_is_made_is_told_once(recipe: Write, tmp_path: Path) -> None:
    """The table is read before and after the labels are known; the id that counts is told."""
    table = '[table]\npath = "flat.csv"\nkind = "csv"\ncolumns = { id = "id", name = "name" }'
    path = recipe(table=table, annotation='[annotation]\npath = "more.npy"\nunlisted = "add"')
    (path.parent / "flat.csv").write_text("id,name\n10,a\n20,b\n30,c\n")
    np.save(path.parent / "more.npy", odd(997, np.uint16))  # the id that roots are given
    built = pipeline.build(path, Wish(tmp_path / "out"))
    (finding,) = [one for one in built.findings if one.code == "root-added"]
    assert "with id 998" in finding.message
    assert finding.where.startswith("boxes.toml:")


def test_a_refused_recipe_leaves_nothing(recipe: Write, tmp_path: Path) -> None:
    """Neither a folder of its own nor, where other things are built, a hidden one."""
    target = tmp_path / "out"
    path = recipe()
    pipeline.build(path, Wish(target))
    np.save(path.parent / "labels.npy", odd(77, np.uint16))
    recipe(head='name = "others"\nversion = "1.0"', annotation='[annotation]\npath = "labels.npy"')
    refused(path, target)
    assert not list(target.glob(".*"))


def test_a_refused_build_keeps_what_was_downloaded(recipe: Write, tmp_path: Path) -> None:
    """A table that lacks a label costs no second download; the error says where the first lies."""
    folder = recipe().parent
    np.save(folder / "labels.npy", odd(77, np.uint16))
    with Server(folder) as server:
        source = (
            f'[annotation]\nurl = "{server.url}/labels.npy"\nsha256 = "{sha(folder, "labels")}"'
        )
        path = recipe(annotation=source)
        with pytest.raises(InvalidAtlasError) as caught:
            pipeline.build(path, Wish(tmp_path / "out"))
    (kept,) = (tmp_path / "out").glob(".building-*")
    assert str(kept) in caught.value.__notes__[0]
    assert {one.name for one in kept.rglob("*") if one.is_file()} == {"labels.npy", "recipe"}
    recipe(annotation=f"{source}\nunlisted = 'zero'")
    assert pipeline.build(path, Wish(tmp_path / "out")).is_new  # the server is gone
    assert not list((tmp_path / "out").glob(".*"))


def test_what_helps_to_go_on_is_kept_until_the_recipe_is_built(
    recipe: Write, tmp_path: Path
) -> None:
    """A full disk keeps what was done and says where; a build of a later version removes it."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    path, target = recipe(), tmp_path / "out"
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(StorageError) as caught:
            pipeline.build(path, Wish(target))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (kept,) = target.glob(".building-*")
    assert f"kept in {kept}" in caught.value.__notes__[0]
    assert "BRAINGLOBE_DIR" not in str(caught.value)
    pipeline.build(recipe(head='name = "boxes"\nversion = "1.1"'), Wish(target))
    assert not list(target.glob(".*"))
