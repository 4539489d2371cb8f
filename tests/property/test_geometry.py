"""Balls, paths, random points and distances in any annotation answer as brute force does."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bg_atlasapi.model.chunked import ChunkedSource
from bg_atlasapi.model.hemispheres import StoredHemispheres
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.terminology import Record, Terminology
from bg_atlasapi.query import along, border_distance, lengths, sample, within
from bg_atlasapi.query.nearest import nearest_of
from bg_atlasapi.query.points import locate, lookup
from bg_atlasapi.query.subject import Subject

PATHS = [(1,), (1, 2), (1, 2, 4), (1, 2, 2**32 - 1), (1, 3), (1, 3, 9), (1, 3, 9, 27)]
TREE = Terminology([Record(p[-1], f"s{p[-1]}", f"region {p[-1]}", p, (0, 0, 0)) for p in PATHS])
LABELS = np.array([0, 0, 0, *(path[-1] for path in PATHS), 77, 2**32 - 2], dtype=np.uint32)
AT: list[Any] = [None, 0, 1, 2, [2], [9, 2**32 - 1]]
RNG = np.random.default_rng(7)


class Chunks(ChunkedSource):
    """An array in chunks, decoded by copying."""

    shape, dtype, chunks, where = (0,), np.dtype(np.uint32), (3, 2, 4), "a test"

    def __init__(self, array: npt.NDArray[np.uint32]) -> None:
        self.array, self.shape = array, array.shape

    def _decode(self, place: tuple[int, ...], _scratch: bytearray | None) -> npt.NDArray[Any]:
        """Return a chunk, cut short at the end."""
        box = [slice(p * c, (p + 1) * c) for p, c in zip(place, self.chunks, strict=True)]
        return self.array[tuple(box)].copy()


@st.composite
def subjects(draw: st.DrawFn, largest: int = 7) -> tuple[Subject, npt.NDArray[np.uint32]]:
    """Draw an annotation: any size, voxels, orientation and sides; in memory or in chunks."""
    size = st.sampled_from([1.0, 25.0, 10.1, 39.0625, 60.0])
    shape = draw(st.tuples(*[st.integers(1, largest)] * 3))
    sizes = draw(st.tuples(size, size, size))
    letters = draw(st.permutations([draw(st.sampled_from(pair)) for pair in ("ap", "si", "lr")]))
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    grain = draw(st.integers(1, 4))
    coarse = generator.choice(LABELS, [-(-length // grain) for length in shape])
    volume = coarse.repeat(grain, 0).repeat(grain, 1).repeat(grain, 2)
    volume = np.ascontiguousarray(volume[: shape[0], : shape[1], : shape[2]])
    source = Chunks(volume) if draw(st.booleans()) else ArraySource(volume)
    labels = LabelVolume(source, TREE)
    stored = None
    if draw(st.booleans()):
        kinds = draw(st.sampled_from([[1, 2], [0, 1, 2, 3, 255]]))
        stored = StoredHemispheres(ArraySource(generator.choice(np.array(kinds, np.uint8), shape)))
    return Subject(labels, CoordinateSpace(shape, sizes, "".join(letters)), stored), volume


def answers(subject: Subject, points: npt.ArrayLike, at: Any = None) -> list[str]:
    """Return what points answer, as ``lookup`` says it."""
    return lookup(subject.labels, subject.space, points, "um", at)["acronym"].tolist()


def hemispheres(subject: Subject, points: npt.ArrayLike) -> list[str]:
    """Return the sides of points, "" for what has none; outside every region it is not asked."""
    table = lookup(subject.labels, subject.space, points, "um", None, subject.hemispheres)
    sides = table["hemisphere"].astype(object).fillna("")
    return np.where(table["id"] == 0, "", sides).tolist()


def extent(subject: Subject) -> npt.NDArray[np.float64]:
    """Return how large the volume is, µm."""
    return np.array(subject.space.shape) * subject.space.spacing_um


def some_points(subject: Subject, count: int, seed: int) -> npt.NDArray[np.float64]:
    """Return points in and around a volume, some of them on corners, edges and faces of voxels."""
    generator = np.random.default_rng(seed)
    points = generator.uniform(-0.4, 1.4, (count, 3)) * extent(subject)
    snapped = np.round(points / subject.space.spacing_um) * subject.space.spacing_um
    return np.where(generator.random((count, 3)) < 0.3, snapped, points)


@given(subjects(), st.sampled_from(AT), st.integers(0, 99))
def test_a_path_is_cut_where_its_answer_changes(
    asked: tuple[Subject, Any], at: Any, seed: int
) -> None:
    """Stretches follow each other, add up to the path, and answer as lookup does along them."""
    subject, _ = asked
    path = some_points(subject, 1 + seed % 7 + 1, seed)
    table = along(subject, path, at=at)
    steps = np.sqrt((np.diff(path, axis=0) ** 2).sum(axis=1))
    total = steps.sum()
    assert table["entered_um"].iloc[0] == 0
    assert table["left_um"].iloc[-1] == pytest.approx(total, rel=1e-14)
    assert (table["entered_um"].iloc[1:].to_numpy() == table["left_um"].iloc[:-1].to_numpy()).all()
    assert table["length_um"].sum() == pytest.approx(total, rel=1e-12)
    gone = np.append(0, np.cumsum(steps))
    where = np.sort(RNG.uniform(0, total, 200))
    points = np.stack([np.interp(where, gone, path[:, axis]) for axis in range(3)], axis=1)
    ends = np.append(table["entered_um"], total)
    clear = np.abs(where[:, None] - ends).min(axis=1) > 1e-7 * max(total, 1)
    row = np.searchsorted(ends, where[clear]) - 1
    # On a plane throughout, interpolation is not exact enough to say on which side a point lies.
    flat = (np.diff(path, axis=0) == 0).any()
    if not flat:
        assert table["acronym"].to_numpy()[row].tolist() == answers(subject, points[clear], at)
        sides = table["hemisphere"].astype(object).fillna("").to_numpy()[row]
        assert sides.tolist() == hemispheres(subject, points[clear])
    for name in ("entry", "exit"):
        places = table[[f"{name}_{axis}" for axis in range(3)]].to_numpy()
        at_um = table["entered_um" if name == "entry" else "left_um"].to_numpy()
        expected = [np.interp(at_um, gone, path[:, axis]) for axis in range(3)]
        np.testing.assert_allclose(places, np.stack(expected, axis=1), rtol=1e-9, atol=1e-7)
    same = table[["acronym", "hemisphere"]].astype(object).fillna("").to_numpy()
    assert (same[1:] != same[:-1]).any(axis=1).all()


@given(subjects(), st.integers(0, 2), st.integers(0, 99))
def test_a_path_in_a_plane_is_where_its_points_are(
    asked: tuple[Subject, Any], axis: int, seed: int
) -> None:
    """What runs along an axis, on faces and edges of voxels too, answers as the points on it."""
    subject, _ = asked
    sizes, shape = subject.space.spacing_um, subject.space.shape
    generator = np.random.default_rng(seed)
    start = np.array([generator.integers(-1, n + 2) * s for n, s in zip(shape, sizes, strict=True)])
    stop = start.copy()
    start[axis], stop[axis] = -0.5 * sizes[axis], (shape[axis] + 0.5) * sizes[axis]
    table = along(subject, [start, stop])
    middles = np.repeat(start[None], shape[axis], axis=0)
    middles[:, axis] = (np.arange(shape[axis]) + 0.5) * sizes[axis]
    expected = answers(subject, middles)
    at = middles[:, axis] - start[axis]
    row = np.searchsorted(table["left_um"], at)
    assert table["acronym"].to_numpy()[row].tolist() == expected


@given(subjects(), st.sampled_from(AT), st.integers(0, 99))
def test_many_paths_answer_as_each(asked: tuple[Subject, Any], at: Any, seed: int) -> None:
    """A list of paths, and an array of segments, are the same paths one by one."""
    subject, _ = asked
    segments = some_points(subject, 8, seed).reshape(4, 2, 3)
    segments[2, 1] = segments[2, 0]  # has no length
    table = along(subject, segments, at=at)
    for number, segment in enumerate(segments):
        alone = along(subject, segment, at=at)
        mine = table[table["path"] == number].drop(columns="path").reset_index(drop=True)
        for column in alone:
            assert mine[column].astype(object).fillna("").tolist() == (
                alone[column].astype(object).fillna("").tolist()
            )
    assert along(subject, list(segments), at=at).equals(table)


@given(subjects(), st.integers(0, 99))
def test_lengths_roll_up(asked: tuple[Subject, Any], seed: int) -> None:
    """Own lengths add up to the paths, and a total is the own lengths of the subtree."""
    subject, _ = asked
    path = some_points(subject, 5, seed)
    table = lengths(subject, path).set_index("id")
    stretches = along(subject, path)
    own = stretches.groupby("id")["length_um"].sum()
    assert table["own_um"].sum() == pytest.approx(own.sum(), rel=1e-12)
    for identifier, row in table.iterrows():
        below = {p[-1] for p in PATHS if identifier in p} | {identifier}
        expected = own[own.index.isin(below)].sum()
        assert row["total_um"] == pytest.approx(expected, abs=1e-9 * (1 + own.sum()))
        assert row["own_um"] == pytest.approx(own.get(identifier, 0.0), abs=1e-9)
        mine = stretches["id"].isin(below - {0})
        for side in ("left", "right"):
            expected = stretches["length_um"][mine & (stretches["hemisphere"] == side)].sum()
            assert row[f"{side}_um"] == pytest.approx(expected, abs=1e-9 * (1 + own.sum()))
    assert set(own.index) <= set(table.index)


@given(subjects(), st.sampled_from(AT), st.floats(0.05, 3.0), st.integers(0, 99))
def test_a_ball_is_made_of_what_lies_in_it(
    asked: tuple[Subject, Any], at: Any, radii: float, seed: int
) -> None:
    """Fractions add up to 1 and equal those of points in the ball, one in each cell of a grid."""
    subject, _ = asked
    centre = some_points(subject, 1, seed)[0]
    radius = radii * float(np.mean(subject.space.spacing_um))
    table = within(subject, centre, radius, at=at)
    assert table["fraction"].sum() == pytest.approx(1, abs=1e-12)
    volume_mm3 = 4 / 3 * math.pi * radius**3 / 1e9
    assert table["volume_mm3"].sum() == pytest.approx(volume_mm3, rel=1e-12)
    assert (table["fraction"] > 0).all()
    steps = np.arange(40) / 20 - 1
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    grid += np.random.default_rng(seed).random(grid.shape) / 20
    grid = grid[(grid**2).sum(axis=1) < 1]
    seen, counts = np.unique(answers(subject, centre + radius * grid, at), return_counts=True)
    found = dict(zip(table["acronym"], table["fraction"], strict=True))
    for acronym, count in zip(seen.tolist(), counts.tolist(), strict=True):
        assert found.pop(acronym, 0.0) == pytest.approx(count / len(grid), abs=0.02)
    assert sum(found.values()) < 0.02


@given(subjects(), st.floats(0.05, 3.0), st.integers(0, 99))
def test_the_part_of_a_voxel_in_a_ball_is_exact(
    asked: tuple[Subject, Any], radii: float, seed: int
) -> None:
    """The part of one voxel that is in a ball equals adaptive integration, to 1e-9 of the ball."""
    from scipy.integrate import quad

    subject, volume = asked
    sizes = np.array(subject.space.spacing_um)
    centre = np.clip(some_points(subject, 1, seed)[0], 0, extent(subject))
    radius = radii * float(sizes.mean())
    voxel = np.random.default_rng(seed).integers(0, volume.shape)
    alone = np.zeros_like(volume)
    alone[tuple(voxel)] = 2
    labels = LabelVolume(ArraySource(alone), TREE)
    table = within(Subject(labels, subject.space, None), centre, radius).set_index("id")["fraction"]
    low = np.clip((voxel * sizes - centre) / radius, -1, 1)
    high = np.clip(((voxel + 1) * sizes - centre) / radius, -1, 1)

    def slice_area(depth: float) -> float:
        return disc_in_rectangle(math.sqrt(max(1 - depth * depth, 0)), low[1:], high[1:])

    # The area has kinks where the slice reaches an edge or a corner of the rectangle.
    reached = [y * y + z * z for y in (0, low[1], high[1]) for z in (0, low[2], high[2])]
    kinks = [sign * math.sqrt(1 - one) for one in reached if one < 1 for sign in (-1, 1)]
    cuts = np.unique(np.clip([low[0], high[0], *kinks], low[0], high[0]))
    parts = [quad(slice_area, *pair, epsabs=1e-12)[0] for pair in itertools.pairwise(cuts)]
    assert table.get(2, 0.0) == pytest.approx(sum(parts) / (4 / 3 * math.pi), abs=1e-9)


def disc_in_rectangle(r: float, low: Any, high: Any) -> float:
    """Return the area of a disc about the origin within a rectangle, by the chords' integral."""
    if r == 0:
        return 0.0
    x = np.clip(np.array([low[0], high[0]]), -r, r)
    # The chord at x is clipped to the rectangle where its half-length passes an edge.
    breaks = [x[0], x[1]]
    for y in (low[1], high[1]):
        if abs(y) < r:
            corner = math.sqrt(r * r - y * y)
            breaks += [value for value in (-corner, corner) if x[0] < value < x[1]]
    total = 0.0
    ordered = sorted(breaks)
    for one, two in itertools.pairwise(ordered):
        half = math.sqrt(max(r * r - ((one + two) / 2) ** 2, 0))
        top_is_arc, bottom_is_arc = half < high[1], -half > low[1]
        top = arc_area(r, one, two) if top_is_arc else high[1] * (two - one)
        bottom = -arc_area(r, one, two) if bottom_is_arc else low[1] * (two - one)
        if min(half, high[1]) > max(-half, low[1]):
            total += top - bottom
    return total


