"""Atlases whose files come when they are first read: what is asked for, verified, and no more."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bg_atlasapi import BrainGlobeAtlas, cli, update_atlases
from bg_atlasapi.errors import (
    ChecksumError,
    IncompleteAtlasError,
    InvalidAtlasError,
    InvalidInputError,
    OfflineError,
    StorageError,
)
from bg_atlasapi.store import awaited, inventory
from bg_atlasapi.store.inventories import write_inventories
from bg_atlasapi.testing import tiny_components
from bg_atlasapi.testing.server import Fault, Server

NAME = "tiny_mouse_100um"
ANNOTATION = "annotation-sets/tiny_mouse-annotation/3_0/annotations_compressed.ome.zarr"
CHUNK = f"{ANNOTATION}/s0/c/1/0/0"
Serve = Callable[..., Server]
pytestmark = pytest.mark.usefixtures("layer")


@pytest.fixture
def published(store: Path) -> Path:
    """Return a store with inventories, as ``brainglobe inventory`` leaves it."""
    write_inventories(store)
    return store


@pytest.fixture
def server(published: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Serve the store as the only remote."""
    running = serve(published)
    monkeypatch.setenv("BRAINGLOBE_REMOTES", running.url)
    return running


@pytest.fixture
def whole(published: Path) -> BrainGlobeAtlas:
    """Return the atlas as it is published."""
    return BrainGlobeAtlas.from_path(published / "atlases" / NAME / "3_0")


def on_demand(**options: object) -> BrainGlobeAtlas:
    """Open the atlas, installed on demand at first."""
    return BrainGlobeAtlas(NAME, only="on-demand", check_latest=False, **options)


def asked(server: Server) -> list[str]:
    """Return what was asked for since this was last called."""
    paths = [one.path.lstrip("/") for one in server.log("*")]
    server.reset_log()
    return paths


def test_a_slice_brings_its_chunks_only(server: Server, whole: BrainGlobeAtlas) -> None:
    """Opening brings no chunk and no mesh; a slice brings what it touches, once."""
    atlas = on_demand()
    assert not [path for path in asked(server) if "/c/" in path or path.endswith("/688")]
    volume = atlas.volumes["annotation"]
    assert np.array_equal(volume[7], whole.annotation[7])
    assert sorted(asked(server)) == [f"{ANNOTATION}/s0/c/1/0/{k}" for k in (0, 1)]
    assert np.array_equal(volume[8], whole.annotation[8])
    assert np.array_equal(on_demand().volumes["annotation"][7], whole.annotation[7])
    assert asked(server) == []


def test_points_boxes_and_meshes(server: Server, whole: BrainGlobeAtlas) -> None:
    """Whatever is asked is answered as the whole atlas answers, for what it touches."""
    atlas = on_demand()
    asked(server)
    points = [[250, 350, 450], [1100, 350, 450]]
    assert atlas.lookup(points).equals(whole.lookup(points))
    assert sum("/c/" in path for path in asked(server)) == 4  # labels, and hemispheres
    box = ([0, 0, 0], [500, 800, 500])
    assert np.array_equal(atlas.volumes["template"].box(*box), whole.volumes["template"].box(*box))
    assert sum("/c/" in path for path in asked(server)) == 1
    found = [one["id"] for one in atlas.structures_list if atlas._model.meshes.has(one["id"])]
    assert asked(server) == []
    assert found == [
        one["id"] for one in whole.structures_list if whole._model.meshes.has(one["id"])
    ]
    mesh = atlas.mesh_from_structure("root")
    assert np.array_equal(mesh.points, whole.mesh_from_structure("root").points)
    assert len(asked(server)) == 2


@pytest.mark.usefixtures("server")
def test_everything_reads_as_published(whole: BrainGlobeAtlas) -> None:
    """Volumes, hemispheres, references, other levels; pickled or exported."""
    atlas = pickle.loads(pickle.dumps(on_demand()))
    assert np.array_equal(atlas.annotation, whole.annotation)
    assert np.array_equal(atlas.hemispheres, whole.hemispheres)
    nissl = whole.additional_references["nissl"]
    assert np.array_equal(atlas.additional_references["nissl"], nissl)
    assert atlas.volumes["template"].levels == whole.volumes["template"].levels
    level = atlas.volumes["template"].level(200)
    assert not level.derived
    assert np.array_equal(level[:], whole.volumes["template"].level(200)[:])


