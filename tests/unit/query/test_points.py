"""Where points are: ids, structures, hemispheres, ancestors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi.errors import AtlasError, InvalidInputError, UnknownStructureError
from bg_atlasapi.model.hemispheres import StoredHemispheres
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.space import CoordinateSpace, as_triplet
from bg_atlasapi.model.terminology import Record, Terminology
from bg_atlasapi.query.points import (
    BLOCK,
    acronyms,
    ancestors_at,
    locate,
    lookup,
    roll_up,
    voxel_of,
)

LARGEST = 2**32 - 1
SHAPE = (4, 5, 6)
SIZES = (25.0, 10.0, 39.0625)
NOWHERE: list[tuple[float, float, float]] = [
    (-0.001, 1, 1),
    (1, -1e300, 1),
    (100.0, 1, 1),
    (1, 50, 1),
    (1, 1, 6 * 39.0625),
    (math.nan, 1, 1),
    (1, math.nan, math.nan),
    (math.inf, 1, 1),
    (1, -math.inf, 1),
    (math.inf, -math.inf, 1),
    (math.inf, -math.inf, math.nan),
    (1e300, 1e300, 1e300),
    (1.7e308, -1.7e308, 1.7e308),
    (2.0**63, 0, 0),
    (0, 0, -(2.0**64)),
]


@pytest.fixture
def tree() -> Terminology:
    """Return root > (A > (A1, A2), B), B with the largest id."""
    rows = [("root", (1,)), ("A", (1, 2)), ("A1", (1, 2, 3)), ("A2", (1, 2, 4))]
    rows.append(("B", (1, LARGEST)))
    return Terminology([Record(p[-1], a, f"region {a}", p, (0, 0, 0)) for a, p in rows])


@pytest.fixture
def space() -> CoordinateSpace:
    """Return a space with another voxel size on each axis."""
    return CoordinateSpace(SHAPE, SIZES, "asr")


@pytest.fixture
def volume() -> npt.NDArray[np.uint32]:
    """Return planes of A1, A2, B and an unlisted label along the first axis, root behind."""
    volume = np.empty(SHAPE, np.uint32)
    volume[:] = np.array([3, 4, LARGEST, 77], np.uint32)[:, None, None]
    volume[:, -1] = 0
    volume[:, 0, 0] = 1
    return volume


@pytest.fixture(params=["mapped", "coded"])
def labels(
    request: pytest.FixtureRequest, volume: npt.NDArray[np.uint32], tree: Terminology
) -> LabelVolume:
    """Return the labels straight off the bytes, and as codes."""
    source = ArraySource(volume if request.param == "mapped" else np.asfortranarray(volume))
    return LabelVolume(source, tree)


def middle(*voxel: int) -> list[float]:
    """Return the middle of a voxel, µm."""
    return [(index + 0.5) * size for index, size in zip(voxel, SIZES, strict=True)]


def test_points_inside(labels: LabelVolume, space: CoordinateSpace) -> None:
    """Points answer id, code and side of the voxel they lie in."""
    points = [middle(0, 1, 0), middle(1, 1, 2), middle(2, 1, 3), middle(3, 1, 5), middle(3, 0, 0)]
    found = locate(labels, space, points)
    assert found.ids.tolist() == [3, 4, LARGEST, 77, 1]
    assert found.codes.tolist() == [3, 4, 5, -1, 1]
    assert found.inside.all()
    assert found.hemispheres.tolist() == [2, 2, 1, 1, 2]
    assert found.ids.dtype == labels.dtype


@pytest.mark.parametrize("point", NOWHERE, ids=str)
def test_points_outside(
    labels: LabelVolume, space: CoordinateSpace, point: tuple[float, float, float]
) -> None:
    """Negative, beyond the edge, not a number, infinite or huge: 0 everywhere, and no warning."""
    found = locate(labels, space, [point, middle(0, 1, 0)])
    assert found.ids.tolist() == [0, 3]
    assert found.codes.tolist() == [0, 3]
    assert found.inside.tolist() == [False, True]
    assert found.hemispheres.tolist() == [0, 2]
    assert voxel_of(point, SIZES, SHAPE) is None


@pytest.mark.parametrize("unit", ["um", "mm", "voxel"])
@pytest.mark.parametrize("point", NOWHERE, ids=str)
def test_points_outside_in_every_unit(
    labels: LabelVolume,
    space: CoordinateSpace,
    point: tuple[float, float, float],
    unit: str,
) -> None:
    """What is far outside in µm is outside in every unit; dividing by a small size is no trap."""
    far = [value * 1000 if math.isfinite(value * 1000) else value for value in point]
    assert locate(labels, space, [far], unit).ids.tolist() == [0]


def test_background_is_inside_the_volume(labels: LabelVolume, space: CoordinateSpace) -> None:
    """Background answers 0 like outside, but has a side and is within the volume."""
    found = locate(labels, space, [middle(0, 4, 0)])
    assert (found.ids[0], found.codes[0], found.inside[0], found.hemispheres[0]) == (0, 0, True, 2)


def test_voxels_are_half_open(labels: LabelVolume, space: CoordinateSpace) -> None:
    """A voxel owns its lower faces: the border belongs to the next, the far face is outside."""
    points = [[25.0, 10, 50], [np.nextafter(25.0, 0), 10, 50], [-0.0, 10, 50], [100, 10, 50]]
    assert locate(labels, space, points).ids.tolist() == [4, 3, 3, 0]


def test_units_agree(labels: LabelVolume, space: CoordinateSpace) -> None:
    """The same places in µm, mm and voxels answer alike."""
    voxels = np.argwhere(np.ones(SHAPE)) + 0.5
    in_um = locate(labels, space, voxels * SIZES)
    for points, unit in ((voxels * SIZES / 1000, "mm"), (voxels, "voxel")):
        found = locate(labels, space, points, unit)
        assert (found.ids == in_um.ids).all()
        assert (found.hemispheres == in_um.hemispheres).all()


@pytest.mark.parametrize(
    "dtype",
    [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint64, np.float16, np.longdouble],
)
def test_points_of_any_number_type(labels: LabelVolume, space: CoordinateSpace, dtype: Any) -> None:
    """The type of points does not matter, nor do unsigned ones wrap."""
    points = np.array([[0, 1, 1], [1, 1, 1], [2, 1, 1], [120, 1, 1]], dtype=dtype)
    assert locate(labels, space, points, "voxel").ids.tolist() == [3, 4, LARGEST, 0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.int32])
def test_millimetres_are_not_rounded_to_the_type_of_the_points(
    tree: Terminology, dtype: type[np.number]
) -> None:
    """Points of a narrow type in mm answer as the same numbers in double precision."""
    space = CoordinateSpace((4, 1, 1), (25_000.0, 1000.0, 1000.0))
    labels = LabelVolume(ArraySource(np.array([3, 4, 1, 5], np.uint8).reshape(4, 1, 1)), tree)
    column = np.array([24.999, 25, 49.97, 50, 70, 74.999, 75, 99.9, 1e4]).clip(None, 127)
    points = np.zeros((len(column), 3), dtype)
    points[:, 0] = column.astype(dtype)
    assert (
        locate(labels, space, points, "mm").ids.tolist()
        == locate(labels, space, points.astype(np.float64), "mm").ids.tolist()
    )


def test_single_precision_in_millimetres_is_exact(tree: Terminology) -> None:
    """A float32 just below a border in mm stays below it; a huge one is outside, unwarned."""
    space = CoordinateSpace((2, 1, 1), (9200.0, 1000.0, 1000.0))
    labels = LabelVolume(ArraySource(np.array([3, 4], np.uint8).reshape(2, 1, 1)), tree)
    points = np.array([[9.2, 0, 0], [3e38, 0, 0]], np.float32)
    assert float(points[0, 0]) < 9.2
    assert locate(labels, space, points, "mm").ids.tolist() == [3, 0]


def test_a_border_in_millimetres(tree: Terminology) -> None:
    """9.2 mm is voxel 92 of 100 µm: it is made 9200 µm before it is divided."""
    space = CoordinateSpace((93, 1, 1), (100.0, 100.0, 100.0))
    volume = np.full((93, 1, 1), 3, np.uint8)
    volume[92] = 4
    labels = LabelVolume(ArraySource(volume), tree)
    assert locate(labels, space, [9.2, 0, 0], "mm").ids.tolist() == [4]


def test_no_points(labels: LabelVolume, space: CoordinateSpace) -> None:
    """No points, no answers."""
    assert locate(labels, space, []).ids.shape == (0,)
    frame = lookup(labels, space, np.empty((0, 3)))
    assert list(frame.columns) == ["id", "acronym", "name", "hemisphere", "inside"]
    assert len(frame) == 0
    assert len(lookup(labels, space, [], at=1)) == 0


def test_points_over_several_blocks(
    labels: LabelVolume, space: CoordinateSpace, volume: npt.NDArray[np.uint32]
) -> None:
    """Many points, in any memory order, are each answered as if alone."""
    rng = np.random.default_rng(9)
    voxels = rng.integers(-1, 7, (2 * BLOCK + 17, 3))
    points = np.asfortranarray((voxels + rng.random(voxels.shape)) * SIZES)
    expected = np.zeros(len(voxels), np.uint32)
    inside = ((voxels >= 0) & (voxels < SHAPE)).all(axis=1)
    expected[inside] = volume[tuple(voxels[inside].T)]
    found = locate(labels, space, points)
    assert (found.ids == expected).all()
    assert (found.inside == inside).all()
    assert (locate(labels, space, points[::-1]).ids == expected[::-1]).all()


@pytest.mark.parametrize("points", ["abc", None, [["a", "b", "c"]], [1, 2], [[1, 2, 3, 4]], 5])
def test_what_is_no_point(labels: LabelVolume, space: CoordinateSpace, points: Any) -> None:
    """Text, nothing, and other shapes are refused before anything is read."""
    with pytest.raises(InvalidInputError, match="Points must"):
        locate(labels, space, points)


def test_unknown_unit(labels: LabelVolume, space: CoordinateSpace) -> None:
    """A unit that is none is refused."""
    with pytest.raises(InvalidInputError, match="is not a unit"):
        lookup(labels, space, [1, 2, 3], unit="cm")


@pytest.mark.parametrize(
    "point",
    [
        (np.float32(1), np.float32(2), np.float32(3)),
        (np.float64(1.7e308), 0.0, 0.0),
        [np.int32(5), 6, 7.5],
        np.array([1, 2, 3], np.float32),
    ],
    ids=str,
)
def test_triplets_are_python_numbers(point: Any) -> None:
    """A single point becomes Python numbers: numpy's would divide in their own precision."""
    found = as_triplet(point)
    assert found is None or {type(number) for number in found} <= {int, float}


