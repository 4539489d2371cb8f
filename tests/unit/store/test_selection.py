"""Which parts of a component atlas are installed, and that nothing is written outside the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas, update_atlases
from bg_atlasapi.errors import (
    AtlasError,
    ChecksumError,
    IncompleteAtlasError,
    InvalidAtlasError,
    InvalidInputError,
)
from bg_atlasapi.store import cache, inventory, selection
from bg_atlasapi.store.inventory import Entry, Inventory
from bg_atlasapi.testing.server import Server

NAME = "tiny_mouse_100um"
pytestmark = pytest.mark.usefixtures("layer")
Serve = Callable[..., Server]
CTX_AND_BELOW, CH = {"688", "688.index"}, {"567", "567.index"}


def installed(layer: Path) -> set[str]:
    """Return the keys of the files in the store."""
    top = layer / "brainglobe-atlasapi"
    found = {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}
    return {key for key in found if not key.startswith(".")}


def chunks(keys: set[str], image: str) -> set[str]:
    """Return the levels of an image of which there are chunks."""
    return {
        key.partition(f"{image}/")[2].partition("/")[0] for key in keys if f"{image}/s" in key
    } & {
        key.partition(f"{image}/")[2].partition("/")[0]
        for key in keys
        if f"{image}/s" in key and "/c/" in key
    }


def test_usual_parts(store: Path, layer: Path) -> None:
    """Everything questions need comes; no masks, no other level, no copy for Neuroglancer."""
    update_atlases.install_atlas(NAME, remotes=str(store))
    keys = installed(layer)
    assert chunks(keys, "template.ome.zarr") == {"s0"}
    assert chunks(keys, "annotations_compressed.ome.zarr") == {"s0"}
    assert chunks(keys, "hemispheres.ome.zarr") == {"s0"}
    assert sum("nissl" in key and "/c/" in key for key in keys) == 4
    assert sum("precomputed/mesh" in key for key in keys) == 13
    assert not [key for key in keys if "annotations.ome.zarr" in key or "/full/" in key]
    assert f"atlases/{NAME}/3_0/manifest.json" in keys
    atlas, source = (
        BrainGlobeAtlas(NAME, brainglobe_dir=where, check_latest=False)
        for where in (layer, store.parent)
    )
    for volume in ("annotation", "reference", "hemispheres"):
        np.testing.assert_array_equal(getattr(atlas, volume), getattr(source, volume))
    nissl = atlas.additional_references["nissl"]
    np.testing.assert_array_equal(nissl, source.additional_references["nissl"])
    assert len(atlas.mesh_from_structure("CTX").points) == 8


def test_a_coarser_atlas_of_the_same_components(store: Path, layer: Path) -> None:
    """The level is the manifest's: the other atlas of the store gets s1, and only that."""
    update_atlases.install_atlas("tiny_mouse_200um", remotes=str(store))
    assert chunks(installed(layer), "template.ome.zarr") == {"s1"}
    atlas = BrainGlobeAtlas("tiny_mouse_200um", brainglobe_dir=layer, check_latest=False)
    source = BrainGlobeAtlas(NAME, brainglobe_dir=store.parent, check_latest=False)
    np.testing.assert_array_equal(atlas.annotation, source.annotation[::2, ::2, ::2])


def test_all_components(
    store: Path, layer: Path, contents: Callable[[Path], dict[str, str]]
) -> None:
    """With all components the store here holds what the remote's store holds of this atlas."""
    update_atlases.install_atlas(NAME, remotes=str(store), all_components=True)
    expected = contents(store)
    del expected["atlases/last_versions.conf"]
    del expected["atlases/tiny_mouse_200um/3_0/manifest.json"]
    assert contents(layer / "brainglobe-atlasapi") == expected


