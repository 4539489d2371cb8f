"""What is said of two atlases: structures, voxels that moved, where old results belong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas, query
from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.terminology import Record, Terminology
from bg_atlasapi.query.subject import Subject
from bg_atlasapi.testing import tiny_package, write_package

ROWS = [
    ("root", "root", [1]),
    ("A", "region A", [1, 2]),
    ("A1", "first", [1, 2, 3]),
    ("A2", "second", [1, 2, 4]),
    ("B", "region B", [1, 5]),
    ("E", "empty", [1, 2, 8]),
]


def made(folder: Path, name: str, rows: list[Any], labels: Any) -> Atlas:
    """Return an atlas of some structures over a row of voxels."""
    structures = [
        {"acronym": a, "name": n, "id": p[-1], "structure_id_path": p, "rgb_triplet": [1, 2, 3]}
        for a, n, p in rows
    ]
    volume = np.array(labels, np.uint32).reshape(1, 1, -1)
    return Atlas.from_path(
        write_package(
            folder,
            name=name,
            annotation=volume,
            reference=volume.astype(np.uint16),
            structures=structures,
            resolution=(100, 100, 100),
        )
    )


@pytest.fixture
def old(tmp_path: Path) -> Atlas:
    """Return root > (A > (A1, A2, E), B)."""
    return made(tmp_path, "old_100um", ROWS, [3, 3, 3, 4, 4, 5, 5, 0])


def row(frame: Any, key: str, value: Any) -> Any:
    """Return the one row that has a value."""
    (found,) = frame[frame[key] == value].to_dict("records")
    return found


def test_renamed_renumbered_moved_split_and_gone(old: Atlas, tmp_path: Path) -> None:
    """Each kind of change is found, said, and leads old results to where they belong."""
    rows = [
        ("root", "root", [1]),
        ("A", "region A", [1, 2]),
        ("A1", "first", [1, 2, 30]),  # another id
        ("B", "region Bee", [1, 2, 5]),  # renamed, and below A
        ("C", "new", [1, 9]),
    ]
    new = made(tmp_path, "new_100um", rows, [30, 30, 5, 5, 5, 5, 9, 9])
    found = query.diff(old, new)
    statuses = dict(zip(found.structures["acronym"], found.structures["status"], strict=True))
    assert statuses == {
        **dict.fromkeys(("root", "A", "A1", "B"), "changed"),
        "C": "added",
        "A2": "removed",
        "E": "removed",
    }
    a1, b = (row(found.structures, "acronym", one) for one in ("A1", "B"))
    assert (a1["id_a"], a1["id_b"], a1["changed"]) == (3, 30, "id, voxels")
    assert b["changed"] == "name, parent, voxels"
    assert (a1["voxels_a"], a1["voxels_b"], a1["dice"]) == (3, 2, 0.8)
    assert a1["volume_change_percent"] == pytest.approx(-100 / 3)
    assert b["own_mm3_b"] == pytest.approx(0.004)
    moved = row(found.moved, "id_a", 4)
    assert (moved["acronym_b"], moved["voxels"], moved["fraction"]) == ("B", 2, 1.0)
    assert row(found.moved, "id_a", 0)["id_b"] == 9
    assert found.voxels_moved == 5
    successors = found.migration.set_index("acronym")
    assert successors.loc["A1", ["new_id", "note"]].tolist() == [30, "renumbered"]
    assert successors.loc["A1", "fraction"] == pytest.approx(2 / 3)
    assert successors.loc["A2", ["new_id", "fraction"]].tolist() == [5, 1.0]
    assert successors.loc["A2", "note"].startswith("removed")
    assert successors.loc["E", ["new_id", "note"]].tolist() == [
        *(2, "removed, without voxels: its ancestor"),
    ]
    assert found.counts() == {"same": 0, "changed": 4, "added": 1, "removed": 2}
    assert "old_100um" in found.summary() or "old" in found.summary()
    assert repr(found).startswith("<Difference")


def test_ids_that_were_given_out_anew(old: Atlas, tmp_path: Path) -> None:
    """A structure that has another's old id is not taken for it if its own name is found."""
    swapped = [
        *(row_ for row_ in ROWS[:2]),
        ("A2", "second", [1, 2, 3]),
        ("A1", "first", [1, 2, 4]),
        *ROWS[4:],
    ]
    new = made(tmp_path, "new_100um", swapped, [4, 4, 4, 3, 3, 5, 5, 0])
    found = query.diff(old, new)
    assert not len(found.moved)
    assert row(found.structures, "acronym", "A1")["changed"] == "id"
    renamed = [(*ROWS[0],), ("X", "x", [1, 2]), *ROWS[2:]]
    other = query.diff(old, made(tmp_path, "third_100um", renamed, [3, 3, 3, 4, 4, 5, 5, 0]))
    assert row(other.structures, "id", 2)["changed"] == "acronym, name"
    assert row(other.migration, "id", 2)["note"] == "kept"


