"""Atlases of the component store, made by hand: sound, odd and broken ones."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import AtlasError, IncompleteAtlasError, InvalidAtlasError
from bg_atlasapi.formats.checks import NoCheck
from bg_atlasapi.formats.components import open_components, short_names
from bg_atlasapi.formats.registry import open_atlas
from bg_atlasapi.testing import tiny_package

Labels = npt.NDArray[np.uint32]
Write = Callable[..., Path]


def codes_of(error: InvalidAtlasError) -> list[str]:
    """Return the codes of an error's findings."""
    return [finding.code for finding in error.findings]


def table_of(folder: Path) -> Path:
    """Return the terminology of a store, given its atlas's folder."""
    store = folder.parents[2]
    return store / "terminologies" / "tiny-terminology" / "3_0" / "terminology.csv"


def set_of(folder: Path) -> Path:
    """Return the annotation set."""
    return folder.parents[2] / "annotation-sets" / "tiny-annotation" / "3_0"


@pytest.mark.parametrize("door", ["", "manifest.json"])
def test_one_object_for_every_layout(
    tmp_path: Path, write_store: Write, labels: Labels, door: str
) -> None:
    """The folder or the manifest opens, and everything a package answers is answered."""
    folder = write_store(tmp_path)
    atlas = Atlas.from_path(folder / door)
    assert atlas.root_dir == folder
    assert atlas.shape == (5, 4, 6)
    assert atlas.resolution == (100.0, 100.0, 100.0)
    assert atlas.orientation == "asr"
    assert np.array_equal(atlas.annotation, labels)
    assert np.array_equal(atlas.reference, labels * 3)
    assert atlas.reference.dtype == np.uint16
    assert atlas.hemispheres.shape == (5, 4, 6)
    assert atlas.lookup_df.values.tolist() == [
        ["root", 10, "root"],
        ["grey", 20, "Grey matter"],
        ["VIS", 30, "Area, visual"],
    ]
    assert np.array_equal(atlas.get_structure_mask("grey") > 0, labels > 0)
    assert np.array_equal(atlas.get_structure_mask("VIS") > 0, labels == 30)
    assert atlas.get_structure_ancestors("VIS") == ["root", "grey"]
    assert atlas.hierarchy.depth() == 2
    voxel = tuple(np.argwhere(labels == 30)[0])
    assert atlas.structure_from_coords(voxel, as_acronym=True) == "VIS"
    assert atlas.lookup([voxel], unit="voxel")["acronym"].tolist() == ["VIS"]


def test_structures_keep_what_the_table_says(tmp_path: Path, write_store: Write) -> None:
    """Ids are what voxels hold; the identifiers of the terminology stay reachable."""
    atlas = Atlas.from_path(write_store(tmp_path))
    assert atlas.structures["VIS"].structure_id_path == [10, 20, 30]
    assert atlas.structures["VIS"].rgb_triplet == [8, 140, 133]
    assert atlas.structures["VIS"]["identifier"] == "MBA:8"
    assert atlas.structures["VIS"]["parent_structure_id"] == 20
    assert atlas.structures["root"]["parent_structure_id"] is None


def test_metadata_keep_the_keys_of_1x(
    tmp_path: Path, write_store: Write, make_manifest: Callable[..., dict[str, Any]]
) -> None:
    """Everything the manifest states, additional references by name, their dictionaries beside."""
    metadata = Atlas.from_path(write_store(tmp_path)).metadata
    stated = make_manifest()
    published = stated.pop("additional_references")
    assert metadata["additional_references"] == ["nissl"]
    assert metadata["additional_reference_components"] == published
    assert {key: metadata[key] for key in stated} == stated


def test_additional_references_by_both_names(
    tmp_path: Path, write_store: Write, labels: Labels
) -> None:
    """``nissl`` and ``tiny-nissl-template`` are the same array; another name warns, as in 1.x."""
    references = Atlas.from_path(write_store(tmp_path)).additional_references
    assert np.array_equal(references["nissl"], labels * 3 + 1)
    assert references["tiny-nissl-template"] is references["nissl"]
    with pytest.warns(UserWarning, match="No reference named golgi"):
        assert references["golgi"] is None


def test_short_names_stay_apart() -> None:
    """Names that would be shortened to the same keep their full form."""
    assert short_names(["a-x-template", "kim-mri-template", "b"], "a") == ["x", "kim-mri", "b"]
    assert short_names(["a-x-template", "x-template"], "a") == ["a-x-template", "x-template"]


