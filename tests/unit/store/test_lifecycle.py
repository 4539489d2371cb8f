"""What happens to an installed atlas: damage and repair, updates, removal, pruning, 1.x callers."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas, bg_atlas, list_atlases, update_atlases, utils
from bg_atlasapi.errors import (
    AtlasError,
    IncompleteAtlasError,
    RemoteError,
    StorageError,
    UnknownAtlasError,
)
from bg_atlasapi.store import cache, inventory
from bg_atlasapi.testing import tiny_components, tiny_package
from bg_atlasapi.testing.server import Server

NAME = "tiny_mouse_100um"
pytestmark = pytest.mark.usefixtures("layer")
Serve = Callable[..., Server]
Contents = Callable[[Path], dict[str, str]]


def opened(remotes: str | None = None) -> BrainGlobeAtlas:
    """Open the installed atlas anew."""
    return BrainGlobeAtlas(NAME, check_latest=False, remotes=remotes)


def read_all(atlas: BrainGlobeAtlas) -> list[object]:
    """Read everything an atlas has."""
    meshes = [atlas.mesh_from_structure(name).points for name in ("root", "CTX")]
    nissl = atlas.additional_references["nissl"]
    images = [atlas.annotation, atlas.reference, atlas.hemispheres, nissl]
    return [*images, *meshes, [one["name"] for one in atlas.structures_list]]


COMPONENT_FILES = [
    "annotation-sets/tiny_mouse-annotation/3_0/annotations_compressed.ome.zarr/s0/c/1/0/0",
    "annotation-sets/tiny_mouse-annotation/3_0/annotations_compressed.ome.zarr/s0/zarr.json",
    "annotation-sets/tiny_mouse-annotation/3_0/annotations_compressed.ome.zarr/zarr.json",
    "annotation-sets/tiny_mouse-annotation/3_0/hemispheres.ome.zarr/s0/c/0/0/1",
    "annotation-sets/tiny_mouse-annotation/3_0/annotations.precomputed/mesh/688",
    "annotation-sets/tiny_mouse-annotation/3_0/annotations.precomputed/mesh/688.index",
    "annotation-sets/tiny_mouse-annotation/3_0/annotations.precomputed/mesh/info",
    "templates/tiny_mouse-template/3_0/template.ome.zarr/s0/c/0/0/0",
    "templates/tiny_mouse-nissl-template/3_0/template.ome.zarr/s0/c/0/0/0",
    "terminologies/tiny_mouse-terminology/3_0/terminology.csv",
    "atlases/tiny_mouse_100um/3_0/manifest.json",
]
PACKAGE_FILES = [
    *("annotation.tiff", "reference.tiff", "hemispheres.tiff", "nissl.tiff"),
    *("metadata.json", "structures.json", "meshes/688.obj"),
]
UNREAD = [
    "coordinate-spaces/tiny_mouse-space/3_0/manifest.json",
    "templates/tiny_mouse-template/3_0/template.ome.zarr/s1/zarr.json",
    "structures.csv",
]
FILES = [("store", key) for key in (*COMPONENT_FILES, *UNREAD[:2])]
FILES += [("packages", key) for key in (*PACKAGE_FILES, UNREAD[2])]


def damage(path: Path, how: str) -> None:
    """Damage a file."""
    data = path.read_bytes()
    if how == "deleted":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    else:
        middle = len(data) // 2
        path.write_bytes(bytes([*data[:middle], data[middle] ^ 1, *data[middle + 1 :]]))


@pytest.fixture
def sites(store: Path, packages: Path, serve: Serve) -> dict[str, Server]:
    """Return a server of each layout, components as S3."""
    return {"store": serve(store, s3_bucket="b"), "packages": serve(packages)}


@pytest.mark.parametrize("how", ["flipped", "deleted", "truncated"])
@pytest.mark.parametrize(("layout", "key"), FILES, ids=lambda text: text.rpartition("3_0/")[2])
def test_damage_in_any_file(
    sites: dict[str, Server], layer: Path, layout: str, key: str, how: str
) -> None:
    """It is named exactly, reading raises and never gives zeros, and only it is fetched."""
    server = sites[layout]
    done = update_atlases.install_atlas(NAME, remotes=server.url)
    sound = read_all(opened())
    base = layer / "brainglobe-atlasapi" if layout == "store" else done.path
    data = (base / key).read_bytes()
    damage(base / key, how)
    gone = key.startswith("atlases/") and how == "deleted"  # without its manifest it is not there
    if key not in UNREAD and not gone:
        with pytest.raises(AtlasError) as raised:
            read_all(opened())
        assert isinstance(raised.value, IncompleteAtlasError)
        advised = f"brainglobe verify {NAME}@" in str(raised.value)
        assert advised or (how == "deleted" and "missing" in str(raised.value))
    found = update_atlases.verify_atlas(NAME)
    assert [one.key for one in found.damaged] == [key]
    assert str(base / key) in found.damaged[0].problem
    assert not found.sound
    server.reset_log()
    mended = update_atlases.verify_atlas(NAME, repair=True, remotes=server.url)
    assert mended.repaired == (key,)
    assert mended.sound
    files = {one.path for one in server.log() if one.sent and not one.query}
    expected = key if layout == "store" else f"{NAME}_v1.1.tar.gz"
    assert files == {"/last_versions.conf", "/atlases/last_versions.conf", f"/{expected}"} - (
        {"/atlases/last_versions.conf"} if layout == "packages" else set()
    )
    assert (base / key).read_bytes() == data
    for one, other in zip(read_all(opened()), sound, strict=True):
        np.testing.assert_array_equal(one, other)
    assert update_atlases.verify_atlas(NAME).sound


@pytest.mark.parametrize("layout", ["store", "packages"])
def test_damage_found_while_open(request: pytest.FixtureRequest, layer: Path, layout: str) -> None:
    """An atlas that was opened before notices damage of what it has not read yet."""
    done = update_atlases.install_atlas(NAME, remotes=str(request.getfixturevalue(layout)))
    atlas = opened()
    base = layer / "brainglobe-atlasapi" if layout == "store" else done.path
    damage(base / (COMPONENT_FILES[0] if layout == "store" else "annotation.tiff"), "deleted")
    with pytest.raises(IncompleteAtlasError):
        atlas.annotation.sum()


@pytest.mark.parametrize("layout", ["store", "packages"])
def test_a_touched_file_is_sound(request: pytest.FixtureRequest, layer: Path, layout: str) -> None:
    """Another time stamp alone is no damage, and verification records it."""
    update_atlases.install_atlas(NAME, remotes=str(request.getfixturevalue(layout)))
    for path in layer.rglob("*"):
        if path.is_file() and ".bg_atlasapi" not in path.parts:
            os.utime(path, (1, 1))
    read_all(opened())
    assert update_atlases.verify_atlas(NAME).sound
    known = inventory.load(layer, NAME, cache.find(NAME, [layer]).version_text)
    assert known is not None
    assert {entry.mtime_ns for entry in known.entries.values()} == {10**9}


@pytest.mark.parametrize("place", range(0, 400, 7))
def test_a_damaged_inventory(
    caplog: pytest.LogCaptureFixture, packages: Path, layer: Path, place: int
) -> None:
    """Whichever byte of it changes, the inventory counts as none: said in the log, made anew."""
    update_atlases.install_atlas(NAME, remotes=str(packages))
    path = inventory.path_of(layer, NAME, "1.1")
    data = path.read_bytes()
    place = place if place < 200 else len(data) + place - 400
    path.write_bytes(bytes([*data[:place], data[place] ^ 1, *data[place + 1 :]]))
    if inventory.load(layer, NAME, "1.1") is not None:  # a change that JSON does not mean
        assert path.read_bytes()[place : place + 1].isspace()
        return
    read_all(opened())
    assert f"{path}, the record of what {NAME} 1.1 consists of, is damaged" in caplog.text
    found = update_atlases.verify_atlas(NAME)
    assert found.sound
    assert found.adopted
    assert len(inventory.load(layer, NAME, "1.1").entries) == found.files  # type: ignore[union-attr]
    caplog.clear()
    opened()
    assert caplog.text == ""


@pytest.mark.parametrize("layout", ["store", "packages"])
def test_a_folder_may_be_named_from_where_one_is(
    store: Path, package: Path, layer: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    """BRAINGLOBE_DIR=built, relative and short, is verified like any other."""
    target = layer / ("brainglobe-atlasapi" if layout == "store" else package.name)
    shutil.copytree(store if layout == "store" else package, target)
    monkeypatch.chdir(layer.parent)
    monkeypatch.setenv("BRAINGLOBE_DIR", layer.name)
    assert update_atlases.verify_atlas(NAME).sound


@pytest.mark.parametrize("layout", ["store", "packages"])
def test_copied_by_hand(store: Path, package: Path, layer: Path, layout: str) -> None:
    """A folder copied into a layer opens, install finds it, verify records it."""
    target = layer / ("brainglobe-atlasapi" if layout == "store" else package.name)
    shutil.copytree(store if layout == "store" else package, target)
    read_all(opened())
    done = update_atlases.install_atlas(NAME, remotes="/nowhere")
    assert done.layer == layer
    assert inventory.load(layer, NAME, done.version_text) is None
    found = update_atlases.verify_atlas(NAME)
    assert found.adopted
    assert found.sound
    assert inventory.load(layer, NAME, done.version_text) is not None
    assert not update_atlases.verify_atlas(NAME).adopted
    assert not (layer / "CACHEDIR.TAG").exists()


CUT_SHORT = [("store", key) for key in (*COMPONENT_FILES[:6], *COMPONENT_FILES[7:9])]
CUT_SHORT += [("packages", key) for key in PACKAGE_FILES]


@pytest.mark.parametrize(("layout", "key"), CUT_SHORT, ids=lambda text: text[-40:])
def test_a_truncated_copy_is_not_recorded(
    store: Path, package: Path, layer: Path, layout: str, key: str
) -> None:
    """Of a copy with a file cut short, verify says so, and does not call it sound for ever."""
    target = layer / ("brainglobe-atlasapi" if layout == "store" else package.name)
    shutil.copytree(store if layout == "store" else package, target)
    damage(target / key, "truncated")
    found = update_atlases.verify_atlas(NAME)
    assert not found.adopted
    assert not found.sound
    assert inventory.load(layer, NAME, found.atlas.version_text) is None


def test_installed_by_1x(packages: Path, package: Path, layer: Path, serve: Serve) -> None:
    """What an older version unpacked is recognised: nothing is downloaded, nothing is changed."""
    shutil.copytree(package, layer / package.name)
    server = serve(packages)
    atlas = opened(remotes=server.url)
    assert atlas.local_version == (1, 0)
    assert update_atlases.install_atlas(NAME, remotes=server.url).version == (1, 0)
    assert update_atlases.install_atlas(NAME, remotes=server.url, only="meshes").version == (1, 0)
    assert server.log() == []
    assert sorted(path.name for path in layer.iterdir()) == [package.name]
    done = update_atlases.update_atlas(NAME, remotes=server.url)
    assert (done.before.version, done.after.version, done.removed) == ((1, 0), (1, 1), True)
    assert not (layer / package.name).exists()


def test_update(packages: Path, layer: Path, serve: Serve) -> None:
    """The newest is left alone, an older one replaced; force installs again."""
    server = serve(packages)
    update_atlases.install_atlas(f"{NAME}@1.0", remotes=server.url)
    done = update_atlases.update_atlas(NAME, remotes=server.url)
    assert (done.changed, done.removed) == (True, True)
    assert [one.version for one in cache.installed([layer]) if one.name == NAME] == [(1, 1)]
    assert opened().metadata["citation"] == "newer"
    server.reset_log()
    assert not update_atlases.update_atlas(NAME, remotes=server.url).changed
    assert server.sent("*.tar.gz") == 0
    damage(layer / f"{NAME}_v1.1" / "annotation.tiff", "flipped")
    update_atlases.update_atlas(NAME, True, remotes=server.url)
    assert server.sent("*.tar.gz") > 0
    assert update_atlases.verify_atlas(NAME).sound
    with pytest.raises(UnknownAtlasError):
        update_atlases.update_atlas("nothing_1um", remotes=server.url)


def test_a_failed_update_leaves_the_old_version(
    packages: Path, layer: Path, serve: Serve, contents: Contents
) -> None:
    """Whatever comes in the new one's place, the old one is as it was."""
    update_atlases.install_atlas(f"{NAME}@1.0", remotes=str(packages))
    before = contents(layer / f"{NAME}_v1.0")
    server = serve(packages)
    server.set("*.tar.gz", html=True)
    for force in (False, True):
        with pytest.raises(RemoteError):
            update_atlases.update_atlas(NAME, force=force, remotes=server.url)
    assert contents(layer / f"{NAME}_v1.0") == before
    assert [one.version for one in cache.installed([layer]) if one.name == NAME] == [(1, 0)]
    read_all(opened())