def test_edits_show(tmp_path: Path) -> None:
    """The array that an atlas holds is compared, not the file; unlisted labels are named."""
    folder = tiny_package(tmp_path)
    one, other = Atlas.from_path(folder), Atlas.from_path(folder)
    other.annotation[other.annotation == 688] = 4242
    found = query.diff(one, other)
    moved = row(found.moved, "acronym_a", "CTX")
    assert (moved["id_b"], moved["acronym_b"]) == (4242, "unlisted 4242")
    assert moved["fraction"] == 1
    assert row(found.migration, "acronym", "CTX")["fraction"] == 0
    assert not query.diff(other, other).voxels_moved


def test_grouped_atlases_compare() -> None:
    """Groups against what they were made of: merged structures lead to their group."""
    atlas = BrainGlobeAtlas("phantom_mouse_100um")
    found = query.diff(atlas, atlas.group({"forebrain": ["CH", "TH"]}))
    assert row(found.migration, "acronym", "VISp")["new_acronym"] == "forebrain"
    assert row(found.migration, "acronym", "MB")["new_acronym"] == "root"


@pytest.mark.parametrize(
    "change",
    [
        {"orientation": "psl"},
        {"resolution": (100, 100, 130)},
        {"shape": (12, 8, 11)},
        {"resolution": (40, 40, 40)},
    ],
    ids=str,
)
def test_other_spaces_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """Another orientation, extent or shape is an error that says both spaces."""
    one = Atlas.from_path(tiny_package(tmp_path / "a"))
    other = Atlas.from_path(tiny_package(tmp_path / "b", **change))
    with pytest.raises(InvalidInputError, match=r"12 × 8 × 10 voxels of .*; the second"):
        query.diff(one, other)


def test_what_is_no_atlas_is_refused() -> None:
    """A name or an array is not an atlas, which is said."""
    atlas = BrainGlobeAtlas("phantom_mouse_100um")
    for other in ("phantom_mouse_100um", np.zeros((2, 2, 2)), None):
        with pytest.raises(InvalidInputError, match="asked of an atlas"):
            query.diff(atlas, other)


def test_a_centre_on_a_border_is_the_voxel_behind() -> None:
    """Of voxel sizes whose ratio is not exact in binary, too: 7.5 x 8.2 µm is 3 x 20.5 µm."""
    tree = Terminology([Record(1, "root", "", (1,), (0, 0, 0))])
    coarse = np.arange(1, 17, dtype=np.uint32).reshape(1, 1, -1)
    places = [(2 * voxel + 1) * 82 // (2 * 205) for voxel in range(40)]
    subjects = [
        Subject(
            LabelVolume(ArraySource(labels), tree),
            CoordinateSpace(labels.shape, (20.5, 20.5, size)),
            None,
        )
        for labels, size in ((coarse, 20.5), (coarse[..., places], 8.2))
    ]
    for one, other in (subjects, subjects[::-1]):
        assert query.diff(one, other).voxels_moved == 0
