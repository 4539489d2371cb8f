"""Packages of BrainGlobe 1.x and 2.x: sound, odd and broken ones."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from bg_atlasapi.errors import AtlasError, IncompleteAtlasError, InvalidAtlasError
from bg_atlasapi.formats import packaged
from bg_atlasapi.formats.packaged import open_package, records_of, terminology_of
from bg_atlasapi.model.terminology import Terminology
from bg_atlasapi.testing import tiny_package, write_package

ROOT = {"id": 1, "acronym": "root", "name": "root", "structure_id_path": [1]}


def entry(**changes: Any) -> dict[str, Any]:
    """Return a sound entry of structures.json, changed."""
    sound = {"id": 2, "acronym": "a", "name": "A", "structure_id_path": [1, 2]}
    return {**sound, "rgb_triplet": [1, 2, 3], **changes}


def codes_of(error: InvalidAtlasError) -> list[str]:
    """Return the codes of an error's findings."""
    return [finding.code for finding in error.findings]


def read_terminology(entries: list[dict[str, Any]], where: str) -> Terminology:
    """Read entries as ``open_package`` does."""
    return terminology_of(records_of(entries, where), where)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a sound small package."""
    return tiny_package(tmp_path)


def edit(folder: Path, **changes: Any) -> None:
    """Change entries of metadata.json; None removes one."""
    path = folder / packaged.METADATA
    stated = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in stated.items() if value is not None}))


def test_a_sound_package(folder: Path) -> None:
    """Metadata, structures, space and labels of a package are what was written."""
    atlas = open_package(folder)
    stored = tifffile.imread(folder / packaged.ANNOTATION)
    assert atlas.space.shape == stored.shape
    assert atlas.space.spacing_um == (100.0, 100.0, 100.0)
    assert atlas.hemispheres is None
    assert (atlas.labels.ids() == stored).all()
    assert atlas.terminology.findings == ()
    assert [row["acronym"] for row in atlas.structures] == list(atlas.terminology.acronyms[1:])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int32])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_annotations_of_any_type(tmp_path: Path, dtype: Any, compression: str | None) -> None:
    """Annotations of narrow types and compressed ones answer ids and masks alike."""
    labels = np.random.default_rng(1).choice([0, 1, 2, 99], (5, 6, 7)).astype(dtype)
    folder = write_package(
        tmp_path,
        name="a_10um",
        annotation=labels,
        reference=labels.astype(np.uint16),
        structures=[ROOT | {"rgb_triplet": [0, 0, 0]}, entry()],
        resolution=(10, 10, 10),
        compression=compression,
    )
    made = open_package(folder).labels
    assert made.dtype == np.dtype(dtype)
    assert made.id_at((2, 3, 4)) == labels[2, 3, 4]
    assert (made.ids() == labels).all()
    assert (made.mask([2], 1, np.bool_) == (labels == 2)).all()


@pytest.mark.parametrize(
    "how",
    [{"byteorder": ">"}, {"compression": "zlib", "predictor": True}, {"bigtiff": True}],
    ids=str,
)
def test_annotations_of_other_spellings(folder: Path, how: dict[str, Any]) -> None:
    """Big-endian, predicted and big files answer alike, before coding and after."""
    path = folder / packaged.ANNOTATION
    labels = tifffile.imread(path)
    tifffile.imwrite(path, labels, photometric="minisblack", **how)
    made = open_package(folder).labels
    flat = np.arange(labels.size)
    assert (made.sample(flat)[0] == labels.reshape(-1)).all()
    assert (made.ids() == labels).all()
    assert (made.sample(flat)[0] == labels.reshape(-1)).all()


def test_anisotropic_fractional_resolution(tmp_path: Path) -> None:
    """Each axis keeps its own voxel size, fractions included."""
    folder = tiny_package(tmp_path, resolution=(39.0625, 10.5, 0.004))
    assert open_package(folder).space.spacing_um == (39.0625, 10.5, 0.004)


@pytest.mark.parametrize("orientation", ["asr", "lpi", "rsa", "LPS", "ial"])
def test_orientations(tmp_path: Path, orientation: str) -> None:
    """Any order and direction of axes is taken, in either case."""
    space = open_package(tiny_package(tmp_path, orientation=orientation.lower())).space
    assert space.orientation == orientation.lower()
    edit(tmp_path / "tiny_mouse_100um_v1.0", orientation=orientation)
    assert open_package(tmp_path / "tiny_mouse_100um_v1.0").space == space


def test_asymmetric_hemispheres(tmp_path: Path) -> None:
    """An asymmetric atlas answers the stored hemispheres."""
    folder = tiny_package(tmp_path, symmetric=False)
    source = open_package(folder).hemispheres
    assert source is not None
    assert (source.read() == tifffile.imread(folder / packaged.HEMISPHERES)).all()


@pytest.mark.parametrize("stored", [True, False])
def test_symmetry_that_is_not_stated(tmp_path: Path, *, stored: bool) -> None:
    """Where metadata does not say, the hemisphere file does."""
    folder = tiny_package(tmp_path, symmetric=not stored)
    edit(folder, symmetric=None)
    assert (open_package(folder).hemispheres is not None) is stored


def test_missing_hemispheres_are_said_when_asked(tmp_path: Path) -> None:
    """An asymmetric atlas without its hemisphere file opens, and says what is missing when read."""
    folder = tiny_package(tmp_path, symmetric=False)
    (folder / packaged.HEMISPHERES).unlink()
    source = open_package(folder).hemispheres
    assert source is not None
    with pytest.raises(IncompleteAtlasError, match=r"hemispheres\.tiff"):
        source.read()


@pytest.mark.parametrize("key", ["additional_references", "name", "citation", "version", "species"])
def test_metadata_that_nobody_needs(folder: Path, key: str) -> None:
    """Entries that old packages lack are not missed."""
    edit(folder, **{key: None})
    assert key not in open_package(folder).metadata


def test_missing_meshes(folder: Path) -> None:
    """A package without meshes opens."""
    shutil.rmtree(folder / packaged.MESHES)
    assert len(open_package(folder).terminology) == 6


def test_an_empty_folder(tmp_path: Path) -> None:
    """A folder with nothing in it is incomplete: every missing file is named, and what to do."""
    with pytest.raises(IncompleteAtlasError) as caught:
        open_package(tmp_path)
    for name in ("metadata.json", "structures.json", "reference.tiff", "annotation.tiff"):
        assert name in str(caught.value)
    assert "whole copy of the atlas" in str(caught.value)


def test_no_folder(tmp_path: Path) -> None:
    """A folder that is absent, or a file, is said to be no atlas folder."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(IncompleteAtlasError, match="no atlas folder"):
            open_package(path)


