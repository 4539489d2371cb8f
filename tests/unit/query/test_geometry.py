"""Balls, paths, random points and distances: known answers, bad input, what is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi import BrainGlobeAtlas, query
from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import InvalidInputError, UnknownStructureError
from bg_atlasapi.model.chunked import ChunkedSource
from bg_atlasapi.model.hemispheres import StoredHemispheres
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.terminology import Record, Terminology
from bg_atlasapi.query.nearest import nearest_of
from bg_atlasapi.query.points import lookup
from bg_atlasapi.query.subject import Subject
from bg_atlasapi.testing import tiny_components, tiny_package

PATHS = [(1,), (1, 2), (1, 3), (1, 3, 4)]
TREE = Terminology([Record(p[-1], f"s{p[-1]}", f"region {p[-1]}", p, (0, 0, 0)) for p in PATHS])


def subject_with(
    volume: npt.NDArray[Any], sizes: tuple[float, float, float] = (10, 10, 10)
) -> Subject:
    """Return labels as what is asked."""
    labels = LabelVolume(ArraySource(volume), TREE)
    return Subject(labels, CoordinateSpace(labels.shape, sizes, "asr"), None)


@pytest.fixture
def halves() -> Subject:
    """Return voxels of 10 µm: label 2 below plane 3 of the first axis, 4 above, background around."""
    volume = np.zeros((6, 6, 6), np.uint32)
    volume[1:3, 1:5, 1:5], volume[3:5, 1:5, 1:5] = 2, 4
    return subject_with(volume)


@pytest.fixture(params=["package", "edited package", "components", "left-right first"])
def atlas(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return the same small atlas from a package, edited in memory, in chunks, and turned."""
    if request.param == "components":
        return Atlas.from_path(tiny_components(tmp_path))
    if request.param == "left-right first":
        return Atlas.from_path(tiny_package(tmp_path, orientation="lsa", shape=(9, 8, 7)))
    opened = Atlas.from_path(tiny_package(tmp_path))
    if request.param == "edited package":
        opened.annotation[2] = 688
    return opened


def brute_ids(atlas: Any) -> npt.NDArray[Any]:
    """Return the annotation as it stands."""
    return np.asarray(atlas.annotation)


def test_every_question_is_in_one_place() -> None:
    """The namespace offers the functions, and says so; another name is an AttributeError."""
    for name in query.__all__:
        assert callable(getattr(query, name))
        assert name in dir(query)
    with pytest.raises(AttributeError, match="no attribute 'without'"):
        query.without  # noqa: B018 - it must raise


def test_every_kind_of_atlas_is_asked(atlas: Any) -> None:
    """Packages, edited arrays, chunks and other axis orders answer as their annotation says."""
    volume, sizes = brute_ids(atlas), np.array(atlas.resolution)
    rng = np.random.default_rng(1)
    points = rng.uniform(-0.2, 1.2, (40, 3)) * volume.shape * sizes
    index = np.argwhere(volume > 0)
    low = index * sizes
    for point, row in zip(points, atlas.lookup(points, nearest=True).itertuples(), strict=True):
        gaps = np.maximum(np.maximum(low - point, point - low - sizes), 0)
        distance = np.sqrt((gaps**2).sum(axis=1))
        assert row.distance_um == pytest.approx(distance.min(), abs=1e-9)
        assert row.nearest_id in volume[volume > 0][distance <= distance.min() + 1e-9]
    drawn = query.sample(atlas, "grey", 200, 3)
    grey = set(atlas.get_structure_descendants("grey")) | {"grey"}
    assert set(atlas.lookup(drawn)["acronym"]) <= grey
    table = query.within(atlas, volume.shape * sizes / 2, 150.0)
    assert table["fraction"].sum() == pytest.approx(1)
    assert query.border_distance(atlas, drawn).min() >= 0
    assert query.along(atlas, drawn)["length_um"].sum() == pytest.approx(
        np.sqrt((np.diff(drawn, axis=0) ** 2).sum(axis=1)).sum()
    )


