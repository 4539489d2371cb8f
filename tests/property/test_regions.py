"""Any volume over any tree: tables, masks, contacts and parts of regions are what numpy says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from bg_atlasapi.model import labels as label_module
from bg_atlasapi.model import scan as scan_module
from bg_atlasapi.model.hemispheres import StoredHemispheres
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.terminology import Record, Terminology
from bg_atlasapi.query import components, mask, masks, neighbours, region_table
from bg_atlasapi.query.connectivity import label_parts
from bg_atlasapi.query.region_pass import region_sums
from bg_atlasapi.query.subject import Subject

LARGEST = 2**32 - 1
AXES = {"a": "ap", "p": "ap", "s": "dv", "i": "dv", "l": "lr", "r": "lr"}
ORIENTATIONS = ("asr", "lsa", "rip", "als", "psl")


@dataclass(frozen=True)
class Case:
    """An atlas, and the plain arrays it was made from."""

    tree: Terminology
    volume: npt.NDArray[Any]
    space: CoordinateSpace
    sides: npt.NDArray[np.uint8] | None

    @property
    def subject(self) -> Subject:
        """What questions are asked of."""
        stored = None if self.sides is None else StoredHemispheres(ArraySource(self.sides))
        return Subject(LabelVolume(ArraySource(self.volume), self.tree), self.space, stored)

    @property
    def side(self) -> npt.NDArray[np.uint8]:
        """The side of every voxel."""
        return self.space.hemispheres() if self.sides is None else self.sides

    def inside(self, code: int) -> npt.NDArray[np.bool_]:
        """Return the voxels of a structure and its descendants, by brute force."""
        ids = self.tree.ids[code : int(self.tree.last[code]) + 1]
        return np.isin(self.volume, ids)

    @property
    def unlisted(self) -> list[int]:
        """Labels that the terminology lacks, sorted."""
        return [one for one in np.unique(self.volume).tolist() if one not in self.tree.ids]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a tree, a volume with gaps and unlisted labels, a space, perhaps hemispheres."""
    dtype = draw(st.sampled_from([np.uint16, np.uint32, np.int64]))
    limit = min(np.iinfo(dtype).max, LARGEST)
    some = st.integers(limit - 9, limit) | st.integers(1, 9)
    ids = draw(st.lists(some, min_size=1, max_size=9, unique=True))
    paths: list[tuple[int, ...]] = [(ids[0],)]
    for place, identifier in enumerate(ids[1:], 1):
        paths.append((*paths[draw(st.integers(0, place - 1))], identifier))
    tree = Terminology([Record(p[-1], f"s{p[-1]}", "", p, (0, 0, 0)) for p in paths])
    unlisted = draw(st.lists(some, max_size=2))
    shape = draw(st.tuples(*[st.integers(1, 6)] * 3))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    volume = random.choice(np.array([0, 0, *ids, *unlisted], dtype), shape)
    if draw(st.booleans()):  # larger pieces
        volume = volume.repeat(2, axis=2)
    spacing = draw(st.sampled_from([(25.0, 25.0, 25.0), (10.0, 39.0625, 25.0), (1.0, 2.5, 1e3)]))
    space = CoordinateSpace(volume.shape, spacing, draw(st.sampled_from(ORIENTATIONS)))
    sides = None
    if draw(st.booleans()):
        sides = random.choice(np.array([0, 1, 2, 2], np.uint8), volume.shape)
    return Case(tree, volume, space, sides)