@pytest.mark.parametrize(
    "name", ["metadata.json", "structures.json", "reference.tiff", "annotation.tiff"]
)
def test_each_file_is_missed(folder: Path, name: str) -> None:
    """One missing file is named, the others are not; a folder in its place is no file."""
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(IncompleteAtlasError, match=f"incomplete: {name} missing"):
        open_package(folder)


def test_a_read_only_folder(folder: Path) -> None:
    """Reading an atlas writes nothing: a read-only folder answers everything."""
    before = sorted(folder.rglob("*"))
    for path in (*folder.iterdir(), folder):
        path.chmod(stat.S_IRUSR | (stat.S_IXUSR if path.is_dir() else 0))
    try:
        made = open_package(folder).labels
        private = made.source.read()
        private[...] = 0
        assert made.ids().any()
        assert sorted(folder.rglob("*")) == before
    finally:
        folder.chmod(stat.S_IRWXU)


@pytest.mark.parametrize(
    "content",
    [b"", b"not json", b"{", b"\xff\xfe{\x00", b"[" * 100_000, b'{"a": 1', b"9" * 5000],
    ids=lambda content: repr(content[:8]),
)
@pytest.mark.parametrize("name", ["metadata.json", "structures.json"])
def test_what_is_not_json(folder: Path, name: str, content: bytes) -> None:
    """A file that is no JSON is a finding that names file and folder."""
    (folder / name).write_bytes(content)
    with pytest.raises(InvalidAtlasError, match=f"{name} is not JSON") as caught:
        open_package(folder)
    assert str(folder) in str(caught.value)
    assert codes_of(caught.value) == ["not-json"]


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [1, 2]},
        {"shape": [1, 2, 0]},
        {"shape": [1, 2, -3]},
        {"shape": [1, 2, 3.5]},
        {"shape": ["1", 2, 3]},
        {"shape": [True, 2, 3]},
        {"shape": 5},
        {"shape": [float("inf"), 2, 3]},
        {"shape": [10**400, 2, 3]},
        {"resolution": [0, 1, 1]},
        {"resolution": [float("nan"), 1, 1]},
        {"resolution": [1, 1]},
        {"resolution": 25},
        {"resolution": [10**400, 1, 1]},
        {"orientation": "asx"},
        {"orientation": "aas"},
        {"orientation": "ap"},
        {"orientation": "asrl"},
        {"orientation": 7},
        {"orientation": ["a", "s", "r"]},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_malformed_metadata(folder: Path, changes: dict[str, Any]) -> None:
    """Shape, resolution and orientation are checked; the finding shows what was expected."""
    edit(folder, **changes)
    with pytest.raises(InvalidAtlasError, match="must be three") as caught:
        open_package(folder)
    assert codes_of(caught.value) == ["metadata-value"]


