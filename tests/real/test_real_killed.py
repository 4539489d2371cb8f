"""Kill -9 while the real 100 µm atlas is downloaded, as users' machines do: real sizes and pieces."""

from __future__ import annotations

import importlib.util
import random
import shutil
import sys
from pathlib import Path

import pytest

from bg_atlasapi.store import cache, verification
from bg_atlasapi.store.lifecycle import Library
from bg_atlasapi.testing.server import Server

NAME = "allen_mouse_100um"
KILLS = 4
MAKING = Path(__file__).parents[1] / "faults" / "making.py"
INSTALL = """
from bg_atlasapi.update_atlases import install_atlas
install_atlas(name, brainglobe_dir=layer, remotes=remote)
"""


@pytest.fixture
def making():
    """Return the module that starts processes to kill."""
    spec = importlib.util.spec_from_file_location("bg_atlasapi_test_making", MAKING)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["packages", "components"])
def remote(request, shared_data, tmp_path, making):
    """Return a folder to serve, the atlas's files, hashed, and their bytes as they are sent."""
    folder = tmp_path / "remote"
    folder.mkdir()
    if request.param == "packages":
        archive = folder / f"{NAME}_v1.2.tar.gz"
        shutil.copyfile(shared_data / archive.name, archive)
        making.add_inventories(folder)
        unpacked = request.getfixturevalue("allen_100um")
        return folder, making.hashes(unpacked), archive.stat().st_size
    manifest = request.getfixturevalue("allen_100um_v3")
    store = folder / making.STORE
    shutil.copytree(manifest.parents[2], store)
    making.add_inventories(folder)
    atlas = cache.InstalledAtlas(NAME, (3, 0), store / "atlases" / NAME / "3_0")
    wanted = [path.relative_to(store).as_posix() for path in verification.component_files(atlas)]
    every = making.hashes(store)
    size = sum((store / key).stat().st_size for key in wanted)
    return folder, {key: every[key] for key in wanted}, size


@pytest.mark.skipif(sys.platform == "win32", reason="kills copies of a process")
def test_a_killed_download_of_a_real_atlas_goes_on(
    remote, tmp_path, making, record_property
) -> None:
    """Whole or absent after each kill, and at most 5 % of what had come is sent again."""
    folder, files, size = remote
    rng, workers, shares = random.Random(7), making.Workers(), []
    own = (".conf", "inventory.json")

    def installed() -> list:
        return [one for one in cache.installed([layer]) if one.layer == layer]

    with Server(folder, rate=6_000_000 if size > 4e7 else 1_500_000) as server:
        for turn in range(KILLS):
            layer = tmp_path / f"layer{turn}"
            given = {"name": NAME, "layer": str(layer), "remote": server.url}
            server.reset_log()
            job = {"code": INSTALL, "given": given, "kill_after": rng.uniform(0.2, 2.5)}
            (ended,) = workers.run(job)
            before = sum(one.sent for one in server.log() if not one.path.endswith(own))
            assert not ended["killed"] or installed() == []
            (ended,) = workers.run({"code": INSTALL, "given": given})
            assert ended["error"] is None
            sent = sum(one.sent for one in server.log() if not one.path.endswith(own))
            (atlas,) = installed()
            packages = atlas.layout == "packages"
            here = making.hashes(atlas.path if packages else layer / making.STORE)
            assert files == here if packages else here.items() <= files.items()
            assert verification.verify(Library([layer], remotes=[]), atlas).sound
            needed = (
                size if packages else sum((folder / making.STORE / k).stat().st_size for k in here)
            )
            shares.append(((sent - needed) / max(before, 1), before, sent - needed))
            shutil.rmtree(layer)
    workers.close()
    record_property("sent again", shares)
    assert all(again <= 0.05 * before + 600_000 for _, before, again in shares)
    on_the_way = KILLS << 16  # a kill early on, when little has come, loses what is on the way
    again, before = (sum(one[place] for one in shares) for place in (2, 1))
    assert again <= 0.05 * before + on_the_way
