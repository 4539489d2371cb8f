"""Where atlases come from: every kind of address, both layouts, every way to list, in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bg_atlasapi import BrainGlobeAtlas, list_atlases, settings, update_atlases
from bg_atlasapi.errors import (
    InvalidInputError,
    OfflineError,
    RefusedError,
    RemoteError,
    UnknownAtlasError,
    UnreachableError,
)
from bg_atlasapi.store import inventories, lifecycle, remotes
from bg_atlasapi.testing.server import Server

NAME = "tiny_mouse_100um"
pytestmark = pytest.mark.usefixtures("layer")
Serve = Callable[..., Server]


def same_labels(layer: Path, package: Path) -> bool:
    """Say whether what was installed reads like the package it was made of."""
    installed = BrainGlobeAtlas(NAME, brainglobe_dir=layer, check_latest=False)
    source = BrainGlobeAtlas.from_path(package)
    pairs = [(installed, source)]
    return all((a.annotation == b.annotation).all() for a, b in pairs) and all(
        (a.hemispheres == b.hemispheres).all() and (a.reference == b.reference).all()
        for a, b in pairs
    )


@pytest.mark.parametrize("layout", ["packages", "store"])
@pytest.mark.parametrize("kind", ["folder", "file", "home", "http", "http/", "s3"])
def test_every_address_in_both_layouts(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    layer: Path,
    package: Path,
    serve: Serve,
    layout: str,
    kind: str,
) -> None:
    """The layout is recognised, the newest version installed, and reads like its source."""
    remote: Path = request.getfixturevalue(layout)
    address = {"folder": str(remote), "file": remote.as_uri(), "home": "~/remote"}.get(kind, "")
    if kind == "home":
        (Path.home() / "remote").symlink_to(remote)
    if kind.startswith("http"):
        server = serve(remote.parent, listing=True)
        address = f"{server.url}/{remote.name}{kind.removeprefix('http')}"
    if kind == "s3":
        server = serve(remote.parent, s3_bucket="tiny", page_size=5)
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        address = f"s3://tiny/{remote.name}"
    done = update_atlases.install_atlas(NAME, remotes=address)
    assert (done.layout, done.version_text) == (
        ("packages", "1.1") if layout == "packages" else ("components", "3.0")
    )
    assert same_labels(layer, package)


@pytest.mark.parametrize("base", ["", "/bucket", "/brainglobe-atlasapi", "/bucket/prefix/store"])
@pytest.mark.parametrize("index", [True, False], ids=["index", "no index"])
def test_s3_over_plain_http(
    tmp_path: Path, store: Path, layer: Path, package: Path, serve: Serve, base: str, index: bool
) -> None:
    """The bucket may be the host or the first folder, the base a store or what holds one.

    Listings are paged; without an index of atlases, a listing takes its place.
    """
    root = tmp_path / "served"
    root.mkdir()
    place = root / "prefix" / "store" if "prefix" in base else root
    place.parent.mkdir(exist_ok=True, parents=True)
    if "prefix" in base:
        store.rename(place)
    else:
        store.rename(place / store.name)
        place = place / store.name
    if not index:
        (place / "atlases" / "last_versions.conf").unlink()
    server = serve(root, s3_bucket="bucket", page_size=4)
    done = update_atlases.install_atlas(NAME, remotes=server.url + base)
    assert done.version == (3, 0)
    assert any("continuation-token" in request.query for request in server.log())
    assert same_labels(layer, package)


def test_pages_of_folders(store: Path, layer: Path, package: Path, serve: Serve) -> None:
    """A server that shows folders as pages needs nothing else; hidden ways out are not followed."""
    (store / "terminologies" / "tiny_mouse-terminology" / "3_0" / "odd name #1.txt").write_text("x")
    server = serve(store, listing=True)
    update_atlases.install_atlas(NAME, remotes=server.url)
    assert same_labels(layer, package)
    folder = layer / "brainglobe-atlasapi" / "terminologies" / "tiny_mouse-terminology" / "3_0"
    assert {path.name for path in folder.iterdir()} == {"terminology.csv", "odd name #1.txt"}


@pytest.mark.parametrize("where", ["beside", "store"])
def test_inventory_json(store: Path, layer: Path, package: Path, serve: Serve, where: str) -> None:
    """With its inventory a static host needs no listing, beside the manifest or for the store."""
    inventories.write_inventories(store)
    beside = store / "atlases" / NAME / "3_0" / "inventory.json"
    assert beside.is_file()
    if where == "store":
        beside.rename(store / "inventory.json")
    server = serve(store)
    plan = update_atlases.plan_install(NAME, remotes=server.url)
    assert plan.to_fetch_bytes == plan.total_bytes == sum(one.size or 0 for one in plan.files)
    server.reset_log()
    update_atlases.install_atlas(NAME, remotes=server.url)
    assert same_labels(layer, package)
    assert not [one for one in server.log() if one.query or one.path.endswith("/")]


def test_a_static_host_that_lists_nothing(store: Path, layer: Path, serve: Serve) -> None:
    """Without any way to list, the error says what is missing and who can mend it."""
    server = serve(store)
    with pytest.raises(RefusedError, match="brainglobe inventory FOLDER") as raised:
        update_atlases.install_atlas(NAME, remotes=server.url)
    assert "terminologies/tiny_mouse-terminology/3_0/" in str(raised.value)
    assert not (layer / "brainglobe-atlasapi").exists()


def test_a_place_that_is_no_remote(tmp_path: Path, layer: Path, serve: Serve) -> None:
    """A folder or host with neither layout is named, with what was looked for."""
    (tmp_path / "empty").mkdir()
    for address in (str(tmp_path / "empty"), serve(tmp_path / "empty", listing=True).url):
        with pytest.raises(RefusedError, match="neither last_versions.conf nor") as raised:
            update_atlases.install_atlas(NAME, remotes=address)
        assert address in str(raised.value)
    with pytest.raises(InvalidInputError, match="use https, http, s3, file"):
        update_atlases.install_atlas(NAME, remotes="ftp://example.org")
    assert not layer.exists()


def test_an_index_that_is_none(tmp_path: Path, layer: Path) -> None:
    """A web page saved as the index is told from an index."""
    (tmp_path / "last_versions.conf").write_text("<html>log in</html>")
    with pytest.raises(RefusedError, match="begins '<html>log in</html>'"):
        update_atlases.install_atlas(NAME, remotes=str(tmp_path))
    assert not layer.exists()


def test_argument_environment_file_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Which remotes hold: argument > BRAINGLOBE_REMOTES > configuration file > published ones."""
    monkeypatch.delenv("BRAINGLOBE_REMOTES")
    assert settings.remotes() == settings.Setting(settings.DEFAULT_REMOTES, "default")
    monkeypatch.setenv("BRAINGLOBE_CONFIG_DIR", str(tmp_path))
    conf = tmp_path / "bg_config.conf"
    conf.write_text("[default_dirs]\nremotes = /a, s3://b/c\n")
    assert settings.remotes() == settings.Setting(("/a", "s3://b/c"), f"file {conf}")
    monkeypatch.setenv("BRAINGLOBE_REMOTES", "/d,/e")
    assert settings.remotes().value == ("/d", "/e")
    assert settings.remotes().origin == "environment BRAINGLOBE_REMOTES"
    assert settings.remotes(["/f", "/g"]) == settings.Setting(("/f", "/g"), "argument")
    assert lifecycle.Library(remotes="/h").addresses == ("/h",)


