"""Any grouping of any annotation answers as plain Python would, voxel by voxel."""

from __future__ import annotations

import dataclasses
import pickle
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from bg_atlasapi.model.grouped_labels import GroupedLabels
from bg_atlasapi.model.hemispheres import StoredHemispheres
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.terminology import Record, Terminology
from bg_atlasapi.query import counting, lazily
from bg_atlasapi.query import nearest as nearest_query
from bg_atlasapi.query.coverage import coverage_of
from bg_atlasapi.query.group_rules import Source, Wish, grouping_of
from bg_atlasapi.query.grouping import Grouping
from bg_atlasapi.query.measuring import measure
from bg_atlasapi.query.points import locate, lookup, roll_up
from bg_atlasapi.query.subject import Subject

LARGEST = 2**32 - 1
PATHS = [
    *((1,), (1, 2), (1, 2, 4), (1, 2, LARGEST), (1, 2, 4, 40), (1, 3), (1, 3, 9)),
    *((1, 3, 9, 27), (1, 3, 8), (1, 5)),
]
TREE = Terminology([Record(p[-1], f"s{p[-1]}", "", p, (p[-1] % 256, 0, 0)) for p in PATHS])
PATH_OF = {path[-1]: path for path in PATHS}
IDS = sorted(PATH_OF)
LABELS = np.array([0, *IDS, 77, 2**32 - 2], dtype=np.uint32)
COUNTED = ["own", "total", "left", "right", "density_per_mm3"]
HERE = Source("random", "1.0", Path("nowhere"))


@st.composite
def subjects(draw: st.DrawFn) -> Subject:
    """Draw labels, listed and not, in an odd space, perhaps with hemispheres of their own."""
    shape = draw(st.tuples(*[st.integers(1, 6)] * 3))
    letters = draw(st.permutations([draw(st.sampled_from(pair)) for pair in ("ap", "si", "lr")]))
    space = CoordinateSpace(shape, (25.0, 10.1, 0.5), "".join(letters))
    numbers = np.random.default_rng(draw(st.integers(0, 9)))
    some = numbers.choice(LABELS, draw(st.integers(1, len(LABELS))))
    volume = numbers.choice(some, shape)
    sides = numbers.integers(0, 4, shape).astype(np.uint8)
    stored = StoredHemispheres(ArraySource(sides)) if draw(st.booleans()) else None
    return Subject(LabelVolume(ArraySource(volume), TREE), space, stored)


@st.composite
def wishes(draw: st.DrawFn) -> Wish:
    """Draw a way to group."""
    some = st.lists(st.sampled_from(IDS), min_size=1, max_size=5, unique=True)
    kind = draw(st.sampled_from(["depth", "list", "named", "mapping", "rest"]))
    prune = draw(st.lists(st.sampled_from(IDS[1:]), max_size=2))
    if kind == "depth":
        return Wish(depth=draw(st.integers(0, 5)), prune=prune, collapse=draw(some))
    if kind == "list":
        return Wish(by=draw(some), prune=prune)
    if kind == "named":
        chosen = draw(some)
        cut = draw(st.integers(0, len(chosen) - 1))
        parts = {"first": chosen[: cut + 1], "second": chosen[cut + 1 :]}
        return Wish(by={name: part for name, part in parts.items() if part}, prune=prune)
    if kind == "mapping":
        keys = draw(some)
        return Wish(by={key: draw(st.sampled_from([*IDS, 77, 500, 501])) for key in keys})
    return Wish(min_volume_mm3=draw(st.sampled_from([1e-9, 5e-7, 1e-5])), prune=prune)


def side_volume(subject: Subject) -> npt.NDArray[Any]:
    """Return the side of every voxel: 1, 2, or whatever was stored."""
    count = subject.space.shape[0]
    return np.broadcast_to(subject.sides(0, count), subject.space.shape)


def group_of(grouping: Grouping, label: int) -> int:
    """Return the id of the group of a label, by the definition."""
    if label == 0 or label not in PATH_OF:
        return label
    owner = {member: group.id for group in grouping.groups for member in group.members}
    owner |= dict.fromkeys(grouping.outside, 0)
    root = next(group.id for group in grouping.groups if group.parent is None)
    return next((owner[one] for one in reversed(PATH_OF[label]) if one in owner), root)


