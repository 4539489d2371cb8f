"""Axes, units, halves, and what counts as points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.model.space import LEFT, RIGHT, CoordinateSpace, as_points

# Sides of the voxels along the left-right axis, by where it starts and how long it is.
SIDES = [
    ("asr", 4, [RIGHT, RIGHT, LEFT, LEFT]),
    ("asr", 5, [RIGHT, RIGHT, LEFT, LEFT, LEFT]),
    ("asr", 1, [LEFT]),
    ("asl", 4, [LEFT, LEFT, RIGHT, RIGHT]),
    ("asl", 5, [LEFT, LEFT, LEFT, RIGHT, RIGHT]),
    ("asl", 1, [LEFT]),
]


@pytest.mark.parametrize(("orientation", "count", "expected"), SIDES)
def test_hemispheres_are_split_in_the_middle(
    orientation: str, count: int, expected: list[int]
) -> None:
    """Index < n // 2 is right when the axis starts right; the odd middle plane is left always."""
    space = CoordinateSpace((2, 3, count), (1.0, 1.0, 1.0), orientation)
    volume = space.hemispheres()
    assert volume.shape == (2, 3, count)
    assert volume.dtype == np.uint8
    assert (volume == np.array(expected)).all()


@pytest.mark.parametrize(("orientation", "count", "expected"), SIDES)
def test_one_voxel_answers_as_the_volume(orientation: str, count: int, expected: list[int]) -> None:
    """The scalar question agrees with the volume."""
    space = CoordinateSpace((2, 3, count), (1.0, 1.0, 1.0), orientation)
    assert [space.hemisphere_of((1, 2, k)) for k in range(count)] == expected


@pytest.mark.parametrize(
    ("orientation", "axis", "half"),
    [("asr", 2, RIGHT), ("rsa", 0, RIGHT), ("ila", 1, LEFT), ("lpi", 0, LEFT), ("pri", 1, RIGHT)],
)
def test_left_right_may_be_any_axis(orientation: str, axis: int, half: int) -> None:
    """The axis is read off the orientation, and the halves lie along it only."""
    space = CoordinateSpace((4, 6, 8), (1.0, 1.0, 1.0), orientation)
    assert space.left_right_axis == axis
    assert space.first_half == half
    sides = np.moveaxis(space.hemispheres(), axis, 0)
    middle = len(sides) // 2
    assert (sides[:middle] == half).all()
    assert (sides[middle:] == LEFT + RIGHT - half).all()


@pytest.mark.parametrize(
    ("unit", "factor", "sizes"),
    [
        ("um", 1.0, (25.0, 10.0, 39.0625)),
        ("mm", 1000.0, (25.0, 10.0, 39.0625)),
        ("voxel", 1.0, (1.0, 1.0, 1.0)),
    ],
)
def test_scale(unit: str, factor: float, sizes: tuple[float, ...]) -> None:
    """Points in a unit, times the factor, by the sizes, are voxels, each axis by its own."""
    space = CoordinateSpace((1, 2, 3), (25.0, 10.0, 39.0625))
    assert space.voxel_scale(unit) == (factor, sizes)


@pytest.mark.parametrize("unit", ["cm", "", "UM", "microns"])
def test_unknown_unit(unit: str) -> None:
    """A unit that is none is refused with the list of those that are."""
    with pytest.raises(InvalidInputError, match="um, mm, voxel"):
        CoordinateSpace((1, 1, 1), (1.0, 1.0, 1.0)).voxel_scale(unit)


@pytest.mark.parametrize(
    ("given", "shape", "single"),
    [
        ([1, 2, 3], (1, 3), True),
        ((1.5, 2, 3), (1, 3), True),
        ([[1, 2, 3]], (1, 3), False),
        (np.ones((3, 3), np.float32), (3, 3), False),
        (np.ones((2, 3), np.uint8), (2, 3), False),
        ([], (0, 3), False),
        (np.empty((0, 3)), (0, 3), False),
        ([float("nan")] * 3, (1, 3), True),
    ],
)
def test_points_are_a_triplet_or_rows(given: Any, shape: tuple[int, ...], *, single: bool) -> None:
    """Triplets and rows of numbers are taken, none at all too, and told apart."""
    array, one = as_points(given)
    assert array.shape == shape
    assert one is single


@pytest.mark.parametrize(
    "given",
    [
        "abc",
        ["a", "b", "c"],
        [["1", "2", "3"]],
        None,
        [None, 1, 2],
        [1 + 2j, 0, 0],
        [[1, 2, 3], [1, 2]],
        np.array(["2020-01-01"] * 3, dtype="datetime64[D]"),
        [True, False, True],
        {"x": 1},
    ],
)
def test_what_is_not_numbers_is_refused(given: Any) -> None:
    """Text, gaps, ragged rows, dates and the like are an error that says what points are."""
    with pytest.raises(InvalidInputError, match="real numbers"):
        as_points(given)


@pytest.mark.parametrize(
    "given", [1.0, [1, 2], [1, 2, 3, 4], np.ones((2, 2)), np.ones((3, 4)), np.ones((1, 2, 3))]
)
def test_other_shapes_are_refused(given: Any) -> None:
    """Any shape but (3,) and (N, 3) is an error that says which shape came."""
    with pytest.raises(InvalidInputError, match=r"shape \(N, 3\)"):
        as_points(given)


@pytest.mark.parametrize("shape", [(5, 0), (0, 2), (0, 4)])
def test_no_points_of_another_width_are_refused(shape: tuple[int, int]) -> None:
    """Five points without coordinates are not zero points; rows of two or four are not points."""
    with pytest.raises(InvalidInputError, match=r"shape \(N, 3\)"):
        as_points(np.empty(shape))
