"""The region table, masks and contacts of the real 25 µm Allen labels, against scipy and numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from bg_atlasapi import BrainGlobeAtlas, query


@pytest.fixture(scope="module")
def opened(allen_25um: Path) -> BrainGlobeAtlas:
    """Return the 25 µm atlas, opened once for this file."""
    return BrainGlobeAtlas.from_path(allen_25um)


def test_counts_and_centroids_are_those_of_ndimage(opened: BrainGlobeAtlas) -> None:
    """Own voxel counts and centroids equal scipy's exactly, for every label."""
    table = opened.region_table()
    volume = opened.volumes["annotation"][...]
    ids, counts = np.unique(volume, return_counts=True)
    rows = table.set_index("id")["own_voxels"]
    assert rows[rows > 0].to_dict() == dict(zip(ids[1:].tolist(), counts[1:].tolist(), strict=True))
    places = np.searchsorted(ids, volume)
    some = np.linspace(1, len(ids) - 1, 40).astype(int)
    centres = ndimage.center_of_mass(np.ones_like(places, np.uint8), places, some)
    for place, centre in zip(some.tolist(), centres, strict=True):
        row = table[table["id"] == ids[place]].iloc[0]
        found = [row[f"own_centroid_{axis}_um"] for axis in ("ap", "dv", "lr")]
        np.testing.assert_allclose(found, (np.array(centre) + 0.5) * 25, rtol=1e-12)


@pytest.mark.parametrize("acronym", ["root", "CTX", "VISp", "CA1", "TH"])
def test_rows_with_descendants_are_those_of_the_mask(opened: BrainGlobeAtlas, acronym: str) -> None:
    """Voxels, halves, box and inner point of a structure are those of its mask."""
    row = opened.region_table().set_index("acronym").loc[acronym]
    mask = opened.get_structure_mask(acronym) > 0
    assert row["voxels"] == mask.sum()
    assert row["left_mm3"] == pytest.approx(mask[..., 228:].sum() * 25**3 / 1e9)
    places = np.argwhere(mask)
    for axis, name in enumerate(("ap", "dv", "lr")):
        assert row[f"start_{name}"] == places[:, axis].min()
        assert row[f"stop_{name}"] == places[:, axis].max() + 1
    inner = tuple(int(row[f"interior_{name}_um"] // 25) for name in ("ap", "dv", "lr"))
    assert mask[inner]
    array, offset = opened.mask(acronym, crop=True)
    assert array.sum() == mask.sum()
    assert offset == tuple(places.min(axis=0))
    found = query.neighbours(opened, acronym)
    padded = np.pad(mask, 1).astype(np.int8)
    assert found["faces"].sum() == sum(
        np.count_nonzero(np.diff(padded, axis=axis)) for axis in range(3)
    )
