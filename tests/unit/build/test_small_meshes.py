"""Small structures keep what they hold in a mesh, however long and thin their voxels are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.build.mesh_quality import quality_of
from bg_atlasapi.build.meshing import WrittenMeshes, mesh_structures

SPACINGS = [(10.0, 10.0, 100.0), (100.0, 10.0, 10.0), (5.0, 50.0, 500.0)]
SHAPES = [(1, 1, 1), (1, 1, 2), (2, 1, 1), (2, 2, 1), (3, 3, 1), (1, 3, 3), (1, 1, 6), (6, 1, 1)]


def drawn() -> np.ndarray:
    """Return boxes of a few voxels, then 20 winding bodies of up to 24, each with its own label."""
    labels = np.zeros((60, 70, 80), np.uint16)
    places = [(i, j, k) for i in range(2, 52, 10) for j in range(2, 62, 10) for k in (4, 24, 44)]
    for label, (shape, (i, j, k)) in enumerate(zip(SHAPES, places, strict=False), 1):
        labels[i : i + shape[0], j : j + shape[1], k : k + shape[2]] = label
    rng = np.random.default_rng(8)
    for label, place in enumerate(places[len(SHAPES) : len(SHAPES) + 20], len(SHAPES) + 1):
        at = np.array(place)
        for _ in range(int(rng.integers(2, 25))):
            labels[tuple(np.clip(at, 0, np.array(labels.shape) - 1))] = label
            at[rng.integers(3)] += rng.choice([-1, 1])
    return labels


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
def test_no_small_structure_loses_volume(
    spacing: tuple[float, float, float], tmp_path: Path
) -> None:
    """From 1 to 24 voxels, cubes or ten times and a hundred times as long as wide: within 2 %."""
    pytest.importorskip("scipy", reason="meshes need the extra 'build'")
    labels = drawn()
    ids, voxels = np.unique(labels[labels > 0], return_counts=True)
    names = {int(one): f"body {one}" for one in ids}
    atlas = BrainGlobeAtlas.from_arrays(labels, names, resolution=spacing)
    mesh_structures(atlas._model.labels, atlas._model.space, tmp_path, workers=1)
    meshes = WrittenMeshes(tmp_path)
    for identifier, count in zip(ids.tolist(), voxels.tolist(), strict=True):
        quality = quality_of(meshes.read(identifier))
        assert quality.watertight
        assert quality.volume_um3 == pytest.approx(count * np.prod(spacing), rel=0.02), identifier
