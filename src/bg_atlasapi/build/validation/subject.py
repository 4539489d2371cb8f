"""What checks look at: an atlas's parts, sums over its labels, and a coarse sample of both."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.atlas import Atlas
from bg_atlasapi.model.hemispheres import StoredHemispheres
from bg_atlasapi.model.volume import VolumeSource
from bg_atlasapi.query.region_pass import RegionSums, region_sums, with_descendants
from bg_atlasapi.query.subject import Subject

if TYPE_CHECKING:
    import numpy.typing as npt

    Whole = npt.NDArray[np.int64]

# Along each axis of the coarse sample: enough to see a shift of 1 %, few enough to try twenty.
_COARSE = 96


class Checked:
    """An atlas under check; what several checks need is worked out once.

    Parameters
    ----------
    atlas
        Its parts.
    """

    def __init__(self, atlas: Atlas) -> None:
        self.atlas = atlas
        stored = atlas.hemispheres
        sides = None if stored is None else StoredHemispheres(stored)
        self.subject = Subject(atlas.labels, atlas.space, sides)
        self.space, self.terminology = atlas.space, atlas.terminology

    @cached_property
    def sums(self) -> RegionSums:
        """Voxels, boxes and the like of every label."""
        return region_sums(self.subject)

    @cached_property
    def own(self) -> Whole:
        """Voxels that carry each label, by code."""
        own: Whole = self.sums.voxels.sum(axis=0)
        own[0] = 0
        return own

    @cached_property
    def total(self) -> Whole:
        """Voxels of each structure with those below it, by code."""
        return with_descendants(self.own, self.terminology.last)

    @cached_property
    def labelled(self) -> int:
        """Voxels that carry any label."""
        return int(self.own.sum())

    @cached_property
    def box(self) -> tuple[Whole, Whole]:
        """First and last index along each axis of what is labelled."""
        here = self.own > 0
        return self.sums.first[:, here].min(axis=1), self.sums.last[:, here].max(axis=1)

    def called(self, code: int) -> str:
        """Return a structure as people and programs know it: ``"VISp (385)"``."""
        return f"{self.terminology.acronyms[code]} ({self.terminology.ids[code]})"

    @cached_property
    def indices(self) -> list[npt.NDArray[np.intp]]:
        """Along each axis, indices of a coarse grid of voxels."""
        return [sampled(length) for length in self.space.shape]

    @cached_property
    def coarse_labels(self) -> npt.NDArray[Any]:
        """Ids on the coarse grid."""
        return _read(self.atlas.labels.source, self.indices)

    def coarse_template(self) -> npt.NDArray[np.float64]:
        """Return the template on the coarse grid."""
        return _read(self.atlas.reference, self.indices).astype(np.float64)


def sampled(length: int, most: int = _COARSE) -> npt.NDArray[np.intp]:
    """Return evenly spaced indices, as near to the middle as to either end."""
    step = max(1, -(-length // most))
    start = ((length - 1) % step) // 2
    return np.arange(start, length, step)


def _read(source: VolumeSource, indices: list[npt.NDArray[np.intp]]) -> npt.NDArray[Any]:
    out = np.zeros([len(one) for one in indices], source.dtype)
    source.outer(indices, out)
    return out
