"""Neuroglancer meshes: both ways of quantising, the OBJ cache, and what can be damaged."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import AtlasError, IncompleteAtlasError, InvalidAtlasError
from bg_atlasapi.formats import draco_meshes
from bg_atlasapi.formats.checks import no_check
from bg_atlasapi.formats.draco_meshes import DracoMeshes
from bg_atlasapi.formats.mesh_files import read_obj

Write = Callable[..., Path]
POINTS = np.array([[250, 50, 20], [480, 60, 30], [320, 350, 40], [280, 90, 480]], np.float64)
STEP = 460 / 65535  # of the quantisation, µm


def rows(points: object) -> list[tuple[float, ...]]:
    """Return points in one order, rounded: Draco may reorder them."""
    return sorted(tuple(np.round(row, 1)) for row in np.asarray(points))


def volume_of(points: object, faces: object) -> float:
    """Return the signed volume that a surface encloses; its sign says which way faces look."""
    corners = np.asarray(points)[np.asarray(faces)]
    return float(np.linalg.det(corners).sum() / 6)


@pytest.fixture
def folder(tmp_path: Path, write_store: Write) -> Path:
    """Return the mesh folder of a store."""
    write_store(tmp_path / "store")
    return tmp_path / "store/annotation-sets/tiny-annotation/3_0/annotations.precomputed/mesh"


@pytest.fixture
def meshes(folder: Path, tmp_path: Path) -> DracoMeshes:
    """Return its reader."""
    return DracoMeshes(folder, tmp_path / "cache", no_check)


def test_the_peers_meshes_come_back(meshes: DracoMeshes) -> None:
    """Axes reversed, nm to µm, faces turned over with the axes: equal within quantisation."""
    mesh = meshes.read(10)
    order = np.lexsort(np.round(mesh.points).T)
    expected = np.lexsort(POINTS.T)
    assert np.abs(mesh.points[order] - POINTS[expected]).max() <= STEP
    assert mesh.triangles.shape == (4, 3)
    faces = [[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]]
    assert np.isclose(volume_of(mesh.points, mesh.triangles), volume_of(POINTS, faces), rtol=1e-3)


def test_steps_are_placed_in_their_cells(meshes: DracoMeshes) -> None:
    """Integer vertices, two fragments: each in the cell its index gives it."""
    mesh = meshes.read(20)
    cell = 230.0
    corners = [(0, 0, 0), (0, 0, cell), (0, cell, 0), (cell, 0, 0)]
    expected = [(3 + a, 2 + b, 1 + c + x) for x in (0, cell) for a, b, c in corners]
    assert rows(mesh.points) == rows(expected)
    assert mesh.triangles.shape == (8, 3)
    assert mesh.triangles.max() == 7


def test_a_transform_is_applied(folder: Path, meshes: DracoMeshes) -> None:
    """Scale, shift and a mirror of the model space; the mirror does not turn faces inside out."""
    plain = meshes.read(10)
    info = json.loads((folder / "info").read_text())
    info["transform"] = [-2, 0, 0, 1000, 0, 1, 0, 0, 0, 0, 1, 0]
    (folder / "info").write_text(json.dumps(info))
    mirrored = DracoMeshes(folder, folder, no_check).read(10)
    expected = plain.points * [1, 1, -2] + [0, 0, 1]
    assert rows(mirrored.points) == rows(expected)
    before = volume_of(plain.points, plain.triangles)
    assert np.isclose(volume_of(mirrored.points, mirrored.triangles), 2 * before, rtol=1e-3)


def test_without_index_or_info_the_file_is_one_fragment(folder: Path, meshes: DracoMeshes) -> None:
    """What the peer reads, it reads without these two."""
    expected = meshes.read(10)
    (folder / "10.index").unlink()
    (folder / "info").unlink()
    found = DracoMeshes(folder, folder, no_check).read(10)
    assert np.array_equal(found.points, expected.points)


def test_obj_files_are_written_on_demand(tmp_path: Path, write_store: Write) -> None:
    """``meshfile_from_structure`` exists, is the mesh, is written once, and follows its source."""
    atlas = Atlas.from_path(write_store(tmp_path / "store"))
    entry = atlas.structures_list[0]["mesh_filename"]
    assert not entry.exists()
    path = atlas.meshfile_from_structure("root")
    assert path == entry == atlas.root_meshfile()
    assert path == tmp_path / "store/.bg_atlasapi/meshes/tiny-annotation/3_0/10.obj"
    assert np.allclose(read_obj(path).points, atlas.root_mesh().points, atol=1e-4)
    assert [one.name for one in path.parent.iterdir()] == ["10.obj"]
    first = path.stat()
    assert atlas.structures["root"].mesh_filename.stat().st_ino == first.st_ino
    source = atlas.root_dir.parents[2] / "annotation-sets/tiny-annotation/3_0"
    source /= "annotations.precomputed/mesh/10"
    os.utime(source, ns=(1, 1))
    assert atlas.root_meshfile().stat().st_ino != first.st_ino
    path.write_bytes(path.read_bytes()[:10])  # somebody cut it short
    assert len(read_obj(atlas.root_meshfile()).points) == 4


def test_a_structure_without_a_mesh(tmp_path: Path, write_store: Write) -> None:
    """It has a path and no file, as in a package; asking for the surface says so."""
    atlas = Atlas.from_path(write_store(tmp_path))
    assert not atlas.meshfile_from_structure("VIS").exists()
    with pytest.raises(AtlasError, match="No valid mesh for region: VIS"):
        _ = atlas.structures["VIS"].mesh


def test_a_store_that_cannot_be_written_to(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file then goes to a temporary folder of its own, once, and goes with the reader."""
    target = tmp_path / "cache"
    write = draco_meshes._write

    def refuse(path: Path, text: bytes) -> Path:
        if path.parent == target:
            raise PermissionError
        return write(path, text)

    monkeypatch.setattr(draco_meshes, "_write", refuse)
    meshes = DracoMeshes(folder, target, no_check)
    path = meshes.file(10)
    assert len(read_obj(path).points) == 4
    assert meshes.file(10) == path
    twin = pickle.loads(pickle.dumps(meshes))
    del meshes
    assert not path.exists()
    assert len(read_obj(twin.file(10)).points) == 4


