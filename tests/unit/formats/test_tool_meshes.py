"""Meshes for other tools, read by trimesh and meshio: same vertices, where the labels are."""

from __future__ import annotations

import csv
import json
import struct
from pathlib import Path
from typing import Any

import meshio
import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import trimesh

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.tools import glb
from bg_atlasapi.testing import TINY_STRUCTURES, tiny_components, tiny_package, write_package

FILES = ("obj", "ply", "stl")
PLACES = [("asr", (12, 8, 10)), ("rpi", (9, 8, 7)), ("lai", (7, 8, 9)), ("ial", (9, 7, 8))]


def with_mesh(atlas: Atlas) -> list[int]:
    """Return the structures that have a mesh."""
    ids = [one["id"] for one in atlas.structures_list]
    return [one for one in ids if atlas._model.meshes.has(one)]


def box_of(atlas: Atlas, identifier: int) -> npt.NDArray[np.float64]:
    """Return the box around the labels of a structure and all below it, µm."""
    inside = np.argwhere(atlas.get_structure_mask(identifier, values="binary"))
    return np.array([inside.min(axis=0), inside.max(axis=0) + 1]) * atlas.resolution


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize(("orientation", "shape"), PLACES)
def test_meshes_lie_where_the_labels_do(
    form: str, orientation: str, shape: tuple[int, int, int], tmp_path: Path
) -> None:
    """The tiny atlas's meshes are the boxes of its labels: in µm, in the atlas's axes."""
    folder = tiny_package(tmp_path, orientation=orientation, shape=shape, resolution=(50, 25, 12.5))
    atlas = Atlas.from_path(folder)
    out = atlas.export(tmp_path / "out", format=form)
    with (out / "meshes.csv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [int(row["id"]) for row in rows] == with_mesh(atlas)
    assert {path.name for path in out.iterdir()} == {"meshes.csv", *(row["file"] for row in rows)}
    for row in rows:
        one = atlas.structures[int(row["id"])]
        assert (row["acronym"], row["name"]) == (one["acronym"], one["name"])
        read = trimesh.load(out / row["file"], force="mesh")
        assert np.allclose(read.bounds, box_of(atlas, one["id"]))
        assert read.is_watertight


@pytest.mark.parametrize("form", FILES)
def test_vertices_and_faces_are_equal(form: str, tmp_path: Path) -> None:
    """For both libraries; STL repeats the vertices of each triangle."""
    atlas = BrainGlobeAtlas("phantom_mouse_100um")
    out = atlas.export(tmp_path, format=form)
    for identifier in with_mesh(atlas)[::9]:
        mine = atlas._model.meshes.read(identifier)
        for read in (trimesh.load, meshio.read):
            theirs: Any = read(out / f"{identifier}.{form}")
            points = theirs.vertices if read is trimesh.load else theirs.points
            faces = theirs.faces if read is trimesh.load else theirs.cells_dict["triangle"]
            assert len(faces) == len(mine.triangles)
            assert np.allclose(points[faces], mine.points[mine.triangles], atol=1e-3)


def test_ply_has_the_colours(tmp_path: Path) -> None:
    """On every vertex."""
    atlas = BrainGlobeAtlas("phantom_mouse_100um")
    out = atlas.export(tmp_path, format="ply")
    for identifier in with_mesh(atlas)[:5]:
        colours = trimesh.load(out / f"{identifier}.ply").visual.vertex_colors
        assert np.unique(colours[:, :3], axis=0).tolist() == [
            list(atlas.structures[identifier]["rgb_triplet"])
        ]


def test_stl_has_unit_normals() -> None:
    """Of triangles without area, zeros."""
    from bg_atlasapi.formats.tools.surfaces import stl
    from bg_atlasapi.model.mesh import TriangleMesh

    points = np.array([[0, 0, 0], [2.0, 0, 0], [0, 3, 0]])
    data = stl(TriangleMesh(points, np.array([[0, 1, 2], [0, 0, 1]])))
    assert len(data) == 84 + 2 * 50
    assert struct.unpack_from("<3f", data, 84) == (0, 0, 1)
    assert struct.unpack_from("<3f", data, 134) == (0, 0, 0)


@pytest.mark.parametrize(("orientation", "shape"), PLACES)
def test_the_scene_is_upright_and_in_metres(
    orientation: str, shape: tuple[int, int, int], tmp_path: Path
) -> None:
    """Geometries hold µm; placed by the scene, labels in NIfTI and meshes are at the same points."""
    folder = tiny_package(tmp_path, orientation=orientation, shape=shape, resolution=(50, 25, 12.5))
    atlas = Atlas.from_path(folder)
    scene = trimesh.load(atlas.export(tmp_path / "out", format="glb"))
    (path,) = atlas.export(tmp_path / "out", format="nifti").rglob("*_atlas-*_dseg.nii.gz")
    image = nibabel.load(path)
    data = np.asarray(image.dataobj)
    acronyms = {atlas.structures[one]["acronym"]: one for one in with_mesh(atlas)}
    assert set(scene.graph.nodes_geometry) == set(acronyms)
    for acronym, identifier in acronyms.items():
        matrix, name = scene.graph[acronym]
        mesh = scene.geometry[name]
        assert np.allclose(mesh.bounds, box_of(atlas, identifier))
        left, up, front = trimesh.transform_points(mesh.vertices, matrix).T * 1000
        ras = np.c_[-left, front, up]
        below = [one.id for one in atlas.structures[identifier].descendants] + [identifier]
        voxels = np.argwhere(np.isin(data, below))
        edges = np.r_[voxels, voxels + 1] - 0.5
        corners = nibabel.affines.apply_affine(image.affine, edges)
        assert np.allclose(ras.min(axis=0), corners.min(axis=0), atol=1e-6)
        assert np.allclose(ras.max(axis=0), corners.max(axis=0), atol=1e-6)


def test_the_scene_names_and_colours(tmp_path: Path) -> None:
    """A node a structure, its colour as linear light, id and parent as extras; the root is glassy."""
    atlas = Atlas.from_path(tiny_components(tmp_path))
    data = atlas.export(tmp_path / "out", format="glb").read_bytes()
    magic, version, total, length, kind = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, total, kind) == (b"glTF", 2, len(data), b"JSON")
    stated = json.loads(data[20 : 20 + length])
    assert (20 + length) % 4 == 0
    nodes = stated["nodes"][1:]
    assert [node["extras"]["id"] for node in nodes] == with_mesh(atlas)
    for node in nodes:
        one = atlas.structures[node["extras"]["id"]]
        assert node["name"] == one["acronym"]
        assert node["extras"]["parent_structure_id"] == (one.parent.id if one.parent else None)
        drawn = stated["meshes"][node["mesh"]]["primitives"][0]
        material = stated["materials"][drawn["material"]]
        *linear, opacity = material["pbrMetallicRoughness"]["baseColorFactor"]
        encoded = [12.92 * c if c < 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in linear]
        assert np.rint(np.array(encoded) * 255).astype(int).tolist() == list(one["rgb_triplet"])
        assert (opacity < 1) == (one.parent is None) == (material.get("alphaMode") == "BLEND")


