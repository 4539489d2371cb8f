"""Outlines and plots of the real 25 µm atlas."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from bg_atlasapi import view
from bg_atlasapi.core import Atlas

mpl.use("agg")


@pytest.mark.parametrize("plane", ["coronal", "horizontal", "sagittal"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.75])
def test_outlines_are_the_published_labels(
    allen_25um: Path, annotation_25um: Any, plane: str, share: float
) -> None:
    """In each slice there are the labels of the file, each with the area of its pixels."""
    atlas = Atlas.from_path(allen_25um)
    axis = {"coronal": 0, "horizontal": 1, "sagittal": 2}[plane]
    index = int(atlas.shape[axis] * share)
    found = view.outlines_of(atlas, plane, index, unit="voxel")
    ids, counts = np.unique(annotation_25um.take(index, axis), return_counts=True)
    expected = {int(one): int(n) for one, n in zip(ids, counts, strict=True) if one}
    assert {one.id: round(one.area_um2 / 625) for one in found} == expected


def test_a_plot_names_what_lookup_finds(allen_25um: Path) -> None:
    """At random points of a slice, the region that is drawn there is the one that is looked up."""
    atlas = Atlas.from_path(allen_25um)
    axes = atlas.plot("coronal", 7000, smooth=False)
    drawn = {patch.get_gid(): patch.get_path() for patch in axes.patches}
    points = np.random.default_rng(1).uniform((7000, 0, 0), (7000, *atlas.shape_um[1:]), (200, 3))
    for (_, down, across), acronym in zip(points, atlas.lookup(points)["acronym"], strict=True):
        inside = [name for name, path in drawn.items() if path.contains_point((across, down))]
        # matplotlib counts a path's holes in; what lies there is drawn, too.
        assert (acronym in inside) == (acronym != "Outside atlas")
    axes.figure.savefig(io.BytesIO(), format="svg")
