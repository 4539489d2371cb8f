"""A folder of atlases made ready for any web server, and what an inventory is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bg_atlasapi import update_atlases
from bg_atlasapi.errors import ChecksumError, InvalidInputError
from bg_atlasapi.store import inventory
from bg_atlasapi.store.inventories import write_inventories
from bg_atlasapi.store.inventory import Entry, Inventory
from bg_atlasapi.testing.server import Server

NAME = "tiny_mouse_100um"
pytestmark = pytest.mark.usefixtures("layer")
Serve = Callable[..., Server]


@pytest.mark.parametrize("at", ["store", "parent"])
def test_of_components(store: Path, at: str) -> None:
    """Each atlas gets one beside its manifest; the index is written only where there is none."""
    written = write_inventories(store if at == "store" else store.parent)
    atlases = store / "atlases"
    names = (NAME, "tiny_mouse_200um")
    assert written == [atlases / name / "3_0" / "inventory.json" for name in names]
    found = Inventory.from_text(written[0].read_text())
    assert found is not None
    assert f"atlases/{NAME}/3_0/manifest.json" in found.entries
    assert "annotations.ome.zarr" in " ".join(found.entries)
    (atlases / "last_versions.conf").unlink()
    written = write_inventories(store)
    assert written[-1] == atlases / "last_versions.conf"
    assert f"{NAME} = 3.0" in written[-1].read_text()
    again = Inventory.from_text((atlases / NAME / "3_0" / "inventory.json").read_text())
    assert again is not None
    assert again.entries == found.entries  # it does not list itself


def test_of_packages(packages: Path, layer: Path, serve: Serve) -> None:
    """One inventory holds the hash of every archive; what differs from it is refused."""
    (packages / "last_versions.conf").unlink()
    assert write_inventories(packages) == [
        packages / "inventory.json",
        packages / "last_versions.conf",
    ]
    assert (packages / "last_versions.conf").read_text() == f"[atlases]\n{NAME} = 1.1\n"
    server = serve(packages, etags=False)
    update_atlases.install_atlas(NAME, remotes=server.url)
    archive = packages / f"{NAME}_v1.0.tar.gz"
    data = archive.read_bytes()
    archive.write_bytes(data + bytes(512))
    with pytest.raises(ChecksumError, match="is not what was published"):
        update_atlases.install_atlas(f"{NAME}@1.0", remotes=server.url)
    assert not (layer / f"{NAME}_v1.0").exists()


def test_a_hash_beside_the_archive(packages: Path) -> None:
    """Without an inventory, a file of sha256sum is heeded."""
    digest = inventory.sha256_of(packages / f"{NAME}_v1.1.tar.gz")
    side = packages / f"{NAME}_v1.1.tar.gz.sha256"
    side.write_text(f"{'0' * 64}  {NAME}_v1.1.tar.gz\n")
    with pytest.raises(ChecksumError, match="SHA-256"):
        update_atlases.install_atlas(NAME, remotes=str(packages))
    side.write_text(f"{digest.upper()}  {NAME}_v1.1.tar.gz\n")
    update_atlases.install_atlas(NAME, remotes=str(packages))
    assert update_atlases.verify_atlas(NAME).sound


def test_a_published_hash_is_checked(store: Path, serve: Serve) -> None:
    """With an inventory each file is held against its SHA-256, whatever serves it."""
    write_inventories(store)
    server = serve(store, etags=False)
    server.set("*template.ome.zarr/s0/c/1/0/0", flip_byte=40)
    with pytest.raises(ChecksumError, match=r"SHA-256 is .* expected"):
        update_atlases.install_atlas(NAME, remotes=server.url)
    server.clear()
    update_atlases.install_atlas(NAME, remotes=server.url)
    assert update_atlases.verify_atlas(NAME).sound


def test_neither(tmp_path: Path) -> None:
    """A folder with neither layout is refused and stays empty."""
    with pytest.raises(InvalidInputError, match="neither archives"):
        write_inventories(tmp_path)
    with pytest.raises(InvalidInputError, match="neither archives"):
        write_inventories(tmp_path / "nothing")
    assert not list(tmp_path.iterdir())


def test_text_and_back() -> None:
    """An inventory survives being written, with any text in it; any change of it is noticed."""
    entries = {key: Entry(key, 3, "ab" * 32, 5) for key in ('a "b"/c\n,', "ü", '"files": [\n')}
    made = Inventory("n", "1.0", "packages", 'o"', "then", entries, ("meshes=CTX+",))
    text = made.to_text()
    assert Inventory.from_text(text) == made
    assert len(text.splitlines()) == len(entries) + 3
    assert Inventory.from_text(Inventory("n", "1.0", "x", "", "").to_text()) is not None
    for other in ("", "[]", "{}", "null", text[:-20], text.replace("then", "now"), "[" * 10**5):
        assert Inventory.from_text(other) is None
    assert Inventory.from_text(text.replace("meshes=CTX+", "meshes=CH+")) is None
    assert Inventory.from_text(text.replace('"packages"', '"components"')) is None


def test_where_atlases_lie() -> None:
    """Layer, name and version are read off a folder of either layout."""
    assert inventory.identify(Path("/l/a_b_25um_v1.2")) == (Path("/l"), "a_b_25um", "1.2")
    store = Path("/l/brainglobe-atlasapi/atlases/a_25um")
    assert inventory.identify(store / "3_1") == (Path("/l"), "a_25um", "3.1")
    assert inventory.identify(store / "3") == (Path("/l"), "a_25um", "3.0")
    assert inventory.identify(Path("/l/plain")) is None
