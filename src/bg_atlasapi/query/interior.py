"""A voxel well inside each region: in the plane where it is largest, far from its edges.

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
    kind
        0 for a structure with its descendants, 1 for a label.
    code, last
        Its codes.
    rows, columns
        Where it lies in the volume, along the second and third axis.
    """

    kind: int
    code: int
    last: int
    rows: slice
    columns: slice


def interior_voxels(
    subject: Subject, sums: RegionSums, boxes: tuple[tuple[Voxels, Voxels], ...]
) -> tuple[Voxels, Voxels]:
    """Return a voxel inside each structure with its descendants, and inside each label.

    Parameters
    ----------
    subject
        The atlas.
    sums
        Its sums.
    boxes
        Lowest and highest index, each of shape ``(3, codes)``, of both kinds in this order.

    Returns
    -------
    tuple of numpy.ndarray
        ``int64``, shape ``(3, codes)``; -1 for regions without voxels, and for code 0.
    """
    count = len(sums.ids)
    ends = np.arange(count)
    ends[: len(subject.terminology.last)] = subject.terminology.last
    alone = ends == np.arange(count)
    by_plane: dict[int, list[_Wanted]] = {}
    for kind, (first, last) in enumerate(boxes):
        planes = (sums.total_plane, sums.own_plane)[kind].tolist()
        for code in (np.flatnonzero(last[0, 1:] >= 0) + 1).tolist():
            if kind and alone[code]:  # without descendants both are the same
                continue
            rows, columns = (slice(int(first[a, code]), int(last[a, code]) + 1) for a in (1, 2))
            wanted = _Wanted(kind, code, code if kind else int(ends[code]), rows, columns)
            by_plane.setdefault(planes[code], []).append(wanted)
    sampling = subject.space.spacing_um[1:]

    def ask(scan: Scan) -> tuple[Voxels, Voxels]:
        def look(part: Planes) -> list[tuple[int, int, int, int, int]]:
            return [
                (
                    one.kind,
                    one.code,
                    plane,
                    *_deepest(part.codes[plane - part.first], one, sampling),
                )
                for plane in range(part.first, part.stop)
                for one in by_plane.get(plane, ())
            ]

        answers = np.full((3, count), -1), np.full((3, count), -1)
        for found in scan.over(look):
            for kind, code, *voxel in found:
                answers[kind][:, code] = voxel
        answers[1][:, alone] = answers[0][:, alone]
        return answers

    return subject.labels.scan(ask)


def _deepest(
    plane: npt.NDArray[Any], wanted: _Wanted, sampling: tuple[float, ...]
) -> tuple[int, int]:
    """Return row and column of the voxel around which the largest cross fits into a region.

    That is, the way to the region's edge along both axes is longest; of several the first. A
    distance transform would weigh the diagonals too, and takes ten times as long.
    """
    codes = plane[wanted.rows, wanted.columns]
    # Unsigned subtraction wraps what lies below to large values: one compare does both.
    inside = (codes - codes.dtype.type(wanted.code)) <= wanted.last - wanted.code
    arms = np.minimum(_to_edge(inside.T).T * sampling[0], _to_edge(inside) * sampling[1])
    row, column = np.unravel_index(int(arms.argmax()), arms.shape)
    return int(row) + wanted.rows.start, int(column) + wanted.columns.start


def _to_edge(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Return how many steps along the last axis lead out of what is inside; 0 outside of it."""
    length = inside.shape[1]
    places = np.arange(1, length + 1, dtype=np.int32)
    before = np.maximum.accumulate(np.where(inside, np.int32(0), places), axis=1)
    reverse = np.where(inside[:, ::-1], np.int32(0), places)
    after = np.maximum.accumulate(reverse, axis=1)[:, ::-1]
    steps: npt.NDArray[np.int32] = np.minimum(places - before, places[::-1] - after)
    return steps