def test_one_point_in_single_precision_agrees_with_many(
    labels: LabelVolume, volume: npt.NDArray[np.uint32]
) -> None:
    """A float32 point beside a border lies in the same voxel alone as in an array."""
    size = 10.1
    space = CoordinateSpace(SHAPE, (size, size, size))
    for index in (1, 2, 3):
        for value in (
            np.float32(index * size),
            np.nextafter(np.float32(index * size), np.float32(0)),
        ):
            point = (value, np.float32(15), np.float32(15))
            quick = as_triplet(point)
            assert quick is not None
            voxel = voxel_of(quick, (size, size, size), SHAPE)
            assert voxel is not None
            assert volume[voxel] == locate(labels, space, [point]).ids[0]


def test_huge_whole_numbers_are_outside() -> None:
    """Integers past any float are outside, one by one as well."""
    assert voxel_of((10**400, 0, 0), SIZES, SHAPE) is None
    assert voxel_of((-(10**400), 0, 0), SIZES, SHAPE) is None


def test_stored_hemispheres(labels: LabelVolume, space: CoordinateSpace) -> None:
    """An asymmetric atlas answers what is stored, 0 beyond the volume."""
    stored = np.where(np.arange(SHAPE[0]) % 2, 1, 2).astype(np.uint8)[:, None, None]
    stored = np.ascontiguousarray(np.broadcast_to(stored, SHAPE))
    points = [middle(0, 1, 5), middle(1, 1, 0), [-1.0, 0.0, 0.0]]
    found = locate(labels, space, points, hemispheres=StoredHemispheres(ArraySource(stored)))
    assert found.hemispheres.tolist() == [2, 1, 0]
    frame = lookup(labels, space, points, hemispheres=StoredHemispheres(ArraySource(stored)))
    assert frame["hemisphere"].tolist()[:2] == ["right", "left"]
    assert frame["hemisphere"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize("value", [0, 3, 127, 128, 255])
def test_stored_hemispheres_that_are_none(
    labels: LabelVolume, space: CoordinateSpace, value: int
) -> None:
    """A stored value that is no hemisphere is missing in the table; it is no failure of pandas."""
    stored = np.full(SHAPE, value, np.uint8)
    stored[1] = 1
    frame = lookup(
        labels,
        space,
        [middle(0, 1, 5), middle(1, 1, 0)],
        hemispheres=StoredHemispheres(ArraySource(stored)),
    )
    assert frame["hemisphere"].isna().tolist() == [True, False]
    assert frame["hemisphere"].tolist()[1] == "left"


@pytest.mark.parametrize("orientation", ["asr", "asl", "rsa", "pli"])
def test_sides_follow_the_orientation(tree: Terminology, orientation: str) -> None:
    """The side of every voxel's middle is that of the computed hemisphere volume."""
    space = CoordinateSpace((4, 5, 7), (1.0, 2.0, 3.0), orientation)
    labels = LabelVolume(ArraySource(np.ones((4, 5, 7), np.uint8)), tree)
    voxels = np.argwhere(np.ones(space.shape))
    found = locate(labels, space, voxels + 0.5, "voxel")
    assert (found.hemispheres == space.hemispheres().reshape(-1)).all()


def test_lookup_is_a_row_a_point(labels: LabelVolume, space: CoordinateSpace) -> None:
    """Ids, acronyms, names, sides; outside, background and unlisted labels have their words."""
    points = [middle(0, 1, 0), [-1.0, 0.0, 0.0], middle(3, 1, 5), middle(0, 4, 0)]
    frame = lookup(labels, space, points)
    assert frame["id"].tolist() == [3, 0, 77, 0]
    assert frame["acronym"].tolist() == ["A1", "Outside atlas", "unlisted 77", "Outside atlas"]
    assert frame["name"].tolist() == ["region A1", "Outside atlas", "unlisted 77", "Outside atlas"]
    assert frame["inside"].tolist() == [True, False, True, True]
    assert frame["hemisphere"].tolist()[::2] == ["right", "left"]
    assert list(frame["acronym"].cat.categories) == ["Outside atlas", "A1", "unlisted 77"]


def test_one_triplet_is_one_row(labels: LabelVolume, space: CoordinateSpace) -> None:
    """A single point is a table of one row."""
    assert lookup(labels, space, middle(1, 1, 1))["acronym"].tolist() == ["A2"]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (0, ["root", "root", "root", "unlisted 77", "Outside atlas"]),
        (1, ["A", "A", "B", "unlisted 77", "Outside atlas"]),
        (9, ["A1", "A2", "B", "unlisted 77", "Outside atlas"]),
        (-2, ["A", "A", "root", "unlisted 77", "Outside atlas"]),
        (["A"], ["A", "A", "Elsewhere", "Elsewhere", "Outside atlas"]),
        ("A", ["A", "A", "Elsewhere", "Elsewhere", "Outside atlas"]),
        (["root", "A1"], ["A1", "root", "root", "Elsewhere", "Outside atlas"]),
        ([LARGEST, "4"], ["Elsewhere", "A2", "B", "Elsewhere", "Outside atlas"]),
        ([], ["Elsewhere", "Elsewhere", "Elsewhere", "Elsewhere", "Outside atlas"]),
    ],
    ids=str,
)
def test_lookup_at(
    labels: LabelVolume, space: CoordinateSpace, at: Any, expected: list[str]
) -> None:
    """Depths and structures answer ancestors; elsewhere and outside are told apart."""
    points = [middle(0, 1, 0), middle(1, 1, 0), middle(2, 1, 0), middle(3, 1, 5), [-1.0, 0.0, 0.0]]
    frame = lookup(labels, space, points, at=at)
    assert frame["acronym"].tolist() == expected
    known = {"root": 1, "A": 2, "A1": 3, "A2": 4, "B": LARGEST, "unlisted 77": 77}
    assert frame["id"].tolist() == [known.get(acronym, 0) for acronym in expected]


