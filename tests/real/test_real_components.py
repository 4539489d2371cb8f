"""The real Allen atlas in the component store, held against the same atlas as a v1 package."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import AtlasError
from bg_atlasapi.formats.mesh_files import read_obj

# The V3 writer leaves out structures without voxels: 837 of the package's 840 are in the store.
STRUCTURES = 837


@pytest.fixture
def v1(allen_100um: Path) -> Atlas:
    """Return the package, freshly opened."""
    return Atlas.from_path(allen_100um)


@pytest.fixture
def v3(allen_100um_v3: Path) -> Atlas:
    """Return the component atlas, freshly opened."""
    return Atlas.from_path(allen_100um_v3 / "manifest.json")


def test_the_space_is_the_same(v1: Atlas, v3: Atlas) -> None:
    """Shape, voxel size, orientation, symmetry and the other keys that 1.x had."""
    for key in ("shape", "resolution", "orientation", "shape_um"):
        assert getattr(v1, key) == getattr(v3, key)
    assert set(v1.metadata) <= set(v3.metadata)
    for key in ("name", "species", "symmetric", "atlas_link", "additional_references"):
        assert v1.metadata[key] == v3.metadata[key]
    assert v3.metadata["version"] == "3.0"


def test_every_structure_is_the_same(v1: Atlas, v3: Atlas) -> None:
    """Name, acronym, colour, path, relatives of all 837, ids above 65535 among the parents too."""
    assert len(v3.structures) == len(v3.lookup_df) == STRUCTURES
    for identifier in v3.structures:
        ours, theirs = v3.structures[identifier], v1.structures[identifier]
        for key in ("acronym", "id", "name", "structure_id_path", "rgb_triplet"):
            assert ours[key] == theirs[key]
        acronym = ours["acronym"]
        assert v3.get_structure_ancestors(acronym) == v1.get_structure_ancestors(acronym)
        parent = ours.parent
        assert ours["parent_structure_id"] == (parent.id if parent else None)
    assert sum((entry["parent_structure_id"] or 0) > 65535 for entry in v3.structures_list) > 10
    gone = set(v1.structures) - set(v3.structures)
    assert not np.isin(v1.annotation, list(gone)).any()


def test_volumes_are_equal_voxel_by_voxel(v1: Atlas, v3: Atlas) -> None:
    """Annotation, reference, hemispheres: values and types; writable and private."""
    for name in ("annotation", "reference", "hemispheres"):
        ours, theirs = getattr(v3, name), getattr(v1, name)
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)
        assert ours.flags.writeable


def test_every_mask_is_equal(v1: Atlas, v3: Atlas) -> None:
    """All 837, before and after the annotation was handed out."""
    for number, identifier in enumerate(v3.structures):
        if number == STRUCTURES // 2:
            _ = v1.annotation, v3.annotation
        assert np.array_equal(v3.get_structure_mask(identifier), v1.get_structure_mask(identifier))


def test_points_are_answered_alike(v1: Atlas, v3: Atlas) -> None:
    """10,000 points at once and 300 singly, some outside, from chunks and from a mapped file."""
    points = np.random.default_rng(2).uniform(-500, np.array(v1.shape_um) + 500, (10_000, 3))
    assert v3.lookup(points).equals(v1.lookup(points))
    for point in points[:300]:
        for asked in ({}, {"as_acronym": True}, {"hierarchy_lev": 3}):
            ours = v3.structure_from_coords(point, microns=True, **asked)
            assert ours == v1.structure_from_coords(point, microns=True, **asked)
        side = v3.hemisphere_from_coords(point, microns=True)
        assert side == v1.hemisphere_from_coords(point, microns=True)


def test_every_mesh_is_equal_within_quantisation(v1: Atlas, v3: Atlas) -> None:
    """Each mesh's vertices lie where the OBJ's do, to half a step in each of 65535 of its size.

    The writer merges vertices that quantise to the same place, so vertices are compared with the
    nearest, and counts of faces exactly.
    """
    from scipy.spatial import cKDTree

    compared = 0
    for identifier in v3.structures:
        source = v1.structures[identifier].mesh_filename
        if not source.exists():
            with pytest.raises(AtlasError, match="No valid mesh"):
                _ = v3.structures[identifier].mesh
            continue
        theirs = read_obj(source)
        ours = v3._model.meshes.read(identifier)
        extent = np.ptp(theirs.points, axis=0).max()
        # Half a step along each axis, and 32-bit floats of coordinates up to 13 mm in nm.
        limit = np.sqrt(3) * (extent / 65535 / 2 + 0.001)
        assert cKDTree(theirs.points).query(ours.points)[0].max() <= limit
        assert cKDTree(ours.points).query(theirs.points)[0].max() <= limit
        assert len(ours.triangles) == len(theirs.triangles)
        compared += 1
    assert compared >= STRUCTURES - 1


def test_faces_look_the_same_way(v1: Atlas, v3: Atlas) -> None:
    """The enclosed volume has the same sign and size: faces were not turned inside out."""
    for acronym in ("root", "VISp", "TH"):
        volumes = []
        for atlas in (v1, v3):
            mesh = atlas.mesh_from_structure(acronym)
            corners = mesh.points[mesh.cells_dict["triangle"]]
            volumes.append(np.linalg.det(corners).sum() / 6)
        assert volumes[1] == pytest.approx(volumes[0], rel=1e-3)


def test_mesh_files_exist_as_obj(v3: Atlas) -> None:
    """What other programs are given is a file of that name with that mesh."""
    path = v3.meshfile_from_structure("VISp")
    assert path.suffix == ".obj"
    assert np.allclose(read_obj(path).points, v3.mesh_from_structure("VISp").points, atol=1e-4)
    assert v3.root_meshfile().is_file()


def test_copies_and_pickles_answer(v3: Atlas) -> None:
    """They are small, and read what they need where they are opened."""
    _ = v3.annotation, v3.structures["VISp"].mesh
    text = pickle.dumps(v3)
    assert len(text) < 10_000
    for twin in (pickle.loads(text), copy.deepcopy(v3)):
        assert twin.structure_from_coords([7100, 3870, 4500], microns=True, as_acronym=True) == "PO"
        assert np.array_equal(twin.annotation, v3.annotation)
    alone = pickle.loads(pickle.dumps(v3.structures["TH"]))
    assert len(alone.mesh.points) > 100


def test_an_open_loads_no_library(allen_100um_v3: Path) -> None:
    """Neither numpy nor what decodes chunks and meshes; a point needs no Draco."""
    script = (
        "import sys\n"
        "from bg_atlasapi.core import Atlas\n"
        f"atlas = Atlas.from_path({str(allen_100um_v3)!r})\n"
        "def have(*names): return [name for name in names if name in sys.modules]\n"
        "print(have('numpy', 'pandas', 'backports.zstd', 'DracoPy', 'tifffile'))\n"
        "atlas.structure_from_coords([7100, 3870, 4500], microns=True)\n"
        "print(have('pandas', 'DracoPy', 'tifffile', 'zarr'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n[]\n"


def test_parts_of_volumes_are_equal(v1: Atlas, v3: Atlas) -> None:
    """Planes, boxes, steps, masks, points: read from chunks and from a TIFF, and the loaded array."""
    whole = v1.annotation.copy()
    voxels = tuple(np.random.default_rng(3).integers(0, whole.shape, (5000, 3)).T)
    for key in (
        66,
        np.s_[:, 40],
        np.s_[..., 57],
        np.s_[::-7, 3:60:4, [5, 100]],
        whole > 900,
        voxels,
    ):
        for atlas in (v1, v3):
            assert np.array_equal(atlas.volumes["annotation"][key], whole[key])
    for atlas in (v1, v3):
        assert np.array_equal(atlas.volumes["hemispheres"][60:62], v1.hemispheres[60:62])
        assert np.array_equal(atlas.volumes["template"][:, :, 57], v1.reference[:, :, 57])
    ours, theirs = (atlas.volumes["annotation"].level(200)[...] for atlas in (v3, v1))
    assert np.array_equal(ours, theirs)
