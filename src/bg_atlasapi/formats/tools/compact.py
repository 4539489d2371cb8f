"""The annotation with labels 1…n, ``uint16``, for tools that take no larger ones.

A structure's label is its place in the hierarchy, depth-first; a table tells the id of each. Labels
of the annotation that the terminology lacks come after the structures, in order of their ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.tools.base import Image, Region, images_of, regions_of, table
from bg_atlasapi.late import np
from bg_atlasapi.model.atlas import Atlas
from bg_atlasapi.model.id_index import UNLISTED
from bg_atlasapi.model.terminology import Terminology

if TYPE_CHECKING:
    import numpy.typing as npt

MOST = 65535
NAME = "labels"
_GREY = (128, 128, 128)
_COLUMNS = ("label", "id", "acronym", "name", "parent_structure_id", "color")


@dataclass(frozen=True, slots=True)
class CompactLabels:
    """An annotation with consecutive labels.

    Parameters
    ----------
    image
        ``uint16``.
    regions
        What the labels 1, 2, … stand for.
    """

    image: Image
    regions: list[Region]

    def table(self) -> bytes:
        """Return the ids of the labels as CSV."""
        rows = [
            {
                "label": label,
                "id": one.id,
                "acronym": one.acronym,
                "name": one.name,
                "parent_structure_id": one.parent,
                "color": one.colour,
            }
            for label, one in enumerate(self.regions, start=1)
        ]
        return table(rows, columns=_COLUMNS)


class TooManyLabelsError(InvalidInputError):
    """16 bits do not number the labels of an atlas."""


def compact_labels(atlas: Atlas) -> CompactLabels:
    """Number the labels of an atlas; reads the annotation once.

    Raises
    ------
    TooManyLabelsError
        If there are more than 65535.
    """
    annotation, terminology = images_of(atlas)[0], atlas.terminology
    unlisted = _unlisted(annotation, terminology) if len(terminology) <= MOST else []
    regions = regions_of(atlas)
    regions += [Region(one, None, str(one), f"label {one}", (one,), _GREY) for one in unlisted]
    if len(regions) > MOST:
        message = (
            f"The atlas has {len(regions)} labels; tools with compact labels take {MOST}. "
            "The formats nifti and nrrd hold them all."
        )
        raise TooManyLabelsError(message)

    def blocks() -> Iterator[npt.NDArray[Any]]:
        for block in annotation.blocks():
            yield _numbered(block, terminology, unlisted)

    image = Image(NAME, annotation.shape, np.dtype(np.uint16), True, blocks)  # noqa: FBT003 - fields in order
    return CompactLabels(image, regions)


def _runs(block: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """Return the labels and lengths of runs of equal neighbours; they are few."""
    flat = block.reshape(-1)
    starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]]) if flat.size else np.empty(0, int)
    return flat[starts], np.diff(starts, append=flat.size)


def _unlisted(annotation: Image, terminology: Terminology) -> list[int]:
    found: set[int] = set()
    for block in annotation.blocks():
        labels, _ = _runs(block)
        strange = labels[terminology.index.positions(labels) == UNLISTED]
        found |= {*np.unique(strange).tolist()}
    return sorted(found)


def _numbered(
    block: npt.NDArray[Any], terminology: Terminology, unlisted: list[int]
) -> npt.NDArray[np.uint16]:
    labels, lengths = _runs(block)
    numbers = terminology.index.positions(labels)
    strange = numbers == UNLISTED
    if strange.any():
        known = np.array(unlisted, labels.dtype)
        numbers[strange] = len(terminology) + 1 + np.searchsorted(known, labels[strange])
    return np.repeat(numbers.astype(np.uint16), lengths).reshape(block.shape)