def test_the_first_remote_that_has_it(packages: Path, store: Path, layer: Path) -> None:
    """Order decides, not version: the first remote that has the atlas gives its newest."""
    assert update_atlases.install_atlas(NAME, remotes=[str(packages), str(store)]).version == (1, 1)
    other = layer.with_name("other")
    found = update_atlases.install_atlas(NAME, remotes=f"{store}, {packages}", brainglobe_dir=other)
    assert found.version == (3, 0)


@pytest.mark.parametrize("first", ["unreachable", "no remote", "broken archive", "busy"])
def test_the_next_remote_when_one_fails(
    monkeypatch: pytest.MonkeyPatch,
    packages: Path,
    store: Path,
    serve: Serve,
    first: str,
) -> None:
    """Whatever goes wrong at the first, the second one serves."""
    monkeypatch.setattr("bg_atlasapi.store.transport.http.time.sleep", lambda _: None)
    server = serve(packages)
    address = server.url
    if first == "unreachable":
        address = "http://127.0.0.1:9"
    if first == "no remote":
        server.set("*", status=404)
    if first == "broken archive":
        server.set("*.tar.gz", html=True)
    if first == "busy":
        server.set("*", status=500)
    done = update_atlases.install_atlas(NAME, remotes=[address, str(store)])
    assert done.version == (3, 0)


def test_when_all_remotes_fail(packages: Path, store: Path, serve: Serve) -> None:
    """The error has the reason of each, once, and nothing is left but what helps the next try."""
    server = serve(packages)
    server.set("*.tar.gz", html=True)
    with pytest.raises(RemoteError, match=r"web page.*has no files in annotation-sets"):
        update_atlases.install_atlas(NAME, remotes=[server.url, str(_without_annotation(store))])
    assert [atlas.name for atlas in lifecycle.Library().installed()] == ["phantom_mouse_100um"]