def expected(subject: Subject, grouping: Grouping) -> npt.NDArray[np.int64]:
    """Return the groups of all voxels, in plain Python."""
    volume = subject.labels.source.read()
    rows = [group_of(grouping, label) for label in volume.reshape(-1).tolist()]
    return np.array(rows, np.int64).reshape(volume.shape)


def grouped(subject: Subject, grouping: Grouping) -> GroupedLabels:
    """Return the labels of a subject seen through a grouping."""
    arrangement = grouping.arranged(TREE)
    return GroupedLabels(subject.labels, arrangement, subject.space, subject.hemispheres)


def centres(shape: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return the centre of every voxel, in voxels."""
    return np.argwhere(np.ones(shape)) + 0.5


def scanned(labels: LabelVolume) -> npt.NDArray[Any]:
    """Return the ids of all voxels, as a scan meets them."""
    parts = labels.scan(
        lambda scan: [scan.ids[part] for part in scan.over(lambda planes: planes.codes)]
    )
    return np.concatenate(parts)


@given(subjects(), wishes())
def test_every_way_to_read_a_grouping_agrees_with_the_definition(
    subject: Subject, wish: Wish
) -> None:
    """Arrays, slabs, scans, codes, points, single voxels and boxes equal a loop over voxels."""
    grouping = grouping_of(subject, wish, HERE)
    labels, truth = grouped(subject, grouping), expected(subject, grouping)
    assert np.array_equal(labels.source.read(), truth)
    assert np.array_equal(np.concatenate(list(labels.source.slabs())), truth)
    assert np.array_equal(scanned(labels), truth)
    some = labels.scan(lambda scan: scan.ids[scan.some(1, len(truth)).codes])
    assert np.array_equal(some, truth[1:])
    found = locate(labels, subject.space, centres(truth.shape), "voxel")
    assert found.ids.tolist() == truth.reshape(-1).tolist()
    for identifier, code in zip(found.ids.tolist(), found.codes.tolist(), strict=True):
        assert code == labels.terminology.code_of_id(identifier)
    assert [int(labels.id_at(tuple(v))) for v in np.ndindex(truth.shape)] == truth.ravel().tolist()
    codes, ids = labels.box([slice(0, n) for n in truth.shape])
    assert np.array_equal(ids[codes], truth)
    assert labels.holds(labels.source.read())
    assert np.array_equal(labels.ids(), truth)
    coded = labels.coded
    assert np.array_equal(coded.ids[coded.codes].reshape(truth.shape), truth)
    assert found.ids.dtype == labels.dtype


@given(subjects(), wishes())
def test_a_mask_of_a_group_is_the_union_of_what_is_below(subject: Subject, wish: Wish) -> None:
    """The mask of each structure of a grouping is the union of its own voxels and its children's."""
    grouping = grouping_of(subject, wish, HERE)
    labels, truth = grouped(subject, grouping), expected(subject, grouping)
    tree = labels.terminology
    for code in range(1, len(tree) + 1):
        below = [int(tree.ids[one]) for one in range(code, int(tree.last[code]) + 1)]
        mask = labels.mask(labels.subtree_ids(code), 1, np.uint8)
        assert np.array_equal(mask > 0, np.isin(truth, below))
    kept = [i for i, path in PATH_OF.items() if not set(path) & set(grouping.outside)]
    volume = subject.labels.source.read()
    assert np.array_equal(
        labels.mask(labels.subtree_ids(1), 1, np.uint8) > 0, np.isin(volume, kept)
    )


@given(subjects(), wishes())
def test_left_and_right_are_disjoint_and_make_the_whole(subject: Subject, wish: Wish) -> None:
    """Lateralised, each voxel of a group is its left, its right, or, on neither side, the root's."""
    plain = grouping_of(subject, wish, HERE)
    both = dataclasses.replace(plain, lateralised=True)
    labels, truth = grouped(subject, both), expected(subject, plain)
    sides, tree = side_volume(subject), labels.terminology
    found = labels.source.read()
    assert np.array_equal(found, scanned(labels))
    for group in plain.groups:
        left, right = (tree.ids[tree.code(f"{group.acronym}-{side}")] for side in "LR")
        assert np.array_equal(found == left, (truth == group.id) & (sides == 1))
        assert np.array_equal(found == right, (truth == group.id) & (sides == 2))
    assert len(set(tree.ids.tolist())) == len(tree) + 1
    located = locate(labels, subject.space, centres(truth.shape), "voxel", subject.hemispheres)
    assert located.ids.tolist() == found.ravel().tolist()
    whole = labels.mask(labels.subtree_ids(1), 1, np.uint8)
    assert np.array_equal(whole, grouped(subject, plain).mask(labels_of(plain), 1, np.uint8))


def labels_of(grouping: Grouping) -> list[int]:
    """Return the ids of all groups."""
    return [group.id for group in grouping.groups]


@given(subjects(), st.integers(0, 6))
def test_a_depth_is_what_lookup_answers_at_it(subject: Subject, depth: int) -> None:
    """Grouping by a depth and asking equals asking at that depth."""
    points = centres(subject.space.shape)
    plain = locate(subject.labels, subject.space, points, "voxel")
    labels = grouped(subject, grouping_of(subject, Wish(depth=depth), HERE))
    found = locate(labels, subject.space, points, "voxel")
    assert found.ids.tolist() == roll_up(plain, TREE, depth).ids.tolist()


@given(subjects(), wishes())
def test_counts_are_conserved_and_coverage_adds_up(subject: Subject, wish: Wish) -> None:
    """No voxel is lost: groups, gaps, what is left out and what is unlisted are all there is."""
    grouping = grouping_of(subject, wish, HERE)
    arrangement, truth = grouping.arranged(TREE), expected(subject, grouping)
    coverage = coverage_of(subject, arrangement)
    volume = subject.labels.source.read()
    root = next(group.id for group in grouping.groups if group.parent is None)
    in_groups = np.isin(truth, [one for one in labels_of(grouping) if one != root])
    assert coverage.voxels == np.count_nonzero(volume)
    assert coverage.covered == np.count_nonzero(in_groups & (volume > 0))
    assert coverage.covered + int(coverage.gaps["voxels"].sum()) == coverage.voxels
    for row in coverage.gaps.itertuples():
        assert row.voxels == np.count_nonzero(volume == row.id)


def around(subject: Subject, seed: int) -> npt.NDArray[np.float64]:
    """Return points in and around a volume, some of them missing."""
    numbers = np.random.default_rng(seed)
    points = (numbers.random((60, 3)) * 1.4 - 0.2) * subject.space.shape
    points *= subject.space.spacing_um
    points[numbers.random(points.shape) < 0.02] = np.nan
    return points


def seen_through(subject: Subject, grouping: Grouping) -> Subject:
    """Return a subject seen through a grouping."""
    return Subject(grouped(subject, grouping), subject.space, subject.hemispheres)


@given(subjects(), wishes(), st.integers(0, 99))
def test_to_group_and_count_is_to_count_and_group(subject: Subject, wish: Wish, seed: int) -> None:
    """Points of groups, left and right, are those of structures, added up by their groups."""
    grouping, points = grouping_of(subject, wish, HERE), around(subject, seed)
    found = counting.count(seen_through(subject, grouping), points)
    expected: Counter[int] = Counter()
    for row in counting.count(subject, points).to_dict("records"):
        expected[group_of(grouping, row["id"])] += row["own"]
    own = zip(found["id"].tolist(), found["own"].tolist(), strict=True)
    assert +Counter(dict(own)) == +expected
    assert found["own"].sum() == len(points)
    parents = {group.id: group.parent for group in grouping.groups}

    def within(group: int | None, above: int) -> bool:
        return group == above or (group is not None and within(parents.get(group), above))

    sides = locate(subject.labels, subject.space, points, hemispheres=subject.hemispheres)
    groups = [group_of(grouping, label) for label in sides.ids.tolist()]
    for row in found[found["id"].isin([*parents])].to_dict("records"):
        inside = [within(group, row["id"]) for group in groups]
        which = sides.hemispheres[inside].tolist()
        assert row["total"] == len(which)
        assert (row["left"], row["right"]) == (which.count(1), which.count(2))


@given(subjects(), st.integers(0, 6), st.integers(0, 99))
def test_to_group_by_a_depth_is_to_count_at_it(subject: Subject, depth: int, seed: int) -> None:
    """The groups of a depth have the counts, volumes too, of the rows at that depth."""
    points = around(subject, seed)
    grouping = grouping_of(subject, Wish(depth=depth), HERE)
    of_groups = counting.count(seen_through(subject, grouping), points).set_index("id")
    at_depth = counting.count(subject, points, at=depth).set_index("id")
    shared = at_depth.index
    assert of_groups.loc[shared, COUNTED].equals(at_depth[COUNTED])


@given(subjects(), wishes(), st.integers(0, 99), st.booleans(), st.booleans(), st.integers(7, 70))
def test_dask_answers_groups_as_numpy(
    subject: Subject, wish: Wish, seed: int, lateralise: bool, nearest: bool, rows: int
) -> None:
    """Of any grouping, left and right apart or not, chunks are answered as points in memory."""
    grouping = dataclasses.replace(grouping_of(subject, wish, HERE), lateralised=lateralise)
    seen, points = seen_through(subject, grouping), around(subject, seed)
    lazy = da.from_array(points, chunks=(rows, 3))
    with dask.config.set(scheduler="synchronous"):
        counted = lazily.count(seen, lazy, zeros=True).compute()
        looked = lazily.lookup(seen, lazy, nearest=nearest)
        answers = looked.compute()
    pd.testing.assert_frame_equal(counted, counting.count(seen, points, zeros=True))
    expected = lookup(seen.labels, seen.space, points, "um", None, seen.hemispheres)
    if nearest:
        expected = expected.assign(**nearest_query.columns(seen, points, "um", None))
    assert (answers.dtypes == looked.dtypes).all()
    assert answers.astype(str).equals(expected.astype(str))


@given(wishes(), st.booleans())
def test_a_grouping_survives_a_file_and_a_pickle(wish: Wish, lateralise: bool) -> None:
    """What is written and read, or pickled, is the same grouping."""
    subject = Subject(
        LabelVolume(ArraySource(LABELS.reshape(1, 1, -1)), TREE),
        CoordinateSpace((1, 1, len(LABELS)), (1.0, 1.0, 1.0)),
        None,
    )
    grouping = dataclasses.replace(grouping_of(subject, wish, HERE), lateralised=lateralise)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grouping.json"
        grouping.save(path)
        assert Grouping.load(path) == grouping
    assert pickle.loads(pickle.dumps(grouping)) == grouping


@given(subjects(), st.integers(0, 4), st.integers(0, 4))
def test_groupings_chain(subject: Subject, first: int, second: int) -> None:
    """A depth of a depth is the smaller one, read through two tables."""
    once = grouped(subject, grouping_of(subject, Wish(depth=first), HERE))
    middle = Subject(once, subject.space, subject.hemispheres)
    grouping = grouping_of(middle, Wish(depth=second), HERE)
    twice = GroupedLabels(once, grouping.arranged(once.terminology), subject.space, None)
    direct = grouped(subject, grouping_of(subject, Wish(depth=min(first, second)), HERE))
    assert np.array_equal(twice.source.read(), direct.source.read())
    assert np.array_equal(scanned(twice), direct.source.read())
    assert np.array_equal(twice.ids(), direct.source.read())


@given(subjects(), wishes(), st.integers(0, 9))
def test_to_group_and_measure_is_to_measure_and_group(
    subject: Subject, wish: Wish, seed: int
) -> None:
    """What an image holds by group is what it holds by structure, put together."""
    grouping = grouping_of(subject, wish, HERE)
    image = np.random.default_rng(seed).integers(0, 2**16, subject.space.shape).astype(np.uint16)
    before = measure(subject, image, ("n", "sum"))
    before["id"] = [group_of(grouping, one) for one in before["id"].tolist()]
    after = measure(seen_through(subject, grouping), image, ("n", "sum"))
    own = ["own_n", "own_sum"]
    expected, found = (table.groupby("id")[own].sum() for table in (before, after))
    every = found.index  # an image has no row of what is outside, and labels only if met
    assert expected.index.difference(every).tolist() in ([], [0])
    pd.testing.assert_frame_equal(found, expected.reindex(every, fill_value=0))
