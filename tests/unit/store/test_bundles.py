"""Atlases as one file: the same bytes each time, added elsewhere, and what add takes or refuses."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bg_atlasapi import BrainGlobeAtlas, update_atlases
from bg_atlasapi.errors import (
    AtlasError,
    IncompleteAtlasError,
    InvalidAtlasError,
    InvalidInputError,
    RemoteError,
    UnknownAtlasError,
)
from bg_atlasapi.store import cache, inventory
from bg_atlasapi.testing import tiny_components, tiny_package
from bg_atlasapi.testing.server import Server

NAME = "tiny_mouse_100um"
pytestmark = pytest.mark.usefixtures("layer")
Serve = Callable[..., Server]
Contents = Callable[[Path], dict[str, str]]


@pytest.mark.parametrize("layout", ["store", "packages"])
@pytest.mark.parametrize("only", [None, "annotation,template"])
def test_there_and_back(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    layer: Path,
    contents: Contents,
    layout: str,
    only: str | None,
) -> None:
    """Bundled, added to another layer and bundled again: the same files, the same bytes."""
    remote = str(request.getfixturevalue(layout))
    first = update_atlases.install_atlas(NAME, remotes=remote, only=only)
    bundle = update_atlases.bundle_atlas(NAME, tmp_path)
    assert bundle == tmp_path / f"{NAME}_v{first.version_text}.tar.gz"
    other = tmp_path / "other"
    added = update_atlases.add_atlas(bundle, brainglobe_dir=other)
    assert (added.name, added.version, added.layout) == (NAME, first.version, first.layout)
    assert contents(other) == contents(layer)
    again = update_atlases.bundle_atlas(NAME, tmp_path / "b" / "x.tar.gz", brainglobe_dir=other)
    assert again.read_bytes() == bundle.read_bytes()
    assert not list(tmp_path.glob(".*"))
    found = update_atlases.verify_atlas(NAME, brainglobe_dir=other)
    assert found.sound
    assert not found.adopted
    with tarfile.open(bundle) as tar:
        members = tar.getmembers()
    if layout == "store":
        assert members[-1].name == f"brainglobe-atlasapi/atlases/{NAME}/3_0/manifest.json"
    assert {(one.mtime, one.uid, one.gid, one.uname) for one in members} == {(0, 0, 0, "")}
    assert not [one.name for one in members if ".bg_atlasapi" in one.name]


def test_a_bundle_holds_its_atlas_alone(tmp_path: Path, store: Path, layer: Path) -> None:
    """What other atlases have in the same components, or others put there, does not change it."""
    update_atlases.install_atlas(NAME, remotes=str(store))
    alone = update_atlases.bundle_atlas(NAME, tmp_path / "alone.tar.gz")
    update_atlases.install_atlas("tiny_mouse_200um", remotes=str(store), all_components=True)
    (layer / "brainglobe-atlasapi" / "templates" / "notes.txt").write_text("x")
    beside = update_atlases.bundle_atlas(NAME, tmp_path / "beside.tar.gz")
    assert beside.read_bytes() == alone.read_bytes()


def test_a_damaged_atlas_is_not_bundled(tmp_path: Path, store: Path, layer: Path) -> None:
    """A bundle does not spread damage; no file is left."""
    update_atlases.install_atlas(NAME, remotes=str(store))
    next(layer.rglob("c/0/0/0")).unlink()
    with pytest.raises(IncompleteAtlasError, match="--repair"):
        update_atlases.bundle_atlas(NAME, tmp_path)
    assert not list(tmp_path.glob("*.tar.gz*"))
    with pytest.raises(UnknownAtlasError):
        update_atlases.bundle_atlas("nothing_1um", tmp_path)


def test_into_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, packages: Path
) -> None:
    """Without a path the file goes where one is; a package's bundle unpacks by hand as well."""
    update_atlases.install_atlas(NAME, remotes=str(packages))
    monkeypatch.chdir(tmp_path)
    path = update_atlases.bundle_atlas(NAME)
    assert path == tmp_path / f"{NAME}_v1.1.tar.gz"
    shutil.unpack_archive(path, tmp_path / "by_hand", filter="data")
    assert BrainGlobeAtlas.from_path(tmp_path / "by_hand" / f"{NAME}_v1.1").atlas_name == NAME


