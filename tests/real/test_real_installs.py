"""A real atlas in both layouts through the whole way: served, installed, checked, carried."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas, update_atlases
from bg_atlasapi.errors import IncompleteAtlasError
from bg_atlasapi.testing.server import Server

NAME = "allen_mouse_100um"


@pytest.fixture(scope="module")
def components(allen_100um_v3: Path) -> Iterator[Server]:
    """Serve the component store as S3 does, 300 keys a page."""
    with Server(allen_100um_v3.parents[3], s3_bucket="brainglobe", page_size=300) as server:
        yield server


@pytest.fixture(scope="module")
def packages(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve the archive that users download."""
    root = tmp_path_factory.mktemp("packages")
    shutil.copyfile(shared_data / f"{NAME}_v1.2.tar.gz", root / f"{NAME}_v1.2.tar.gz")
    (root / "last_versions.conf").write_text(f"[atlases]\n{NAME} = 1.2\n")
    with Server(root) as server:
        yield server


def test_components_from_s3(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, components: Server, allen_100um_v3: Path
) -> None:
    """The usual parts come to the byte that was announced; they read like the source."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", components.url)
    address = "s3://brainglobe"
    plan = update_atlases.plan_install(NAME, remotes=address, brainglobe_dir=tmp_path)
    assert not [one.key for one in plan.files if "annotations.ome.zarr/" in one.key]
    assert plan.total_bytes is not None
    assert plan.total_bytes < 40e6
    done = update_atlases.install_atlas(NAME, remotes=address, brainglobe_dir=tmp_path)
    found = update_atlases.verify_atlas(NAME, brainglobe_dir=tmp_path)
    assert found.sound
    assert (found.files, found.size) == (len(plan.files), plan.total_bytes)
    source = BrainGlobeAtlas.from_path(allen_100um_v3)
    atlas = BrainGlobeAtlas(NAME, brainglobe_dir=tmp_path, check_latest=False)
    assert atlas.root_dir == done.path
    np.testing.assert_array_equal(atlas.annotation, source.annotation)
    np.testing.assert_array_equal(atlas.reference, source.reference)
    mesh, other = (one.mesh_from_structure("VISp") for one in (atlas, source))
    np.testing.assert_array_equal(mesh.points, other.points)


def test_a_lost_chunk_is_fetched_alone(tmp_path: Path, components: Server) -> None:
    """Half the labels gone: reading raises instead of giving zeros, repair brings that chunk."""
    only = "annotation,template,meshes=VISp+"
    update_atlases.install_atlas(NAME, remotes=components.url, brainglobe_dir=tmp_path, only=only)
    atlas = BrainGlobeAtlas(NAME, brainglobe_dir=tmp_path, check_latest=False)
    voxels = int(np.count_nonzero(atlas.annotation))
    chunk = next(tmp_path.rglob("annotations_compressed.ome.zarr/s0/c/1/0/0"))
    chunk.unlink()
    damaged = BrainGlobeAtlas(NAME, brainglobe_dir=tmp_path, check_latest=False)
    with pytest.raises(IncompleteAtlasError, match="--repair"):
        np.asarray(damaged.annotation)
    components.reset_log()
    mended = update_atlases.verify_atlas(
        NAME, repair=True, remotes=components.url, brainglobe_dir=tmp_path
    )
    assert len(mended.repaired) == 1
    assert [one.path for one in components.log("*/c/*") if one.sent] == [
        f"/{chunk.relative_to(tmp_path)}"
    ]
    again = BrainGlobeAtlas(NAME, brainglobe_dir=tmp_path, check_latest=False)
    assert int(np.count_nonzero(again.annotation)) == voxels


def test_a_package_and_its_bundle(tmp_path: Path, packages: Server) -> None:
    """The archive arrives once, whole; its bundle gives another machine the same atlas."""
    first, second = tmp_path / "first", tmp_path / "second"
    told: list[tuple[int, int]] = []
    atlas = BrainGlobeAtlas(
        NAME,
        first,
        check_latest=False,
        fn_update=lambda *both: told.append(both),
        remotes=packages.url,
    )
    size = packages.sent("*.tar.gz")
    assert told[-1] == (size, size)
    assert told == sorted(told)
    bundle = update_atlases.bundle_atlas(NAME, tmp_path, brainglobe_dir=first)
    update_atlases.add_atlas(bundle, brainglobe_dir=second)
    again = update_atlases.bundle_atlas(NAME, tmp_path / "b.tar.gz", brainglobe_dir=second)
    assert again.read_bytes() == bundle.read_bytes()
    other = BrainGlobeAtlas(NAME, second, check_latest=False)
    np.testing.assert_array_equal(atlas.annotation, other.annotation)
    assert update_atlases.verify_atlas(NAME, brainglobe_dir=second).sound


def test_both_layouts_beside_each_other(
    tmp_path: Path, packages: Server, components: Server
) -> None:
    """Updating a package from a component store brings the newer version and removes the old."""
    update_atlases.install_atlas(NAME, remotes=packages.url, brainglobe_dir=tmp_path)
    old = BrainGlobeAtlas(NAME, brainglobe_dir=tmp_path, check_latest=False)
    labels = np.array(old.annotation)
    done = update_atlases.update_atlas(NAME, remotes=components.url, brainglobe_dir=tmp_path)
    assert (done.before.version, done.after.version, done.removed) == ((1, 2), (3, 0), True)
    new = BrainGlobeAtlas(NAME, brainglobe_dir=tmp_path, check_latest=False)
    assert new.local_version == (3, 0)
    np.testing.assert_array_equal(new.annotation, labels)
    update_atlases.remove_atlas(NAME, brainglobe_dir=tmp_path)
    assert not [one for one in (tmp_path / "brainglobe-atlasapi").rglob("*") if one.is_file()]
