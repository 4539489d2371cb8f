"""Recipes become atlases of both generations: the same bytes each time, or a list of findings."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas, update_atlases
from bg_atlasapi.build import pipeline, recipe_files
from bg_atlasapi.build.pipeline import Wish
from bg_atlasapi.errors import (
    AlreadyThereError,
    ChecksumError,
    InvalidAtlasError,
    InvalidInputError,
    InvalidRecipeError,
    StorageError,
    UnknownAtlasError,
)
from bg_atlasapi.formats import registry
from bg_atlasapi.store import inventory
from bg_atlasapi.testing.server import Server

from .conftest import Write, contents, drawn, image

NAME = "boxes_100um"


def test_both_generations_hold_what_the_files_hold(recipe: Write, tmp_path: Path) -> None:
    """Labels, template, structures and metadata come back from either layout as they went in."""
    built = pipeline.build(recipe(), Wish(tmp_path / "out"))
    assert (built.name, built.version, built.is_new) == (NAME, "1.0", True)
    for form in ("components", "packaged"):
        atlas = BrainGlobeAtlas.from_path(built.paths[form])
        assert np.array_equal(atlas.annotation, drawn())
        assert np.array_equal(atlas.reference, image())
        assert atlas.structures["B"]["structure_id_path"] == [1, 10, 20]
        assert atlas.metadata["species"] == "Mus musculus"
        assert atlas.metadata["citation"] == "Somebody 2024"
        assert atlas.metadata["license"] == "CC0-1.0"
        assert atlas.metadata["custom"] is True
        assert atlas.resolution == (100, 100, 100)
    assert not list((tmp_path / "out").glob(".*"))


def test_the_same_recipe_gives_the_same_bytes(recipe: Write, tmp_path: Path) -> None:
    """Two builds into two folders, the sources moved in between, do not differ in a byte."""
    path = recipe()
    pipeline.build(path, Wish(tmp_path / "first"))
    moved = tmp_path / "elsewhere" / "deeper"
    shutil.copytree(path.parent, moved)
    shutil.rmtree(path.parent)
    pipeline.build(moved / path.name, Wish(tmp_path / "second"))
    first = contents(tmp_path / "first")
    assert first == contents(tmp_path / "second")
    assert len(first) > 10
    for one in (tmp_path / "first").rglob("*"):
        assert one.is_dir() or str(tmp_path).encode() not in one.read_bytes(), one


def test_built_again_it_does_nothing(recipe: Write, tmp_path: Path) -> None:
    """What was built from the same is left alone; a changed recipe is refused, or replaces it."""
    path, wish = recipe(), Wish(tmp_path / "out")
    first = pipeline.build(path, wish)
    before = {one: one.stat().st_mtime_ns for one in (tmp_path / "out").rglob("*")}
    again = pipeline.build(path, wish)
    assert not again.is_new
    assert (again.paths, again.findings) == (first.paths, first.findings)
    assert before == {one: one.stat().st_mtime_ns for one in (tmp_path / "out").rglob("*")}
    recipe(meshes='[meshes]\nbuild = false\n[[references]]\nname = "other"\npath = "other.npy"')
    with pytest.raises(AlreadyThereError, match="--overwrite"):
        pipeline.build(path, wish)
    new = pipeline.build(path, Wish(tmp_path / "out", overwrite=True))
    atlas = BrainGlobeAtlas.from_path(new.paths["packaged"])
    assert [*atlas.metadata["additional_references"]] == ["other"]


def test_the_other_layout_is_built_beside_the_first(recipe: Write, tmp_path: Path) -> None:
    """What was built from the same is no obstacle, and stays as it was."""
    path, out = recipe(), tmp_path / "out"
    first = pipeline.build(path, Wish(out, ("components",)))
    manifest = (first.paths["components"] / "manifest.json").read_bytes()
    second = pipeline.build(path, Wish(out))
    assert second.is_new
    assert second.paths["packaged"].is_dir()
    assert (first.paths["components"] / "manifest.json").read_bytes() == manifest


def test_what_was_damaged_is_replaced_on_demand(recipe: Write, tmp_path: Path) -> None:
    """With overwrite a build is made again, though its record says that it was made."""
    path, out = recipe(), tmp_path / "out"
    volume = pipeline.build(path, Wish(out, ("packaged",))).paths["packaged"] / "annotation.tiff"
    whole = volume.read_bytes()
    volume.write_bytes(b"II*")
    assert not pipeline.build(path, Wish(out, ("packaged",))).is_new
    pipeline.build(path, Wish(out, ("packaged",), overwrite=True))
    assert volume.read_bytes() == whole


def test_levels_are_stored_and_packaged(recipe: Write, tmp_path: Path) -> None:
    """Coarser sizes that are asked for are levels of one store, and packages of their own."""
    space = '[space]\norientation = "asr"\nresolution_um = 100\nlevels_um = [200, 400]'
    built = pipeline.build(recipe(space=space), Wish(tmp_path / "out"))
    finest = BrainGlobeAtlas.from_path(built.paths["components"])
    assert finest.volumes["annotation"].levels == ((100,) * 3, (200,) * 3, (400,) * 3)
    for size in (200, 400):
        store = BrainGlobeAtlas(f"boxes_{size}um", tmp_path / "out")
        package = BrainGlobeAtlas.from_path(built.paths[f"packaged_{size}um"])
        derived = finest.volumes["annotation"].level(size)
        assert store.resolution == package.resolution == (size, size, size)
        assert np.array_equal(store.annotation, np.asarray(derived))
        assert np.array_equal(package.annotation, store.annotation)
        assert np.array_equal(package.reference, store.reference)
    with Server(tmp_path / "out") as server:
        layer = tmp_path / "layer"
        url = f"{server.url}/brainglobe-atlasapi"
        added = update_atlases.add_atlas(url, name="boxes_400um", brainglobe_dir=layer)
        atlas = BrainGlobeAtlas.from_path(added.path)
        assert atlas.annotation.shape == (10, 8, 9)


def test_other_axes_are_turned_and_references_too(recipe: Write, tmp_path: Path) -> None:
    """Volumes of another orientation arrive as "asr", further images and hemispheres with them."""
    path = recipe(
        space='[space]\norientation = "lip"\nresolution_um = [100, 200, 50]',
        meshes='[meshes]\nbuild = false\n[hemispheres]\npath = "sides.npy"\n'
        '[[references]]\nname = "other"\npath = "other.npy"',
    )
    sides = np.full(drawn().shape, 2, np.uint8)
    sides[:17] = 1  # index 0 is left
    np.save(path.parent / "sides.npy", sides)
    built = pipeline.build(path, Wish(tmp_path / "out", ("packaged",)))
    atlas = registry.open_atlas(built.paths["packaged"])
    turned = drawn().transpose(2, 1, 0)[::-1, ::-1, ::-1]
    assert np.array_equal(atlas.annotation.read(), turned)
    assert atlas.space.spacing_um == (50, 200, 100)
    assert atlas.hemispheres is not None
    assert np.array_equal(atlas.hemispheres.read(), sides.transpose(2, 1, 0)[::-1, ::-1, ::-1])
    assert atlas.references["other"].shape == turned.shape


@pytest.mark.parametrize(("policy", "value"), [("zero", 0), ("add", 77)])
def test_labels_without_structure_stop_a_build_unless_settled(
    recipe: Write, tmp_path: Path, policy: str, value: int
) -> None:
    """A label that the table lacks is an error; the recipe may drop it, or add a structure."""
    path = recipe()
    labels = drawn()
    labels[14, 14, 14:20] = 77
    np.save(path.parent / "labels.npy", labels)
    recipe()
    with pytest.raises(InvalidAtlasError) as caught:
        pipeline.build(path, Wish(tmp_path / "out"))
    (finding,) = caught.value.findings
    assert finding.code == "label-without-structure"
    assert not (tmp_path / "out").exists()
    head = path.read_text().replace(
        'path = "labels.npy"', f'path = "labels.npy"\nunlisted = "{policy}"'
    )
    path.write_text(head)
    built = pipeline.build(path, Wish(tmp_path / "out", ("packaged",)))
    atlas = BrainGlobeAtlas.from_path(built.paths["packaged"])
    assert atlas.annotation[14, 14, 15] == value
    assert (77 in [one["id"] for one in atlas.structures_list]) == (policy == "add")
    assert "label-without-structure" in [one.code for one in built.findings]


def test_without_a_template_an_atlas_is_sound(recipe: Write, tmp_path: Path) -> None:
    """That there is no template is a warning, and no error when the result is checked later."""
    built = pipeline.build(recipe(template=""), Wish(tmp_path / "out"))
    assert "template-missing" in [one.code for one in built.findings]
    for form in ("components", "packaged"):
        atlas = BrainGlobeAtlas.from_path(built.paths[form])
        assert not np.asarray(atlas.reference).any()
        assert atlas.metadata["has_template"] is False
        assert atlas.check(meshes=False).ok


def test_errors_that_are_accepted_do_not_stop(recipe: Write, tmp_path: Path) -> None:
    """A recipe may say that it knows of an error; it stays in the findings, as a warning."""
    path = recipe()
    labels = drawn()
    labels[14, 14, 14:20] = 77
    np.save(path.parent / "labels.npy", labels)
    text = recipe().read_text()
    path.write_text(text.replace("species", 'accept = ["label-without-structure"]\nspecies'))
    built = pipeline.build(path, Wish(tmp_path / "out", ("packaged",)))
    (finding,) = [one for one in built.findings if one.code == "label-without-structure"]
    assert finding.severity == "warning"


def test_everything_wrong_with_the_files_is_said_at_once(recipe: Write, tmp_path: Path) -> None:
    """Files missing, changed, of another shape or kind, and odd levels: one error lists them."""
    path = recipe(
        annotation='[annotation]\npath = "labels.npy"\nsha256 = "' + "0" * 64 + '"',
        template='[template]\npath = "small.npy"',
        space='[space]\norientation = "asr"\nresolution_um = 100\nlevels_um = [150]',
        meshes='[[references]]\nname = "gone"\npath = "gone.npy"\n'
        '[[references]]\nname = "text"\npath = "table.csv"\n'
        '[[references]]\nname = "fine"\npath = "other.npy"\nresolution_um = 50',
        table='[table]\npath = "none.csv"',
    )
    np.save(path.parent / "small.npy", image()[:-1])
    with pytest.raises(InvalidRecipeError) as caught:
        pipeline.build(path, Wish(tmp_path / "out"))
    errors = [one for one in caught.value.findings if one.severity == "error"]
    assert sorted(one.code for one in errors) == [
        "level-size",
        "shape-mismatch",
        "source-changed",
        "source-missing",
        "source-missing",
        "source-unreadable",
        "spacing-mismatch",
    ]
    assert all(one.where.startswith("boxes.toml:") for one in errors)
    assert not (tmp_path / "out").exists()


def test_findings_of_the_recipe_and_of_its_files_come_together(recipe: Write) -> None:
    """A key that is misspelt does not hide that a file is missing and another changed."""
    path = recipe(
        head='name = "boxes"\nversoin = "1.0"',
        annotation='[annotation]\npath = "labels.npy"\norientatoin = "asr"\nsha256 = "'
        + "0" * 64
        + '"',
        template='[template]\npath = "none.npy"\nresolution_um = -1',
        meshes='[[references]]\npath = "a.npy"\n[[references]]\nname = "b"\npath = "b.npy"',
    )
    with pytest.raises(InvalidRecipeError) as caught:
        recipe_files.check(path)
    found = [one.code for one in caught.value.findings if one.severity == "error"]
    assert sorted(found) == [
        *("missing-key", "missing-key", "source-changed", "source-missing", "source-missing"),
        *("unknown-key", "unknown-key", "wrong-value"),
    ]


def test_what_nobody_says_of_the_space_is_asked_for(recipe: Write) -> None:
    """A volume without a header needs orientation and voxel size from the recipe."""
    checked = recipe_files.check(recipe(space=""))
    errors = [one for one in checked.findings if one.severity == "error"]
    assert {one.code for one in errors} == {"space-unknown"}
    assert "orientation" in errors[0].message
    with pytest.raises(InvalidRecipeError):
        checked.raise_errors()


def test_sources_are_downloaded_once_and_checked(recipe: Write, tmp_path: Path) -> None:
    """An address with its hash works like a file; another file at the address is an error."""
    folder = recipe().parent
    digest = hashlib.sha256((folder / "labels.npy").read_bytes()).hexdigest()
    with Server(folder) as server:
        source = f'[annotation]\nurl = "{server.url}/labels.npy"\nsha256 = "{digest}"'
        built = pipeline.build(recipe(annotation=source), Wish(tmp_path / "out", ("packaged",)))
        atlas = BrainGlobeAtlas.from_path(built.paths["packaged"])
        assert np.array_equal(atlas.annotation, drawn())
        wrong = source.replace(digest, "0" * 64)
        with pytest.raises(ChecksumError):
            pipeline.build(recipe(annotation=wrong), Wish(tmp_path / "other", ("packaged",)))


@pytest.mark.parametrize("name", ["%2e%2e%2f%2e%2e%2fevil.npy", "..%5cevil.npy", "%2e%2e", "a%00b"])
def test_an_address_writes_nowhere_else(recipe: Write, tmp_path: Path, name: str) -> None:
    """A name that decodes to a way out of the build's folder is a finding, before any download."""
    source = f'[annotation]\nurl = "http://127.0.0.1:9/{name}"\nsha256 = "{"0" * 64}"'
    with pytest.raises(InvalidRecipeError, match=r"annotation\.url: .*names no file"):
        pipeline.build(recipe(annotation=source), Wish(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_names_that_no_file_can_have_are_findings(recipe: Write) -> None:
    """A path that is too long for the system is that of no file, not a crash."""
    path = recipe(table=f'[table]\npath = "{5000 * "x"}.csv"')
    with pytest.raises(InvalidRecipeError) as caught:
        recipe_files.check(path).raise_errors()
    assert "source-missing" in {one.code for one in caught.value.findings}


def test_a_file_is_no_place_to_build_in(recipe: Write, tmp_path: Path) -> None:
    """Where a file lies, no folder of atlases can be made, and that is said."""
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InvalidInputError, match=r"built in a folder, and .*out is none"):
        pipeline.build(recipe(), Wish(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "mine"


def test_pipes_and_other_people_are_findings(recipe: Write, tmp_path: Path) -> None:
    """A pipe would never end, and a home that nobody has is a file that is not there."""
    path = recipe(
        template='[template]\npath = "~nobody-of-this-name/template.npy"',
        table='[table]\npath = "/dev/zero"',
    )
    with pytest.raises(InvalidRecipeError) as caught:
        pipeline.build(path, Wish(tmp_path / "out"))
    errors = [one for one in caught.value.findings if one.severity == "error"]
    assert [one.code for one in errors] == ["source-missing", "source-unreadable"]


def test_an_address_as_a_path_is_told_where_it_goes(recipe: Write, tmp_path: Path) -> None:
    """Who writes an address as a path hears of the key for addresses."""
    path = recipe(table='[table]\npath = "https://example.org/table.tsv"')
    with pytest.raises(InvalidRecipeError) as caught:
        pipeline.build(path, Wish(tmp_path / "out"))
    (error,) = [one for one in caught.value.findings if one.severity == "error"]
    assert "as 'url'" in error.mend


def test_the_same_words_of_two_files_are_two_findings(recipe: Write, tmp_path: Path) -> None:
    """Of three files without a hash, each is named, and once."""
    built = pipeline.build(recipe(), Wish(tmp_path / "out", ("packaged",)))
    places = [one.where for one in built.findings if one.code == "source-unhashed"]
    assert [one.partition(", ")[2] for one in places] == ["template", "table"]


@pytest.mark.parametrize("levels", ["[[200, 100, 100], [200, 200, 200]]", "[[100, 200, 200]]"])
def test_levels_of_one_name_do_not_overwrite_each_other(recipe: Write, levels: str) -> None:
    """Atlases are named by their first voxel size, so no two levels may share it."""
    space = f'[space]\norientation = "asr"\nresolution_um = 100\nlevels_um = {levels}'
    (error,) = [
        one for one in recipe_files.check(recipe(space=space)).findings if one.severity == "error"
    ]
    assert (error.code, "would be called" in error.message) == ("level-size", True)


def test_nothing_is_not_accepted(recipe: Write) -> None:
    """Accepting that a source cannot be read does not make an atlas of it."""
    head = 'name = "boxes"\nversion = "1.0"\naccept = ["source-unreadable", "source-missing"]'
    for source in ("table.csv", "none.npy"):
        path = recipe(head=head, annotation=f'[annotation]\npath = "{source}"')
        with pytest.raises(InvalidRecipeError):
            recipe_files.check(path).raise_errors()


def test_a_full_disk_is_told_as_one(recipe: Write, tmp_path: Path) -> None:
    """Writing an array that falls short, which numpy tells in words alone, is a full disk."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = recipe()
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(StorageError, match="full"):
            pipeline.build(path, Wish(tmp_path / "out"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    pipeline.build(path, Wish(tmp_path / "out"))


def test_a_built_folder_is_published_by_any_server(recipe: Write, tmp_path: Path) -> None:
    """What was built is installed from a plain web server, as a package and as components."""
    pipeline.build(recipe(), Wish(tmp_path / "out"))
    with Server(tmp_path / "out") as server:
        manifest = f"{server.url}/brainglobe-atlasapi/atlases/{NAME}/1_0/manifest.json"
        for number, url in enumerate(
            (
                f"{server.url}/packages",
                f"{server.url}/packages/",
                server.url,
                f"{server.url}/",
                f"{server.url}/brainglobe-atlasapi",
                manifest,
            )
        ):
            layer = tmp_path / f"layer{number}"
            added = update_atlases.add_atlas(url, brainglobe_dir=layer)
            assert (added.name, added.version_text) == (NAME, "1.0")
            assert added.layout == (inventory.PACKAGES if number < 2 else inventory.COMPONENTS)
            atlas = BrainGlobeAtlas(NAME, layer)
            assert np.array_equal(atlas.annotation, drawn())
            assert update_atlases.verify_atlas(NAME, brainglobe_dir=layer).sound
        direct = update_atlases.add_atlas(
            f"{server.url}/packages/{NAME}_v1.0.tar.gz", brainglobe_dir=tmp_path / "direct"
        )
        assert direct.version_text == "1.0"
        with pytest.raises(UnknownAtlasError, match=f"Did you mean {NAME}"):
            update_atlases.add_atlas(server.url, name="boxes_10um", brainglobe_dir=tmp_path / "x")
        with pytest.raises(UnknownAtlasError, match="has no boxes_100um 2.0"):
            update_atlases.add_atlas(server.url, name=f"{NAME}@2.0", brainglobe_dir=tmp_path / "x")


def test_packages_alone_are_published_too(recipe: Write, tmp_path: Path) -> None:
    """Of a build without a component store, the address of the folder finds the archives."""
    pipeline.build(recipe(), Wish(tmp_path / "out", ("packaged",)))
    with Server(tmp_path / "out") as server:
        added = update_atlases.add_atlas(server.url, brainglobe_dir=tmp_path / "layer")
        assert (added.name, added.layout) == (NAME, inventory.PACKAGES)


def test_of_several_published_atlases_one_is_named(recipe: Write, tmp_path: Path) -> None:
    """Builds share a folder; whoever adds from it says which, and a second version is found."""
    target = tmp_path / "out"
    pipeline.build(recipe(), Wish(target))
    head = 'name = "others"\nversion = "2.1"'
    pipeline.build(recipe(head=head), Wish(target))
    conf = (target / "packages" / "last_versions.conf").read_text()
    assert conf == "[atlases]\nboxes_100um = 1.0\nothers_100um = 2.1\n"
    with Server(target) as server:
        with pytest.raises(InvalidInputError, match="boxes_100um, others_100um"):
            update_atlases.add_atlas(server.url, brainglobe_dir=tmp_path / "layer")
        added = update_atlases.add_atlas(
            server.url, name="others_100um", brainglobe_dir=tmp_path / "layer"
        )
        assert added.version_text == "2.1"


def test_what_was_built_opens_where_it_was_built(recipe: Write, tmp_path: Path) -> None:
    """The folder is a folder of atlases; the record says what it was built from."""
    built = pipeline.build(recipe(), Wish(tmp_path / "out"))
    atlas = BrainGlobeAtlas(NAME, tmp_path / "out", check_latest=False)
    assert atlas.structure_from_coords((14, 14, 14), as_acronym=True) == "B"
    record = json.loads((tmp_path / "out" / "reports" / f"{NAME}_v1.0.json").read_text())
    assert set(record["built_from"]["sources"]) == {"annotation", "template", "table"}
    assert [one["code"] for one in record["findings"]] == [one.code for one in built.findings]