@pytest.mark.usefixtures("server")
def test_later_reads_need_no_network(
    whole: BrainGlobeAtlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came stays; what did not is an error that names the remote, not zeros."""
    on_demand().volumes["annotation"][7]
    monkeypatch.setenv("BRAINGLOBE_OFFLINE", "1")
    atlas = BrainGlobeAtlas(NAME)
    assert np.array_equal(atlas.volumes["annotation"][7], whole.annotation[7])
    with pytest.raises(OfflineError, match=r"BRAINGLOBE_OFFLINE is set, so http://127\.0\.0\.1"):
        atlas.volumes["annotation"][0]
    with pytest.raises(OfflineError):
        atlas.annotation  # noqa: B018


@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_damage_comes_anew(server: Server, layer: Path, whole: BrainGlobeAtlas, how: str) -> None:
    """A chunk that was here and is damaged is fetched again."""
    on_demand().volumes["annotation"][7]
    path = layer / "brainglobe-atlasapi" / CHUNK
    data = path.read_bytes()
    path.unlink()
    if how != "gone":
        path.write_bytes(data[:-3] if how == "cut" else bytes([data[0] ^ 1]) + data[1:])
    asked(server)
    assert np.array_equal(on_demand().volumes["annotation"][7], whole.annotation[7])
    assert asked(server) == [CHUNK]
    assert path.read_bytes() == data


@pytest.mark.usefixtures("server")
def test_a_file_that_vanishes_under_an_open_atlas(
    layer: Path, whole: BrainGlobeAtlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is brought again: never zeros for what was there."""
    monkeypatch.setenv("BRAINGLOBE_CACHE_BYTES", "0")
    atlas = on_demand()
    chunk = layer / inventory.COMPONENT_STORE / CHUNK
    for _ in range(2):
        assert np.array_equal(atlas.volumes["annotation"][7], whole.annotation[7])
        chunk.unlink()


@pytest.mark.usefixtures("server")
def test_an_atlas_that_is_removed_while_it_is_open(layer: Path) -> None:
    """It says so, and brings nothing that would belong to nobody."""
    atlas = on_demand()
    assert atlas.volumes["annotation"][7].any()
    update_atlases.remove_atlas(NAME)
    left = sorted(layer.rglob("*"))
    for plane in (7, 2):
        with pytest.raises(IncompleteAtlasError, match="was removed from .* while it was open"):
            atlas.volumes["annotation"][plane]
    assert sorted(layer.rglob("*")) == left


@pytest.mark.usefixtures("server")
def test_what_is_not_as_published_is_refused(published: Path, layer: Path) -> None:
    """A chunk that changed at the remote is an error; the old one, were it here, would stay."""
    atlas = on_demand()
    data = (published / CHUNK).read_bytes()
    (published / CHUNK).write_bytes(data[:-1] + b"x")
    with pytest.raises(ChecksumError, match="is not what was published"):
        atlas.volumes["annotation"][7]
    assert not (layer / "brainglobe-atlasapi" / CHUNK).exists()


def test_broken_servers_are_asked_again(server: Server, whole: BrainGlobeAtlas) -> None:
    """A connection that breaks, or a busy server, costs time only."""
    atlas = on_demand()
    server.set(f"/{CHUNK}", Fault(status=503, times=1))
    server.set(f"/{ANNOTATION}/s0/c/1/0/1", Fault(close_after=5, times=1))
    assert np.array_equal(atlas.volumes["annotation"][7], whole.annotation[7])


def test_without_inventory_what_a_listing_says_counts(
    store: Path, serve: Serve, layer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket that is listed has sizes and MD5; what came is recorded with its SHA-256."""
    running = serve(store, s3_bucket="bucket")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", running.url)
    monkeypatch.setenv("BRAINGLOBE_REMOTES", "s3://bucket")
    whole = BrainGlobeAtlas.from_path(store / "atlases" / NAME / "3_0")
    atlas = on_demand()
    assert np.array_equal(atlas.volumes["annotation"][7], whole.annotation[7])
    known = inventory.load(layer, NAME, "3.0")
    assert known is not None
    assert known.entries[CHUNK].sha256 == inventory.sha256_of(store / CHUNK)
    (layer / "brainglobe-atlasapi" / CHUNK).write_bytes(b"")
    assert np.array_equal(on_demand().volumes["annotation"][7], whole.annotation[7])


@pytest.mark.usefixtures("server")
def test_verify_and_repair(layer: Path) -> None:
    """Verifying looks at what is here, and repairs that."""
    on_demand().volumes["annotation"][7]
    assert update_atlases.verify_atlas(NAME).sound
    (layer / "brainglobe-atlasapi" / CHUNK).write_bytes(b"x")
    found = update_atlases.verify_atlas(NAME)
    assert [one.key for one in found.damaged] == [CHUNK]
    assert update_atlases.verify_atlas(NAME, repair=True).repaired == (CHUNK,)
    assert update_atlases.verify_atlas(NAME).sound


def test_the_rest_can_be_brought(
    server: Server, whole: BrainGlobeAtlas, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``--only`` brings whole parts; then the atlas needs no remote and can be carried."""
    on_demand().volumes["annotation"][7]
    with pytest.raises(InvalidInputError, match="files of tiny_mouse_100um are not here yet"):
        update_atlases.bundle_atlas(NAME, tmp_path)
    asked(server)
    parts = ["template", "annotation", "hemispheres", "meshes", "references", "pyramid"]
    update_atlases.install_atlas(NAME, only=parts)
    assert CHUNK not in asked(server)
    assert update_atlases.bundle_atlas(NAME, tmp_path).is_file()
    monkeypatch.setenv("BRAINGLOBE_OFFLINE", "1")
    atlas = BrainGlobeAtlas(NAME, only="on-demand")
    assert np.array_equal(atlas.annotation, whole.annotation)


def test_an_installed_atlas_stays_whole(server: Server, layer: Path) -> None:
    """Asked for on demand, what is installed is opened as it is."""
    update_atlases.install_atlas(NAME)
    asked(server)
    on_demand()
    assert asked(server) == []
    assert not awaited.path_of(layer, NAME, "3.0").exists()


def test_parts_may_come_now_and_others_later(server: Server) -> None:
    """``--only on-demand,template`` brings the template."""
    update_atlases.install_atlas(NAME, only="on-demand,template")
    assert any("tiny_mouse-template" in path and "/c/" in path for path in asked(server))
    atlas = BrainGlobeAtlas(NAME, check_latest=False)
    atlas.reference  # noqa: B018
    assert asked(server) == []
    atlas.annotation  # noqa: B018
    assert asked(server)


def test_packages_come_whole(packages: Path, serve: Serve, layer: Path) -> None:
    """An archive cannot be read in the middle."""
    atlas = on_demand(remotes=serve(packages).url)
    assert atlas.root_dir == layer / f"{NAME}_v1.1"
    assert (atlas.root_dir / "meshes").is_dir()


@pytest.mark.usefixtures("server")
def test_update_stays_on_demand(published: Path, layer: Path) -> None:
    """The new version comes on demand too; of the old one nothing is left."""
    on_demand().volumes["annotation"][7]
    tiny_components(published.parent, symmetric=False, version="3.1")
    (published / "atlases" / "last_versions.conf").write_text(f"[atlases]\n{NAME} = 3.1\n")
    write_inventories(published)
    done = update_atlases.update_atlas(NAME)
    assert done.after.version == (3, 1)
    assert awaited.path_of(layer, NAME, "3.1").exists()
    kept = [path.name for path in (layer / ".bg_atlasapi" / "inventories").iterdir()]
    assert not [name for name in kept if "v3.0" in name]
    assert BrainGlobeAtlas(NAME, check_latest=False).volumes["annotation"][7].any()


@pytest.mark.usefixtures("server")
def test_remove_and_prune_leave_nothing(layer: Path) -> None:
    """Chunks that came and the notes of others go with the atlas."""
    on_demand().volumes["annotation"][7]
    update_atlases.remove_atlas(NAME)
    assert not [path for path in (layer / "brainglobe-atlasapi").rglob("*") if path.is_file()]
    assert not [*(layer / ".bg_atlasapi" / "inventories").iterdir()]
    on_demand().volumes["annotation"][7]
    shutil.rmtree(layer / "brainglobe-atlasapi")
    update_atlases.prune_atlases()
    assert not [*(layer / ".bg_atlasapi" / "inventories").iterdir()]


def test_another_atlas_in_the_same_store(server: Server, published: Path, layer: Path) -> None:
    """Components are shared; a different file of the same name is never put in place of one."""
    on_demand()
    update_atlases.install_atlas("tiny_mouse_200um", only=["annotation", "pyramid", "template"])
    (layer / "brainglobe-atlasapi" / CHUNK).chmod(0o644)
    asked(server)
    on_demand().volumes["annotation"][7]
    assert asked(server) == []  # they are what is published
    update_atlases.remove_atlas(NAME)
    assert (layer / "brainglobe-atlasapi" / CHUNK).is_file()
    on_demand()
    for key in (CHUNK, f"{ANNOTATION}/s0/c/1/0/1"):
        data = (published / key).read_bytes()
        (published / key).write_bytes(data + b"x")
    write_inventories(published)
    update_atlases.remove_atlas(NAME)
    with pytest.raises(InvalidAtlasError, match="tiny_mouse_200um"):
        on_demand().volumes["annotation"][7]


READ_PLANES = """
import sys
import numpy as np
from bg_atlasapi import BrainGlobeAtlas
volume = BrainGlobeAtlas(sys.argv[1], check_latest=False).volumes["annotation"]
np.save(sys.argv[2], np.stack([volume[number] for number in range(12)]))
"""


def test_threads_and_processes_read_at_once(
    server: Server, whole: BrainGlobeAtlas, tmp_path: Path
) -> None:
    """All are right, and threads of one process do not fetch twice."""
    atlas = on_demand()
    asked(server)
    found: dict[int, np.ndarray] = {}
    threads = [
        threading.Thread(target=lambda i=i: found.update({i: atlas.volumes["annotation"][i % 12]}))
        for i in range(36)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(plane, whole.annotation[i % 12]) for i, plane in found.items())
    paths = asked(server)
    assert len(found) == 36
    assert len(paths) == len(set(paths)) == 4
    update_atlases.remove_atlas(NAME)
    on_demand()
    targets = [tmp_path / f"{number}.npy" for number in range(4)]
    running = [
        subprocess.Popen([sys.executable, "-c", READ_PLANES, NAME, str(target)])
        for target in targets
    ]
    assert [process.wait(120) for process in running] == [0] * 4
    for target in targets:
        assert np.array_equal(np.load(target), whole.annotation)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_amid_a_fetch(server: Server, layer: Path) -> None:
    """The thread that fetched does not exist in the child, which fetches for itself."""
    atlas = on_demand()
    assert atlas.volumes["annotation"][7].any()
    server.set("*/s0/c/0/0/0", slow=10)
    thread = threading.Thread(target=lambda: atlas.volumes["annotation"][2])
    thread.start()
    while not server.log("*/s0/c/0/0/0"):
        thread.join(0.01)
    server.clear()
    child = multiprocessing.get_context("fork").Process(
        target=lambda: atlas.volumes["annotation"][2]
    )
    child.start()
    child.join(60)
    child.kill()
    thread.join()
    assert child.exitcode == 0
    assert (layer / inventory.COMPONENT_STORE / ANNOTATION / "s0" / "c" / "0" / "0" / "0").is_file()


@pytest.mark.usefixtures("server")
def test_notes_that_are_torn_or_damaged(layer: Path, whole: BrainGlobeAtlas) -> None:
    """A torn line of what came costs a look at the file; a damaged list of what may come tells."""
    on_demand().volumes["annotation"][7]
    added = inventory.path_of(layer, NAME, "3.0").with_suffix(".added")
    added.write_bytes(added.read_bytes()[:-20] + b'\n["x", 1]\n[[[[')
    assert np.array_equal(on_demand().volumes["annotation"][7], whole.annotation[7])
    path = awaited.path_of(layer, NAME, "3.0")
    path.write_text(path.read_text()[:-50])
    with pytest.raises(IncompleteAtlasError, match="brainglobe update -f tiny_mouse_100um"):
        on_demand().volumes["annotation"][7]
    update_atlases.update_atlas(NAME, force=True)
    assert np.array_equal(on_demand().volumes["annotation"][7], whole.annotation[7])


@pytest.mark.usefixtures("server")
def test_a_layer_that_cannot_be_written_to(layer: Path) -> None:
    """The error says which folder, and what was wanted."""
    atlas = on_demand()
    store = layer / "brainglobe-atlasapi" / ANNOTATION / "s0" / "c"
    store.write_text("in the way")
    with pytest.raises((StorageError, OSError), match="s0/c"):
        atlas.volumes["annotation"][7]


def test_a_login_is_never_noted(published: Path, serve: Serve, layer: Path) -> None:
    """It is taken from the settings each time."""
    address = serve(published).url.replace("http://", "http://me:secret@")
    on_demand(remotes=address)
    noted = awaited.path_of(layer, NAME, "3.0").read_text()
    assert "secret" not in noted
    assert json.loads(noted)["remote"].startswith("http://127.0.0.1")


def test_the_command_line(server: Server) -> None:
    """``install --only on-demand``, and what ``info`` says of it."""
    installed = CliRunner().invoke(cli.bg_cli, ["install", NAME, "--only", "on-demand"])
    assert installed.exit_code == 0
    assert not [path for path in asked(server) if "/c/" in path]
    told = CliRunner().invoke(cli.bg_cli, ["info", NAME, "--json"])
    assert json.loads(told.stdout)["parts"] == ["on-demand"]


def test_a_notebook_brings_nothing(server: Server) -> None:
    """Showing an atlas that is not here yet asks the remote for nothing: it has no pictures."""
    atlas = on_demand()
    asked(server)
    text = atlas._repr_html_()
    assert asked(server) == []
    assert "<img" not in text
    assert "structures" in text
