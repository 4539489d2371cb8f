"""Two random annotations of one space differ as counting voxel by voxel in plain Python says."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.terminology import Record, Terminology
from bg_atlasapi.query.diffing import diff
from bg_atlasapi.query.subject import Subject

LARGEST = 2**32 - 1
PATHS = [(1,), (1, 2), (1, 2, 4), (1, 2, LARGEST), (1, 3), (1, 3, 9)]
OTHER = [(1,), (1, 2), (1, 2, 4), (1, 3), (1, 3, 9), (1, 3, 10)]


def tree_of(paths: list[tuple[int, ...]]) -> Terminology:
    """Return structures named after their ids."""
    return Terminology([Record(p[-1], f"s{p[-1]}", f"n{p[-1]}", p, (0, 0, 0)) for p in paths])


A, B = tree_of(PATHS), tree_of(OTHER)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Subject, Subject]:
    """Draw two annotations of one box, of the same or another voxel size."""
    shape = draw(st.tuples(*[st.integers(1, 7)] * 3))
    factors = draw(st.tuples(*[st.sampled_from([1, 1, 2, 3])] * 3))
    if draw(st.booleans()):
        factors = (1, 1, 1)
    numbers = np.random.default_rng(draw(st.integers(0, 99)))
    coarse = tuple(-(-n // f) for n, f in zip(shape, factors, strict=True))
    sizes = (25.0, 10.5, 4.0)
    wide = tuple(size * factor for size, factor in zip(sizes, factors, strict=True))
    made = []
    for tree, lengths, spacing in ((A, shape, sizes), (B, coarse, wide)):
        listed = [*tree.ids.tolist(), 77]
        volume = numbers.choice(np.array(listed, np.uint32), lengths)
        space = CoordinateSpace(lengths, spacing)  # type: ignore[arg-type]
        made.append(Subject(LabelVolume(ArraySource(volume), tree), space, None))
    if draw(st.booleans()):
        made.reverse()
    return made[0], made[1]


def on_finer_grid(one: Subject, grid: CoordinateSpace) -> npt.NDArray[np.uint32]:
    """Return the labels at the centres of a grid's voxels."""
    volume = one.labels.source.read()
    answer = np.zeros(grid.shape, np.uint32)
    for voxel in np.ndindex(grid.shape):
        centre = [(v + 0.5) * s for v, s in zip(voxel, grid.spacing_um, strict=True)]
        place = [math.floor(c / s) for c, s in zip(centre, one.space.spacing_um, strict=True)]
        if all(p < n for p, n in zip(place, volume.shape, strict=True)):
            answer[voxel] = volume[tuple(place)]
    return answer


@given(pairs())
def test_voxels_that_moved_equal_a_loop(pair: tuple[Subject, Subject]) -> None:
    """Every pair of labels has the voxels that a loop counts, and Dice is that of the masks."""
    one, other = pair
    fine = min(pair, key=lambda subject: math.prod(subject.space.spacing_um)).space
    a, b = on_finer_grid(one, fine), on_finer_grid(other, fine)
    found = diff(one, other)
    truth = Counter(zip(a.ravel().tolist(), b.ravel().tolist(), strict=True))
    truth = Counter({key: n for key, n in truth.items() if key[0] != key[1]})
    moved = found.moved
    assert (
        dict(zip(zip(moved["id_a"], moved["id_b"], strict=True), moved["voxels"], strict=True))
        == truth
    )
    of_a = Counter(a.ravel().tolist())
    for row in moved.itertuples():
        assert math.isclose(row.fraction, row.voxels / of_a[row.id_a])
    assert found.voxels == np.count_nonzero((a > 0) | (b > 0))
    assert found.voxels_moved == sum(truth.values())
    for row in found.structures.itertuples():
        if row.status not in ("same", "changed"):
            continue
        mine, theirs = (mask_of(s.terminology, v, row.id) for s, v in ((one, a), (other, b)))
        both = np.count_nonzero(mine) + np.count_nonzero(theirs)
        dice = 2 * np.count_nonzero(mine & theirs) / both if both else math.nan
        assert math.isclose(row.dice, dice) or (math.isnan(dice) and math.isnan(row.dice))
        assert row.own_voxels_a == np.count_nonzero(one.labels.source.read() == row.id)
        assert row.own_voxels_b == np.count_nonzero(other.labels.source.read() == row.id)


def mask_of(
    tree: Terminology, volume: npt.NDArray[np.uint32], identifier: int
) -> npt.NDArray[np.bool_]:
    """Return a structure with all below it."""
    code = tree.code(identifier)
    return np.isin(volume, tree.ids[code : int(tree.last[code]) + 1])


@given(pairs())
def test_every_structure_migrates(pair: tuple[Subject, Subject]) -> None:
    """Each structure of the old one has a row; a kept one leads to itself, fractions are shares."""
    one, other = pair
    rows = diff(one, other).migration
    assert rows["id"].tolist() == one.terminology.ids[1:].tolist()
    for row in rows.itertuples():
        assert row.new_id in other.terminology.ids
        if row.id in other.terminology.ids:
            assert (row.new_id, row.note) == (row.id, "kept")
        assert math.isnan(row.fraction) or 0 <= row.fraction <= 1


@given(pairs())
def test_an_atlas_does_not_differ_from_itself(pair: tuple[Subject, Subject]) -> None:
    """Against itself nothing moves and nothing changes."""
    found = diff(pair[0], pair[0])
    assert set(found.structures["status"]) == {"same"}
    assert not len(found.moved)
    assert not found.voxels_moved
