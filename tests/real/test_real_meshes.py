"""Meshes of the real Allen labels: what the benchmark measures at 25 µm, held at 100 µm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import KDTree

from bg_atlasapi.build.mesh_quality import quality_of
from bg_atlasapi.build.meshing import MeshSummary, WrittenMeshes, mesh_structures
from bg_atlasapi.formats.packaged import open_package


@pytest.fixture(scope="module")
def made(allen_100um: Path, tmp_path_factory) -> MeshSummary:
    """Return the meshes of all structures of the 100 µm atlas."""
    atlas = open_package(allen_100um)
    return mesh_structures(atlas.labels, atlas.space, tmp_path_factory.mktemp("meshes"), workers=1)


def test_every_structure_is_closed_manifold_outward_and_of_its_volume(made):
    """All that have voxels at this size; volumes within 1 % above 1000 voxels, within 3 % below."""
    meshes = WrittenMeshes(made.folder)
    assert len(made.meshes) == 837
    for one in made.meshes:
        quality = quality_of(meshes.read(one.identifier))
        assert (quality.watertight, quality.manifold, quality.outward) == (True, True, True)
        share = 0.01 if one.voxels > 1000 else 0.03
        assert quality.volume_um3 == pytest.approx(one.voxels * 1e6, rel=share)


def test_a_mesh_lies_within_a_voxel_of_the_published_one(made, allen_100um):
    """Half of each surface's vertices are within 100 µm of the other, structure by structure."""
    atlas, ours = open_package(allen_100um), WrittenMeshes(made.folder)
    medians = []
    for one in made.meshes:
        theirs = atlas.meshes.read(one.identifier).points
        mine = ours.read(one.identifier).points
        medians.append(np.median(KDTree(theirs).query(mine[:: max(1, len(mine) // 500)])[0]))
    assert np.median(medians) <= 100
