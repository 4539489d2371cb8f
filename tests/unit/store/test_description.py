"""What is known of atlases, here and elsewhere, without downloading them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bg_atlasapi import list_atlases, settings, update_atlases
from bg_atlasapi.errors import RemoteError, UnknownAtlasError
from bg_atlasapi.testing.server import Server

NAME = "tiny_mouse_100um"
pytestmark = pytest.mark.usefixtures("layer")
Serve = Callable[..., Server]


def test_of_a_package_that_is_not_here(packages: Path, serve: Serve) -> None:
    """Version, origin and size come without a byte of the archive."""
    server = serve(packages)
    facts = update_atlases.atlas_info(NAME, remotes=server.url)
    size = (packages / f"{NAME}_v1.1.tar.gz").stat().st_size
    assert facts["download_bytes"] == size
    assert (facts["version"], facts["layout"], facts["path"]) == ("1.1", "packages", None)
    assert facts["origin"] == f"{server.url}/{NAME}_v1.1.tar.gz"
    assert server.sent("*.tar.gz") == 0
    assert update_atlases.atlas_info(f"{NAME}@1.0", remotes=server.url)["version"] == "1.0"


@pytest.mark.parametrize("way", ["s3", "pages", "nothing"])
def test_of_components_that_are_not_here(store: Path, layer: Path, serve: Serve, way: str) -> None:
    """The manifest tells most; the size comes from a listing, and is unknown without one."""
    server = serve(store, s3_bucket="b" if way == "s3" else None, listing=way == "pages")
    facts = update_atlases.atlas_info(NAME, remotes=server.url)
    assert (facts["species"], facts["resolution_um"]) == ("Mus musculus", (100, 100, 100))
    assert facts["metadata"]["orientation"] == "asr"
    assert facts["citation"].startswith("unpublished")
    assert not [one for one in server.log("*/c/*") if not one.path.endswith("/")]
    assert not (layer / "brainglobe-atlasapi").exists()
    size = facts.get("download_bytes")
    if way == "s3":
        update_atlases.install_atlas(NAME, remotes=server.url)
        here = update_atlases.atlas_info(NAME)
        assert here["size_bytes"] == size
        assert here["parts"] == ["annotation", "hemispheres", "meshes", "references", "template"]
        assert here["origin"] == facts["origin"]
    else:
        assert size is None


def test_of_an_installed_atlas(packages: Path, layer: Path, serve: Serve) -> None:
    """What is here is described from here."""
    server = serve(packages)
    update_atlases.install_atlas(f"{NAME}@1.0", remotes=server.url)
    server.reset_log()
    facts = update_atlases.atlas_info(NAME, remotes=server.url)
    assert facts["path"] == str(layer / f"{NAME}_v1.0")
    assert facts["installed_versions"] == ["1.0"]
    assert facts["size_bytes"] == sum(
        one.stat().st_size for one in Path(facts["path"]).rglob("*") if one.is_file()
    )
    assert server.log() == []
    assert update_atlases.atlas_info(f"{NAME}@1.1", remotes=server.url)["path"] is None


def test_of_unknown_and_unreachable(packages: Path) -> None:
    """A published atlas is described without a network; one nobody knows is an error."""
    facts = update_atlases.atlas_info("allen_mouse_25um", remotes="http://127.0.0.1:9")
    assert facts["species"] == "Mus musculus"
    assert facts["version"] is None
    with pytest.raises(RemoteError):
        update_atlases.atlas_info("allen_mouse_25um@1.0", remotes="http://127.0.0.1:9")
    with pytest.raises(UnknownAtlasError, match=NAME):
        update_atlases.atlas_info("tiny_mouse_10um", remotes=str(packages))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, 3),
        ({"name": "tiny"}, 2),
        ({"name": "TINY*200um"}, 1),
        ({"name": "mouse*"}, 0),
        ({"resolution": 200}, 1),
        ({"species": "mus m"}, 2),
        ({"installed": True}, 2),
        ({"installed": False}, 1),
        ({"installed": True, "name": "tiny"}, 1),
    ],
)
def test_filters(store: Path, filters: dict[str, object], expected: int) -> None:
    """Each filter narrows the list; together they narrow it further."""
    update_atlases.install_atlas(NAME, remotes=str(store))
    found = list_atlases.available_atlases(remotes=str(store), **filters)  # type: ignore[arg-type]
    assert len(found) == expected
    columns = ["name", "species", "resolution", "versions", "local", "latest", "size_bytes"]
    assert list(found.columns) == [*columns, "path", "origin", "citation"]


def test_without_a_network(monkeypatch: pytest.MonkeyPatch, layer: Path) -> None:
    """The facts that come with the package answer before anything was ever asked."""
    monkeypatch.delenv("BRAINGLOBE_REMOTES")
    monkeypatch.setenv("BRAINGLOBE_OFFLINE", "1")
    found = list_atlases.available_atlases(resolution=25, species="mus").set_index("name")
    row = found.loc["allen_mouse_25um"]
    assert row["local"] is None
    assert row["origin"] in settings.DEFAULT_REMOTES
    assert row["citation"]
    assert not layer.exists()


def test_odd_metadata_do_not_break_the_list(packages: Path) -> None:
    """An installed atlas with damaged or odd metadata is still listed."""
    done = update_atlases.install_atlas(NAME, remotes=str(packages))
    for text in ("", "[]", '{"species": ["a"], "resolution": "x", "citation": {}}', "{" * 10**4):
        (done.path / "metadata.json").write_text(text)
        row = list_atlases.available_atlases(name=NAME).iloc[0]
        assert row["local"] == "1.1"
