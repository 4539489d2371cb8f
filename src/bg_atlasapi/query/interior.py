"""A voxel well inside each region: where it is largest in a plane, the one farthest from its edge.

Unlike a centroid it lies in the region, whatever its shape: labels and slices can be put there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.scan import Planes, Scan
from bg_atlasapi.query.region_pass import RegionSums
from bg_atlasapi.query.subject import Subject

if TYPE_CHECKING:
    import numpy.typing as npt

    Voxels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One region in the plane where it is largest.

    Parameters
    ----------
    code, last
        Its codes.
    rows, columns
        Where it lies in the volume, along the second and third axis.
    """

    code: int
    last: int
    rows: slice
    columns: slice


def interior_voxels(
    subject: Subject, sums: RegionSums, first: Voxels, last: Voxels, *, descendants: bool
) -> Voxels:
    """Return a voxel inside each region.

    Parameters
    ----------
    subject
        The atlas.
    sums
        Its sums.
    first, last
        Lowest and highest index of the regions, shape ``(3, codes)``.
    descendants
        Whether regions are structures with their descendants, else labels.

    Returns
    -------
    numpy.ndarray
        ``int64``, shape ``(3, codes)``; -1 for regions without voxels, and for code 0.
    """
    count = len(sums.ids)
    ends = np.arange(count)
    if descendants:
        ends[: len(subject.terminology.last)] = subject.terminology.last
    planes = (sums.total_plane if descendants else sums.own_plane).tolist()
    by_plane: dict[int, list[_Wanted]] = {}
    for code in np.flatnonzero(last[0] >= 0).tolist():
        if code == 0:
            continue
        rows, columns = (slice(int(first[a, code]), int(last[a, code]) + 1) for a in (1, 2))
        wanted = _Wanted(code, int(ends[code]), rows, columns)
        by_plane.setdefault(planes[code], []).append(wanted)
    answer = np.full((3, count), -1)
    sampling = subject.space.spacing_um[1:]

    def ask(scan: Scan) -> Voxels:
        def look(part: Planes) -> list[tuple[int, int, int, int]]:
            return [
                (wanted.code, plane, *_deepest(part.codes[plane - part.first], wanted, sampling))
                for plane in range(part.first, part.stop)
                for wanted in by_plane.get(plane, ())
            ]

        for found in scan.over(look):
            for code, *voxel in found:
                answer[:, code] = voxel
        return answer

    return subject.labels.scan(ask)


def _deepest(
    plane: npt.NDArray[Any], wanted: _Wanted, sampling: tuple[float, ...]
) -> tuple[int, int]:
    """Return row and column of the voxel of a region that is farthest from what is not the region.

    What lies beyond the plane counts as such; of several the first.
    """
    from scipy import ndimage

    codes = plane[wanted.rows, wanted.columns]
    # Unsigned subtraction wraps what lies below to large values: one compare does both.
    inside = (codes - codes.dtype.type(wanted.code)) <= wanted.last - wanted.code
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=sampling)
    row, column = np.unravel_index(int(depth[1:-1, 1:-1].argmax()), inside.shape)
    return int(row) + wanted.rows.start, int(column) + wanted.columns.start