def test_all_findings_at_once(folder: Path) -> None:
    """What is missing and what is malformed is reported together."""
    edit(folder, shape=None, orientation="xyz", resolution=[1])
    with pytest.raises(InvalidAtlasError, match="3 findings") as caught:
        open_package(folder)
    assert sorted(codes_of(caught.value)) == [
        "metadata-missing",
        "metadata-value",
        "metadata-value",
    ]


@pytest.mark.parametrize("content", ["[]", "null", '"text"', "3"])
def test_metadata_that_is_no_object(folder: Path, content: str) -> None:
    """Metadata must be an object."""
    (folder / packaged.METADATA).write_text(content)
    with pytest.raises(InvalidAtlasError, match="must hold an object"):
        open_package(folder)


@pytest.mark.parametrize("content", ["{}", "null", "[1]", '["a"]', "[[]]", "3"])
def test_structures_that_are_no_list_of_objects(folder: Path, content: str) -> None:
    """Structures must be a list of objects."""
    (folder / packaged.STRUCTURES).write_text(content)
    with pytest.raises(InvalidAtlasError, match="list of objects"):
        open_package(folder)


def test_a_shape_that_disagrees(folder: Path) -> None:
    """A volume of another shape than stated is an error that shows both shapes."""
    edit(folder, shape=[12, 8, 11])
    atlas = open_package(folder)
    with pytest.raises(InvalidAtlasError, match=r"\(12, 8, 11\).*\(12, 8, 10\)") as caught:
        atlas.labels.ids()
    assert codes_of(caught.value) == ["shape-mismatch"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_that_are_no_whole_numbers(folder: Path, dtype: Any) -> None:
    """An annotation of floats is refused, with its type."""
    path = folder / packaged.ANNOTATION
    tifffile.imwrite(path, tifffile.imread(path).astype(dtype), photometric="minisblack")
    with pytest.raises(InvalidAtlasError, match="whole numbers") as caught:
        open_package(folder).labels.id_at((0, 0, 0))
    assert codes_of(caught.value) == ["volume-type"]


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("share", [0, 1, 30, 60, 95])
def test_truncated_annotation(tmp_path: Path, compression: str | None, share: int) -> None:
    """An annotation cut anywhere is an AtlasError when it is read, through every way to read it."""
    folder = tiny_package(tmp_path, compression=compression)
    path = folder / packaged.ANNOTATION
    os.truncate(path, path.stat().st_size * share // 100)
    labels = open_package(folder).labels
    for ask in (lambda: labels.id_at((0, 0, 0)), labels.ids, lambda: labels.sample(np.array([0]))):
        with pytest.raises(AtlasError, match=r"annotation\.tiff"):
            ask()


def test_unlisted_labels_survive(tmp_path: Path) -> None:
    """Labels without a structure neither stop an atlas nor change."""
    labels = np.full((5, 6, 7), 2**32 - 1, dtype=np.uint32)
    labels[0] = 77
    folder = write_package(
        tmp_path,
        name="a_10um",
        annotation=labels,
        reference=labels.astype(np.uint16),
        structures=[ROOT],
        resolution=(10, 10, 10),
    )
    made = open_package(folder).labels
    assert (made.ids() == labels).all()
    assert made.sample(np.array([0, 209]))[1].tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (2, "a", "A", (1, 2, 3))),
        ({"id": 2.0}, (2, "a", "A", (1, 2, 3))),
        ({"id": "2"}, (2, "a", "A", (1, 2, 3))),
        ({"structure_id_path": "/1/2/"}, (2, "a", "A", (1, 2, 3))),
        ({"structure_id_path": [1]}, (2, "a", "A", (1, 2, 3))),
        ({"structure_id_path": [1.0, "2"]}, (2, "a", "A", (1, 2, 3))),
        ({"acronym": None}, (2, "2", "A", (1, 2, 3))),
        ({"acronym": 5}, (2, "5", "A", (1, 2, 3))),
        ({"acronym": "NA"}, (2, "NA", "A", (1, 2, 3))),
        ({"acronym": ""}, (2, "", "A", (1, 2, 3))),
        ({"name": None}, (2, "a", "a", (1, 2, 3))),
        ({"rgb_triplet": None}, (2, "a", "A", (255, 255, 255))),
        ({"rgb_triplet": [-1, 300, 7.0]}, (2, "a", "A", (0, 255, 7))),
        ({"rgb_triplet": [0, 0, 0]}, (2, "a", "A", (0, 0, 0))),
        ({"rgb_triplet": [10**400, 0, 0]}, (2, "a", "A", (255, 0, 0))),
    ],
    ids=lambda value: str(value)[:30],
)
def test_entries_that_are_forgiven(changes: dict[str, Any], expected: tuple[Any, ...]) -> None:
    """Numbers as floats or text, paths as text, missing names and colours are understood."""
    tree = read_terminology([ROOT, entry(**changes)], "here")
    red, green, blue = tree.colours[2].tolist()
    assert (int(tree.ids[2]), tree.acronyms[2], tree.names[2], (red, green, blue)) == expected
    assert tree.parents.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"id": "two"},
        {"id": 2.5},
        {"id": float("nan")},
        {"id": True},
        {"id": [2]},
        {"id": "9" * 5000},
        {"structure_id_path": None},
        {"structure_id_path": 7},
        {"structure_id_path": ["x"]},
        {"structure_id_path": [None]},
        {"rgb_triplet": [1, 2]},
        {"rgb_triplet": "red"},
        {"rgb_triplet": ["r", "g", "b"]},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_entries_that_cannot_be_used(changes: dict[str, Any]) -> None:
    """An entry without a usable id, path or colour is named by its place in the file."""
    with pytest.raises(InvalidAtlasError, match=r"Entry 1 of structures\.json") as caught:
        read_terminology([ROOT, entry(**changes)], "here")
    assert codes_of(caught.value) == ["structure-entry"]