def test_stored_hemispheres_of_an_asymmetric_atlas(tmp_path: Path, write_store: Write) -> None:
    """They are read, and points ask them."""
    atlas = Atlas.from_path(write_store(tmp_path, symmetric=False))
    assert (atlas.hemispheres[0] == 2).all()
    assert (atlas.hemispheres[1:] == 1).all()
    assert atlas.hemisphere_from_coords((0, 0, 0), as_string=True) == "right"
    assert atlas.hemisphere_from_coords((1, 0, 0), as_string=True) == "left"


def test_arrays_are_private_and_copies_travel(
    tmp_path: Path, write_store: Write, labels: Labels
) -> None:
    """An edited annotation answers, is carried by pickles and copies, and reaches no file."""
    folder = write_store(tmp_path)
    atlas = Atlas.from_path(folder)
    mask = atlas.get_structure_mask("VIS")
    atlas.annotation[:] = 30
    assert (atlas.get_structure_mask("VIS") == 30).all()
    assert mask.sum() != 30 * mask.size
    for twin in (pickle.loads(pickle.dumps(atlas)), copy.deepcopy(atlas)):
        assert (twin.annotation == 30).all()
        assert np.array_equal(twin.reference, labels * 3)
        assert twin.root_mesh().points.shape == (4, 3)
    assert np.array_equal(Atlas.from_path(folder).annotation, labels)


def test_an_unedited_annotation_keeps_its_codes(tmp_path: Path, write_store: Write) -> None:
    """Handing the array out does not make every later mask code the volume again."""
    atlas = Atlas.from_path(write_store(tmp_path))
    _ = atlas.annotation
    assert atlas._labels(every_voxel=True) is atlas._model.labels
    atlas.annotation[0, 0, 0] = 30
    assert atlas._labels(every_voxel=True) is not atlas._model.labels


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"shape": [5, 4]}, "metadata-value"),
        ({"resolution": "100"}, "metadata-value"),
        ({"orientation": "xyz"}, "metadata-value"),
        ({"symmetric": "yes"}, "metadata-value"),
        ({"additional_references": "nissl"}, "metadata-value"),
        ({"additional_references": ["nissl"]}, "manifest-component"),
        ({"annotation_set": None}, "manifest-component"),
        ({"template": {"name": "x"}}, "manifest-component"),
        ({"terminology": 5}, "manifest-component"),
        ({"version": "3.1"}, "version-mismatch"),
        ({"location": "/atlases/other_100um/3_0"}, "version-mismatch"),
    ],
    ids=str,
)
def test_a_manifest_that_is_wrong_says_why(
    tmp_path: Path, write_store: Write, changes: dict[str, Any], code: str
) -> None:
    """Each key that is missing, malformed or contradicts the folder is a finding."""
    with pytest.raises(InvalidAtlasError) as caught:
        open_atlas(write_store(tmp_path, **changes))
    assert codes_of(caught.value) == [code]


@pytest.mark.parametrize(
    "location",
    [
        "/../outside/3_0",
        "../../templates/tiny-template/3_0",
        "/",
        "C:/x/3_0",
        "..\\x\\3_0",
        "a\0/b",
        "templates/\ud800/3_0",
        f"templates/{'x' * 300}/3_0",
    ],
)
def test_a_location_outside_the_store_is_refused(
    tmp_path: Path, write_store: Write, location: str
) -> None:
    """Whatever way a manifest tries to lead out; absolute paths are relative to the store."""
    template = {"name": "tiny-template", "version": "3.0", "location": location}
    with pytest.raises(InvalidAtlasError) as caught:
        open_atlas(write_store(tmp_path / "store", template=template))
    assert codes_of(caught.value) == ["location-outside"]


@pytest.mark.parametrize(
    "linked", ["", "annotations_compressed.ome.zarr", "annotations.precomputed"]
)
def test_a_link_out_of_the_store_is_refused(
    tmp_path: Path, write_store: Write, linked: str
) -> None:
    """A component, an image or the meshes that are a link to elsewhere."""
    folder = write_store(tmp_path / "store")
    inner = set_of(folder) / linked
    inner.rename(tmp_path / "elsewhere")
    inner.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidAtlasError) as caught:
        open_atlas(folder)
    assert set(codes_of(caught.value)) == {"location-outside"}


