"""What is to be meshed: for each structure its range of codes and the box that it lies in.

Codes and sides lie in files that every worker maps, so that however many there are, they share one
copy of the volume.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.hemispheres import StoredHemispheres, sides_of
from bg_atlasapi.model.labels import LabelVolume
from bg_atlasapi.model.scan import Scan
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.query.region_pass import extremes, region_sums
from bg_atlasapi.query.subject import Subject

if TYPE_CHECKING:
    import numpy.typing as npt

CODES, SIDES = "codes.npy", "sides.npy"
_BLOCK = 1 << 24  # bytes


@dataclass(frozen=True, slots=True)
class Job:
    """One mesh to make.

    Parameters
    ----------
    identifier
        Of the structure.
    first, last
        Its range of codes: its own and those of all below it.
    low, high
        The box it lies in, voxels; ``high`` is past the end.
    side
        0 for all of it, 1 for what is left, 2 for what is right.
    """

    identifier: int
    first: int
    last: int
    low: tuple[int, int, int]
    high: tuple[int, int, int]
    side: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the box."""
        first, second, third = (b - a for a, b in zip(self.low, self.high, strict=True))
        return (first, second, third)

    @property
    def weight(self) -> int:
        """How long it will take, more or less."""
        return math.prod(self.shape)


def jobs_of(
    labels: LabelVolume,
    space: CoordinateSpace,
    stored: StoredHemispheres | None,
    sides: tuple[int, ...],
) -> list[Job]:
    """Return a job for each structure that has voxels, itself or below it; the largest come first.

    Parameters
    ----------
    labels
        The annotation.
    space
        Its space.
    stored
        The sides of an asymmetric atlas.
    sides
        Which of 0, 1, 2 to make of each.
    """
    sums = region_sums(Subject(labels, space, stored))
    terminology = labels.terminology
    count = len(terminology) + 1
    low, high = extremes(sums.first[:, :count], sums.last[:, :count], terminology.last)
    by_side = np.cumsum(sums.voxels, axis=1)
    jobs = []
    for code in range(1, count):
        last = int(terminology.last[code])
        voxels = by_side[:, last] - by_side[:, code - 1]
        box = _triplet(low[:, code]), _triplet(high[:, code] + 1)
        identifier = int(terminology.ids[code])
        there = [side for side in sides if (voxels[side] if side else voxels.sum())]
        jobs += [Job(identifier, code, last, *box, side) for side in there]
    return sorted(jobs, key=lambda job: (-job.weight, job.identifier, job.side))


def _triplet(values: npt.NDArray[Any]) -> tuple[int, int, int]:
    first, second, third = (int(value) for value in values)
    return (first, second, third)


def write_codes(labels: LabelVolume, folder: Path) -> str:
    """Write the codes of all voxels where workers map them; return a digest of the labels."""

    def question(scan: Scan) -> str:
        digest = hashlib.sha256(np.asarray(scan.ids, np.int64).tobytes())
        digest.update(np.asarray(labels.terminology.last, np.int64).tobytes())
        digest.update(repr(labels.shape).encode())
        wide = len(scan.ids) > np.iinfo(np.uint16).max
        out = _empty(folder / CODES, labels.shape, np.dtype(np.uint32 if wide else np.uint16))
        for first, codes in scan.over(lambda planes: (planes.first, planes.codes)):
            out[first : first + len(codes)] = codes
            digest.update(np.ascontiguousarray(codes).data)
        out.flush()
        return digest.hexdigest()

    return labels.scan(question)


def write_sides(space: CoordinateSpace, stored: StoredHemispheres | None, folder: Path) -> str:
    """Write the sides of all voxels where workers map them; return a digest of them."""
    out = _empty(folder / SIDES, space.shape, np.dtype(np.uint8))
    digest = hashlib.sha256()
    for first, stop in _steps(space.shape):
        out[first:stop] = sides_of(space, stored, first, stop)
        digest.update(np.ascontiguousarray(out[first:stop]).data)
    out.flush()
    return digest.hexdigest()


def _steps(shape: tuple[int, int, int]) -> Iterator[tuple[int, int]]:
    depth = max(1, _BLOCK // max(1, shape[1] * shape[2]))
    for first in range(0, shape[0], depth):
        yield first, min(first + depth, shape[0])


def _empty(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


class MappedVolume:
    """The files of codes and sides, mapped.

    Parameters
    ----------
    folder
        Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._codes = np.load(folder / CODES, mmap_mode="r")
        there = (folder / SIDES).exists()
        self._sides = np.load(folder / SIDES, mmap_mode="r") if there else None

    def within(self, job: Job, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """Return which voxels of some planes of a job's box are within the structure."""
        _, rows, columns = (slice(a, b) for a, b in zip(job.low, job.high, strict=True))
        place = (slice(job.low[0] + start, job.low[0] + stop), rows, columns)
        codes = self._codes[place]
        # Unsigned: what lies below the range wraps to what lies above it.
        inside = codes - codes.dtype.type(job.first) <= codes.dtype.type(job.last - job.first)
        if job.side and self._sides is not None:
            inside &= self._sides[place] == job.side
        return np.asarray(inside)
