"""Exports: what goes in comes out, in either layout, with the same bytes each time."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi import BrainGlobeAtlas, update_atlases
from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats import blocks as blocks_module
from bg_atlasapi.formats import draco_writing, exporting, zarr_writing
from bg_atlasapi.formats.components_writing import halves, terminology_text
from bg_atlasapi.model import parallel
from bg_atlasapi.model.mesh import TriangleMesh
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.store.inventory import Inventory, sha256_of
from bg_atlasapi.testing import TINY_STRUCTURES, tiny_components, tiny_package, write_package

STORE = "brainglobe-atlasapi"
LAYOUTS = ("components", "packaged")


def deep(folder: Path) -> Path:
    """Write an atlas whose parents have ids past 65535 and 2**24, two of the same name."""
    ids = [70_001, 614_454_277, 2**32 - 1, 5, 6]
    paths = [ids[:1], ids[:2], ids[:3], [*ids[:2], 5], [*ids[:3], 6]]
    structures = [
        {
            "acronym": f"a{number}",
            "id": path[-1],
            "name": 'Same, "name"' if number > 2 else f" ärea {number}\nline\rend ",
            "structure_id_path": path,
            "rgb_triplet": [number, 0, 255],
        }
        for number, path in enumerate(paths)
    ]
    labels = np.random.default_rng(3).choice([0, *ids], (70, 9, 66)).astype(np.uint32)
    box = np.array([[0, 0, 0], [12.5, 0, 0], [0, 50, 0], [0, 0, 65.5]])
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    return write_package(
        folder,
        name="deep_mouse_12.5um",
        version="2.11",
        annotation=labels,
        reference=labels.astype(np.float32) / 7,
        structures=structures,
        resolution=(12.5, 25, 3.90625),
        meshes={ids[0]: (box, faces), 6: (box * 100 + 0.1, faces)},
        additional_references={"b-template": labels.astype(np.uint8), "a_b.c": labels},
        note="kept",
    )


SOURCES: dict[str, Callable[[Path], Path]] = {
    "symmetric": tiny_package,
    "asymmetric": lambda folder: tiny_package(folder, symmetric=False),
    "anisotropic": lambda folder: tiny_package(
        folder,
        name="tiny_odd_50um",
        version="1.3",
        shape=(9, 8, 7),
        resolution=(50.0, 25.0, 12.5),
    ),
    "compressed": lambda folder: tiny_package(folder, compression="zlib", symmetric=False),
    "rpi": lambda folder: tiny_package(folder, orientation="rpi", shape=(7, 8, 10)),
    "las": lambda folder: tiny_package(folder, orientation="las", symmetric=False),
    "deep": deep,
    "store": tiny_components,
    "asymmetric store": lambda folder: tiny_components(folder, symmetric=False),
}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the folder of each of the atlases in turn."""
    return SOURCES[request.param](tmp_path / "source")


@pytest.fixture(autouse=True)
def _silence_about_orientation() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The orientation of", UserWarning)
        yield