def test_add_archive_from_url(packages: Path, layer: Path, serve: Serve) -> None:
    """An address serves like a file, also with blanks in it and a query behind it."""
    server = serve(packages)
    (packages / "my atlases").mkdir()
    shutil.copy(packages / f"{NAME}_v1.0.tar.gz", packages / "my atlases" / "a b.tar.gz")
    added = update_atlases.add_atlas(f"{server.url}/{NAME}_v1.1.tar.gz")
    assert added.version == (1, 1)
    added = update_atlases.add_atlas(f"{server.url}/my%20atlases/a%20b.tar.gz?download=1&x=%20#top")
    assert added.version == (1, 0)
    assert "download=1&x=%20" in {one.query for one in server.log()}
    assert update_atlases.verify_atlas(NAME, version="1.0").sound
    assert not list((layer / ".bg_atlasapi" / "downloads").iterdir())
    known = inventory.load(layer, NAME, "1.1")
    assert known is not None
    assert known.origin == f"{server.url}/{NAME}_v1.1.tar.gz"


@pytest.mark.parametrize("kind", ["folder", "manifest", "archive", "file://", "relative"])
@pytest.mark.parametrize("layout", ["store", "packages"])
def test_add_what_lies_here(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    store: Path,
    package: Path,
    layer: Path,
    kind: str,
    layout: str,
) -> None:
    """A folder, a manifest, an archive, in any spelling; the source stays as it was."""
    folder = store / "atlases" / NAME / "3_0" if layout == "store" else package
    source: Path | str = folder
    if kind == "manifest":
        source = folder / ("manifest.json" if layout == "store" else "")
    if kind in {"archive", "file://"}:
        update_atlases.add_atlas(folder, brainglobe_dir=tmp_path / "x")
        path = update_atlases.bundle_atlas(NAME, tmp_path, brainglobe_dir=tmp_path / "x")
        source = path.as_uri() if kind == "file://" else path
    if kind == "relative":
        monkeypatch.chdir(folder.parent)
        source = folder.name
    added = update_atlases.add_atlas(source)
    assert added.layer == layer
    assert added.version == ((3, 0) if layout == "store" else (1, 0))
    assert folder.is_dir()
    assert update_atlases.verify_atlas(NAME).sound
    atlas = BrainGlobeAtlas(NAME, check_latest=False)
    source_atlas = BrainGlobeAtlas.from_path(folder)
    assert (atlas.annotation == source_atlas.annotation).all()


def test_add_a_folder_that_is_in_the_layer(layer: Path, store: Path) -> None:
    """What lies in its place already is recorded, not copied."""
    folder = tiny_package(layer)
    stamp = (folder / "annotation.tiff").stat()
    added = update_atlases.add_atlas(folder)
    assert added.path == folder
    assert (folder / "annotation.tiff").stat() == stamp
    assert not update_atlases.verify_atlas(NAME).adopted
    shutil.copytree(store, layer / "brainglobe-atlasapi")
    added = update_atlases.add_atlas(layer / "brainglobe-atlasapi" / "atlases" / NAME / "3_0")
    assert added.version == (3, 0)
    assert update_atlases.verify_atlas(f"{NAME}@3.0").sound


def test_add_a_store(tmp_path: Path, store: Path, layer: Path) -> None:
    """A store, or what holds one, stands for its atlas; of several, one must be named."""
    for path in (store, store.parent):
        with pytest.raises(InvalidInputError, match=r"several atlases.*manifest\.json"):
            update_atlases.add_atlas(path)
    tiny_components(tmp_path / "one")
    added = update_atlases.add_atlas(tmp_path / "one")
    assert (added.version, added.layer) == ((3, 0), layer)


def test_a_folder_of_another_name(tmp_path: Path, layer: Path) -> None:
    """A folder without version in its name is named by its metadata, or refused."""
    folder = tiny_package(tmp_path / "made", version="2.5").rename(tmp_path / "renamed")
    added = update_atlases.add_atlas(folder)
    assert (added.name, added.version) == (NAME, (2, 5))
    assert added.path == layer / f"{NAME}_v2.5"
    bad = tiny_package(tmp_path / "made", name="x_100um", version="1.0").rename(tmp_path / "other")
    text = (bad / "metadata.json").read_text()
    (bad / "metadata.json").write_text(text.replace('"name": "x"', '"name": "../x"'))
    with pytest.raises(InvalidAtlasError, match="no-name"):
        update_atlases.add_atlas(bad)