def test_an_update_keeps_the_chosen_parts(tmp_path: Path, store: Path, layer: Path) -> None:
    """Who installed the annotation alone gets no more of the next version."""
    update_atlases.install_atlas(NAME, remotes=str(store), only="annotation")
    tiny_components(tmp_path / "remote", version="3.1", symmetric=False)
    conf = store / "atlases" / "last_versions.conf"
    conf.write_text(conf.read_text().replace(f"{NAME} = 3.0", f"{NAME} = 3.1"))
    assert update_atlases.update_atlas(NAME, remotes=str(store)).after.version == (3, 1)
    templates = layer / "brainglobe-atlasapi" / "templates"
    names = {path.name for path in templates.rglob("*") if path.is_file()}
    assert names == {"zarr.json"}  # what it opens by, but no data
    left = {path.name for path in (layer / "brainglobe-atlasapi").rglob("3_*")}
    assert left == {"3_1"}


def test_remove(packages: Path, layer: Path) -> None:
    """One version if one is named, else all; the embedded atlas stays, with a reason."""
    for version in ("1.0", "1.1"):
        update_atlases.install_atlas(NAME, version=version, remotes=str(packages))
    assert [one.version for one in update_atlases.remove_atlas(f"{NAME}@1.0")] == [(1, 0)]
    with pytest.raises(UnknownAtlasError, match=r"installed: 1\.1"):
        update_atlases.remove_atlas(NAME, version="1.0")
    update_atlases.install_atlas(f"{NAME}@1.0", remotes=str(packages))
    assert len(update_atlases.remove_atlas(NAME)) == 2
    assert not list(layer.glob("tiny*"))
    assert not list((layer / ".bg_atlasapi" / "inventories").iterdir())
    with pytest.raises(UnknownAtlasError):
        update_atlases.remove_atlas(NAME)
    with pytest.raises(StorageError, match="comes with bg_atlasapi"):
        update_atlases.remove_atlas("phantom_mouse_100um")


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("other_damaged", [False, True])
def test_removing_one_of_two_that_share(
    store: Path, layer: Path, by_hand: bool, other_damaged: bool
) -> None:
    """Shared files stay for the other atlas; with the last one everything goes."""
    if by_hand:
        if other_damaged:
            return  # nothing tells what an atlas without a manifest and an inventory needs
        shutil.copytree(store, layer / "brainglobe-atlasapi")
        (layer / "brainglobe-atlasapi" / "atlases" / "last_versions.conf").unlink()
    else:
        for name in (NAME, "tiny_mouse_200um"):
            update_atlases.install_atlas(name, remotes=str(store))
    opened().meshfile_from_structure("CTX")
    manifest = cache.find(NAME, [layer]).path / "manifest.json"
    data = manifest.read_bytes()
    if other_damaged:
        manifest.write_bytes(b"{}")
    update_atlases.remove_atlas("tiny_mouse_200um")
    manifest.write_bytes(data)
    assert update_atlases.verify_atlas(NAME).sound
    read_all(opened())
    update_atlases.remove_atlas(NAME)
    assert not [one for one in (layer / "brainglobe-atlasapi").rglob("*") if one.is_file()]