@pytest.mark.parametrize(
    ("only", "there", "missing"),
    [
        ("template,annotation", {"template", "annotations_compressed"}, {"mesh", "nissl"}),
        (
            "meshes",
            {"mesh/688", "mesh/997"},
            {"compressed.ome.zarr/s0/c", "template.ome.zarr/s0/c", "nissl"},
        ),
        ("references", {"nissl"}, {"mesh/", "compressed.ome.zarr/s0/c"}),
        ("masks", {"annotations.ome.zarr/s0/c"}, {"mesh/", "compressed.ome.zarr/s0/c"}),
        ("precomputed", {"/full/0-10_0-8_0-12", "precomputed/info"}, {"compressed.ome.zarr/s0/c"}),
        ("template,pyramid", {"template.ome.zarr/s1/c"}, {"compressed.ome.zarr/s0/c", "mesh/"}),
    ],
)
def test_only(store: Path, layer: Path, only: str, there: set[str], missing: set[str]) -> None:
    """Each part brings its files, and not those of others."""
    update_atlases.install_atlas(NAME, remotes=str(store), only=only)
    keys = installed(layer)
    for text in there:
        assert any(text in key for key in keys), text
    for text in missing:
        assert not any(text in key for key in keys), text
    atlas = BrainGlobeAtlas(NAME, remotes=str(store))  # opens, and reads no zeros for the rest
    if not any("compressed.ome.zarr/s0/c" in key for key in keys):
        with pytest.raises(IncompleteAtlasError, match="not downloaded"):
            _ = atlas.annotation
    assert "terminologies/tiny_mouse-terminology/3_0/terminology.csv" in keys


@pytest.mark.parametrize(
    ("meshes", "expected"),
    [
        ("meshes=CTX+", CTX_AND_BELOW),
        ("meshes=688", CTX_AND_BELOW),
        ("meshes=CH", CH),
        ("meshes=CH+", CH | CTX_AND_BELOW),
        ("meshes=CH,meshes=CTX", CH | CTX_AND_BELOW),
        ("meshes=fiber tracts", {"1009", "1009.index"}),
    ],
)
def test_some_meshes(store: Path, layer: Path, meshes: str, expected: set[str]) -> None:
    """Meshes can be chosen by structure, with descendants; the rest answers that it is not here."""
    update_atlases.install_atlas(NAME, remotes=str(store), only=f"template,annotation,{meshes}")
    folder = next((layer / "brainglobe-atlasapi").rglob("mesh"))
    assert {path.name for path in folder.iterdir()} == {"info", *expected}
    if "fiber" not in meshes:
        with pytest.raises(IncompleteAtlasError):
            BrainGlobeAtlas(NAME, check_latest=False).mesh_from_structure("fiber tracts")


def test_an_unknown_mesh_or_part(store: Path, layer: Path) -> None:
    """What does not exist is named, with what does, before anything comes."""
    with pytest.raises(InvalidInputError, match="'CTXX'"):
        update_atlases.install_atlas(NAME, remotes=str(store), only="meshes=CTXX+")
    for only in ("tempalte", "template=CTX", ",", []):
        with pytest.raises(InvalidInputError, match="part"):
            update_atlases.install_atlas(NAME, remotes=str(store), only=only)
    assert not (layer / "brainglobe-atlasapi").exists()


@pytest.mark.parametrize("way", ["s3", "pages", "inventory"])
def test_more_parts_later(store: Path, layer: Path, serve: Serve, way: str) -> None:
    """Only what is new is fetched, and what came first is part of the atlas still."""
    if way == "inventory":
        from bg_atlasapi.store.inventories import write_inventories

        write_inventories(store)
    server = serve(store, s3_bucket="b" if way == "s3" else None, listing=way == "pages")
    update_atlases.install_atlas(NAME, remotes=server.url, only="template")
    before = installed(layer)
    server.reset_log()
    update_atlases.install_atlas(NAME, remotes=server.url, only=["annotation", "meshes=CTX"])
    fetched = {one.path.strip("/") for one in server.log() if one.sent and one.method == "GET"}
    again = {key for key in fetched & before if "/c/" in key or key.endswith(".index")}
    assert again == set()
    assert len(installed(layer)) > len(before)
    known = inventory.load(layer, NAME, "3.0")
    assert known is not None
    assert set(known.parts) == {"template", "annotation", "meshes=CTX"}
    assert set(known.entries) == installed(layer)
    server.reset_log()
    update_atlases.install_atlas(NAME, remotes=server.url, only="template")
    update_atlases.install_atlas(NAME, remotes=server.url)
    assert server.log() == []
    assert update_atlases.verify_atlas(NAME, remotes=server.url).sound


def test_all_meshes_include_some(store: Path) -> None:
    """Who has every mesh is not asked to fetch one of them again."""
    update_atlases.install_atlas(NAME, remotes=str(store))
    done = update_atlases.install_atlas(NAME, remotes="/nowhere", only="annotation,meshes=CTX+")
    assert done.version == (3, 0)


