"""The table of regions: how large each is, where it lies, a point inside it.

Worked out in one pass over the annotation, see ``region_pass``, and kept with the atlas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.space import LEFT, RIGHT
from bg_atlasapi.query.interior import interior_voxels
from bg_atlasapi.query.points import unlisted_label
from bg_atlasapi.query.region_pass import RegionSums, extremes, region_sums, with_descendants
from bg_atlasapi.query.subject import Subject, subject_of
from bg_atlasapi.store.transfer.progress import Report, silent

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

UM3_PER_MM3 = 1e9
_AXES = {"a": "ap", "p": "ap", "s": "dv", "i": "dv", "l": "lr", "r": "lr"}
_KEY = "region table"


def axis_names(orientation: str) -> tuple[str, str, str]:
    """Return what the axes of an orientation are called: ``"ap"``, ``"dv"``, ``"lr"``."""
    first, second, third = (_AXES[letter] for letter in orientation)
    return first, second, third


def region_table(atlas: Any, *, components: bool = False, report: Report = silent) -> pd.DataFrame:
    """Return how large every region is, and where it lies.

    Parameters
    ----------
    atlas
        An atlas.
    components
        Also say of how many connected parts each region consists; takes some seconds more.
    report
        Told of the bytes of labels that were worked through.

    Returns
    -------
    pandas.DataFrame
        A row a structure, in the order of the hierarchy, then a row for each label that the
        terminology lacks. Of a structure with its descendants: ``voxels``, ``volume_mm3``,
        ``left_mm3``, ``right_mm3``; ``start_ap``, ``stop_ap`` and so on for each axis, the
        half-open range of voxels of its bounding box; ``centroid_ap_um`` …, the mean of its voxels'
        centres; ``interior_ap_um`` …, the centre of a voxel well inside it. With the prefix
        ``own_`` the same of the voxels that carry the structure's own label. Lengths are in µm from
        the corner of voxel 0. What has no voxels has a volume of 0, and NaN or NA for places. With
        ``components``: ``components`` and ``largest_component_voxels``, connected by faces, and
        both with ``own_``.

    Examples
    --------
    >>> from bg_atlasapi import BrainGlobeAtlas
    >>> table = BrainGlobeAtlas("phantom_mouse_100um").region_table().set_index("acronym")
    >>> int(table.loc["VISp", "voxels"]), float(table.loc["VISp", "volume_mm3"])
    (7638, 7.638)
    """
    subject = subject_of(atlas, every_voxel=True)
    table = _made(subject, report).copy()
    if components:
        from bg_atlasapi.query.connectivity import component_counts

        for name, column in component_counts(subject, report).items():
            table[name] = column
    return table


def _made(subject: Subject, report: Report) -> pd.DataFrame:
    sums = region_sums(subject, report)
    kept: tuple[RegionSums, pd.DataFrame] | None = subject.labels.remembered.get(_KEY)
    if kept is None or kept[0] is not sums:
        subject.labels.remembered[_KEY] = kept = (sums, _table(subject, sums))
    return kept[1]


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums of one kind: of structures with their descendants, or of labels alone; by code."""

    voxels: npt.NDArray[np.int64]
    doubled: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    inside: npt.NDArray[np.int64]


def _both_kinds(subject: Subject, sums: RegionSums) -> tuple[_Sums, _Sums]:
    last = subject.terminology.last
    low, high = extremes(sums.first, sums.last, last)
    boxes = ((low, high), (sums.first, sums.last))
    inner, own_inner = interior_voxels(subject, sums, boxes)
    voxels, doubled = (with_descendants(one, last) for one in (sums.voxels, sums.doubled))
    total = _Sums(voxels, doubled, low, high, inner)
    return total, _Sums(sums.voxels, sums.doubled, sums.first, sums.last, own_inner)


@dataclass(frozen=True, slots=True)
class RegionSizes:
    """How large structures with their descendants are, by code; code 0 is outside.

    Parameters
    ----------
    volume_mm3, left_mm3, right_mm3, own_mm3
        Shape ``(codes,)``; the last is of the label alone.
    interior_um
        Centre of a voxel well inside, shape ``(codes, 3)``; NaN of what has no voxels.
    """

    volume_mm3: npt.NDArray[np.float64]
    left_mm3: npt.NDArray[np.float64]
    right_mm3: npt.NDArray[np.float64]
    own_mm3: npt.NDArray[np.float64]
    interior_um: npt.NDArray[np.float64]


def region_sizes(atlas: Any) -> RegionSizes:
    """Return the part of ``region_table`` that needs no pandas, whose import takes 80 MB.

    Parameters
    ----------
    atlas
        An atlas.
    """
    subject = subject_of(atlas, every_voxel=True)
    total, own = _both_kinds(subject, region_sums(subject))
    voxel_mm3 = _voxel_mm3(subject)
    inside = (total.inside.T + 0.5) * np.array(subject.space.spacing_um)
    counts = total.voxels.sum(axis=0)
    inside[counts == 0] = np.nan
    return RegionSizes(
        counts * voxel_mm3,
        total.voxels[LEFT] * voxel_mm3,
        total.voxels[RIGHT] * voxel_mm3,
        own.voxels.sum(axis=0) * voxel_mm3,
        inside,
    )


def _voxel_mm3(subject: Subject) -> float:
    return float(np.prod(subject.space.spacing_um)) / UM3_PER_MM3


def _table(subject: Subject, sums: RegionSums) -> pd.DataFrame:
    import pandas as pd

    terminology = subject.terminology
    names = [unlisted_label(int(one)) for one in sums.ids[len(terminology) + 1 :]]
    columns: dict[str, Any] = {
        "id": sums.ids[1:],
        "acronym": [*terminology.acronyms[1:], *names],
        "name": [*terminology.names[1:], *names],
    }
    for prefix, kind in zip(("", "own_"), _both_kinds(subject, sums), strict=True):
        columns |= {prefix + name: column[1:] for name, column in _measured(subject, kind).items()}
    return pd.DataFrame(columns)


def _measured(subject: Subject, sums: _Sums) -> dict[str, Any]:
    import pandas as pd

    spacing, voxel_mm3 = subject.space.spacing_um, _voxel_mm3(subject)
    voxels = sums.voxels
    counts = voxels.sum(axis=0)
    empty = counts == 0
    columns: dict[str, Any] = {
        "voxels": counts,
        "volume_mm3": counts * voxel_mm3,
        "left_mm3": voxels[LEFT] * voxel_mm3,
        "right_mm3": voxels[RIGHT] * voxel_mm3,
    }
    names = axis_names(subject.space.orientation)
    for name, low, high in zip(names, sums.first, sums.last + 1, strict=True):
        columns[f"start_{name}"] = pd.array(np.where(empty, 0, low), dtype="Int64")
        columns[f"stop_{name}"] = pd.array(np.where(empty, 0, high), dtype="Int64")
        for edge in (f"start_{name}", f"stop_{name}"):
            columns[edge][empty] = pd.NA
    with np.errstate(invalid="ignore"):  # nothing has no centre: NaN
        for name, twice, size in zip(names, sums.doubled, spacing, strict=True):
            columns[f"centroid_{name}_um"] = (twice / (2 * counts) + 0.5) * size
    for name, place, size in zip(names, sums.inside, spacing, strict=True):
        columns[f"interior_{name}_um"] = np.where(empty, np.nan, (place + 0.5) * size)
    return columns