@pytest.fixture(params=["kept", "read again"], autouse=True)
def small_blocks(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cut volumes into blocks of a plane or two, with codes kept or not."""
    monkeypatch.setattr(scan_module, "_VOXELS", 40)
    if request.param != "kept":
        monkeypatch.setattr(label_module, "_KEPT_BYTES", 0)
    return


def _row(
    case: Case, table: pd.DataFrame, inside: npt.NDArray[np.bool_], prefix: str, row: int
) -> None:
    at = table.iloc[row]
    spacing = case.space.spacing_um
    voxel = np.prod(spacing) / 1e9
    assert at[f"{prefix}voxels"] == inside.sum()
    assert at[f"{prefix}volume_mm3"] == pytest.approx(inside.sum() * voxel, rel=1e-15)
    assert at[f"{prefix}left_mm3"] == pytest.approx((inside & (case.side == 1)).sum() * voxel)
    assert at[f"{prefix}right_mm3"] == pytest.approx((inside & (case.side == 2)).sum() * voxel)
    names = [AXES[letter] for letter in case.space.orientation]
    places = np.argwhere(inside)
    interior = [at[f"{prefix}interior_{name}_um"] for name in names]
    for axis, name in enumerate(names):
        start, stop = at[f"{prefix}start_{name}"], at[f"{prefix}stop_{name}"]
        centroid = at[f"{prefix}centroid_{name}_um"]
        if not len(places):
            assert start is pd.NA
            assert stop is pd.NA
            assert np.isnan(centroid)
            assert np.isnan(interior[axis])
        else:
            assert (start, stop) == (places[:, axis].min(), places[:, axis].max() + 1)
            exact = (places[:, axis].mean() + 0.5) * spacing[axis]
            assert centroid == pytest.approx(exact, rel=1e-12)
    if len(places):
        voxel_of = tuple(int(um // size) for um, size in zip(interior, spacing, strict=True))
        assert inside[voxel_of]


@given(case=cases())
def test_the_table_is_what_numpy_counts(case: Case) -> None:
    """Voxels, volumes, sides, boxes and centroids equal brute force; the inner point is inside."""
    table = region_table(case.subject)
    count = len(case.tree)
    assert table["id"].tolist() == [*case.tree.ids[1:].tolist(), *case.unlisted]
    for row, identifier in enumerate(table["id"].tolist()):
        own = case.volume == identifier
        _row(case, table, own, "own_", row)
        _row(case, table, case.inside(row + 1) if row < count else own, "", row)
    assert table["own_voxels"].sum() == np.count_nonzero(case.volume)


@given(case=cases())
def test_masks_are_unions_of_subtrees(case: Case) -> None:
    """One, several, by side, cropped or in turn: a mask is what numpy says, a parent's the union."""
    subject = case.subject
    expected = [case.inside(code) for code in range(1, len(case.tree) + 1)]
    ids = case.tree.ids[1:].tolist()
    for hemisphere, side in (("left", 1), ("right", 2), ("both", None)):
        kept = np.ones(case.volume.shape, bool) if side is None else case.side == side
        for values in ("binary", "id"):
            for identifier, inside, found in zip(
                ids, expected, masks(subject, None, hemisphere, values), strict=True
            ):
                value = 1 if values == "binary" else identifier
                np.testing.assert_array_equal(found.array, (inside & kept) * value)
                assert found.id == identifier
                whole = mask(subject, identifier, hemisphere, values)
                np.testing.assert_array_equal(whole, (inside & kept) * value)
        several = mask(subject, ids[-2:], hemisphere)
        union = np.logical_or.reduce(expected[-2:]) & kept
        np.testing.assert_array_equal(several, union)
        array, offset = mask(subject, ids[-2:], hemisphere, crop=True)
        box = tuple(slice(o, o + n) for o, n in zip(offset, array.shape, strict=True))
        padded = np.zeros_like(several)
        padded[box] = array
        np.testing.assert_array_equal(padded, several)
        assert array.size == 0 or all(
            array.any(axis=tuple({0, 1, 2} - {axis})).take([0, -1]).all() for axis in range(3)
        )


@given(case=cases(), data=st.data())
def test_the_deepest_that_was_listed_gives_the_value(case: Case, data: st.DataObject) -> None:
    """Ids of several structures, and label maps of groups, are painted from the root down."""
    codes = data.draw(st.lists(st.integers(1, len(case.tree)), min_size=1, max_size=6, unique=True))
    hemisphere = data.draw(st.sampled_from(["left", "right", "both"]))
    side = {"left": 1, "right": 2, "both": None}[hemisphere]
    kept = np.ones(case.volume.shape, bool) if side is None else case.side == side
    ids = [int(case.tree.ids[code]) for code in codes]
    labels = [data.draw(st.sampled_from([1, 2, 300, LARGEST])) for _ in codes]
    groups: dict[int, list[int]] = {}
    for label, identifier in zip(labels, ids, strict=True):
        groups.setdefault(label, []).append(identifier)
    named = {f"g{label}": members for label, members in groups.items()}
    numbered = {label: number for number, label in enumerate(groups, 1)}
    asked: list[tuple[Any, list[int]]] = [
        (ids, ids),
        (groups, labels),
        (named, [numbered[label] for label in labels]),
    ]
    for structures, values in asked:
        expected = np.zeros(case.volume.shape, np.int64)
        for code, value in sorted(zip(codes, values, strict=True)):  # parents come first
            expected[case.inside(code) & kept] = value
        found = mask(case.subject, structures, hemisphere, "id")
        np.testing.assert_array_equal(found, expected)
        array, offset = mask(case.subject, structures, hemisphere, "id", crop=True)
        box = tuple(slice(o, o + n) for o, n in zip(offset, array.shape, strict=True))
        assert array.dtype == found.dtype
        np.testing.assert_array_equal(array, expected[box])
        assert np.count_nonzero(array) == np.count_nonzero(expected)


@given(case=cases())
def test_label_maps_take_the_deepest_group(case: Case) -> None:
    """A mapping paints its labels, and where groups are nested the deeper structure's stays."""
    codes = range(1, len(case.tree) + 1)
    expected = np.zeros(case.volume.shape, np.int64)
    for code in codes:  # a descendant has the larger code
        expected[case.inside(code)] = 1000 + code
    groups = {1000 + code: int(case.tree.ids[code]) for code in codes}
    np.testing.assert_array_equal(mask(case.subject, groups), expected)
    named = {f"group {code}": [int(case.tree.ids[code])] for code in codes}
    np.testing.assert_array_equal(mask(case.subject, named), np.where(expected, expected - 1000, 0))


@given(case=cases())
def test_contacts_are_the_faces_that_differ(case: Case) -> None:
    """Every pair of labels shares the faces that numpy counts, outside and the border included."""
    padded = np.pad(case.volume, 1)
    faces: dict[tuple[int, int], npt.NDArray[np.float64]] = {}
    sizes = np.array(case.space.spacing_um)
    for axis in range(3):
        planes = np.moveaxis(padded, axis, 0)
        for one, other in pairwise(planes):
            for a, b in zip(one.ravel().tolist(), other.ravel().tolist(), strict=True):
                if a != b:
                    area = np.prod(np.delete(sizes, axis)) / 1e6
                    for pair in ((a, b), (b, a)):
                        faces.setdefault(pair, np.zeros(2))
                        faces[pair] += (1, area)
    found = neighbours(case.subject)
    rows = {(row.id, row.neighbour_id): (row.faces, row.area_mm2) for row in found.itertuples()}
    expected = {pair: both for pair, both in faces.items() if pair[0] != 0}
    assert rows.keys() == expected.keys()
    for pair, (count, area) in rows.items():
        assert count == expected[pair][0]
        assert area == pytest.approx(expected[pair][1], rel=1e-12)


@given(case=cases())
def test_contacts_of_a_structure_leave_its_inside_out(case: Case) -> None:
    """The neighbours of a structure are those of the union of its subtree."""
    for code in range(1, len(case.tree) + 1):
        inside = np.pad(case.inside(code), 1)
        count = sum(
            int((np.diff(inside.astype(np.int8), axis=axis) != 0).sum()) for axis in range(3)
        )
        found = neighbours(case.subject, int(case.tree.ids[code]))
        assert found["faces"].sum() == count
        assert set(found["id"]) <= {int(case.tree.ids[code])}


@given(case=cases())
def test_parts_are_those_of_ndimage(case: Case) -> None:
    """Counts and largest parts, own and with descendants, are those that scipy finds."""
    subject = case.subject
    table = region_table(subject, components=True)
    for row, identifier in enumerate(table["id"].tolist()):
        own = case.volume == identifier
        total = case.inside(row + 1) if row < len(case.tree) else own
        for prefix, inside in (("own_", own), ("", total)):
            labels, count = ndimage.label(inside)
            largest = np.bincount(labels.ravel())[1:].max(initial=0)
            assert table[f"{prefix}components"][row] == count
            assert table[f"{prefix}largest_component_voxels"][row] == largest
        if row < len(case.tree):
            _parts(case, identifier, total)


def _parts(case: Case, identifier: int, total: npt.NDArray[np.bool_]) -> None:
    for hemisphere, side in (("both", None), ("left", 1), ("right", 2)):
        inside = total if side is None else total & (case.side == side)
        labels, count = ndimage.label(inside)
        sizes = np.bincount(labels.ravel())[1:]
        order = np.argsort(-sizes, kind="stable")
        found = components(case.subject, identifier, hemisphere)
        assert found["voxels"].tolist() == sizes[order].tolist()
        names = [AXES[letter] for letter in case.space.orientation]
        boxes = ndimage.find_objects(labels)
        assert len(boxes) == count
        for part, number in enumerate(order.tolist()):
            places = np.argwhere(labels == number + 1)
            for axis, name in enumerate(names):
                row = found.iloc[part]
                box = boxes[number][axis]
                assert (row[f"start_{name}"], row[f"stop_{name}"]) == (box.start, box.stop)
                exact = (places[:, axis].mean() + 0.5) * case.space.spacing_um[axis]
                assert row[f"centroid_{name}_um"] == pytest.approx(exact, rel=1e-12)


@given(case=cases())
def test_parts_of_labels_and_of_outside_are_those_of_ndimage(case: Case) -> None:
    """Size, first voxel and contact with the edge of every part of every label, 0 included."""
    subject = case.subject
    parts = label_parts(subject)
    ids = region_sums(subject).ids
    found = {
        (int(ids[code]), int(voxels), int(first), bool(edge))
        for code, voxels, first, edge in zip(
            parts.codes, parts.voxels, parts.first, parts.at_edge, strict=True
        )
    }
    expected = set()
    inner = np.zeros(case.volume.shape, bool)
    inner[1:-1, 1:-1, 1:-1] = True
    for label in np.unique(case.volume).tolist():
        numbered, count = ndimage.label(case.volume == label)
        for number in range(1, count + 1):
            here = numbered == number
            first = int(np.flatnonzero(here.reshape(-1))[0])
            expected.add((label, int(here.sum()), first, bool((here & ~inner).any())))
    assert found == expected
    assert len(parts.codes) == len(expected)