@pytest.mark.parametrize(
    "power", [2**63, 2**64, 10**30, 10**400], ids=["2^63", "2^64", "1e30", "1e400"]
)
def test_absurd_ids(power: int) -> None:
    """An id that no machine word holds is an error about the atlas, or forgiven; nothing else."""
    odd = entry(id=power, structure_id_path=[1, power])
    try:
        tree = read_terminology([ROOT, odd], "here")
    except InvalidAtlasError:
        return
    assert "id-out-of-range" in [finding.code for finding in tree.findings]


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], "empty"),
        ([entry(structure_id_path=[9, 2])], "no-root"),
        (
            [ROOT, entry(structure_id_path=[1, 3, 2]), entry(id=3, structure_id_path=[2, 3])],
            "cycle",
        ),
    ],
)
def test_structures_without_order(folder: Path, entries: list[Any], code: str) -> None:
    """No structure, no root, a cycle: refused, with the file that says so."""
    (folder / packaged.STRUCTURES).write_text(json.dumps(entries))
    with pytest.raises(InvalidAtlasError, match=r"structures\.json") as caught:
        open_package(folder)
    assert codes_of(caught.value) == [code]


def test_every_bad_entry_is_reported() -> None:
    """Ten bad entries are ten findings of one error."""
    bad = [entry(id=None) for _ in range(10)]
    with pytest.raises(InvalidAtlasError, match="10 findings") as caught:
        read_terminology([ROOT, *bad], "here")
    assert len(caught.value.findings) == 10