def test_an_atlas_without_meshes(tmp_path: Path) -> None:
    """An error that says so, and nothing is left; with a single mesh it is written."""
    labels = np.ones((3, 3, 3), np.uint32)
    given: Any = {
        "annotation": labels,
        "reference": labels,
        "structures": [{**one, "rgb_triplet": [1, 2, 3]} for one in TINY_STRUCTURES],
        "resolution": (100, 100, 100),
    }
    bare = Atlas.from_path(write_package(tmp_path, name="bare_100um", **given))
    mesh = (np.eye(3) * 100, [[0, 1, 2]])
    single = Atlas.from_path(
        write_package(tmp_path, name="single_100um", meshes={567: mesh}, **given)
    )
    for form in (*FILES, "glb"):
        with pytest.raises(InvalidInputError, match="no meshes"):
            bare.export(tmp_path / "out", format=form)
        assert not (tmp_path / "out").exists() or not [*(tmp_path / "out").glob("*bare*")]
        made = single.export(tmp_path / "out", format=form)
        if form == "glb":
            assert [*trimesh.load(made).geometry] == ["CH"]
        else:
            assert {path.name for path in made.iterdir()} == {"meshes.csv", f"567.{form}"}


def test_a_scene_past_4_gb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The format counts bytes in 32 bits."""
    monkeypatch.setattr(glb, "_MOST_BYTES", 2000)
    with pytest.raises(InvalidInputError, match="ends at 2000"):
        Atlas.from_path(tiny_package(tmp_path)).export(tmp_path / "out", format="glb")
    assert [*(tmp_path / "out").iterdir()] == []