def test_ancestors_wider_than_the_annotation(tree: Terminology) -> None:
    """An ancestor's id that the annotation's type cannot hold is not cut."""
    rows = [(300,), (300, 7), (300, 7, 5)]
    small = Terminology([Record(p[-1], f"s{p[-1]}", "", p, (0, 0, 0)) for p in rows])
    labels = LabelVolume(ArraySource(np.full((2, 2, 2), 5, np.uint8)), small)
    space = CoordinateSpace((2, 2, 2), (1.0, 1.0, 1.0))
    assert roll_up(locate(labels, space, [[0, 0, 0]]), small, 0).ids.tolist() == [300]
    assert len(tree) == 5


@pytest.mark.parametrize(
    "at",
    [True, 1.5, None, math.nan, np.float64(2), np.array(1), {"A": 1}.items(), object()],
    ids=lambda at: type(at).__name__,
)
def test_what_is_no_level(tree: Terminology, at: Any) -> None:
    """What is neither a depth nor structures is refused as input; a bare TypeError is a bug."""
    try:
        ancestors_at(tree, at)
    except AtlasError:
        return
    assert isinstance(at, np.ndarray)


@pytest.mark.parametrize("at", ["nope", ["A", "nope"], [0], [None], [[]]])
def test_unknown_structures_at(tree: Terminology, at: Any) -> None:
    """An unknown structure among those to answer is named."""
    with pytest.raises(UnknownStructureError):
        ancestors_at(tree, at)