def digests(folder: Path) -> dict[str, str]:
    """Return the hash of every file of a folder, by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def entries(atlas: Atlas) -> list[dict[str, Any]]:
    """Return the structures with what both layouts hold."""
    keys = ("acronym", "id", "name", "structure_id_path", "rgb_triplet")
    return [{key: one[key] for key in keys} for one in atlas.structures_list]


def assert_equal_volumes(one: Atlas, other: Atlas) -> None:
    """Hold values and types of every volume against each other."""
    for name in ("annotation", "reference", "hemispheres"):
        theirs, ours = getattr(one, name), getattr(other, name)
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)
    assert other.metadata["additional_references"] == one.metadata["additional_references"]
    for name in one.metadata["additional_references"]:
        theirs, ours = one.additional_references[name], other.additional_references[name]
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)


def assert_meshes_within(one: Atlas, other: Atlas, steps: float) -> None:
    """Hold the meshes against each other, vertex by vertex.

    ``steps`` is the number of quantisations between them; each moves a coordinate by half a step,
    and the 32-bit numbers that Draco takes and gives by as much as 1 nm.
    """
    counted = 0
    for entry in one.structures_list:
        identifier = entry["id"]
        assert one._model.meshes.has(identifier) == other._model.meshes.has(identifier)
        if one._model.meshes.has(identifier):
            theirs = one._model.meshes.read(identifier)
            ours = other._model.meshes.read(identifier)
            assert np.array_equal(ours.triangles, theirs.triangles)
            side = np.ptp(theirs.points, axis=0).max() + 0.001
            allowed = steps * (side / draco_writing.STEPS / 2 + 0.0011)
            assert np.abs(ours.points - theirs.points).max() <= allowed
            counted += 1
    assert counted


def test_there_and_back(source: Path, tmp_path: Path) -> None:
    """Into a store and on into a package: volumes, structures, meshes, metadata are the source's."""
    first = Atlas.from_path(source)
    store = Atlas.from_path(first.export(tmp_path / "v3"))
    back = Atlas.from_path(store.export(tmp_path / "v1", format="packaged"))
    for other in (store, back):
        assert_equal_volumes(first, other)
        assert entries(other) == entries(first)
        assert (other.shape, other.resolution) == (first.shape, first.resolution)
        assert other.orientation == first.orientation
        assert other.metadata["symmetric"] == first.metadata["symmetric"]
    assert_meshes_within(first, store, 1)
    assert_meshes_within(first, back, 1.2)
    if not (source / "manifest.json").exists():
        assert back.metadata == first.metadata


def test_a_package_of_a_package_is_the_package(tmp_path: Path) -> None:
    """Meshes to the byte, the rest to the value."""
    source = tiny_package(tmp_path / "source", symmetric=False)
    copy = Atlas.from_path(source).export(tmp_path / "copy", format="packaged")
    assert copy == tmp_path / "copy" / source.name
    before, after = digests(source), digests(copy)
    assert set(after) == set(before)
    assert {n: d for n, d in after.items() if n.endswith(("obj", "json"))} == {
        n: d for n, d in before.items() if n.endswith(("obj", "json"))
    }
    assert_equal_volumes(Atlas.from_path(source), Atlas.from_path(copy))


