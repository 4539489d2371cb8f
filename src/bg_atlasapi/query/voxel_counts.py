"""How many voxels has each label, and each pair of labels of two annotations, in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.coding import runs
from bg_atlasapi.model.labels import LabelVolume
from bg_atlasapi.model.scan import Planes, Scan

if TYPE_CHECKING:
    import numpy.typing as npt

    Counts = npt.NDArray[np.int64]

_KEY = "voxels by code"


def voxels_by_code(labels: LabelVolume) -> tuple[npt.NDArray[np.integer], Counts]:
    """Return the id of every code, and how many voxels have it; labels nobody lists come last.

    Counted once and kept with the annotation.
    """

    def question(scan: Scan) -> tuple[npt.NDArray[np.integer], Counts]:
        count = len(scan.ids)
        total = np.zeros(count, np.int64)
        for part in scan.over(lambda planes: _counted(planes, count)):
            total += part
        return scan.ids, total

    kept: tuple[npt.NDArray[np.integer], Counts] | None = labels.remembered.get(_KEY)
    if kept is None:
        labels.remembered[_KEY] = kept = labels.scan(question)
    return kept


def _counted(planes: Planes, count: int) -> Counts:
    flat = planes.codes.reshape(-1)
    starts, codes = runs(flat)
    return weighed(codes, np.diff(starts, append=len(flat)), count)


def weighed(places: npt.NDArray[Any], lengths: npt.NDArray[Any], count: int) -> Counts:
    """Return the sum of lengths by place; exact up to 2**53."""
    return np.bincount(places, weights=lengths, minlength=count).astype(np.int64)
