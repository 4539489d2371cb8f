"""Cells that other people counted: the regions their software gave them, against ours."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi import BrainGlobeAtlas

Cells = tuple[npt.NDArray[np.float64], npt.NDArray[np.str_]]


@pytest.fixture(scope="module")
def cells(shared_data: Path) -> Cells:
    """Return positions (µm) and published regions of 11,417 cells."""
    with (shared_data / "points" / "cells_with_regions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    points = np.array([[float(row[axis]) for axis in "xyz"] for row in rows])
    return points, np.array([row["region"] for row in rows])


@pytest.fixture(scope="module")
def atlas_25um(allen_25um: Path) -> BrainGlobeAtlas:
    """Return the 25 µm atlas, opened once for this file."""
    return BrainGlobeAtlas("allen_mouse_25um", brainglobe_dir=allen_25um.parent, check_latest=False)


@pytest.fixture(scope="module")
def found(atlas_25um: BrainGlobeAtlas, cells: Cells) -> npt.NDArray[np.str_]:
    """Return the acronym we give each cell."""
    acronyms: npt.NDArray[Any] = atlas_25um.lookup(cells[0])["acronym"].to_numpy()
    return acronyms.astype(str)


def test_cells_agree_with_their_publishers(cells: Cells, found: npt.NDArray[np.str_]) -> None:
    """The same region as published for 94.7 % of the cells (94.76 % when written)."""
    assert len(found) == 11417
    assert (found == cells[1]).mean() > 0.947


def test_every_disagreement_is_a_neighbour(
    atlas_25um: BrainGlobeAtlas,
    annotation_25um: npt.NDArray[np.uint32],
    cells: Cells,
    found: npt.NDArray[np.str_],
) -> None:
    """Each cell that differs has the published region in a voxel that touches its own.

    So what is left is where to round at a border, not a shifted, flipped or transposed volume:
    all 598 were neighbours when written.
    """
    points, published = cells
    for row in np.flatnonzero(found != published):
        voxel = np.floor(points[row] / 25).astype(int)
        around = annotation_25um[tuple(slice(max(v - 1, 0), v + 2) for v in voxel)]
        assert atlas_25um.structures[published[row]]["id"] in around, (row, found[row])


def test_one_cell_at_a_time_answers_the_same(
    atlas_25um: BrainGlobeAtlas, cells: Cells, found: npt.NDArray[np.str_]
) -> None:
    """1.x's scalar call and the table agree, in µm and in voxels, as id and as acronym."""
    points = cells[0][::20]
    ids = atlas_25um.lookup(points)["id"].tolist()
    for point, acronym, identifier in zip(points, found[::20], ids, strict=True):
        assert atlas_25um.structure_from_coords(point, microns=True) == identifier
        voxel = tuple(int(value) for value in point // 25)
        assert atlas_25um.structure_from_coords(voxel, as_acronym=True) == acronym


def test_all_cells_at_once_answer_the_same(
    atlas_25um: BrainGlobeAtlas, cells: Cells, found: npt.NDArray[np.str_]
) -> None:
    """1.x's call given all points answers as the table does."""
    acronyms = atlas_25um.structure_from_coords(cells[0], microns=True, as_acronym=True)
    assert acronyms.tolist() == found.tolist()


def test_another_cell_file_lies_in_the_brain(
    atlas_25um: BrainGlobeAtlas, shared_data: Path
) -> None:
    """The second published set of cells: all inside the volume, 99 % in the brain."""
    with (shared_data / "points" / "cells.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    points = np.array([[float(row[axis]) for axis in "xyz"] for row in rows])
    table = atlas_25um.lookup(points)
    assert len(table) == 3000
    assert table["inside"].all()
    assert (table["id"] != 0).mean() > 0.99