def test_a_ball_on_a_border_is_half_and_half(halves: Subject) -> None:
    """A ball centred on the plane between two regions is half of each, whatever its size."""
    for radius in (1e-9, 0.3, 5.0, 19.9):
        table = query.within(halves, (30, 30, 30), radius)
        assert table["acronym"].tolist() == ["s2", "s4"]
        assert table["fraction"].tolist() == pytest.approx([0.5, 0.5], abs=1e-12)
    assert query.within(halves, (3, 3, 3), 5, unit="voxel", at=0)["acronym"].tolist() == ["s1"]
    assert query.within(halves, (30, 30, 30), 5, at=[3])["acronym"].tolist() == ["Elsewhere", "s3"]


def test_a_ball_beyond_everything_is_outside(halves: Subject) -> None:
    """Far away, infinite and not a number: all of the ball is the row of id 0."""
    for point in ((1e5, 0, 0), (1e300, 0, 0), (math.inf, 0, 0), (math.nan, 30, 30)):
        table = query.within(halves, point, 10)
        assert table[["id", "fraction"]].values.tolist() == [[0, 1.0]]
    table = query.within(halves, (30, 30, 30), 1e6)
    assert table["volume_mm3"].iloc[1:].tolist() == pytest.approx([32e-6, 32e-6], rel=1e-9)


def test_several_balls(halves: Subject) -> None:
    """Several points give a column that says which, and each answers as it does alone."""
    points = [(30, 30, 30), (0, 0, 0)]
    table = query.within(halves, points, 12)
    for number, point in enumerate(points):
        alone = query.within(halves, point, 12)
        mine = table[table["point"] == number].drop(columns="point").reset_index(drop=True)
        assert mine.equals(alone)
    assert query.within(halves, np.empty((0, 3)), 12).columns[0] == "point"


def test_a_path_through_two_regions(halves: Subject) -> None:
    """A straight probe enters and leaves where the planes are."""
    table = query.along(halves, [(0, 25, 25), (60, 25, 25)])
    assert table["acronym"].tolist() == ["Outside atlas", "s2", "s4", "Outside atlas"]
    assert table["length_um"].tolist() == pytest.approx([10, 20, 20, 10])
    assert table["entry_0"].tolist() == pytest.approx([0, 10, 30, 50])
    assert table["exit_0"].tolist() == pytest.approx([10, 30, 50, 60])
    assert table["hemisphere"].astype(object).fillna("").tolist() == ["", "right", "right", ""]
    rolled = query.along(halves, [(0, 2.5, 2.5), (6, 2.5, 2.5)], unit="voxel", at=0)
    assert rolled["acronym"].tolist() == ["Outside atlas", "s1", "Outside atlas"]
    assert rolled["exit_0"].tolist() == pytest.approx([1, 5, 6])


def test_a_path_through_corners_has_no_slivers(halves: Subject) -> None:
    """A diagonal through corners of voxels enters none of those it only touches."""
    table = query.along(halves, [(-10, -10, -10), (70, 70, 70)])
    assert table["acronym"].tolist() == ["Outside atlas", "s2", "s4", "Outside atlas"]
    assert (table["length_um"] > 1).all()


def test_a_path_that_crosses_the_midline_changes_sides(halves: Subject) -> None:
    """Stretches end at the midline, and lengths know both sides."""
    table = query.along(halves, [(15, 25, 5), (15, 25, 55)])
    assert table["hemisphere"].astype(object).fillna("").tolist() == ["", "right", "left", ""]
    summed = query.lengths(halves, [(15, 25, 5), (15, 25, 55)]).set_index("acronym")
    assert summed.loc["s1", ["own_um", "total_um", "left_um", "right_um"]].tolist() == [
        0,
        40,
        20,
        20,
    ]


