"""Where the voxels of an image lie in an atlas: the same grid, or another voxel size of its space.

An image voxel takes what the atlas holds at its centre. A centre on the border between two voxels
of the atlas takes the one behind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.levels import as_spacing, same_spacing
from bg_atlasapi.model.space import CoordinateSpace

if TYPE_CHECKING:
    import numpy.typing as npt

    Triplet = tuple[float, float, float]

# A voxel size is guessed from the shape only if it is this simple a multiple of the atlas's.
_SIMPLE = 20
_NEARLY = 1e-6


@dataclass(frozen=True, slots=True)
class Grid:
    """The voxels of an image in the space of an atlas.

    Parameters
    ----------
    shape, spacing_um
        Of the image.
    places
        For each axis the atlas's index of each of the image's, -1 beyond the atlas; None where they
        are the same.
    """

    shape: tuple[int, int, int]
    spacing_um: Triplet
    places: tuple[npt.NDArray[np.intp], ...] | None

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel of the image."""
        return math.prod(self.spacing_um) / 1e9


def grid_of(
    space: CoordinateSpace, shape: Sequence[int], spacing_um: object = None, what: str = "image"
) -> Grid:
    """Return where the voxels of an image lie.

    Parameters
    ----------
    space
        Of the atlas.
    shape
        Of the image, in the order of the atlas's axes.
    spacing_um
        Its voxel size, µm, a number or three; None finds it by the shape.
    what
        How messages call it.

    Raises
    ------
    InvalidInputError
        If the image cannot be in the atlas's space; both shapes are said.
    """
    if len(shape) != 3:
        message = (
            f"The {what} has {len(shape)} axes, shape {tuple(shape)}; the atlas has three, "
            f"shape {space.shape}."
        )
        raise InvalidInputError(message)
    sizes = _guessed(space, shape) if spacing_um is None else as_spacing(spacing_um)
    first, second, third = (int(length) for length in shape)
    if sizes is None or not covers(space, shape, sizes):
        raise InvalidInputError(_apart(space, shape, sizes, what))
    if same_spacing(sizes, space.spacing_um) and tuple(shape) == space.shape:
        return Grid((first, second, third), space.spacing_um, None)
    places = tuple(
        places_along(length, size, own, count)
        for length, size, own, count in zip(
            shape, sizes, space.spacing_um, space.shape, strict=True
        )
    )
    return Grid((first, second, third), sizes, places)


def places_along(length: int, size: float, own: float, count: int) -> npt.NDArray[np.intp]:
    """Return, along one axis, in which voxel of an atlas the centre of each of an image's lies.

    Parameters
    ----------
    length, size
        Voxels of the image, and their size.
    own, count
        Size of the atlas's voxels, and how many there are; -1 is answered past them.
    """
    centres = (np.arange(length) + 0.5) * size / own
    near = np.rint(centres)
    centres = np.where(np.abs(centres - near) < _NEARLY, near, centres)
    places = np.floor(centres).astype(np.intp)
    return np.where(places < count, places, -1)


def covers(space: CoordinateSpace, shape: Sequence[int], sizes: Sequence[float]) -> bool:
    """Say whether an image is as large as the atlas, but for less than a voxel of either."""
    if same_spacing(sizes, space.spacing_um):
        return tuple(shape) == space.shape
    axes = zip(shape, sizes, space.shape, space.spacing_um, strict=True)
    return all(
        abs(length * size - count * own) < max(size, own) * (1 - _NEARLY)
        for length, size, count, own in axes
    )


def _guessed(space: CoordinateSpace, shape: Sequence[int]) -> Triplet | None:
    if tuple(shape) == space.shape:
        return space.spacing_um
    low, high = Fraction(0), Fraction(1 << 40)
    for length, count in zip(shape, space.shape, strict=True):
        low = max(low, Fraction(count, length + 1))
        high = min(high, Fraction(count, length - 1) if length > 1 else high)
    if low >= high:
        return None
    ratio = _simplest(low, high)
    if ratio is None or ratio == 1:
        return None
    first, second, third = (float(size * ratio) for size in map(Fraction, space.spacing_um))
    return (first, second, third)


def _simplest(low: Fraction, high: Fraction) -> Fraction | None:
    """Return the simplest fraction between two, None if none is simple."""
    for below in range(1, _SIMPLE + 1):
        above = math.floor(low * below) + 1
        if Fraction(above, below) < high:
            return Fraction(above, below) if above <= _SIMPLE * below else None
    return None


def _apart(space: CoordinateSpace, shape: Sequence[int], sizes: Triplet | None, what: str) -> str:
    stated = "" if sizes is None else f" and voxels of {_text(sizes)} µm"
    extent = _text([count * own for count, own in zip(space.shape, space.spacing_um, strict=True)])
    advice = (
        " If it has another voxel size, give resolution= (µm)."
        if sizes is None
        else " Register it to the atlas first, or give the right resolution= (µm)."
    )
    return (
        f"The {what} has the shape {tuple(shape)}{stated}; the atlas has the shape {space.shape} "
        f"and voxels of {_text(space.spacing_um)} µm, {extent} µm in all.{advice}"
    )


def _text(sizes: Sequence[float]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)
