"""The coordinate space of an atlas: axes, orientation, voxel size, shape.

Axis order is the atlas's own. An orientation such as ``"asr"`` names, for each axis, the side where
index 0 lies (anterior, superior, right). The origin is the corner of voxel 0; voxel ``i`` covers
``[i, i + 1)`` times the voxel size, so ``voxel = floor(physical / size)``. Lengths are in µm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

UM_PER_UNIT = {"um": 1.0, "mm": 1000.0}
UNITS = ("um", "mm", "voxel")
LEFT, RIGHT = 1, 2
_PLAIN = frozenset({float, int})
_AXES = {
    "p": "sagittal",
    "a": "sagittal",
    "s": "vertical",
    "i": "vertical",
    "l": "frontal",
    "r": "frontal",
}


@dataclass(frozen=True)
class CoordinateSpace:
    """Shape, voxel size and orientation of a volume.

    Parameters
    ----------
    shape
        Voxels along each of the three axes.
    spacing_um
        Voxel size along each axis, µm.
    orientation
        Three letters of "pasilr", the side of index 0 of each axis, for example ``"asr"``.
    """

    shape: tuple[int, int, int]
    spacing_um: tuple[float, float, float]
    orientation: str = "asr"

    def voxel_scale(self, unit: str) -> tuple[float, tuple[float, float, float]]:
        """Return how coordinates in a unit become voxels: times the factor, by the sizes.

        Two steps, because 9.2 mm is voxel 92 of 100 µm only if it becomes 9200 µm first.

        Raises
        ------
        InvalidInputError
            If the unit is none of ``"um"``, ``"mm"``, ``"voxel"``.
        """
        if unit == "voxel":
            return 1.0, (1.0, 1.0, 1.0)
        if unit not in UNITS:
            message = f"{unit!r} is not a unit of coordinates; use one of {', '.join(UNITS)}."
            raise InvalidInputError(message)
        return UM_PER_UNIT[unit], self.spacing_um

    @cached_property
    def left_right_axis(self) -> int:
        """Index of the axis that runs between left and right."""
        return [_AXES[letter] for letter in self.orientation].index("frontal")

    @property
    def first_half(self) -> int:
        """Hemisphere (1 left, 2 right) where the left-right axis begins."""
        return RIGHT if self.orientation[self.left_right_axis] == "r" else LEFT

    @cached_property
    def left_span(self) -> tuple[int, int]:
        """The half-open range of left-right indices that are left.

        The split is symmetric; of an odd number of planes the middle one is left.
        """
        count = self.shape[self.left_right_axis]
        return (count // 2, count) if self.first_half == RIGHT else (0, count - count // 2)

    def hemisphere_of(self, voxel: Sequence[int]) -> int:
        """Return the hemisphere of one voxel inside the volume: 1 left, 2 right."""
        first, end = self.left_span
        return LEFT if first <= voxel[self.left_right_axis] < end else RIGHT

    def hemispheres(self) -> npt.NDArray[np.uint8]:
        """Return the hemisphere of every voxel: ``uint8``, 1 left, 2 right, the volume's shape."""
        axis = self.left_right_axis
        volume = np.full(self.shape, RIGHT, dtype=np.uint8)
        where: list[slice] = [slice(None)] * 3
        where[axis] = slice(*self.left_span)
        volume[tuple(where)] = LEFT
        return volume


def as_triplet(points: object) -> Sequence[float] | None:
    """Return a single point as three Python numbers, None for anything else.

    The quick way for the commonest question, one tuple or list at a time: ``as_points`` takes
    longer to look at it than the answer takes to find.
    """
    if type(points) is np.ndarray:  # not a masked one
        return points.tolist() if points.shape == (3,) and points.dtype.kind in "iuf" else None
    if not isinstance(points, tuple | list) or len(points) != 3:
        return None
    first, second, third = points
    if type(first) in _PLAIN and type(second) in _PLAIN and type(third) in _PLAIN:
        return points
    # numpy's own scalars would divide in their own precision, and warn where Python's do not.
    numbers = (float, np.floating, np.integer)
    if all(isinstance(value, numbers) or type(value) is int for value in points):
        return [float(value) for value in points]
    return None


def as_points(points: npt.ArrayLike) -> tuple[npt.NDArray[np.floating | np.integer], bool]:
    """Return points as an ``(N, 3)`` array, and whether a single triplet was given.

    Parameters
    ----------
    points
        One triplet or ``(N, 3)`` numbers.

    Raises
    ------
    InvalidInputError
        If it is not numbers, or of another shape.
    """
    try:
        array = _as_array(points)
    except (TypeError, ValueError):
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iuf":
        message = f"Points must be real numbers in an (N, 3) array, got {_describe(points)}."
        raise InvalidInputError(message)
    single = array.ndim == 1 and array.shape == (3,)
    if single:
        array = array[np.newaxis]
    if array.shape == (0,):
        array = array.reshape(0, 3)
    if array.ndim != 2 or array.shape[1] != 3:
        message = f"Points must have the shape (N, 3) or (3,), got {array.shape}."
        raise InvalidInputError(message)
    return array, single


def _as_array(points: Any) -> npt.NDArray[Any]:
    """Return points as an array in which what is missing is NaN."""
    if isinstance(points, np.ma.MaskedArray):
        return np.where(np.ma.getmaskarray(points), np.nan, points.data)
    array = np.asarray(points)
    if array.dtype == object and hasattr(points, "to_numpy"):  # a table with missing values
        kinds = {getattr(one, "kind", "O") for one in np.atleast_1d(points.dtypes)}
        if kinds & set("bcmM"):  # would be cast to numbers that nobody meant
            return array
        return np.asarray(points.to_numpy(dtype=np.float64, na_value=np.nan))
    return array


def _describe(points: object) -> str:
    kind = getattr(points, "dtype", None)
    if kind is not None:
        return f"an array of {kind}"
    if hasattr(points, "dtypes"):
        return f"a table of {', '.join(map(str, points.dtypes))}"[:60]
    return f"{points!r}"[:60]