def test_paths_without_length(halves: Subject) -> None:
    """Repeated points add nothing; a path of one place has one row, without length."""
    table = query.along(halves, [(15, 25, 25)] * 3)
    assert table[["acronym", "length_um", "entry_0", "exit_0"]].values.tolist() == [
        ["s2", 0, 15, 15]
    ]
    twice = query.along(halves, [(0, 25, 25), (0, 25, 25), (60, 25, 25), (60, 25, 25)])
    assert twice.equals(query.along(halves, [(0, 25, 25), (60, 25, 25)]))
    assert query.along(halves, np.empty((0, 2, 3))).empty
    assert query.lengths(halves, np.empty((0, 2, 3))).empty


class CountedChunks(ChunkedSource):
    """An array in chunks of 5 voxels a side, which says how many were decoded."""

    dtype, chunks, where = np.dtype(np.uint32), (5, 5, 5), "a test"
    shape = (60, 60, 60)

    def __init__(self, array: npt.NDArray[np.uint32]) -> None:
        self.array, self.decoded = array, 0

    def _decode(self, place: tuple[int, ...], _scratch: bytearray | None) -> npt.NDArray[Any]:
        """Return a chunk."""
        self.decoded += 1
        box = [slice(p * c, (p + 1) * c) for p, c in zip(place, self.chunks, strict=True)]
        return self.array[tuple(box)].copy()


@pytest.mark.parametrize(
    ("question", "most"),
    [
        (lambda atlas: query.within(atlas, (305, 305, 305), 30), 27),
        (lambda atlas: query.along(atlas, [(0, 305, 305), (600, 305, 305)]), 12),
        (lambda atlas: query.border_distance(atlas, (305, 305, 305), limit_um=20), 27),
        (lambda atlas: query.border_distance(atlas, (12, 305, 305)), 27),
    ],
    ids=["within", "along", "limited border", "border"],
)
def test_only_what_it_takes_is_read(question: Any, most: int) -> None:
    """A question of a few voxels decodes the chunks they lie in, of 1,728."""
    source = CountedChunks(np.full((60, 60, 60), 2, np.uint32))
    space = CoordinateSpace((60, 60, 60), (10, 10, 10), "asr")
    question(Subject(LabelVolume(source, TREE), space, None))
    assert 0 < source.decoded <= most


def test_sides_of_an_asymmetric_atlas(tmp_path: Path) -> None:
    """Stored hemispheres decide, not the middle of the volume."""
    atlas = Atlas.from_path(tiny_package(tmp_path, symmetric=False))
    for side in ("left", "right"):
        points = query.sample(atlas, "root", 500, 2, hemisphere=side)
        assert set(atlas.lookup(points)["hemisphere"]) == {side}
    line = np.array([(450.0, 350, 0), (450, 350, 1000)])
    table = query.along(atlas, line)
    middles = (table[["entry_2"]].to_numpy() + table[["exit_2"]].to_numpy()) / 2
    sides = atlas.lookup(np.insert(middles, 0, [[450], [350]], axis=1))["hemisphere"]
    labelled = (table["id"] != 0).to_numpy()
    assert labelled.any()
    assert table["hemisphere"][labelled].tolist() == sides[labelled].tolist()


def test_points_are_drawn_uniformly(halves: Subject) -> None:
    """Voxels are drawn alike, and places within them."""
    points = query.sample(halves, "s1", 64_000, np.random.default_rng(5), unit="voxel")
    counts = np.bincount(np.ravel_multi_index(tuple(points.astype(int).T), (6, 6, 6)))
    counts = counts[counts > 0]
    assert len(counts) == 64
    assert abs(counts - 1000).max() < 160  # 5 standard deviations
    assert np.histogram(points % 1, 10)[0].std() < 600
    assert query.sample(halves, 2, 0).shape == (0, 3)
    assert query.sample(halves, "s2", 3, 1, unit="mm").max() < 0.06