def test_prune(packages: Path, layer: Path) -> None:
    """Old versions and leftovers go, once they were only shown; what is new stays."""
    for version in ("1.0", "1.1"):
        update_atlases.install_atlas(NAME, version=version, remotes=str(packages))
    own = layer / ".bg_atlasapi"
    (own / "downloads" / "left").mkdir(parents=True)
    (own / "downloads" / "left" / "0").write_bytes(b"12345")
    (own / "staging" / "half~gone~1~ab").mkdir(parents=True)
    (own / "inventories" / "lost_1um_v1.0.json").write_text("{}")
    shown = update_atlases.prune_atlases(dry_run=True)
    assert {one.reason for one in shown} == {
        *("older than 1.1", "interrupted download", "half-made"),
        "inventory of an atlas that is gone",
    }
    assert all(one.path.exists() for one in shown)
    gone = update_atlases.prune_atlases()
    assert {(one.path, one.size) for one in gone} == {(one.path, one.size) for one in shown}
    assert not any(one.path.exists() for one in gone)
    assert update_atlases.prune_atlases() == update_atlases.prune_atlases(dry_run=True) == []
    assert update_atlases.verify_atlas(NAME).sound


def test_nothing_to_prune_after_components(store: Path) -> None:
    """A finished installation leaves nothing that prune would speak of."""
    update_atlases.install_atlas(NAME, remotes=str(store))
    assert update_atlases.prune_atlases(dry_run=True) == []
    assert update_atlases.prune_atlases() == []