def _without_annotation(store: Path) -> Path:
    for path in store.rglob("annotations_compressed.ome.zarr/**/*"):
        if path.is_file():
            path.unlink()
    return store


def test_versions(packages: Path, store: Path, layer: Path, serve: Serve) -> None:
    """name@version and version= ask for one; the error of a missing one lists those there are."""
    for address in (str(packages), serve(packages).url):
        folder = layer / address.rpartition("/")[2].partition(":")[0]
        one = update_atlases.install_atlas(f"{NAME}@1.0", remotes=address, brainglobe_dir=folder)
        assert one.version == (1, 0)
        two = update_atlases.install_atlas(
            NAME, version="v1.1", remotes=address, brainglobe_dir=folder
        )
        assert two.version == (1, 1)
    with pytest.raises(UnknownAtlasError, match=r"no version 2\.0 .* there are: 1\.1, 1\.0\."):
        update_atlases.install_atlas(f"{NAME}@2.0", remotes=str(packages))
    with pytest.raises(UnknownAtlasError, match=r"no version 2\.0 .* there are: 3\.0\."):
        update_atlases.install_atlas(f"{NAME}@2.0", remotes=str(store))
    with pytest.raises(InvalidInputError, match="write it like"):
        update_atlases.install_atlas(f"{NAME}@latest", remotes=str(packages))


def test_unknown_names(packages: Path, layer: Path, serve: Serve) -> None:
    """A name nobody has is answered with close ones; one that is no name is refused unasked."""
    server = serve(packages)
    with pytest.raises(UnknownAtlasError, match=f"Did you mean {NAME}"):
        update_atlases.install_atlas("tiny_mouse_10um", remotes=server.url)
    server.reset_log()
    for name in ("../tiny_mouse_100um", "a/b", "", "-x", "a\nb"):
        with pytest.raises(InvalidInputError, match="is not the name of an atlas"):
            update_atlases.install_atlas(name, remotes=server.url)
    with pytest.raises(InvalidInputError, match="is a string"):
        update_atlases.install_atlas(7, remotes=server.url)  # type: ignore[arg-type]
    assert server.log() == []
    assert not (layer / "..").resolve().joinpath("tiny_mouse_100um_v1.1").exists()


def test_nobody_can_be_asked(monkeypatch: pytest.MonkeyPatch, packages: Path, serve: Serve) -> None:
    """Unreachable and switched off are told apart; a known name is not called unknown."""
    url = "http://127.0.0.1:9"
    with pytest.raises(UnreachableError, match="127.0.0.1:9"):
        update_atlases.install_atlas(NAME, remotes=url)
    server = serve(packages)
    monkeypatch.setenv("BRAINGLOBE_OFFLINE", "1")
    with pytest.raises(OfflineError, match="allen_mouse_25um .*BRAINGLOBE_OFFLINE"):
        update_atlases.install_atlas("allen_mouse_25um", remotes=settings.DEFAULT_REMOTES)
    with pytest.raises(OfflineError):
        update_atlases.install_atlas(NAME, remotes=server.url)
    assert server.log() == []
    assert update_atlases.install_atlas(NAME, remotes=str(packages)).version == (1, 1)


def test_an_index_is_remembered(
    monkeypatch: pytest.MonkeyPatch, packages: Path, serve: Serve
) -> None:
    """Listing asks a remote once a day, and afterwards works without it."""
    server = serve(packages)
    monkeypatch.setenv("BRAINGLOBE_REMOTES", server.url)
    rows = list_atlases.available_atlases(name="tiny")
    assert rows["latest"].tolist() == ["1.1"]
    assert len(server.log()) == 1
    list_atlases.available_atlases()
    assert len(server.log()) == 1
    list_atlases.available_atlases(fresh=True)
    assert len(server.log()) == 2
    monkeypatch.setenv("BRAINGLOBE_OFFLINE", "1")
    again = list_atlases.available_atlases(fresh=True)
    assert NAME in again["name"].tolist()


def test_archives_without_an_index(packages: Path) -> None:
    """A folder of archives is a remote even without an index: the file names tell."""
    (packages / "last_versions.conf").unlink()
    (packages / "notes_v1.txt").write_text("no archive")
    found = remotes.Remote(str(packages)).index()
    assert found.layout == "packages"
    assert found.versions == {NAME: ((1, 1), (1, 0))}