def test_structures_are_named_in_any_way() -> None:
    """One structure or several, by whatever names one: descendants count, and none twice."""
    atlas = BrainGlobeAtlas("phantom_mouse_100um")
    both = query.sample(atlas, ["TH", "CTX"], 20, 1)
    thalamus = atlas.structures["TH"]
    for several in (("CTX", thalamus, "VISp"), {688, 549}, np.array(["TH", "CTX"])):
        assert (query.sample(atlas, several, 20, 1) == both).all()
    for one in (thalamus, 549, "549", np.uint32(549), "Thalamus", ["TH", 549]):
        assert (query.sample(atlas, one, 20, 1) == query.sample(atlas, "TH", 20, 1)).all()
    for wrong in (None, 3.5, b"TH", ["TH", ["CTX"]]):
        with pytest.raises(UnknownStructureError):
            query.sample(atlas, wrong, 1)


def test_far_borders_are_found_block_by_block() -> None:
    """Many points deep in large regions: passing over blocks changes no answer."""
    volume = np.zeros((52, 61, 67), np.uint32)
    volume[1:-2, 2:, :-3] = 2
    volume[40:, 20:45, 5:9] = 4
    volume[30, 30, 60] = 3
    sizes = (10.0, 12.5, 9.0)
    subject = subject_with(volume, sizes)
    rng = np.random.default_rng(2)
    points = rng.uniform(0.3, 0.7, (160, 3)) * np.array(volume.shape) * sizes
    for at in (None, [3], 0):
        middles = (np.argwhere(volume >= 0) + 0.5) * sizes
        codes = lookup(subject.labels, subject.space, middles, "um", at)["acronym"].to_numpy()
        own = lookup(subject.labels, subject.space, points, "um", at)["acronym"].to_numpy()
        found = query.border_distance(subject, points, at=at)
        for point, mine, distance in zip(points, own, found, strict=True):
            low = middles[codes != mine] - np.array(sizes) / 2
            gaps = np.maximum(np.maximum(low - point, point - low - sizes), 0)
            edge = min(*point, *(np.array(volume.shape) * sizes - point))
            expected = min(edge, np.sqrt((gaps**2).sum(axis=1).min(initial=math.inf)))
            assert distance == pytest.approx(expected, abs=1e-9)


def test_places_that_are_nowhere(halves: Subject) -> None:
    """Not a number and infinite points have no distance; far ones have theirs."""
    points = [(math.nan, 1, 1), (math.inf, 1, 1), (1, -1e300, 1), (-1e6, 25, 25), (15, 25, 25)]
    found = nearest_of(halves, points)
    assert np.isnan(found.distance_um[:3]).all()
    assert found.distance_um[3:].tolist() == [1e6 + 10, 0]
    assert found.ids.tolist() == [0, 0, 0, 2, 2]
    border = query.border_distance(halves, points)
    assert np.isnan(border[:3]).all()
    assert border[3:].tolist() == [1e6 + 10, 5]
    assert nearest_of(halves, (9e8, -9e8, 9e8)).ids.tolist() == [4]


def test_an_annotation_without_labels() -> None:
    """Nothing is nearest, no answer changes, no point can be drawn."""
    empty = subject_with(np.zeros((3, 4, 5), np.uint32))
    assert nearest_of(empty, [(1, 1, 1)]).distance_um.tolist() == [math.inf]
    assert query.border_distance(empty, (1, 1, 1)).tolist() == [math.inf]
    assert query.within(empty, (15, 15, 15), 5)["id"].tolist() == [0]
    with pytest.raises(InvalidInputError, match="No voxel of this annotation belongs to s2"):
        query.sample(empty, "s2", 1)