# Callers of 1.x


@pytest.mark.parametrize("layout", ["store", "packages"])
def test_installs_on_first_use(
    monkeypatch: pytest.MonkeyPatch, sites: dict[str, Server], layer: Path, layout: str
) -> None:
    """BrainGlobeAtlas(name) installs, telling fn_update in the caller's thread; then it is local."""
    told: list[tuple[int, int]] = []

    def fn_update(completed: int, total: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        told.append((completed, total))

    monkeypatch.setenv("BRAINGLOBE_REMOTES", sites[layout].url)
    atlas = BrainGlobeAtlas(NAME, None, None, False, None, fn_update)
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] > 0
    assert atlas.root_dir.is_relative_to(layer)
    sites[layout].reset_log()
    assert opened().annotation.sum() == atlas.annotation.sum()
    assert sites[layout].log() == []


@pytest.mark.parametrize("layout", ["store", "packages"])
def test_fn_update_cancels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, serve: Serve, layout: str
) -> None:
    """What it raises comes out, nothing is installed, and the next call goes on from there."""
    shape = (96, 64, 80)
    remote = tmp_path / "site"
    remote.mkdir()
    if layout == "store":
        tiny_components(remote, shape=shape, chunk=(12, 32, 40))
        conf = remote / "brainglobe-atlasapi" / "atlases" / "last_versions.conf"
        conf.write_text(f"[atlases]\n{NAME} = 3.0\n")
    else:
        folder = tiny_package(tmp_path / "made", shape=shape)
        shutil.make_archive(str(remote / folder.name), "gztar", folder.parent, folder.name)
        (remote / "last_versions.conf").write_text(f"[atlases]\n{NAME} = 1.0\n")
    server = serve(remote, s3_bucket="b")
    monkeypatch.setenv("BRAINGLOBE_REMOTES", server.url)
    whole = update_atlases.plan_install(NAME).to_fetch_bytes
    server.set("*/c/*" if layout == "store" else "*.tar.gz", slow=60_000)

    class CancelError(Exception):
        pass

    def cancel(completed: int, _total: int) -> None:
        if completed > 10_000:
            raise CancelError

    with pytest.raises(CancelError):
        BrainGlobeAtlas(NAME, check_latest=False, fn_update=cancel)
    assert NAME not in list_atlases.get_downloaded_atlases()
    server.clear()
    server.reset_log()
    BrainGlobeAtlas(NAME, check_latest=False)
    fetched = sum(one.sent for one in server.log() if "last_versions" not in one.path)
    if layout == "packages":
        assert fetched < whole - 9_000
    chunks = [one.path for one in server.log("*/c/*") if one.sent]
    assert len(chunks) < len(list(remote.rglob("c/*/*/*"))) or layout == "packages"
    assert update_atlases.verify_atlas(NAME).sound


