"""The template of a real atlas by region: the numbers are those of a brute force in 64 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.query import heatmap, paint

SAMPLE = ("root", "Isocortex", "VISp2/3", "CA1", "fiber tracts")
ALL = ("n", "sum", "mean", "std", "min", "max", "median", "p5", "p99.5", "area_fraction")


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_the_template_by_region(atlas: BrainGlobeAtlas, dtype: str) -> None:
    """A sample of regions, both sides and own voxels, to 1e-9."""
    image = atlas.volumes["template"][:].astype(dtype)
    labels, ids = pd.factorize(np.asarray(atlas.volumes["annotation"]).reshape(-1))
    flat, sides = image.reshape(-1), np.asarray(atlas.hemispheres).reshape(-1)
    table = atlas.measure(image, ALL, threshold=150).set_index("acronym")
    assert len(table) == len(atlas.structures_list)
    for acronym in SAMPLE:
        code = atlas.structures.terminology.code(acronym)
        within = np.isin(ids, atlas._model.labels.subtree_ids(code))[labels]
        own = (ids == atlas.structures[acronym]["id"])[labels]
        views = {"{}": within, "{}_left": within & (sides == 1), "{}_right": within & (sides == 2)}
        for spelt, mask in (views | {"own_{}": own}).items():
            values = flat[mask].astype(np.float64)
            expected = {"n": len(values), "sum": values.sum()}
            if len(values):
                expected |= {"mean": values.mean(), "std": values.std(), "min": values.min()}
                expected |= {"max": values.max(), "median": np.median(values)}
                expected |= {f"p{q}": np.percentile(values, float(q)) for q in ("5", "99.5")}
                expected["area_fraction"] = (values > 150).mean()
            for name, value in expected.items():
                found = table.loc[acronym, spelt.format(name)]
                assert found == pytest.approx(value, rel=1e-9), (acronym, spelt, name)


def test_a_path_and_half_the_resolution(atlas: BrainGlobeAtlas, package: Path) -> None:
    """The atlas's own TIFF, and its template at twice the voxel size, of the same space."""
    expected = atlas.measure(atlas.volumes["template"])
    pd.testing.assert_frame_equal(atlas.measure(package / "reference.tiff"), expected)
    coarse = atlas.volumes["template"].level(atlas.resolution[0] * 2)
    table = atlas.measure(coarse, ("n", "mean")).set_index("acronym")
    fine = expected.set_index("acronym")
    for acronym in ("root", "Isocortex", "TH"):
        assert table.loc[acronym, "mean"] == pytest.approx(fine.loc[acronym, "mean"], rel=0.05)
        volume = fine.loc[acronym, "volume_mm3"]
        assert table.loc[acronym, "volume_mm3"] == pytest.approx(volume, rel=0.05)


def test_there_and_back(atlas: BrainGlobeAtlas) -> None:
    """Means painted into the volume and measured again are the same means."""
    table = atlas.measure(atlas.volumes["template"], ("mean",))
    painted = paint(atlas, table, column="own_mean", dtype=np.float64, background=0)
    again = atlas.measure(painted, ("mean",))
    kept = table["own_mean"].notna()
    assert again["own_mean"][kept].to_numpy() == pytest.approx(table["own_mean"][kept].to_numpy())
    assert again["mean"].to_numpy() == pytest.approx(table["mean"].to_numpy(), nan_ok=True)


def test_a_heat_map_of_cells(atlas: BrainGlobeAtlas) -> None:
    """Sampled cells are all on the map, and smoothing keeps their number."""
    extent = np.multiply(atlas.shape, atlas.resolution)
    cells = np.random.default_rng(1).uniform(0, 1, (10_000, 3)) * extent
    assert heatmap(atlas, cells, resolution=200).sum() == 10_000
    smooth = heatmap(atlas, cells, sigma_um=150, resolution=200)
    assert smooth.sum() == pytest.approx(10_000, rel=1e-4)