def test_more_parts_of_a_package(packages: Path, layer: Path) -> None:
    """A package grows as well; its archive comes once more, because it cannot be read in part."""
    remote = str(packages)
    folder = update_atlases.install_atlas(NAME, remotes=remote, only="annotation").path
    assert not (folder / "meshes").exists()
    assert not (folder / "nissl.tiff").exists()
    update_atlases.install_atlas(NAME, remotes="/nowhere", only="template")
    update_atlases.install_atlas(NAME, remotes=remote, only="meshes=CTX+")
    assert len(list((folder / "meshes").iterdir())) == 6
    assert not (folder / "nissl.tiff").exists()
    update_atlases.install_atlas(NAME, remotes=remote, all_components=True)
    assert (folder / "nissl.tiff").is_file()
    known = inventory.load(layer, NAME, "1.1")
    assert known is not None
    assert known.parts == ()
    assert update_atlases.verify_atlas(NAME).sound


@pytest.mark.parametrize("way", ["folder", "pages"])
def test_damage_is_not_adopted_with_more_parts(
    store: Path, layer: Path, serve: Serve, way: str
) -> None:
    """Where the remote has no hashes, a file damaged meanwhile is fetched, not recorded as sound."""
    remote = str(store) if way == "folder" else serve(store, listing=True).url
    update_atlases.install_atlas(NAME, remotes=remote, only="template")
    chunk = next((layer / "brainglobe-atlasapi" / "templates").rglob("c/0/0/0"))
    sound = chunk.read_bytes()
    chunk.write_bytes(bytes([*sound[:30], sound[30] ^ 1, *sound[31:]]))
    update_atlases.install_atlas(NAME, remotes=remote, only="annotation")
    assert len(update_atlases.verify_atlas(NAME).damaged) == 1
    update_atlases.install_atlas(NAME, remotes=remote, only="template,annotation,references")
    assert chunk.read_bytes() == sound
    chunk.write_bytes(bytes([*sound[:30], sound[30] ^ 1, *sound[31:]]))
    update_atlases.update_atlas(NAME, force=True, remotes=remote)
    assert chunk.read_bytes() == sound


def test_tags_of_s3_are_checked(store: Path, layer: Path, serve: Serve) -> None:
    """S3's ETag is the MD5: what arrives changed is refused, and the atlas does not appear."""
    server = serve(store, s3_bucket="b")
    server.set("*template.ome.zarr/s0/c/0/0/0", flip_byte=20)
    with pytest.raises(ChecksumError, match="MD5"):
        update_atlases.install_atlas(NAME, remotes=server.url)
    assert cache.installed([layer]) == [one for one in cache.installed([]) if one.name != NAME]
    server.clear()
    server.reset_log()
    update_atlases.install_atlas(NAME, remotes=server.url)
    assert update_atlases.verify_atlas(NAME).sound


def test_the_manifest_arrives_last(store: Path, layer: Path) -> None:
    """Interrupted at any file, the atlas is not there; the next try brings only the rest."""

    class StopError(Exception):
        pass

    target = layer / "brainglobe-atlasapi" / "atlases" / NAME / "3_0" / "manifest.json"
    seen: list[bool] = []

    def watch(_done: int, _total: int) -> None:
        seen.append(target.exists())
        raise StopError

    with pytest.raises(StopError):
        update_atlases.install_atlas(NAME, remotes=str(store), fn_update=watch)
    assert not target.exists()
    update_atlases.install_atlas(
        NAME, remotes=str(store), fn_update=lambda *_: seen.append(target.exists())
    )
    assert target.exists()
    assert not any(seen)


LOCATIONS = [
    "/../outside",
    "/terminologies/../../outside",
    "../outside",
    "//outside",
    "/C:/outside",
    "\\outside",
    "/terminologies/.hidden/3_0",
    "/.bg_atlasapi/inventories",
    "",
    7,
    None,
]


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("component", ["terminology", "annotation_set", "coordinate_space"])
def test_hostile_manifests(
    store: Path, layer: Path, tmp_path: Path, component: str, location: object
) -> None:
    """A location that leads out of the store, or is none, is refused before anything is written."""
    path = store / "atlases" / NAME / "3_0" / "manifest.json"
    stated = json.loads(path.read_text())
    stated[component]["location"] = location
    path.write_text(json.dumps(stated))
    (store.parent / "outside").mkdir()
    (store.parent / "outside" / "terminology.csv").write_text("x")
    before = {one for one in tmp_path.rglob("*") if layer not in (one, *one.parents)}
    with pytest.raises(InvalidAtlasError, match="It is not a manifest"):
        update_atlases.install_atlas(NAME, remotes=str(store))
    assert {one for one in tmp_path.rglob("*") if layer not in (one, *one.parents)} == before
    assert installed(layer) == set()


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"terminology": 7}', "[" * 100_000])
def test_manifests_that_are_none(store: Path, layer: Path, text: str) -> None:
    """Whatever lies in the manifest's place is an error that names it."""
    (store / "atlases" / NAME / "3_0" / "manifest.json").write_text(text)
    with pytest.raises(InvalidAtlasError, match=r"manifest\.json"):
        update_atlases.install_atlas(NAME, remotes=str(store))
    assert installed(layer) == set()