def test_components_of_different_versions_are_refused(
    tmp_path: Path, write_store: Write, make_manifest: Callable[..., dict[str, Any]]
) -> None:
    """An annotation set made for another template or terminology, and a version unlike its place."""
    stated = make_manifest()
    newer = {"version": "3.1", "location": "/templates/tiny-template/3_1"}
    annotations = {**stated["annotation_set"], "template": {**stated["template"], **newer}}
    terminology = {**stated["terminology"], "version": "3.1"}
    folder = write_store(tmp_path, annotation_set=annotations, terminology=terminology)
    with pytest.raises(InvalidAtlasError, match=r"was made for tiny-template 3.1") as caught:
        open_atlas(folder)
    assert codes_of(caught.value) == ["version-mismatch"] * 2


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000])
def test_a_manifest_that_is_none_raises(tmp_path: Path, write_store: Write, text: str) -> None:
    """Empty, cut short, nested beyond reason, or of another type."""
    folder = write_store(tmp_path)
    (folder / "manifest.json").write_text(text)
    with pytest.raises(InvalidAtlasError):
        open_atlas(folder)


@pytest.mark.parametrize("part", ["terminologies", "annotation-sets", "templates"])
def test_a_missing_component_is_named(tmp_path: Path, write_store: Write, part: str) -> None:
    """The error says what is missing, before anything is read."""
    folder = write_store(tmp_path)
    shutil.rmtree(tmp_path / part)
    with pytest.raises(IncompleteAtlasError, match=part):
        open_atlas(folder / "manifest.json")


def test_no_atlas_here(tmp_path: Path) -> None:
    """A manifest that is not there, in a folder that is."""
    with pytest.raises(IncompleteAtlasError):
        open_atlas(tmp_path / "manifest.json")
    with pytest.raises(IncompleteAtlasError):
        open_components(tmp_path)


def test_a_volume_of_another_shape_raises(tmp_path: Path, write_store: Write) -> None:
    """The manifest's shape is held against the image's."""
    atlas = Atlas.from_path(write_store(tmp_path, shape=[5, 4, 7]))
    with pytest.raises(InvalidAtlasError, match="the shape is"):
        _ = atlas.annotation


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("MBA:8,MBA:70001,30", "MBA:8,MBA:70001,x", "annotation_value must be a whole number"),
        ("MBA:8,MBA:70001,30", ",MBA:70001,30", "identifier is empty"),
        ("MBA:8,MBA:70001,30", "MBA:none,MBA:70001,", "no annotation_value"),
        ("MBA:8,MBA:70001,30", "MBA:20,MBA:70001,", "no annotation_value"),
        ("#088C85", "teal", "color_hex_triplet must be"),
        ("MBA:70001, MBA:8]", "MBA:5, MBA:8]", "names 'MBA:5'"),
        ("identifier,parent", "id,parent", "lacks the column identifier"),
        ("color_hex_triplet,root", "name,root", "has the column name more than once"),
        ('"Area', '"Ar"ea', "not a table"),
    ],
)
def test_a_terminology_that_is_wrong_says_why(
    tmp_path: Path, write_store: Write, old: str, new: str, match: str
) -> None:
    """Each row that cannot be used is a finding with its row."""
    folder = write_store(tmp_path)
    table = table_of(folder)
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(InvalidAtlasError, match=match):
        open_atlas(folder)


def test_a_terminology_with_gaps_is_read(tmp_path: Path, write_store: Write) -> None:
    """No paths, numbers with ``.0``, a byte-order mark, no voxels of its own, no colour."""
    folder = write_store(tmp_path)
    table_of(folder).write_text(
        "identifier,parent_identifier,annotation_value,name,abbreviation,color_hex_triplet\n"
        "997.0,,10.0,root,root,\n\n70001.0,997.0,20,Grey,NA,#bfdae3\nMBA:8,70001.0,,None,nan\n",
        encoding="utf-8-sig",
    )
    atlas = Atlas.from_path(folder)
    assert atlas.structures["nan"].id == 8
    assert atlas.structures["nan"].structure_id_path == [10, 20, 8]
    assert atlas.structures["nan"].name == "None"
    assert atlas.structures["NA"].rgb_triplet == [191, 218, 227]
    assert atlas.structures["root"].rgb_triplet == [255, 255, 255]


class Calling(NoCheck):
    """A check that calls a function with each path."""

    def __init__(self, function: Callable[[Path], object]) -> None:
        self._function = function

    def __call__(self, path: Path) -> None:
        """Call it."""
        self._function(path)


