"""Several folders of atlases: read from any, first wins, written to the first that can be."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bg_atlasapi import BrainGlobeAtlas, list_atlases, update_atlases
from bg_atlasapi.errors import StorageError
from bg_atlasapi.store import cache, disk
from bg_atlasapi.testing import tiny_package

NAME = "tiny_mouse_100um"
Contents = Callable[[Path], dict[str, str]]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Return a layer that an administrator filled: one atlas of its own, one that is elsewhere."""
    tiny_package(tmp_path / "shared", name="lab_mouse_100um")
    tiny_package(tmp_path / "shared", citation="of the lab")
    return tmp_path / "shared"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return the user's layer, with one atlas that the shared layer has too."""
    tiny_package(tmp_path / "own", citation="my own")
    return tmp_path / "own"


def _close(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Close a folder for writing, for root as well."""
    genuine = disk.is_writable
    monkeypatch.setattr(
        disk,
        "is_writable",
        lambda one: folder not in (one, *one.parents) and genuine(one),
    )


@pytest.mark.parametrize("way", ["environment", "sequence", "file"])
def test_ways_to_say_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: Path, shared: Path, way: str
) -> None:
    """BRAINGLOBE_DIR=a:b, a sequence and the configuration file mean the same."""
    said: list[Path] | None = None
    both = f"{own}{os.pathsep}{shared}"
    if way == "environment":
        monkeypatch.setenv("BRAINGLOBE_DIR", both)
    elif way == "file":
        (tmp_path / "bg_config.conf").write_text(f"[default_dirs]\nbrainglobe_dir = {both}\n")
        monkeypatch.setenv("BRAINGLOBE_CONFIG_DIR", str(tmp_path))
    else:
        said = [own, shared]
    mine = BrainGlobeAtlas(NAME, brainglobe_dir=said, check_latest=False)
    assert mine.metadata["citation"] == "my own"
    labs = BrainGlobeAtlas("lab_mouse_100um", brainglobe_dir=said, check_latest=False)
    assert labs.root_dir.parent == shared
    assert mine.brainglobe_dir == own
    rows = list_atlases.available_atlases(said, installed=True)
    assert set(rows["name"]) >= {NAME, "lab_mouse_100um"}


def test_the_first_wins_and_the_order_is_the_users(own: Path, shared: Path) -> None:
    """The same version in two layers is the first layer's; a newer one elsewhere is found."""
    for layers, expected in (([own, shared], "my own"), ([shared, own], "of the lab")):
        atlas = BrainGlobeAtlas(NAME, brainglobe_dir=layers, check_latest=False)
        assert atlas.metadata["citation"] == expected
    tiny_package(shared, version="1.7")
    atlas = BrainGlobeAtlas(NAME, brainglobe_dir=[own, shared], check_latest=False)
    assert atlas.local_version == (1, 7)


@pytest.mark.parametrize("closed", ["own", "shared"])
def test_written_to_the_first_that_can_be(
    monkeypatch: pytest.MonkeyPatch,
    own: Path,
    shared: Path,
    store: Path,
    contents: Contents,
    closed: str,
) -> None:
    """New atlases go to the first writable layer; nothing at all is written to the other."""
    _close(monkeypatch, own if closed == "own" else shared)
    other, target = (own, shared) if closed == "own" else (shared, own)
    before = contents(other)
    update_atlases.install_atlas(
        "tiny_mouse_200um", remotes=str(store), brainglobe_dir=[own, shared]
    )
    assert (target / "brainglobe-atlasapi").is_dir()
    assert contents(other) == before
    assert not (other / ".bg_atlasapi").exists()


def test_nowhere_to_write(monkeypatch: pytest.MonkeyPatch, shared: Path, store: Path) -> None:
    """If no layer can be written to, the error names them and what to do."""
    monkeypatch.setattr(disk, "is_writable", lambda _: False)
    with pytest.raises(StorageError, match=f"{shared}.*brainglobe config -k brainglobe_dir"):
        update_atlases.install_atlas(NAME + "@3.0", remotes=str(store), brainglobe_dir=shared)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes anywhere")
def test_a_layer_that_is_really_read_only(shared: Path, store: Path, tmp_path: Path) -> None:
    """The same with the file system's own permissions."""
    shared.chmod(0o555)
    try:
        layers = [shared, tmp_path / "own"]
        update_atlases.install_atlas("tiny_mouse_200um", remotes=str(store), brainglobe_dir=layers)
        assert (tmp_path / "own" / "brainglobe-atlasapi").is_dir()
    finally:
        shared.chmod(0o755)


@pytest.mark.usefixtures("shared")
def test_opening_never_writes(monkeypatch: pytest.MonkeyPatch, own: Path, tmp_path: Path) -> None:
    """Listing, opening and reading leave every folder as it was; none is made."""
    monkeypatch.setenv("BRAINGLOBE_DIR", f"{tmp_path / 'not there'}{os.pathsep}{own}")

    def state() -> dict[Path, int]:
        return {one: one.stat().st_mtime_ns for one in (tmp_path, *tmp_path.rglob("*"))}

    before = state()
    atlas = BrainGlobeAtlas(NAME)
    atlas.annotation.sum()
    atlas.mesh_from_structure("CTX")
    assert atlas.structures["CTX"].name
    list_atlases.get_downloaded_atlases()
    list_atlases.show_atlases()
    update_atlases.atlas_info(NAME)
    assert state() == before


def test_only_what_was_downloaded_is_called_a_cache(
    tmp_path: Path, packages: Path, store: Path, layer: Path
) -> None:
    """CACHEDIR.TAG is for layers that hold nothing but downloads, and goes when that changes."""
    tag = layer / "CACHEDIR.TAG"
    update_atlases.install_atlas(NAME, remotes=str(packages))
    assert tag.read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    update_atlases.install_atlas("tiny_mouse_200um", remotes=str(store))
    assert tag.exists()
    tiny_package(layer, name="my_mouse_100um")
    update_atlases.install_atlas(f"{NAME}@1.0", remotes=str(packages))
    assert not tag.exists()
    other = tmp_path / "other"
    (other / "results").mkdir(parents=True)
    (other / "results" / "cells.csv").write_text("precious")
    update_atlases.install_atlas(NAME, remotes=str(packages), brainglobe_dir=other)
    assert not (other / "CACHEDIR.TAG").exists()


def test_somebody_elses_tag_stays(packages: Path, layer: Path) -> None:
    """A tag that another program wrote is not ours to remove."""
    layer.mkdir()
    (layer / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n# theirs\n")
    tiny_package(layer, name="my_mouse_100um")
    update_atlases.install_atlas(NAME, remotes=str(packages))
    assert "theirs" in (layer / "CACHEDIR.TAG").read_text()


def test_updates_across_layers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, packages: Path
) -> None:
    """An update of an atlas in a layer that is closed goes to the own layer; the old one stays."""
    shared, own = tmp_path / "shared", tmp_path / "own"
    update_atlases.install_atlas(f"{NAME}@1.0", remotes=str(packages), brainglobe_dir=shared)
    _close(monkeypatch, shared)
    monkeypatch.setattr("bg_atlasapi.store.lifecycle.remove_version", _refuse)
    done = update_atlases.update_atlas(NAME, remotes=str(packages), brainglobe_dir=[own, shared])
    assert (done.after.layer, done.removed) == (own, False)
    versions = [one.version for one in cache.installed([own, shared]) if one.name == NAME]
    assert versions == [(1, 0), (1, 1)]


def _refuse(atlas: cache.InstalledAtlas) -> None:
    raise PermissionError(13, "Permission denied", str(atlas.path))
