"""Where a slice lies: which plane of an atlas, how its pixels run, and which side is up.

Pictures are always seen the same way, however an atlas is stored: left is left and superior is up;
from the side, anterior is left; from above, anterior is up. Of the three anatomical planes the
coordinates are the atlas's own, µm from the corner of voxel 0, so that points can be drawn straight
onto a picture; of an oblique plane they are µm from the point it goes through. What lies in a plane
is read by ``cuts``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.space import CoordinateSpace

if TYPE_CHECKING:
    import numpy.typing as npt

    Vector = npt.NDArray[np.float64]
    Pair = tuple[float, float]

SIDES = {"a": "p", "p": "a", "s": "i", "i": "s", "l": "r", "r": "l"}
_AXIS = {"ap": "anterior-posterior", "si": "superior-inferior", "lr": "left-right"}


@dataclass(frozen=True, slots=True)
class _View:
    """How an anatomical plane is seen: which side its axis, the left and the top of it are."""

    axis: str
    left: str
    top: str


VIEWS = {
    "coronal": _View("a", "l", "s"),
    "sagittal": _View("l", "a", "s"),
    "horizontal": _View("s", "l", "a"),
}
# Divided, a place on the border between two voxels must not fall into the one before.
_NEARLY = 1e-9
# What others call them.
_ALIASES = {"frontal": "coronal", "axial": "horizontal", "transverse": "horizontal"}


@dataclass(frozen=True, slots=True)
class Plane:
    """A plane of an atlas and the pixels that cover it.

    Parameters
    ----------
    name
        ``"coronal"``, ``"sagittal"``, ``"horizontal"`` or ``"oblique"``.
    place
        Where it lies, for people.
    origin_um
        The place, in the atlas's axes, where both coordinates of the plane are 0.
    across, down
        Unit vectors, in the atlas's axes, along which columns and rows run.
    start_um
        Coordinates, across and down, of the outer corner of the first pixel.
    pixel_um
        Size of a pixel, across and down.
    shape
        Rows and columns.
    turned
        Whether columns are seen from right to left, and rows from the bottom up.
    letters
        The sides seen left, right, at the top and at the bottom: ``("l", "r", "s", "i")``.
    voxel
        Axis and index of the voxels that an anatomical plane consists of; None of an oblique one.
    """

    name: str
    place: str
    origin_um: tuple[float, float, float]
    across: tuple[float, float, float]
    down: tuple[float, float, float]
    start_um: Pair
    pixel_um: Pair
    shape: tuple[int, int]
    turned: tuple[bool, bool]
    letters: tuple[str, str, str, str]
    voxel: tuple[int, int] | None

    @property
    def title(self) -> str:
        """What people read above a picture."""
        return f"{self.name}, {self.place}"

    @property
    def limits_um(self) -> tuple[Pair, Pair]:
        """The coordinates across, and down, between which it lies."""
        ends = [
            start + count * size
            for start, count, size in zip(
                self.start_um, self.shape[::-1], self.pixel_um, strict=True
            )
        ]
        return (self.start_um[0], ends[0]), (self.start_um[1], ends[1])

    @property
    def axes(self) -> tuple[int, int]:
        """The axes of the atlas that lie across and down an anatomical plane."""
        return int(np.argmax(np.abs(self.across))), int(np.argmax(np.abs(self.down)))


def plane_name(plane: object) -> str:
    """Return the name of an anatomical plane; of a normal, "oblique".

    Raises
    ------
    InvalidInputError
        If it is neither.
    """
    if isinstance(plane, str):
        name = _ALIASES.get(plane.lower(), plane.lower())
        if name in VIEWS:
            return name
    elif hasattr(plane, "__len__") and len(plane) == 3:
        return "oblique"
    message = (
        f"A plane is one of {', '.join(map(repr, VIEWS))}, or the three numbers of a vector "
        f"across it (in the atlas's axes), not {plane!r}."
    )
    raise InvalidInputError(message)


def normal_axis(space: CoordinateSpace, name: str) -> int:
    """Return the axis of the atlas across an anatomical plane."""
    return _axis_of(space, VIEWS[name].axis)


def _axis_of(space: CoordinateSpace, letter: str) -> int:
    return next(at for at, own in enumerate(space.orientation) if own in (letter, SIDES[letter]))


def anatomical(space: CoordinateSpace, name: str, position_um: float) -> Plane:
    """Return the anatomical plane at a place.

    Parameters
    ----------
    space
        Of the atlas.
    name
        As ``plane_name`` returns it.
    position_um
        Along the axis across it, from the corner of voxel 0.

    Raises
    ------
    InvalidInputError
        If it lies outside the atlas.
    """
    view = VIEWS[name]
    axis = _axis_of(space, view.axis)
    size, count = space.spacing_um[axis], space.shape[axis]
    words = _axis_words(space.orientation[axis])
    if not 0 <= position_um < size * count:
        message = (
            f"A {name} plane at {position_um:g} µm lies outside this atlas, which reaches from 0 "
            f"to {size * count:g} µm along its {words} axis."
        )
        raise InvalidInputError(message)
    index = min(int(position_um / size + _NEARLY), count - 1)
    across, down = _axis_of(space, view.left), _axis_of(space, view.top)
    unit = np.eye(3).tolist()
    return Plane(
        name,
        f"{_initials(space.orientation[axis])} {position_um / 1000:.2f} mm",
        _triplet([position_um if at == axis else 0.0 for at in range(3)]),
        _triplet(unit[across]),
        _triplet(unit[down]),
        (0.0, 0.0),
        (space.spacing_um[across], space.spacing_um[down]),
        (space.shape[down], space.shape[across]),
        (space.orientation[across] != view.left, space.orientation[down] != view.top),
        (view.left, SIDES[view.left], view.top, SIDES[view.top]),
        (axis, index),
    )


def _axis_words(letter: str) -> str:
    return next(words for letters, words in _AXIS.items() if letter in letters)


def _initials(letter: str) -> str:
    return next(letters for letters in _AXIS if letter in letters).upper()


def oblique(space: CoordinateSpace, normal: Any, position: Any) -> Plane:
    """Return a plane of any direction.

    Parameters
    ----------
    space
        Of the atlas.
    normal
        Vector across the plane, in the atlas's axes, of any length.
    position
        A point it goes through, µm; or how far along the vector it lies from the middle of the
        atlas, µm; None goes through the middle.

    Raises
    ------
    InvalidInputError
        If the vector is none, or the plane does not meet the atlas.
    """
    direction = _vector(normal, "The vector across a plane")
    length = float(np.linalg.norm(direction))
    if length == 0:
        raise InvalidInputError("The vector across a plane must not be 0 along all three axes.")
    direction /= length
    extent = np.array(space.shape) * np.array(space.spacing_um)
    origin = extent / 2
    if position is not None and np.ndim(position) == 0:
        origin = origin + _number(position) * direction
    elif position is not None:
        origin = _vector(position, "The point that an oblique plane goes through")
    view = _nearest_view(space, direction)
    down = _towards(space, SIDES[view.top])
    down = down - (down @ direction) * direction
    down /= np.linalg.norm(down)
    across = _towards(space, SIDES[view.left])
    across = across - (across @ direction) * direction - (across @ down) * down
    across /= np.linalg.norm(across)
    met = _met(extent, origin, direction)
    if not len(met):
        text = ", ".join(f"{one:g}" for one in np.ravel(position))
        message = f"The oblique plane through {text} (µm) does not meet this atlas."
        raise InvalidInputError(message)
    size = min(space.spacing_um)
    flat = np.stack([(met - origin) @ across, (met - origin) @ down], axis=1)
    low = np.floor(flat.min(axis=0) / size) * size
    counts = np.maximum(np.ceil((flat.max(axis=0) - low) / size), 1).astype(int)
    text = ", ".join(f"{one:.2f}" for one in direction)
    return Plane(
        "oblique",
        f"normal ({text})",
        _triplet(origin),
        _triplet(across),
        _triplet(down),
        (float(low[0]), float(low[1])),
        (size, size),
        (int(counts[1]), int(counts[0])),
        (False, False),
        (view.left, SIDES[view.left], view.top, SIDES[view.top]),
        None,
    )


def _nearest_view(space: CoordinateSpace, direction: Vector) -> _View:
    axis = int(np.argmax(np.abs(direction)))
    letter = space.orientation[axis]
    return next(view for view in VIEWS.values() if letter in (view.axis, SIDES[view.axis]))


def _towards(space: CoordinateSpace, letter: str) -> Vector:
    """Return the unit vector towards a side."""
    axis = _axis_of(space, letter)
    vector = np.zeros(3)
    vector[axis] = -1.0 if space.orientation[axis] == letter else 1.0
    return vector


def _met(extent: Vector, origin: Vector, direction: Vector) -> Vector:
    """Return where a plane meets the edges of a box."""
    found = []
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=3))) * extent
    heights = (corners - origin) @ direction
    for one, other in itertools.combinations(range(8), 2):
        if (one ^ other).bit_count() != 1 or heights[one] * heights[other] > 0:
            continue
        step = heights[one] - heights[other]
        share = 0.5 if step == 0 else heights[one] / step
        found.append(corners[one] + share * (corners[other] - corners[one]))
    return np.array(found)


def _vector(value: Any, what: str) -> Vector:
    try:
        numbers = np.array([float(one) for one in value], np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.empty(0)
    if numbers.shape != (3,) or not np.isfinite(numbers).all():
        raise InvalidInputError(f"{what} is three finite numbers, not {value!r}.")
    return numbers


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or isinstance(value, str | bytes | bool):
        raise InvalidInputError(f"A position is a finite number, not {value!r}.")
    return number


def _triplet(vector: Sequence[float] | Vector) -> tuple[float, float, float]:
    first, second, third = (float(one) for one in vector)
    return first, second, third


def planes_of(space: CoordinateSpace, plane: Any, position: Any, unit: str = "um") -> list[Plane]:
    """Return the planes that were asked for, at least one.

    Parameters
    ----------
    space
        Of the atlas.
    plane
        The name of an anatomical plane, or a vector across an oblique one.
    position
        One, or a list of them: see ``anatomical`` and ``oblique``. None is the middle. Three
        numbers are one point of an oblique plane, and three positions of another.
    unit
        Of positions: ``"um"``, ``"mm"`` or ``"voxel"``.

    Raises
    ------
    InvalidInputError
        If a plane or a position cannot be understood, or lies outside the atlas.
    """
    name = plane_name(plane)
    factor, _ = space.voxel_scale(unit)
    to_um = space.spacing_um if unit == "voxel" else (factor,) * 3
    several = position is not None and np.ndim(position) > 0
    if name == "oblique":
        if unit == "voxel" and np.ndim(position) == 0 and position is not None:
            raise InvalidInputError("How far away an oblique plane lies is said in µm or mm.")
        point = several and len(position) == 3 and np.ndim(position[0]) == 0
        places = [position] if point or not several else list(position)
        return [oblique(space, plane, _scaled(one, to_um)) for one in places]
    axis = normal_axis(space, name)
    middle = space.shape[axis] * space.spacing_um[axis] / 2
    places = list(position) if several else [position]
    if not places:
        raise InvalidInputError("There must be at least one position; the list is empty.")
    found = [middle if one is None else _number(one) * to_um[axis] for one in places]
    return [anatomical(space, name, one) for one in found]


def _scaled(position: Any, to_um: Sequence[float]) -> Any:
    if position is None:
        return None
    if np.ndim(position) == 0:
        return _number(position) * to_um[0]
    point = _vector(position, "The point that an oblique plane goes through")
    return point * np.array(to_um)
