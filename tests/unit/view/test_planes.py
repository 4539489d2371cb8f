"""Planes: the same view of the body, however the atlas is stored."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.view.cuts import sides_in
from bg_atlasapi.view.planes import VIEWS, Plane, planes_of

ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(("ap", "si", "lr"))
    for letters in itertools.product(*axes)
]
SHAPE, SPACING = {"ap": 12, "si": 8, "lr": 10}, {"ap": 50.0, "si": 40.0, "lr": 20.0}


def space_of(orientation: str) -> CoordinateSpace:
    """Return one body in some orientation."""
    axes = [next(axis for axis in SHAPE if letter in axis) for letter in orientation]
    shape = [SHAPE[axis] for axis in axes]
    spacing = [SPACING[axis] for axis in axes]
    return CoordinateSpace((*shape,), (*spacing,), orientation)  # type: ignore[arg-type]


def seen(plane: Plane, space: CoordinateSpace) -> tuple[str, str]:
    """Return towards which sides a plane is seen to run, to the right and down the page."""
    letters = []
    for vector, turned in zip((plane.across, plane.down), plane.turned, strict=True):
        direction = np.array(vector) * (-1 if turned else 1)
        axis = int(np.argmax(np.abs(direction)))
        start = space.orientation[axis]
        opposite = {"a": "p", "p": "a", "s": "i", "i": "s", "l": "r", "r": "l"}[start]
        letters.append(opposite if direction[axis] > 0 else start)
    return letters[0], letters[1]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_left_is_left_and_up_is_up(orientation: str) -> None:
    """In all 48 orientations, planes of each name, and oblique ones near them, are seen alike."""
    space = space_of(orientation)
    expected = {"coronal": ("r", "i"), "sagittal": ("p", "i"), "horizontal": ("r", "p")}
    for name, view in VIEWS.items():
        (plane,) = planes_of(space, name, None)
        assert seen(plane, space) == expected[name]
        assert plane.letters[1::2] == expected[name]
        across, down = (next(axis for axis in SHAPE if letter in axis) for letter in expected[name])
        assert plane.shape == (SHAPE[down], SHAPE[across])
        assert plane.pixel_um == (SPACING[across], SPACING[down])
        normal = [3.0 if letter in _both(view.axis) else 0.3 for letter in orientation]
        (tilted,) = planes_of(space, normal, None)
        assert seen(tilted, space) == expected[name]


def _both(letter: str) -> str:
    return next(axis for axis in ("ap", "si", "lr") if letter in axis)


def test_oblique_axes_are_square_and_cover_the_volume() -> None:
    """Unit vectors at right angles to each other and the normal; every corner met lies inside."""
    space = space_of("asr")
    rng = np.random.default_rng(0)
    for normal in rng.normal(size=(50, 3)):
        (plane,) = planes_of(space, normal, None)
        frame = np.array([plane.across, plane.down, normal / np.linalg.norm(normal)])
        assert np.allclose(frame @ frame.T, np.eye(3))
        assert plane.shape[0] * plane.pixel_um[1] <= 1.1 * np.linalg.norm([600, 320, 200]) + 40


def test_positions_are_read_in_any_unit() -> None:
    """µm, mm and voxels name the same plane; a voxel's number is the corner where it begins."""
    space = space_of("asr")
    for index in range(12):
        places = {"um": index * 50.0, "mm": index * 0.05, "voxel": index}
        for unit, place in places.items():
            (plane,) = planes_of(space, "coronal", place, unit)
            assert plane.voxel == (0, index)
    (plane,) = planes_of(space, (1, 1, 0), (6, 4, 5), "voxel")
    assert plane.origin_um == (300.0, 160.0, 100.0)
    with pytest.raises(InvalidInputError, match="µm or mm"):
        planes_of(space, (1, 1, 0), 4, "voxel")


def test_several_positions_are_several_planes() -> None:
    """A list of three is three planes; of an oblique one it is a point, and two points are two."""
    space = space_of("asr")
    assert len(planes_of(space, "coronal", [0, 100, 200])) == 3
    assert len(planes_of(space, (1, 1, 0), [300, 160, 100])) == 1
    assert len(planes_of(space, (1, 1, 0), [[300, 160, 100], [200, 160, 100]])) == 2
    assert [one.place for one in planes_of(space, "horizontal", [0, 100])] == [
        "SI 0.00 mm",
        "SI 0.10 mm",
    ]


@pytest.mark.parametrize("orientation", ["asr", "lpi", "ial"])
@pytest.mark.parametrize("name", ["coronal", "horizontal"])
def test_the_side_seen_is_the_hemisphere(orientation: str, name: str) -> None:
    """The left half of a picture is what ``hemisphere_from_coords`` calls left, in any orientation."""
    space = space_of(orientation)
    ids = np.ones(space.shape, np.uint8)
    atlas = BrainGlobeAtlas.from_arrays(
        ids, {1: "all"}, resolution=space.spacing_um, orientation=orientation
    )
    (plane,) = planes_of(space, name, None)
    sides = sides_in(atlas._subject(), plane)[:, :: -1 if plane.turned[0] else 1]
    assert plane.letters[:2] == ("l", "r")
    rows, columns = plane.shape
    across, down = plane.axes
    for column in range(columns):
        voxel = [0, 0, 0]
        voxel[across] = columns - 1 - column if plane.turned[0] else column
        voxel[down] = rows // 2
        side = atlas.hemisphere_from_coords(voxel, as_string=True)
        assert side == ("left" if column < columns / 2 else "right")
        assert sides[rows // 2, column] == (1 if side == "left" else 2)