def test_lookup_says_what_is_nearest() -> None:
    """The columns come when asked for, follow at=, and a pickle forgets the surface."""
    import pickle

    atlas = BrainGlobeAtlas("phantom_mouse_100um")
    points = [(7100, 3870, 4500), (-500, 3870, 4500), (math.nan, 0, 0)]
    plain = atlas.lookup(points)
    table = atlas.lookup(points, nearest=True)
    assert table.drop(columns=["distance_um", "nearest_id", "nearest_acronym"]).equals(plain)
    assert table["nearest_acronym"].tolist() == ["TH", "MOB", "Outside atlas"]
    assert table["distance_um"].iloc[0] == 0
    rolled = atlas.lookup(points, at=["CTX"], nearest=True)
    assert rolled["nearest_acronym"].tolist() == ["Elsewhere", "CTX", "Outside atlas"]
    assert len(pickle.dumps(atlas)) < 2000
    for rows in (table, rolled, atlas.lookup([], nearest=True)):
        assert rows["nearest_id"].dtype == rows["id"].dtype
        assert rows["nearest_acronym"].dtype == "category"


POINT_QUESTIONS = {
    "within": lambda atlas, points: query.within(atlas, points, 10),
    "along": query.along,
    "lengths": query.lengths,
    "border_distance": query.border_distance,
    "nearest": nearest_of,
}


@pytest.mark.parametrize("question", POINT_QUESTIONS.values(), ids=POINT_QUESTIONS)
@pytest.mark.parametrize(
    "points",
    [
        [[1, 2], [3, 4]],
        np.ones((2, 4)),
        np.ones((2, 3)) * 1j,
        [["a", "b", "c"], ["d", "e", "f"]],
        np.array([[1, 2, None], [1, 2, 3]], object),
        "neuron.swc",
        None,
        5,
        [[1, 2, 3], [1, 2]],
        np.ones((2, 3), bool),
    ],
    ids=str,
)
def test_points_that_are_none(halves: Subject, question: Any, points: Any) -> None:
    """Wrong shapes and types are one sentence, whatever is asked."""
    with pytest.raises(InvalidInputError, match="Points must"):
        question(halves, points)


@pytest.mark.parametrize(
    "path",
    [
        [],
        np.empty((0, 3)),
        [(1, 2, 3)],
        (1, 2, 3),
        [[(1, 2, 3)], [(1, 2, 3), (2, 3, 4)]],
    ],
    ids=str,
)
def test_paths_that_are_too_short(halves: Subject, path: Any) -> None:
    """A path of less than two points has no direction."""
    with pytest.raises(InvalidInputError, match="two points at least"):
        query.along(halves, path)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1e300, 1.7e308])
def test_paths_of_no_length(halves: Subject, value: float) -> None:
    """What is not finite, or absurdly far, has no place on a path: the error says where."""
    paths = [[(1, 2, 3), (4, 5, 6)], [(1, 2, 3), (1, 2, 3), (value, 2, 3)]]
    with pytest.raises(InvalidInputError, match="point 2 of path 1 is"):
        query.along(halves, paths, unit="mm")


@pytest.mark.parametrize("radius", [0, -1, math.nan, math.inf, 1e7, "5", None, 1j, True, [5]])
def test_radii_that_are_none(halves: Subject, radius: Any) -> None:
    """A radius is a finite number above 0."""
    with pytest.raises(InvalidInputError, match="A radius is a number"):
        query.within(halves, (1, 2, 3), radius)


@pytest.mark.parametrize("limit", [-1, math.nan, "5", 1j, True, [5]])
def test_limits_that_are_none(halves: Subject, limit: Any) -> None:
    """A limit is a number, 0 or more."""
    with pytest.raises(InvalidInputError, match="The limit is a number"):
        query.border_distance(halves, (1, 2, 3), limit_um=limit)


@pytest.mark.parametrize("n", [-1, 1.5, "5", None, True])
def test_counts_that_are_none(halves: Subject, n: Any) -> None:
    """A number of points is a whole number."""
    with pytest.raises(InvalidInputError, match="The number of points is a whole number"):
        query.sample(halves, 2, n)


@pytest.mark.parametrize("seed", [-1, "x", 1.5])
def test_seeds_that_are_none(halves: Subject, seed: Any) -> None:
    """A seed that numpy does not take is one sentence."""
    with pytest.raises(InvalidInputError, match="A seed is a whole number"):
        query.sample(halves, 2, 1, seed)


