"""What a question is asked of: the labels of an atlas, its space and its hemispheres.

Questions stand below the atlas object, so they know only what it answers from: ``subject_of`` takes
that from an atlas, edited arrays included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.model.hemispheres import StoredHemispheres, sides_of
from bg_atlasapi.model.labels import LabelVolume
from bg_atlasapi.model.space import LEFT, RIGHT, CoordinateSpace
from bg_atlasapi.model.terminology import Terminology

if TYPE_CHECKING:
    import numpy.typing as npt

_SIDES = {"left": LEFT, "right": RIGHT, "both": None}


@dataclass(frozen=True, slots=True)
class Subject:
    """The parts of an atlas that questions are answered from.

    Parameters
    ----------
    labels
        The annotation.
    space
        Its shape, voxel size and orientation.
    hemispheres
        The sides of an asymmetric atlas; None where they are worked out.
    """

    labels: LabelVolume
    space: CoordinateSpace
    hemispheres: StoredHemispheres | None

    @property
    def terminology(self) -> Terminology:
        """The structures."""
        return self.labels.terminology

    def sides(self, first: int, stop: int) -> npt.NDArray[Any]:
        """Return the sides of planes, 1 left and 2 right, to be broadcast to their shape."""
        return sides_of(self.space, self.hemispheres, first, stop)


def subject_of(atlas: Any, *, every_voxel: bool = False) -> Subject:
    """Return what an atlas is asked by.

    Parameters
    ----------
    atlas
        A ``BrainGlobeAtlas``, or another atlas of this package; or a ``Subject`` already.
    every_voxel
        Whether the question takes every voxel, not just some points.

    Raises
    ------
    InvalidInputError
        If it is no atlas.
    """
    if isinstance(atlas, Subject):
        return atlas
    ask = getattr(atlas, "_subject", None)
    if ask is None:
        raise InvalidInputError(f"Questions are asked of an atlas, not of {type(atlas).__name__}.")
    subject: Subject = ask(every_voxel=every_voxel)
    return subject


def side_of(hemisphere: object) -> int | None:
    """Return the number of a hemisphere, 1 left and 2 right; None for both.

    Raises
    ------
    InvalidInputError
        If it is not ``"left"``, ``"right"`` or ``"both"``.
    """
    if not isinstance(hemisphere, str) or hemisphere not in _SIDES:
        message = f"A hemisphere is one of {', '.join(map(repr, _SIDES))}, not {hemisphere!r}."
        raise InvalidInputError(message)
    return _SIDES[hemisphere]
