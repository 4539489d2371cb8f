"""Folders that only look like atlases, and atlases that share a store, are told apart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bg_atlasapi import BrainGlobeAtlas, update_atlases
from bg_atlasapi.errors import InvalidAtlasError
from bg_atlasapi.list_atlases import get_downloaded_atlases
from bg_atlasapi.store import inventory
from bg_atlasapi.testing import tiny_components, tiny_package

NAME = "tiny_mouse_100um"


@pytest.fixture
def packages(tmp_path: Path, pack: Callable[[Path, Path], Path], offer: Callable[..., None]) -> str:
    """Return a remote with the packaged atlas, versions 1.1 and 1.2."""
    remote = tmp_path / "packages"
    remote.mkdir()
    for version in ("1.1", "1.2"):
        made = tiny_package(tmp_path / "made", version=version)
        pack(made, remote / f"{made.name}.tar.gz")
    offer(remote, f"{NAME} = 1.2")
    return str(remote)


@pytest.fixture
def store(tmp_path: Path, offer: Callable[..., None]) -> Path:
    """Return a remote with the component atlas."""
    tiny_components(tmp_path / "remote")
    offer(tmp_path / "remote" / "brainglobe-atlasapi", f"{NAME} = 3.0", where="atlases")
    return tmp_path / "remote"


def test_an_empty_folder_is_no_atlas(layer: Path, packages: str) -> None:
    """It is not listed, and installing puts the atlas there."""
    (layer / f"{NAME}_v1.2").mkdir(parents=True)
    assert NAME not in get_downloaded_atlases()
    assert BrainGlobeAtlas(NAME, remotes=packages).local_version == (1, 2)
    assert update_atlases.verify_atlas(NAME).sound


def test_what_an_interrupted_tool_left_is_replaced(layer: Path, packages: str) -> None:
    """A folder that lacks files every atlas has does not count as installed."""
    shutil.copytree(
        tiny_package(layer.parent / "other", version="1.2"),
        layer / f"{NAME}_v1.2",
        ignore=shutil.ignore_patterns("annotation.tiff"),
    )
    update_atlases.install_atlas(NAME, remotes=packages)
    assert BrainGlobeAtlas(NAME).annotation.any()


def test_prune_removes_only_what_was_installed(layer: Path, packages: str) -> None:
    """Neither folders of others, nor a good version for the sake of an empty newer folder."""
    update_atlases.install_atlas(f"{NAME}@1.1", remotes=packages)
    for name in (f"{NAME}_v1.3", "mydata_v1.0", "mydata_v2.0"):
        (layer / name).mkdir()
        (layer / name / "precious.txt").write_text("mine")
    assert update_atlases.prune_atlases() == []
    update_atlases.install_atlas(f"{NAME}@1.2", remotes=packages)
    assert [one.path.name for one in update_atlases.prune_atlases()] == [f"{NAME}_v1.1"]
    assert (layer / "mydata_v1.0" / "precious.txt").is_file()


def other_atlas(store: Path, change: Callable[[dict[str, object]], None]) -> str:
    """Add an atlas to a copy of a store, with a manifest that was changed, and return its name."""
    atlases = store / "brainglobe-atlasapi" / "atlases"
    name = "lab_mouse_100um"
    shutil.copytree(atlases / NAME, atlases / name)
    manifest = atlases / name / "3_0" / "manifest.json"
    stated = json.loads(manifest.read_text())
    stated["location"] = f"/atlases/{name}/3_0"
    change(stated)
    manifest.write_text(json.dumps(stated))
    (atlases / "last_versions.conf").write_text(f"[atlases]\n{name} = 3.0\n{NAME} = 3.0\n")
    return name


@pytest.mark.usefixtures("layer")
def test_a_component_of_another_atlas_is_not_replaced(tmp_path: Path, store: Path) -> None:
    """Same name, same version, other content: refused, and the first atlas stays sound."""
    update_atlases.install_atlas(NAME, remotes=str(store))
    second = tmp_path / "second"
    shutil.copytree(store, second)
    name = other_atlas(second, lambda _: None)
    table = next(second.rglob("terminology.csv"))
    table.write_text(table.read_text().replace("Cerebrum", "Felt"))
    with pytest.raises(InvalidAtlasError, match="component-conflict"):
        update_atlases.install_atlas(name, remotes=str(second))
    assert update_atlases.verify_atlas(NAME).sound
    assert BrainGlobeAtlas(NAME).structures["CH"].name == "Cerebrum"


@pytest.mark.parametrize(
    "place", ["/atlases/tiny_mouse_100um/3_0", "/terminologies", "/templates/x/3_0/y"]
)
def test_a_manifest_names_components_only(layer: Path, store: Path, place: str) -> None:
    """A terminology lies in terminologies/<name>/<version>, nowhere else."""

    def change(stated: dict[str, object]) -> None:
        stated["terminology"] = {"name": "x", "version": "3.0", "location": place}

    name = other_atlas(store, change)
    with pytest.raises(InvalidAtlasError, match="terminologies/<name>/<version>"):
        update_atlases.install_atlas(name, remotes=str(store))
    assert not layer.exists() or not list(layer.rglob("manifest.json"))


@pytest.mark.usefixtures("layer")
def test_the_manifest_of_another_atlas_is_refused(store: Path) -> None:
    """What came is compared with what was asked for, before anything is installed."""
    name = other_atlas(store, lambda stated: stated.update(location=f"/atlases/{NAME}/3_0"))
    with pytest.raises(InvalidAtlasError, match="version-mismatch"):
        update_atlases.install_atlas(name, remotes=str(store))
    assert name not in get_downloaded_atlases()


def a_chunk(layer: Path) -> Path:
    """Return a chunk of the annotation."""
    return next(layer.rglob("annotations_compressed.ome.zarr/s0/c/*/*/*"))


@pytest.mark.parametrize("record", ["none", "damaged"])
def test_adoption_compares_with_the_remote(layer: Path, store: Path, record: str) -> None:
    """A chunk that was gone before there was a record is named, and fetched."""
    update_atlases.install_atlas(NAME, remotes=str(store))
    path = inventory.path_of(layer, NAME, "3.0")
    if record == "none":
        path.unlink()
    else:
        path.write_text(path.read_text().replace("components", "componentz", 1))
    chunk = a_chunk(layer)
    data = chunk.read_bytes()
    chunk.unlink()
    found = update_atlases.verify_atlas(NAME, remotes=str(store))
    assert [damage.key.rpartition("/s0/")[2] for damage in found.damaged] == [
        chunk.as_posix().rpartition("/s0/")[2]
    ]
    assert not found.adopted
    mended = update_atlases.verify_atlas(NAME, remotes=str(store), repair=True)
    assert mended.sound
    assert mended.adopted
    assert chunk.read_bytes() == data


def test_a_deleted_manifest_is_named_and_fetched(layer: Path, store: Path) -> None:
    """The inventory remembers an atlas that lost what it is known by."""
    update_atlases.install_atlas(NAME, remotes=str(store))
    shutil.rmtree(layer / "brainglobe-atlasapi" / "atlases" / NAME)
    found = update_atlases.verify_atlas(NAME)
    assert [damage.key for damage in found.damaged] == [f"atlases/{NAME}/3_0/manifest.json"]
    assert update_atlases.verify_atlas(NAME, remotes=str(store), repair=True).sound
    assert BrainGlobeAtlas(NAME).annotation.any()


def test_parts_do_not_hide_a_whole_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    """Asking for one more part of a lab's atlas gives the user a copy with all parts."""
    lab, mine = tmp_path / "lab", tmp_path / "mine"
    update_atlases.install_atlas(NAME, remotes=str(store), brainglobe_dir=lab)
    monkeypatch.setenv("BRAINGLOBE_DIR", f"{mine}:{lab}")
    update_atlases.install_atlas(NAME, remotes=str(store), only="masks")
    atlas = BrainGlobeAtlas(NAME)
    assert mine in atlas.root_dir.parents
    assert atlas.annotation.any()