def test_other_words_that_are_none(halves: Subject) -> None:
    """Unknown structures, units, hemispheres and atlases give the errors they give elsewhere."""
    with pytest.raises(UnknownStructureError):
        query.sample(halves, "s9", 1)
    with pytest.raises(UnknownStructureError):
        query.sample(halves, ["s2", None], 1)
    with pytest.raises(InvalidInputError, match="at least one structure"):
        query.sample(halves, [], 1)
    with pytest.raises(InvalidInputError, match="hemisphere"):
        query.sample(halves, 2, 1, hemisphere="middle")
    with pytest.raises(InvalidInputError, match="unit"):
        query.sample(halves, 2, 1, unit="inch")
    for question in POINT_QUESTIONS.values():
        with pytest.raises(InvalidInputError, match="asked of an atlas"):
            question("an atlas", [(1, 2, 3), (4, 5, 6)])
    with pytest.raises(UnknownStructureError):
        query.along(halves, [(1, 2, 3), (4, 5, 6)], at=["s9"])
    with pytest.raises(InvalidInputError, match="unit"):
        query.border_distance(halves, (1, 2, 3), "inch")


@pytest.mark.parametrize("radius", [1e-300, 1e-13, 1e-6, 5.0, 20.0])
@pytest.mark.parametrize(
    "centre", [(20, 20, 20), (0, 0, 0), (40, 40, 40), (10, 20, 40), (20, 0, 7)]
)
def test_a_ball_on_faces_and_corners_is_whole(
    radius: float, centre: tuple[float, float, float]
) -> None:
    """However small, a ball at a corner of voxels or of the volume is shared out in eighths."""
    volume = np.full((4, 4, 4), 2, np.uint32)
    table = query.within(subject_with(volume), centre, radius).set_index("id")["fraction"]
    beyond = 1 - 0.5 ** sum(one in (0, 40) for one in centre)
    if radius < 20:
        assert table.to_dict() == pytest.approx({2: 1 - beyond, 0: beyond} if beyond else {2: 1})
    assert table.sum() == pytest.approx(1, abs=1e-12)


def test_a_ball_that_touches_the_end_has_nothing_outside() -> None:
    """Rounding makes no row of what is beyond the volume."""
    volume = np.full((4, 4, 4), 2, np.uint32)
    for size, radius in ((10, 20), (0.1, 0.2), (1 / 3, 2 / 3)):
        centre = (2 * size,) * 3
        table = query.within(subject_with(volume, (size, size, size)), centre, radius)
        assert table["id"].tolist() == [2]


def test_strange_sides_are_no_side() -> None:
    """A stored side other than 1 and 2 has no hemisphere along a path, as in a lookup."""
    volume = np.full((1, 1, 5), 2, np.uint32)
    sides = np.array([[[1, 2, 3, 0, 255]]], np.uint8)
    labels = subject_with(volume).labels
    space = CoordinateSpace(labels.shape, (10, 10, 10), "asr")
    subject = Subject(labels, space, StoredHemispheres(ArraySource(sides)))
    path = [(5, 5, 0), (5, 5, 50)]
    track = query.along(subject, path)
    assert track["hemisphere"].astype(object).fillna("").tolist() == ["left", "right", ""]
    assert track["length_um"].tolist() == pytest.approx([10, 10, 30])
    row = query.lengths(subject, path).set_index("id").loc[2]
    assert row[["total_um", "left_um", "right_um"]].tolist() == pytest.approx([50, 10, 10])


@pytest.mark.parametrize("count", [2**63, 10**30])
def test_more_points_than_there_can_be_are_refused(halves: Subject, count: int) -> None:
    """A number no memory holds is one sentence."""
    with pytest.raises(InvalidInputError, match="whole number, 0 to"):
        query.sample(halves, 2, count)