def test_a_callers_own_mesh_file_is_kept(tmp_path: Path, write_store: Write) -> None:
    """Who assigns another file name gets that file."""
    atlas = Atlas.from_path(write_store(tmp_path))
    own = tmp_path / "own.obj"
    own.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    atlas.structures["VIS"]["mesh_filename"] = own
    assert atlas.meshfile_from_structure("VIS") == own
    assert len(atlas.mesh_from_structure("VIS").points) == 3


@pytest.mark.parametrize("name", ["10", "10.index"])
@pytest.mark.parametrize("damage", [lambda _: b"", lambda d: d[:30], lambda d: bytes(len(d))])
def test_a_damaged_mesh_raises(
    folder: Path, meshes: DracoMeshes, name: str, damage: Callable[[bytes], bytes]
) -> None:
    """Emptied, cut short or overwritten, fragment or index; no OBJ is left behind."""
    path = folder / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(IncompleteAtlasError):
        meshes.read(10)
    with pytest.raises(IncompleteAtlasError):
        meshes.file(10)
    assert not meshes.path(10).exists()


@pytest.mark.parametrize(
    "info", ['{"@type": "neuroglancer_legacy_mesh"}', "[]", "{", '{"@type": 5, "sharding": {}}']
)
def test_other_kinds_of_meshes_are_named(folder: Path, meshes: DracoMeshes, info: str) -> None:
    """Legacy or sharded meshes are refused by name, not misread."""
    (folder / "info").write_text(info)
    with pytest.raises(InvalidAtlasError):
        meshes.read(10)


def test_sharded_meshes_are_refused(folder: Path, meshes: DracoMeshes) -> None:
    """Sharding is not read."""
    info = json.loads((folder / "info").read_text())
    (folder / "info").write_text(json.dumps({**info, "sharding": {"@type": "x"}}))
    with pytest.raises(InvalidAtlasError, match="sharded"):
        meshes.read(10)
