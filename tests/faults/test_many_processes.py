"""Many processes want the same atlas at once, with locks and without, and some of them die."""

from __future__ import annotations

import random
import threading
import time

import pytest

from bg_atlasapi.store import cache, pruning, verification
from bg_atlasapi.store.lifecycle import Library
from bg_atlasapi.store.workshop import Workshop
from bg_atlasapi.testing.server import Server
from bg_atlasapi.update_atlases import install_atlas

NAME = "noise_mouse_100um"
MANY = 16
OPEN = """
import hashlib
from bg_atlasapi.store.transfer import download, files
download.PIECE, files._LARGE = 1 << 18, 1 << 19
from bg_atlasapi import BrainGlobeAtlas
atlas = BrainGlobeAtlas(name, brainglobe_dir=layer, remotes=remote, check_latest=False)
volumes = (atlas.annotation, atlas.reference)
answer = [hashlib.sha256(volume.tobytes()).hexdigest() for volume in volumes]
"""
KEEP_CHILD = """
import os, signal, time
from pathlib import Path
from bg_atlasapi.store import process_lock
lock = Path(lock)
with process_lock.waiting(lock):
    inside = process_lock.held(lock)
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
answer = [inside, process_lock.held(lock)]
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
"""


@pytest.fixture(params=["packages", "components"])
def remote(request, tmp_path, making):
    """Return a folder to serve, the atlas's files, and the bytes of one download."""
    folder = tmp_path / "remote"
    if request.param == "packages":
        files = making.publish_package(folder)
        size = (folder / f"{NAME}_v1.0.tar.gz").stat().st_size
    else:
        files = making.publish_components(folder)
        size = sum((folder / making.STORE / key).stat().st_size for key in files)
    making.add_inventories(folder)
    return folder, files, size


def _jobs(server, layer, kill_after=(), **env):
    given = {"name": NAME, "layer": str(layer), "remote": server.url}
    moments = [*kill_after, *[None] * (MANY - len(kill_after))]
    return [{"code": OPEN, "given": given, "env": env, "kill_after": one} for one in moments]


def _check(ends, layer, making, files) -> None:
    """Prove that all who were not killed got the same data, and that it is what was published."""
    alive = [one for one in ends if not one["killed"]]
    assert [one["error"] for one in alive if one["error"]] == []
    assert len({tuple(one["answer"]) for one in alive}) == 1
    (atlas,) = [one for one in cache.installed([layer]) if one.layer == layer]
    packages = atlas.layout == "packages"
    here = making.hashes(atlas.path if packages else layer / making.STORE)
    assert here == files
    assert verification.verify(Library([layer], remotes=[]), atlas).damaged == ()


def _left(layer) -> list[str]:
    own = layer / ".bg_atlasapi"
    files = [one.relative_to(own) for one in own.rglob("*") if one.is_file()]
    return [str(one) for one in files if one.parts[0] not in {"locks", "inventories", "index"}]


def test_sixteen_processes_download_once(remote, tmp_path, making, new_workers, record_property):
    """All get the right data, for little more than the bytes of one download; nothing is left."""
    folder, files, size = remote
    with Server(folder, rate=4_000_000) as server:
        ends = new_workers().run(*_jobs(server, tmp_path / "layer"))
        sent = server.sent()
    _check(ends, tmp_path / "layer", making, files)
    record_property("of one download", sent / size)
    assert sent <= 1.1 * size
    assert _left(tmp_path / "layer") == []


def test_without_locks_all_get_the_right_data(remote, tmp_path, making, new_workers):
    """Where nobody can wait for anybody, more is downloaded and nothing goes wrong."""
    folder, files, _ = remote
    with Server(folder, rate=4_000_000) as server:
        ends = new_workers().run(*_jobs(server, tmp_path / "layer", BRAINGLOBE_LOCKS="0"))
    _check(ends, tmp_path / "layer", making, files)
    assert _left(tmp_path / "layer") == []


@pytest.mark.parametrize("locks", ["1", "0"])
def test_some_of_many_are_killed(remote, locks, tmp_path, making, new_workers):
    """Whoever is killed, the others get the right data, and prune clears what is left."""
    folder, files, _ = remote
    rng = random.Random(f"{locks}{len(files)}")
    workers = new_workers()
    with Server(folder, rate=1_000_000) as server:
        for turn in range(2):
            layer = tmp_path / f"layer{turn}"
            moments = [rng.uniform(0.0, 1.5) for _ in range(MANY - 4)]
            ends = workers.run(*_jobs(server, layer, moments, BRAINGLOBE_LOCKS=locks))
            _check(ends, layer, making, files)
            pruning.prune(Library([layer], remotes=[]))
            assert _left(layer) == []
            assert list(layer.rglob("*~*")) == []


def test_a_lock_ends_with_its_block_though_a_child_lives(tmp_path, new_workers):
    """A process forked while a lock was held has its file open too, and does not keep it."""
    lock = tmp_path / "a.lock"
    (ended,) = new_workers().run({"code": KEEP_CHILD, "given": {"lock": str(lock)}})
    assert ended["answer"] == [True, False], ended["error"]


def test_prune_leaves_an_installation_under_way_alone(remote, tmp_path, making, new_workers):
    """Pruning again and again while an atlas is installed neither breaks nor delays it."""
    folder, files, size = remote
    layer = tmp_path / "layer"
    with Server(folder, rate=1_000_000) as server:
        workers, ends = new_workers(), []
        job = _jobs(server, layer)[0]
        thread = threading.Thread(target=lambda: ends.extend(workers.run(job)))
        thread.start()
        while thread.is_alive():
            pruning.prune(Library([layer], remotes=[]))
            time.sleep(0.01)
        thread.join()
        sent = server.sent()
    _check(ends, layer, making, files)
    assert sent <= 1.1 * size


def test_what_other_machines_left_does_not_disturb(remote, tmp_path):
    """Half-made things of another host stay until prune, and nothing fails because of them."""
    folder, _, _ = remote
    layer = tmp_path / "layer"
    workshop = Workshop.of(layer)
    foreign = workshop.staging / f"{NAME}_v1.0~elsewhere~1~00000000"
    foreign.mkdir(parents=True)
    (foreign / "annotation.tiff").write_bytes(b"half")
    part = workshop.downloads / "components" / "0123.part~elsewhere~1~00000000"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")
    install_atlas(NAME, brainglobe_dir=layer, remotes=str(folder))
    assert foreign.is_dir()
    assert part.is_file()
    pruning.prune(Library([layer], remotes=[]))
    assert not foreign.exists()
    assert not part.exists()
    (atlas,) = [one for one in cache.installed([layer]) if one.layer == layer]
    assert verification.verify(Library([layer], remotes=[]), atlas).sound


def test_no_threads_are_left_behind(remote, tmp_path):
    """Installing ends the threads it starts."""
    before = set(threading.enumerate())
    with Server(remote[0]) as server:
        install_atlas(NAME, brainglobe_dir=tmp_path / "layer", remotes=server.url)
        assert set(threading.enumerate()) - before == set()