def test_functions_of_1x(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, packages: Path, serve: Serve
) -> None:
    """The helpers and lists of 1.x do what they did."""
    server = serve(packages)
    monkeypatch.setenv("BRAINGLOBE_REMOTES", server.url)
    url = f"{server.url}/{NAME}_v1.1.tar.gz"
    size = (packages / f"{NAME}_v1.1.tar.gz").stat().st_size
    told: list[tuple[int, int]] = []
    target = tmp_path / "here.tar.gz"
    utils.retrieve_over_http(url, target, lambda *both: told.append(both))
    assert target.read_bytes() == (packages / f"{NAME}_v1.1.tar.gz").read_bytes()
    assert told[-1] == (size, size)
    assert [path.name for path in tmp_path.glob("*here*")] == ["here.tar.gz"]
    assert utils.get_download_size(url) == size
    conf = utils.conf_from_url(f"{server.url}/last_versions.conf")
    assert dict(conf["atlases"]) == {NAME: "1.1"}
    assert utils.check_internet_connection() is True
    assert utils.check_internet_connection("http://127.0.0.1:9", raise_error=False) is False
    with pytest.raises(ConnectionError):
        utils.check_internet_connection("http://127.0.0.1:9", timeout=1)
    with pytest.raises(ConnectionError):
        utils.get_download_size(f"{server.url}/nothing.tar.gz")
    assert list_atlases.get_all_atlases_lastversions() == {NAME: "1.1"}
    update_atlases.install_atlas(f"{NAME}@1.0")
    assert list_atlases.get_atlases_lastversions() == {
        NAME: {
            "downloaded": True,
            "local": NAME,
            "version": "1.0",
            "latest_version": "1.1",
            "updated": False,
        }
    }
    atlas = opened()
    assert (atlas.local_version, atlas.remote_version) == ((1, 0), (1, 1))
    assert atlas.remote_url == url
    assert atlas.check_latest_version() is False
    update_atlases.update_atlas(atlas_name=NAME)
    assert list_atlases.get_local_atlas_version(NAME) == "1.1"
    assert bg_atlas.COMPRESSED_FILENAME == "atlas.tar.gz"