KEYS = [
    "../../escaped",
    "/tmp/escaped",
    "terminologies/../../../escaped",
    "terminologies/tiny_mouse-terminology/3_0/../../../../../escaped",
    "terminologies/tiny_mouse-terminology/3_0/C:\\escaped",
    "terminologies/tiny_mouse-terminology/3_0/",
    "terminologies/tiny_mouse-terminology/3_0/a\x00b",
    "atlases/other_1um/3_0/manifest.json",
    "CACHEDIR.TAG",
    "",
]


@pytest.mark.parametrize("key", KEYS)
def test_hostile_inventories(store: Path, layer: Path, tmp_path: Path, key: str) -> None:
    """A key that leads elsewhere, or belongs to no chosen part, is passed over."""
    from bg_atlasapi.store.inventories import write_inventories

    write_inventories(store)
    beside = store / "atlases" / NAME / "3_0" / "inventory.json"
    sound = Inventory.from_text(beside.read_text())
    assert sound is not None
    entries = {**sound.entries, key: Entry(key, 3, "0" * 64, 0)}
    beside.write_text(Inventory("", "", "components", "", "", entries).to_text())
    (tmp_path / "escaped").mkdir()  # what would be written through is seen to be untouched
    update_atlases.install_atlas(NAME, remotes=str(store))
    assert list((tmp_path / "escaped").iterdir()) == []
    assert not Path("/tmp/escaped").exists()
    known = inventory.load(layer, NAME, "3.0")
    assert known is not None
    assert key not in known.entries
    assert not (layer / "CACHEDIR.TAG").read_text().startswith("x")


@pytest.mark.parametrize(
    "row", [[5, 1, "a", 0], ["a", "1", "a", 0], ["a", -1, "a", 0], ["a", 1, 7, 0], ["a"], [], {}]
)
def test_inventories_of_wrong_types(store: Path, serve: Serve, row: object) -> None:
    """An inventory with impossible rows counts as none, though its own hash is right."""
    lines = json.dumps(row)
    head = {"format": 1, "name": "", "version": "", "layout": "components", "origin": ""}
    head |= {"installed": "", "parts": []}
    digest = inventory._digest(head, lines)
    text = f'{json.dumps({**head, "digest": digest})[:-1]},\n"files": [\n{lines}\n]}}\n'
    (store / "inventory.json").write_text(text)
    server = serve(store, s3_bucket="b")
    update_atlases.install_atlas(NAME, remotes=server.url)
    assert update_atlases.verify_atlas(NAME).sound


@pytest.mark.parametrize(
    "key", ["../escaped", "terminologies/tiny_mouse-terminology/3_0/../../../../../escaped"]
)
def test_hostile_listings(
    monkeypatch: pytest.MonkeyPatch, store: Path, tmp_path: Path, key: str
) -> None:
    """A server that lists keys which lead elsewhere is not followed."""
    from bg_atlasapi.store.transport.folders import FolderSource
    from bg_atlasapi.store.transport.sources import Listed

    genuine = FolderSource.files

    def lying(self: FolderSource, prefix: str) -> object:
        yield from genuine(self, prefix)
        yield Listed(key, 3)
        yield Listed(f"{prefix}{'../' * 9}escaped", 3)

    monkeypatch.setattr(FolderSource, "files", lying)
    update_atlases.install_atlas(NAME, remotes=str(store))
    assert not list(tmp_path.rglob("escaped"))


def test_names_of_parts() -> None:
    """Parts read and write the same way, and what is wanted can be held against what is here."""
    assert selection.parse(None) == selection.Parts()
    both = selection.parse("template, meshes=CTX+,meshes=BS")
    assert both.texts == ("template", "meshes=CTX+", "meshes=BS")
    assert selection.parse(both.texts) == both
    assert selection.parse("meshes=CTX+,meshes") == selection.parse("meshes")
    assert selection.holds(["template", "meshes"], both)
    assert not selection.holds(["template", "meshes=CTX+"], both)
    assert selection.together(["annotation"], both).texts[:2] == ("annotation", "template")
    with pytest.raises(AtlasError):
        selection.components_of(b"{}", "here")