@pytest.mark.parametrize("depth", [10**20, -(10**20), 2**31, -(2**31) - 1])
def test_depths_past_every_tree(tree: Terminology, depth: int) -> None:
    """Any whole number is a depth: too deep is the structure itself, too high the root."""
    table, gaps = ancestors_at(tree, depth)
    assert table.tolist() == ([0, 1, 2, 3, 4, 5] if depth > 0 else [0, 1, 1, 1, 1, 1])
    assert gaps is False


def test_acronyms_of_points(labels: LabelVolume, space: CoordinateSpace, tree: Terminology) -> None:
    """Acronyms as an array, with the caller's word for outside."""
    found = locate(labels, space, [middle(0, 1, 0), [-1.0, 0.0, 0.0], middle(3, 1, 5)])
    assert acronyms(found, tree, "nothing").tolist() == ["A1", "nothing", "unlisted 77"]


def test_several_structures_of_one_name(space: CoordinateSpace) -> None:
    """Structures that share acronym and name share a category, and keep their ids."""
    rows = [(1,), (1, 3), (1, 4)]
    twins = Terminology([Record(p[-1], "x", "twin", p, (0, 0, 0)) for p in rows])
    volume = np.full(SHAPE, 3, np.uint32)
    volume[1:] = 4
    frame = lookup(
        LabelVolume(ArraySource(volume), twins), space, [middle(0, 0, 0), middle(1, 0, 0)]
    )
    assert frame["id"].tolist() == [3, 4]
    assert frame["acronym"].tolist() == ["x", "x"]
    assert list(frame["name"].cat.categories) == ["twin"]
