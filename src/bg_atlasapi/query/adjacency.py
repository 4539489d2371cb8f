"""Which regions touch, and over what area."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.query.points import ancestors_at, unlisted_label
from bg_atlasapi.query.region_pass import RegionSums, region_sums
from bg_atlasapi.query.subject import Subject, subject_of

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

UM2_PER_MM2 = 1e6


def neighbours(
    atlas: Any, structure: Any = None, at: int | Sequence[object] | None = None
) -> pd.DataFrame:
    """Return which regions touch, and the area they share.

    Regions touch where the faces of two voxels do. What lies beyond the volume counts as outside.

    Parameters
    ----------
    atlas
        An atlas.
    structure
        Of this structure with its descendants only; default of all labels.
    at
        A depth, or a list of structures: what touches is answered by its ancestor there.

    Returns
    -------
    pandas.DataFrame
        A row for each region and neighbour, the largest area of a region first: ``id``,
        ``acronym``; ``neighbour_id``, ``neighbour_acronym`` (0, "Outside atlas", for what is
        outside, and for what lies in none of the structures of ``at``); ``faces``, the number of
        voxel faces; ``area_mm2``. Without ``structure`` each pair stands twice, once from each
        side.

    Raises
    ------
    UnknownStructureError
        If the atlas lacks a structure.

    Examples
    --------
    >>> from bg_atlasapi import BrainGlobeAtlas, query
    >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
    >>> query.neighbours(atlas, "CA3")[["neighbour_acronym", "area_mm2"]]
      neighbour_acronym  area_mm2
    0               CA1     36.18
    1                DG     16.88
    2      fiber tracts      2.42
    3                MB      2.16
    4                TH      1.86
    5                CP      1.10
    """
    subject = subject_of(atlas, every_voxel=True)
    terminology = subject.terminology
    chosen = None if structure is None else terminology.code(structure)
    sums = region_sums(subject)
    count = len(sums.ids)
    table = np.arange(count)
    if at is not None:
        table[: len(terminology) + 1] = ancestors_at(terminology, at)[0]
    if chosen is not None:
        table[chosen : int(terminology.last[chosen]) + 1] = chosen
    one, other = np.divmod(sums.contacts.pairs.astype(np.int64), count)
    ours, theirs = table[one], table[other]
    between = ours != theirs
    keys = np.concatenate([ours * count + theirs, theirs * count + ours])
    faces = np.tile(sums.contacts.faces, (2, 1))
    keep = np.tile(between, 2) & (keys // count > 0)
    if chosen is not None:
        keep &= keys // count == chosen
    pairs, place = np.unique(keys[keep], return_inverse=True)
    by_axis = np.zeros((len(pairs), 3), np.int64)
    np.add.at(by_axis, place, faces[keep])
    return _table(subject, sums, pairs, by_axis)


def _table(
    subject: Subject, sums: RegionSums, pairs: npt.NDArray[np.int64], by_axis: npt.NDArray[np.int64]
) -> pd.DataFrame:
    import pandas as pd

    first, second, third = subject.space.spacing_um
    area = by_axis @ np.array([second * third, first * third, first * second]) / UM2_PER_MM2
    region, neighbour = np.divmod(pairs, len(sums.ids))
    order = np.lexsort((neighbour, -area, region))
    acronyms = np.array(acronyms_of(subject, sums), dtype=object)
    region, neighbour = region[order], neighbour[order]
    return pd.DataFrame(
        {
            "id": sums.ids[region],
            "acronym": acronyms[region],
            "neighbour_id": sums.ids[neighbour],
            "neighbour_acronym": acronyms[neighbour],
            "faces": by_axis.sum(axis=1)[order],
            "area_mm2": area[order],
        }
    )


def acronyms_of(subject: Subject, sums: RegionSums) -> list[str]:
    """Return the acronym of every code, labels that the terminology lacks included."""
    listed = subject.terminology.acronyms
    return [*listed, *(unlisted_label(int(one)) for one in sums.ids[len(listed) :])]
