"""The embedded atlas is what its script draws, and is sound."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tifffile

import bg_atlasapi
from bg_atlasapi.formats.mesh_files import read_obj
from bg_atlasapi.formats.packaged import open_package
from bg_atlasapi.model.atlas import Atlas
from bg_atlasapi.store.cache import EMBEDDED

FOLDER = EMBEDDED / "phantom_mouse_100um_v1.0"
SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "make_phantom.py"
VOXEL_UM3 = 100.0**3


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """Import the script that draws the atlas, with its folder where it looks for its parts."""
    if not SCRIPT.is_file():
        pytest.skip(f"the script that draws the atlas is not here: {SCRIPT}")
    pytest.importorskip("scipy")
    spec = importlib.util.spec_from_file_location("make_phantom", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(SCRIPT.parent))
        del sys.modules[spec.name]
    return module


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    """Open the embedded atlas."""
    return open_package(FOLDER)


@pytest.fixture(scope="module")
def structures() -> list[dict[str, Any]]:
    """Read the structures as published."""
    entries: list[dict[str, Any]] = json.loads((FOLDER / "structures.json").read_text("utf-8"))
    return entries


def test_labels_and_template_are_what_the_script_draws(script: ModuleType) -> None:
    """The volumes regenerate bit for bit, in the types that packages hold."""
    labels = script.labels()
    stored = tifffile.imread(FOLDER / "annotation.tiff")
    assert (stored.dtype, labels.dtype) == (np.uint32, np.uint32)
    assert np.array_equal(labels, stored)
    reference = tifffile.imread(FOLDER / "reference.tiff")
    assert reference.dtype == np.uint16
    assert np.array_equal(script.template(labels), reference)


@pytest.mark.parametrize("name", ["annotation", "reference"])
def test_mirror_symmetry_is_exact(name: str) -> None:
    """Left is right mirrored, to the voxel."""
    volume = tifffile.imread(FOLDER / f"{name}.tiff")
    assert np.array_equal(volume, volume[:, :, ::-1])


def test_volumes_are_mapped(atlas: Atlas) -> None:
    """The annotation is an uncompressed stack: opening it costs nothing."""
    assert atlas.annotation.mapped() is not None
    assert atlas.space.shape == (132, 80, 114)
    assert atlas.hemispheres is None


def test_terminology_is_sound(atlas: Atlas) -> None:
    """Nothing had to be forgiven, and every label is listed."""
    assert atlas.terminology.findings == ()
    assert len(atlas.labels.coded.ids) == len(atlas.terminology) + 1


def test_first_structures(structures: list[dict[str, Any]]) -> None:
    """The file begins as the Allen terminology does, as the documentation of 1.x shows it."""
    expected = ["root", "grey", "CH", "CTX", "CTXpl", "Isocortex", "FRP", "FRP1"]
    assert [entry["acronym"] for entry in structures[:8]] == expected


def test_an_id_no_float32_holds(structures: list[dict[str, Any]]) -> None:
    """At least one id is past 2**24, so that a float32 on the way would be noticed."""
    assert any(entry["id"] > 2**24 for entry in structures)


def test_the_tables_agree(structures: list[dict[str, Any]]) -> None:
    """structures.csv holds the rows of structures.json."""
    lines = (FOLDER / "structures.csv").read_text("utf-8").splitlines()[1:]
    assert [line.split(",")[1] for line in lines] == [str(entry["id"]) for entry in structures]


def test_every_structure_has_voxels_and_a_closed_mesh(atlas: Atlas) -> None:
    """Each structure with its descendants has voxels, and a mesh of their volume, facing outward.

    The mesh is simplified, so its volume is near that of the voxels: 2 % here, on the thinnest
    layer, whose few hundred voxels are mostly surface.
    """
    tree, labels = atlas.terminology, atlas.labels
    for code in range(1, len(tree) + 1):
        voxels = np.count_nonzero(labels.mask(labels.subtree_ids(code), 1, np.bool_))
        assert voxels, tree.acronyms[code]
        mesh = read_obj(FOLDER / "meshes" / f"{tree.ids[code]}.obj")
        corners = mesh.points[mesh.triangles]
        spat = np.cross(corners[:, 1], corners[:, 2])
        volume = np.einsum("ij,ij->", corners[:, 0], spat) / 6
        assert volume / VOXEL_UM3 == pytest.approx(voxels, rel=0.02), tree.acronyms[code]
        edges = np.sort(mesh.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        _, times = np.unique(edges, axis=0, return_counts=True)
        assert (times % 2 == 0).all(), tree.acronyms[code]


def test_there_is_no_mesh_too_many(structures: list[dict[str, Any]]) -> None:
    """The folder of meshes holds those of the structures and nothing else."""
    found = {path.name for path in (FOLDER / "meshes").iterdir()}
    assert found == {f"{entry['id']}.obj" for entry in structures}


def test_meshes_lie_within_the_volume(atlas: Atlas) -> None:
    """The surface of the whole brain is in µm, axes in the atlas's order, origin at the corner."""
    points = read_obj(FOLDER / "meshes" / f"{atlas.terminology.ids[1]}.obj").points
    voxels = np.argwhere(atlas.labels.mask(atlas.labels.subtree_ids(1), 1, np.bool_))
    assert points.min(axis=0) == pytest.approx(voxels.min(axis=0) * 100.0, abs=100)
    assert points.max(axis=0) == pytest.approx((voxels.max(axis=0) + 1) * 100.0, abs=100)


def test_it_is_small_enough_to_ship() -> None:
    """Zipped, as a wheel is, the folder takes less than 1.5 MB; it lies in the package."""
    assert FOLDER.is_relative_to(Path(bg_atlasapi.__file__).parent)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(FOLDER.rglob("*")):
            archive.write(path, path.relative_to(FOLDER))
    assert len(buffer.getvalue()) < 1.5e6