def test_adding_keeps_what_is_shared(store: Path, layer: Path) -> None:
    """Files that an installed atlas shares are not written anew, which would make it look changed."""
    update_atlases.install_atlas(NAME, remotes=str(store))
    shared = next(layer.rglob("terminology.csv"))
    stamp = shared.stat()
    update_atlases.add_atlas(store / "atlases" / "tiny_mouse_200um" / "3_0")
    assert shared.stat().st_mtime_ns == stamp.st_mtime_ns
    assert shared.stat().st_ino == stamp.st_ino
    for name in (NAME, "tiny_mouse_200um"):
        assert update_atlases.verify_atlas(name).sound


def _nonsense(folder: Path) -> dict[str, Path]:
    """Write what is no atlas."""
    (folder / "text").write_text("hello")
    (folder / "empty.tar.gz").write_bytes(b"")
    (folder / "empty").mkdir()
    with tarfile.open(folder / "other.tar.gz", "w:gz") as tar:
        tar.add(folder / "text", "some/file")
    with tarfile.open(folder / "no_manifest.tar.gz", "w:gz") as tar:
        tar.add(folder / "text", "brainglobe-atlasapi/file")
    whole = tiny_package(folder / "made")
    (whole / "annotation.tiff").unlink()
    store = tiny_components(folder / "elsewhere").parents[2]
    store.rename(store.with_name("store"))
    renamed = store.with_name("store") / "atlases" / NAME / "3_0"
    return {
        "text": folder / "text",
        "empty.tar.gz": folder / "empty.tar.gz",
        "empty": folder / "empty",
        "other.tar.gz": folder / "other.tar.gz",
        "no manifest": folder / "no_manifest.tar.gz",
        "incomplete": whole,
        "missing": folder / "nothing_here",
        "a store of another name": renamed,
        "the store itself, of another name": renamed.parents[2],
    }


def test_add_nonsense(tmp_path: Path, layer: Path, contents: Contents, serve: Serve) -> None:
    """Each thing that is no atlas is an error that names it; the layer holds nothing after."""
    for what, path in _nonsense(tmp_path).items():
        with pytest.raises(AtlasError) as raised:
            update_atlases.add_atlas(path)
        assert isinstance(
            raised.value, InvalidAtlasError | IncompleteAtlasError | InvalidInputError
        )
        places = {path.name, path.parents[2].name if path.name == "3_0" else path.name}
        assert any(place in str(raised.value) for place in places), what
        assert contents(layer) == {}, what
    server = serve(tmp_path)
    with pytest.raises(RemoteError, match="nothing"):
        update_atlases.add_atlas(f"{server.url}/nothing.tar.gz")
    for source in (f"{server.url}/", server.url):
        with pytest.raises(RemoteError, match="not a place to install atlases from"):
            update_atlases.add_atlas(source)
    with pytest.raises(InvalidInputError, match="use https, http, s3, file"):
        update_atlases.add_atlas("ftp://example.org/a.tar.gz")
    assert contents(layer) == {}
    assert [one.name for one in cache.installed([layer])] == ["phantom_mouse_100um"]


def test_a_damaged_archive_is_not_added(
    tmp_path: Path, packages: Path, layer: Path, contents: Contents
) -> None:
    """A bundle cut short, or with one byte changed, adds nothing."""
    data = (packages / f"{NAME}_v1.0.tar.gz").read_bytes()
    middle = len(data) // 2
    for damaged in (data[:-1], data[:middle], bytes([*data[:middle], 1, *data[middle:]])):
        (tmp_path / "bad.tar.gz").write_bytes(damaged)
        with pytest.raises((InvalidAtlasError, IncompleteAtlasError), match=r"bad\.tar\.gz"):
            update_atlases.add_atlas(tmp_path / "bad.tar.gz")
        assert contents(layer) == {}