def arc_area(r: float, one: float, two: float) -> float:
    """Return the area below a half circle between two places."""

    def until(x: float) -> float:
        x = min(max(x, -r), r)
        return (x * math.sqrt(max(r * r - x * x, 0)) + r * r * math.asin(x / r)) / 2

    return until(two) - until(one)


def brute_gaps(subject: Subject, point: Any, index: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the distance from a point to the boxes of voxels, by the definition."""
    sizes = np.array(subject.space.spacing_um)
    low, high = index * sizes, (index + 1) * sizes
    gaps = np.maximum(np.maximum(low - point, point - high), 0)
    return np.sqrt((gaps**2).sum(axis=1))


@given(subjects(), st.integers(0, 99))
def test_the_nearest_region_is_the_nearest(asked: tuple[Subject, Any], seed: int) -> None:
    """Distance and label equal those of a search of every voxel; ties go to the smallest label."""
    subject, volume = asked
    points = some_points(subject, 12, seed)
    found = nearest_of(subject, points)
    index = np.argwhere(volume > 0)
    labels = volume[volume > 0]
    own = locate(subject.labels, subject.space, points).ids
    for point, distance, label, mine in zip(points, found.distance_um, found.ids, own, strict=True):
        if mine:
            assert (distance, label) == (0, mine)
        elif not len(index):
            assert (distance, label) == (math.inf, 0)
        else:
            gaps = brute_gaps(subject, point, index)
            assert distance == pytest.approx(gaps.min(), rel=1e-12, abs=1e-12)
            near = labels[gaps <= gaps.min() * (1 + 1e-12)]
            assert label in near
            assert label == labels[gaps == gaps.min()].min() or len(set(near.tolist())) > 1


@given(
    subjects(largest=24),
    st.sampled_from(AT),
    st.sampled_from([None, 0.0, 30.0, 400.0]),
    st.integers(0, 99),
)
def test_the_border_is_where_the_answer_changes(
    asked: tuple[Subject, Any], at: Any, limit: float | None, seed: int
) -> None:
    """Border distances equal a search of every voxel for another answer."""
    subject, volume = asked
    points = some_points(subject, 10, seed)
    found = border_distance(subject, points, at=at, limit_um=limit)
    index = np.argwhere(np.ones_like(volume))
    middles = (index + 0.5) * subject.space.spacing_um
    texts = np.array(answers(subject, middles, at))
    edge = extent(subject)
    for point, distance, own in zip(points, found, answers(subject, points, at), strict=True):
        gaps = brute_gaps(subject, point, index[texts != own])
        expected = gaps.min(initial=math.inf)
        if own != "Outside atlas":
            expected = min(expected, *point, *(edge - point))
        if limit is not None and expected > limit:
            expected = math.inf
        assert distance == pytest.approx(expected, rel=1e-12, abs=1e-9)


@given(subjects(), st.sampled_from(["left", "right", "both"]), st.integers(0, 99))
def test_random_points_lie_in_their_structure(
    asked: tuple[Subject, Any], hemisphere: str, seed: int
) -> None:
    """Every point is found in the structure and hemisphere; the same seed draws the same."""
    subject, volume = asked
    stored = subject.hemispheres
    sides = subject.space.hemispheres() if stored is None else stored.planes(0, len(volume))
    wanted = np.isin(volume, [9, 27, 2, 4, 2**32 - 1])
    if hemisphere != "both":
        wanted &= sides == (1 if hemisphere == "left" else 2)
    if not wanted.any():
        with pytest.raises(ValueError, match="No voxel"):
            sample(subject, ["s9", 2], 5, seed, hemisphere=hemisphere)
        return
    points = sample(subject, ["s9", 2], 50, seed, hemisphere=hemisphere)
    found = lookup(subject.labels, subject.space, points, hemispheres=stored)
    assert set(found["id"]) <= {9, 27, 2, 4, 2**32 - 1}
    if hemisphere != "both":
        assert set(found["hemisphere"]) == {hemisphere}
    again = sample(subject, ["s9", 2], 50, seed, hemisphere=hemisphere)
    assert (points == again).all()
    voxels = sample(subject, ["s9", 2], 50, seed, hemisphere=hemisphere, unit="voxel")
    assert (np.floor(voxels) == np.floor(points / subject.space.spacing_um)).all()