def test_every_file_is_checked_before_it_is_read(tmp_path: Path, write_store: Write) -> None:
    """Once each, whatever is asked how often; a listed file that is gone raises."""
    folder = write_store(tmp_path)
    asked: list[str] = []
    model = open_atlas(folder, Calling(lambda path: asked.append(str(path.relative_to(tmp_path)))))
    table = str(table_of(folder).relative_to(tmp_path))
    assert asked == ["atlases/tiny_100um/3_0/manifest.json", table]
    for _ in range(2):
        model.annotation.read()
        model.meshes.file(10)
        model.meshes.read(20)
    names = [Path(one).name for one in asked]
    for name in ("zarr.json", "info", "10", "10.index", "20", "20.index"):
        assert name in names
    assert len(asked) == len(set(asked))


def test_a_check_that_objects_is_heard(tmp_path: Path, write_store: Write) -> None:
    """Errors of the check come out as they are, at the open and later."""
    folder = write_store(tmp_path)
    listed: set[str] = set()

    class ChangedError(AtlasError):
        """What the check raises."""

    def check(path: Path) -> None:
        if path.name in listed:
            raise ChangedError(path)

    asks: list[tuple[str, Callable[[Any], object]]] = [
        ("manifest.json", lambda _: None),
        ("terminology.csv", lambda _: None),
        ("zarr.json", lambda model: model.annotation.shape),
        ("10", lambda model: model.meshes.read(10)),
        ("10", lambda model: model.meshes.file(10)),
        ("10.index", lambda model: model.meshes.file(10)),
        ("30", lambda model: model.meshes.file(30)),
    ]
    for name, ask in asks:
        listed = {name}
        with pytest.raises(ChangedError):
            ask(open_atlas(folder, Calling(check)))


def test_packages_check_their_files_too(tmp_path: Path) -> None:
    """The same contract for v1: each file once, before it is read, copies for themselves."""
    folder = tiny_package(tmp_path)
    asked: list[str] = []
    model = open_atlas(folder, Calling(lambda path: asked.append(path.name)))
    assert asked == ["metadata.json", "structures.json"]
    model.labels.id_at((0, 0, 0))
    model.annotation.read()
    model.reference.read()
    identifier = model.structures[0]["id"]
    model.meshes.read(identifier)
    model.meshes.read(identifier)
    names = ["annotation.tiff", "reference.tiff", f"{identifier}.obj"]
    assert asked[2:] == names


def test_the_check_of_an_atlas_may_be_replaced(tmp_path: Path, write_store: Write) -> None:
    """``_check`` of a subclass is what its readers ask, in copies and pickles too."""
    atlas = Atlas.from_path(write_store(tmp_path))
    twin = pickle.loads(pickle.dumps(atlas))
    assert type(twin._check) is type(atlas._check)
    asked: list[Path] = []

    class Guarded(Atlas):
        @property
        def _check(self) -> Any:
            return Calling(asked.append)

    Guarded(atlas.root_dir)
    assert asked[0] == atlas.root_dir / "manifest.json"
    copy.deepcopy(Guarded(atlas.root_dir)).lookup([100, 100, 100])
    assert len(asked) > 4


def test_the_folder_may_be_a_link(tmp_path: Path, write_store: Write, labels: Labels) -> None:
    """A link to an atlas's folder finds the store that folder lies in."""
    folder = write_store(tmp_path / "store")
    (tmp_path / "mine").symlink_to(folder)
    assert np.array_equal(Atlas.from_path(tmp_path / "mine").annotation, labels)


def test_version_2_of_zarr_opens(
    tmp_path: Path, write_store: Write, zarr: Any, labels: Labels
) -> None:
    """OME-Zarr 0.4 in a store."""
    atlas = Atlas.from_path(write_store(tmp_path, zarr(version=2)))
    assert np.array_equal(atlas.annotation, labels)


def test_an_open_reads_no_json_twice(tmp_path: Path, write_store: Write) -> None:
    """A manifest that says nothing of symmetry is taken by what is stored."""
    folder = write_store(tmp_path)
    stated = json.loads((folder / "manifest.json").read_text())
    del stated["symmetric"]
    (folder / "manifest.json").write_text(json.dumps(stated))
    assert (Atlas.from_path(folder).hemispheres[0] == 2).all()