@pytest.mark.parametrize("form", exporting.FORMATS)
def test_the_same_atlas_gives_the_same_bytes(
    source: Path, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice, to different folders, with one thread and with four."""
    Atlas.from_path(source).export(tmp_path / "one", format=form)
    monkeypatch.setattr(parallel, "workers", lambda: 1)
    Atlas.from_path(source).export(tmp_path / "two", format=form)
    monkeypatch.setattr(parallel, "workers", lambda: 4)
    Atlas.from_path(source).export(tmp_path / "three", format=form)
    first = digests(tmp_path / "one")
    assert first
    assert digests(tmp_path / "two") == first == digests(tmp_path / "three")


def test_a_store_of_a_store_keeps_names_and_bytes(tmp_path: Path) -> None:
    """Exporting again what was exported changes nothing; components keep names and versions."""
    once = Atlas.from_path(tiny_components(tmp_path / "source")).export(tmp_path / "once")
    again = Atlas.from_path(once).export(tmp_path / "again")
    first, second = digests(tmp_path / "once"), digests(tmp_path / "again")
    assert set(first) == set(second)
    # Quantised coordinates may be quantised once more.
    moved = {name for name in first if first[name] != second[name]}
    assert all("/mesh/" in name or name.endswith("inventory.json") for name in moved)
    published = json.loads((tmp_path / "source").rglob("manifest.json").__next__().read_bytes())
    stated = json.loads((again / "manifest.json").read_bytes())
    assert stated["template"] == published.get("template", stated["template"])


def test_atlases_of_one_name_share_a_store(tmp_path: Path) -> None:
    """Two resolutions of an atlas: the second's components are named with the resolution."""
    for um, shape in ((100.0, (12, 8, 10)), (50.0, (24, 16, 20))):
        name = f"tiny_mouse_{um:g}um"
        folder = tiny_package(tmp_path, name=name, shape=shape, resolution=[um] * 3)
        Atlas.from_path(folder).export(tmp_path / "v3")
    for um in (100, 50):
        name = f"tiny_mouse_{um}um"
        ours = BrainGlobeAtlas(name, brainglobe_dir=tmp_path / "v3", check_latest=False)
        theirs = BrainGlobeAtlas(name, brainglobe_dir=tmp_path, check_latest=False)
        assert theirs.root_dir.parent == tmp_path
        assert_equal_volumes(theirs, ours)
        assert ours.additional_references["nissl"] is not None
    assert len([*(tmp_path / "v3" / STORE / "templates").iterdir()]) == 4
    conf = (tmp_path / "v3" / STORE / "atlases" / "last_versions.conf").read_text()
    assert conf == "[atlases]\ntiny_mouse_100um = 1.0\ntiny_mouse_50um = 1.0\n"


def test_a_lost_line_of_the_list_comes_back(tmp_path: Path) -> None:
    """As when two exports end at once; what is no export, or no version, is not named."""
    for name in ("a_100um", "b_100um"):
        Atlas.from_path(tiny_package(tmp_path, name=name)).export(tmp_path / "v3")
    atlases = tmp_path / "v3" / STORE / "atlases"
    (atlases / "last_versions.conf").write_text("[atlases]\nother_1um = 4.5\na_100um = 1.2\n")
    shutil.copytree(atlases / "a_100um/1_0", atlases / "b_100um/old")
    (atlases / "plain_1um/1_0").mkdir(parents=True)
    Atlas.from_path(tiny_package(tmp_path, name="c_100um")).export(tmp_path / "v3")
    listed = (atlases / "last_versions.conf").read_text().splitlines()
    assert listed[1:] == ["a_100um = 1.2", "b_100um = 1.0", "c_100um = 1.0", "other_1um = 4.5"]


def test_the_inventory_lists_every_file(tmp_path: Path) -> None:
    """Key, size, hash; in the form that installing reads; nothing in it depends on when or where."""
    folder = Atlas.from_path(tiny_package(tmp_path)).export(tmp_path / "v3")
    known = Inventory.from_text((folder / "inventory.json").read_text())
    assert known is not None
    store = tmp_path / "v3" / STORE
    unlisted = {"atlases/last_versions.conf", "atlases/tiny_mouse_100um/1_0/inventory.json"}
    assert set(known.entries) | unlisted == set(digests(store))
    for key, entry in known.entries.items():
        path = store / key
        assert (entry.size, entry.sha256) == (path.stat().st_size, sha256_of(path))
    assert (known.installed, known.origin) == ("", "")
    assert (known.name, known.version, known.layout) == ("tiny_mouse_100um", "1.0", "components")


def test_an_export_is_a_remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store can be served as it is: an atlas installs from it, and is found sound."""
    first = Atlas.from_path(tiny_package(tmp_path, symmetric=False))
    first.export(tmp_path / "v3")
    monkeypatch.setenv("BRAINGLOBE_REMOTES", str(tmp_path / "v3" / STORE))
    monkeypatch.setenv("BRAINGLOBE_DIR", str(tmp_path / "here"))
    update_atlases.install_atlas("tiny_mouse_100um", all_components=True)
    atlas = BrainGlobeAtlas("tiny_mouse_100um")
    assert_equal_volumes(first, atlas)
    assert update_atlases.verify_atlas("tiny_mouse_100um").sound


def test_what_is_exported_is_what_lies_on_disk(tmp_path: Path) -> None:
    """Arrays that were edited or assigned stay the caller's."""
    atlas = Atlas.from_path(tiny_package(tmp_path))
    before = atlas.annotation.copy()
    atlas.annotation[:] = 7
    atlas.metadata["resolution"] = [1, 1, 1]
    copy = Atlas.from_path(atlas.export(tmp_path / "v1", format="packaged"))
    assert np.array_equal(copy.annotation, before)
    assert copy.resolution == (100, 100, 100)


def test_progress_is_told(tmp_path: Path) -> None:
    """It grows, and ends at what it said there is to do."""
    told: list[tuple[int, int]] = []
    atlas = Atlas.from_path(tiny_package(tmp_path))
    atlas.export(tmp_path / "v3", fn_update=lambda done, total: told.append((done, total)))
    assert len(told) > 5
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    assert len({total for _, total in told}) == 1


def test_an_orientation_that_the_peer_ignores_is_named(tmp_path: Path) -> None:
    """The volumes stay as they are, the images state their axes, and a warning says so."""
    atlas = Atlas.from_path(tiny_package(tmp_path, orientation="rpi"))
    with pytest.warns(UserWarning, match="'rpi'.* takes every atlas for 'asr'") as seen:
        folder = atlas.export(tmp_path / "v3")
    assert seen[0].filename == __file__
    (stated,) = folder.parents[2].glob("templates/tiny_mouse-template/1_0/*/zarr.json")
    axes = json.loads(stated.read_bytes())["attributes"]["ome"]["multiscales"][0]["axes"]
    assert [axis["orientation"]["value"] for axis in axes] == [
        "right-to-left",
        "posterior-to-anterior",
        "inferior-to-superior",
    ]


def test_the_layout_is_the_published_one(tmp_path: Path) -> None:
    """Folders, names and the metadata of images are those that brainglobe-atlasapi 3 writes."""
    folder = Atlas.from_path(tiny_package(tmp_path)).export(tmp_path / "v3")
    store = tmp_path / "v3" / STORE
    stated = json.loads((folder / "manifest.json").read_bytes())
    annotations = store / stated["annotation_set"]["location"].lstrip("/")
    assert annotations == store / "annotation-sets" / "tiny_mouse-annotation" / "1_0"
    there = {path.name for path in annotations.iterdir()}
    assert there == {
        "annotations_compressed.ome.zarr",
        "annotations.precomputed",
        "hemispheres.ome.zarr",
    }
    assert [one["name"] for one in stated["additional_references"]] == ["tiny_mouse-nissl-template"]
    array = json.loads((annotations / "annotations_compressed.ome.zarr/s0/zarr.json").read_bytes())
    assert array["data_type"] == "uint32"
    assert [codec["name"] for codec in array["codecs"]] == ["bytes", "zstd"]
    group = json.loads((annotations / "annotations_compressed.ome.zarr/zarr.json").read_bytes())
    image = group["attributes"]["ome"]["multiscales"][0]
    assert group["attributes"]["ome"]["version"] == "0.5"
    assert image["datasets"][0]["coordinateTransformations"][0]["scale"] == [0.1, 0.1, 0.1]
    table = (store / "terminologies/tiny_mouse-terminology/1_0/terminology.csv").read_text()
    assert table.splitlines()[2] == '8,997,8,Basic cell groups and regions,grey,#BFDAE3,"[997, 8]"'


def test_identifiers_of_a_terminology_are_kept() -> None:
    """Those with a prefix too, and the structure without voxels has no value."""
    entry = {"acronym": "a", "name": "A, b", "rgb_triplet": [1, 2, 255]}
    text = terminology_text(
        [
            {**entry, "id": 10, "structure_id_path": [10], "identifier": "MBA:997"},
            {
                **entry,
                "id": 8,
                "structure_id_path": [10, 8],
                "identifier": "MBA:8",
                "annotation_value": None,
            },
        ]
    )
    assert text.splitlines()[1:] == [
        'MBA:997,,10,"A, b",a,#0102FF,[MBA:997]',
        'MBA:8,MBA:997,,"A, b",a,#0102FF,"[MBA:997, MBA:8]"',
    ]


@pytest.mark.parametrize("orientation", ["asr", "lsa", "pil", "sra"])
def test_computed_halves_are_the_hemispheres(orientation: str) -> None:
    """Part by part, whatever axis runs between left and right, odd or even."""
    for shape in ((7, 4, 5), (4, 6, 8)):
        space = CoordinateSpace(shape, (1, 1, 1), orientation)
        assert np.array_equal(np.concatenate([*halves(space, 3)]), space.hemispheres())


class Slabs:
    """A volume that comes in parts of given depths."""

    def __init__(self, array: npt.NDArray[Any], depths: list[int]) -> None:
        self.array, self.depths = array, depths

    def slabs(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the parts, each in memory that is overwritten afterwards."""
        start = 0
        for depth in self.depths:
            yield self.array[start : start + depth].copy()
            start += depth


@pytest.mark.parametrize("depths", [[10], [1] * 10, [3, 3, 3, 1], [4, 6], [7, 1, 2], [2, 8]])
@pytest.mark.parametrize("depth", [1, 3, 4, 10, 64])
def test_blocks_have_the_wanted_depth(depths: list[int], depth: int) -> None:
    """Whatever depth the slabs have; only the last is shorter; nothing is lost or repeated."""
    array = np.arange(40).reshape(10, 2, 2)
    source: Any = Slabs(array, depths)
    found = [block.copy() for block in blocks_module.blocks(source, depth)]
    assert [len(block) for block in found[:-1]] == [depth] * (len(found) - 1)
    assert np.array_equal(np.concatenate(found), array)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float32", "float64"])
def test_images_of_any_type(dtype: str, tmp_path: Path) -> None:
    """Template types other than uint16 come back as they were, chunks of zeros included."""
    array = np.random.default_rng(1).integers(-3, 90, (70, 66, 5)).astype(dtype)
    array[:32, :64] = 0
    atlas = _atlas_of(tmp_path, reference=array, annotation=np.ones(array.shape, np.uint16))
    for form in LAYOUTS:
        copy = Atlas.from_path(atlas.export(tmp_path / form, format=form))
        assert copy.reference.dtype == array.dtype
        assert np.array_equal(copy.reference, array)
        assert copy.annotation.dtype == np.uint32
    image = tmp_path / "components" / STORE / "templates" / "some-template" / "1_0"
    assert len([*image.rglob("c/0/0/*")]) == 1  # the very first, though it is empty
    assert not [*image.rglob("c/0/1/*")]
    assert [*image.rglob("c/2/2/0")]


def _atlas_of(folder: Path, **given: Any) -> Atlas:
    structures = [
        {**TINY_STRUCTURES[0], "id": 1, "structure_id_path": [1], "rgb_triplet": [1, 2, 3]}
    ]
    stated: dict[str, Any] = {
        "name": "some_100um",
        "structures": structures,
        "resolution": (100, 100, 100),
    }
    return Atlas.from_path(write_package(folder, **{**stated, **given}))


def test_an_annotation_of_nothing(tmp_path: Path) -> None:
    """No chunk is stored, and it still reads as zeros, also in Neuroglancer's copy."""
    zeros = np.zeros((5, 6, 7), np.uint32)
    atlas = _atlas_of(tmp_path, reference=zeros.astype(np.uint16), annotation=zeros)
    copy = Atlas.from_path(atlas.export(tmp_path / "v3"))
    assert not copy.annotation.any()
    assert (copy.root_dir.parents[2] / "annotation-sets/some-annotation/1_0").is_dir()
    (shard,) = copy.root_dir.parents[2].rglob("0.shard")
    assert shard.read_bytes() == bytes(16)


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """A negative label, or one past 32 bits, is an error and nothing is left behind."""
    for label, dtype in ((-1, np.int32), (2**32, np.int64), (2**63, np.uint64)):
        array = np.full((4, 4, 4), label, dtype)
        atlas = _atlas_of(tmp_path, annotation=array, reference=np.zeros((4, 4, 4), np.uint16))
        for form in LAYOUTS:
            with pytest.raises(InvalidInputError, match=str(label)):
                atlas.export(tmp_path / form, format=form)
            assert not [*(tmp_path / form).iterdir()]


def test_a_small_mesh_is_not_taken_for_steps() -> None:
    """Whole coordinates up to 65,535 nm: the reader tells them from Neuroglancer's steps."""
    points = np.array([[0, 0, 0], [65.535, 0, 0], [0, 65.535, 0], [0, 0, 12.0]])
    low, size = draco_writing.cell_of((points * 1000).astype(np.float32))
    steps = np.rint((points * 1000 - low) / size * draco_writing.STEPS)
    decoded = low + steps * (size / draco_writing.STEPS)
    assert not (decoded == np.rint(decoded)).all()


def test_draco_takes_flat_and_single_meshes(tmp_path: Path) -> None:
    """A mesh without extent along an axis, or without any, is written and read."""
    from bg_atlasapi.formats.checks import no_check
    from bg_atlasapi.formats.draco_meshes import DracoMeshes

    faces = np.array([[0, 1, 2]])
    draco_writing.write_info(tmp_path)
    for identifier, points in enumerate(
        [[[1, 2, 3], [4, 2, 3], [1, 9, 3]], [[5, 5, 5]] * 3, [[-3, -4, 900], [7, 8, 9], [1, 2, 3]]]
    ):
        mesh = TriangleMesh(np.array(points, np.float64), faces)
        draco_writing.write_mesh(tmp_path, identifier, mesh)
        back = DracoMeshes(tmp_path, tmp_path / "cache", no_check).read(identifier)
        assert np.array_equal(back.triangles, faces)
        assert np.abs(back.points - mesh.points).max() < 0.01


def test_names_come_from_folder_or_metadata(tmp_path: Path) -> None:
    """The folder's name first; of a folder that tells nothing, the metadata; neither is an error."""
    metadata = {"name": "some_mouse", "version": "1.4", "resolution": [12.5, 1, 1]}
    assert exporting.identity(tmp_path / "a_b_10um_v1.2", metadata) == ("a_b_10um", "1.4")
    assert exporting.identity(tmp_path / "copy", metadata) == ("some_mouse_12.5um", "1.4")
    assert exporting.identity(tmp_path / "x_1um_v2.0", {**metadata, "version": "?"})[1] == "2.0"
    with pytest.raises(InvalidInputError, match="cannot be the name"):
        exporting.identity(tmp_path / "copy", {**metadata, "name": "../../etc"})


def test_a_name_that_no_folder_can_have_stays_in_the_metadata(tmp_path: Path) -> None:
    """The components are called as the atlas's folder is."""
    atlas = Atlas.from_path(tiny_package(tmp_path))
    path = atlas.root_dir / "metadata.json"
    path.write_text(json.dumps({**atlas.metadata, "name": "Tiny mouse, ä"}), encoding="utf-8")
    store = Atlas.from_path(Atlas.from_path(atlas.root_dir).export(tmp_path / "v3"))
    assert store.metadata["name"] == "Tiny mouse, ä"
    assert store.metadata["template"]["name"] == "tiny_mouse_100um-template"
    assert_equal_volumes(atlas, store)


def test_big_stacks_are_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past 4 GB the classic form ends; the reader maps the other as well."""
    import tifffile

    from bg_atlasapi.formats import packaged_writing

    monkeypatch.setattr(packaged_writing, "_CLASSIC_BYTES", 100)
    atlas = Atlas.from_path(tiny_package(tmp_path))
    copy = Atlas.from_path(atlas.export(tmp_path / "v1", format="packaged"))
    with tifffile.TiffFile(copy.root_dir / "annotation.tiff") as file:
        assert file.is_bigtiff
    assert copy._model.annotation.mapped() is not None
    assert_equal_volumes(atlas, copy)


def test_chunks_are_cubes_of_64(tmp_path: Path) -> None:
    """Of a small volume, as long as it is."""
    space = CoordinateSpace((100, 20, 64), (1, 1, 1))
    writer = zarr_writing.ImageWriter(tmp_path / "image", np.dtype("u1"), space, labels=True)
    assert writer.chunk_shape == (64, 20, 64)
