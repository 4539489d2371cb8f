"""How many voxels have which label in one annotation and which in another, in one pass.

Of two voxel sizes the finer grid is walked: each of its voxels takes the label that the coarser
annotation has at its centre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.labels import LabelVolume
from bg_atlasapi.model.levels import same_spacing
from bg_atlasapi.model.scan import Planes, Scan
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.query.grids import covers, places_along
from bg_atlasapi.query.subject import Subject

if TYPE_CHECKING:
    import numpy.typing as npt

    Indices = npt.NDArray[np.intp]

_SHIFT = np.int64(32)
_CLOSE = 1e-4  # voxel sizes are written with few digits
_MERGE_AT = 1 << 20


@dataclass(frozen=True, slots=True)
class JointCounts:
    """Voxels by label of two annotations.

    Parameters
    ----------
    codes_a, codes_b
        ``int64``, shape ``(n,)``: the pairs that occur, in order.
    voxels
        ``int64``, shape ``(n,)``, of the finer grid.
    ids_a, ids_b
        Id of every code; those past the terminology are labels it lacks.
    voxel_mm3
        Volume of a voxel of that grid.
    same_grid
        Whether both annotations have it.
    """

    codes_a: npt.NDArray[np.int64]
    codes_b: npt.NDArray[np.int64]
    voxels: npt.NDArray[np.int64]
    ids_a: npt.NDArray[np.integer]
    ids_b: npt.NDArray[np.integer]
    voxel_mm3: float
    same_grid: bool


def joint_counts(a: Subject, b: Subject) -> JointCounts:
    """Count the voxels of each pair of labels.

    Raises
    ------
    InvalidInputError
        If the annotations are not in one space; says both.
    """
    _require_one_space(a.space, b.space)
    volumes = [math.prod(one.space.spacing_um) for one in (a, b)]
    swapped = volumes[0] > volumes[1] * (1 + _CLOSE)
    fine, coarse = (b, a) if swapped else (a, b)
    same = same_spacing(a.space.spacing_um, b.space.spacing_um)
    finer, coarser = fine.space, coarse.space
    axes = zip(finer.shape, finer.spacing_um, coarser.spacing_um, coarser.shape, strict=True)
    at = [places_along(*axis) for axis in axes]
    keys, voxels, ids_fine, ids_coarse = fine.labels.scan(
        lambda scan: _counted(scan, coarse.labels, None if same else at)
    )
    of_fine, of_coarse = keys >> _SHIFT, keys & np.int64(2**32 - 1)
    codes, ids = (of_fine, of_coarse), (ids_fine, ids_coarse)
    if swapped:
        codes, ids = codes[::-1], ids[::-1]
    order = np.lexsort((codes[1], codes[0]))
    voxel_mm3 = math.prod(fine.space.spacing_um) / 1e9
    return JointCounts(codes[0][order], codes[1][order], voxels[order], *ids, voxel_mm3, same)


def _require_one_space(a: CoordinateSpace, b: CoordinateSpace) -> None:
    """Raise unless two volumes cover the same box, to within a voxel of the coarser."""
    if a.orientation != b.orientation or not covers(a, b.shape, b.spacing_um):
        raise InvalidInputError(
            "Only annotations in one space can be compared, voxel by voxel. The first has "
            f"{space_text(a)}; the second {space_text(b)}."
        )


def space_text(space: CoordinateSpace) -> str:
    """Return a space for people."""
    shape = " × ".join(map(str, space.shape))
    sizes = " × ".join(f"{size:g}" for size in space.spacing_um)
    return f"{shape} voxels of {sizes} µm, orientation {space.orientation!r}"


def _counted(
    scan: Scan, other: LabelVolume, at: list[Indices] | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Any, Any]:
    """Return pairs of codes, packed, and their voxels; and the ids of both codings."""
    longest = other.box([slice(0, 0)] * 3)[1]
    keys: list[npt.NDArray[np.int64]] = []
    voxels: list[npt.NDArray[np.int64]] = []
    pending = 0

    def pairs(planes: Planes) -> tuple[Any, Any, Any]:
        codes, ids = _beside(planes, other, at)
        mine = planes.codes.reshape(-1)
        starts, packed = _runs_of_both(mine, codes.reshape(-1))
        found, place = np.unique(packed, return_inverse=True)
        lengths = np.diff(starts, append=len(mine))
        return found, np.bincount(place, lengths, len(found)).astype(np.int64), ids

    for found, counts, ids in scan.over(pairs):
        longest = ids if len(ids) > len(longest) else longest
        keys.append(found)
        voxels.append(counts)
        pending += len(found)
        if pending > _MERGE_AT:  # two noisy annotations have many pairs
            keys, voxels = ([one] for one in _merged(keys, voxels))
            pending = len(keys[0]) // 2
    return (*_merged(keys, voxels), scan.ids, longest)


def _beside(
    planes: Planes, other: LabelVolume, at: list[Indices] | None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the codes that another annotation has where some planes are."""
    rows, columns = planes.codes.shape[1:]
    if at is None:
        return other.box([slice(planes.first, planes.stop), slice(0, rows), slice(0, columns)])
    along = [at[0][planes.first : planes.stop], at[1], at[2]]
    inside = [one[one >= 0] for one in along]
    start, stop = (int(inside[0][0]), int(inside[0][-1]) + 1) if len(inside[0]) else (0, 0)
    codes, ids = other.box([slice(start, stop), *(slice(0, length) for length in other.shape[1:])])
    inside[0] = inside[0] - start
    for axis in (2, 1, 0):  # the last first, while there is little; then whole rows are copied
        codes = codes.take(inside[axis], axis=axis)
    if codes.shape == planes.codes.shape:
        return codes, ids
    answer = np.zeros(planes.codes.shape, codes.dtype)  # the finer grid reaches farther
    answer[tuple(slice(0, length) for length in codes.shape)] = codes
    return answer, ids


def _runs_of_both(
    mine: npt.NDArray[Any], theirs: npt.NDArray[Any]
) -> tuple[Indices, npt.NDArray[np.int64]]:
    """Return where runs of equal pairs start, and the pairs, packed into one number each."""
    if not len(mine):
        return np.empty(0, np.intp), np.empty(0, np.int64)
    change = mine[1:] != mine[:-1]
    change |= theirs[1:] != theirs[:-1]
    starts = np.concatenate([[0], np.flatnonzero(change) + 1])
    packed = mine[starts].astype(np.int64) << _SHIFT
    packed |= theirs[starts]
    return starts, packed


def _merged(
    keys: list[npt.NDArray[np.int64]], voxels: list[npt.NDArray[np.int64]]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    if not keys:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    every, counts = np.concatenate(keys), np.concatenate(voxels)
    found, place = np.unique(every, return_inverse=True)
    sums = np.zeros(len(found), np.int64)
    np.add.at(sums, place, counts)
    return found, sums
