"""Cut chains of straight segments where they cross from voxel to voxel, exactly.

Crossings with the planes between voxels are worked out for many segments at once and sorted; what
lies between two of them is in one voxel, which its middle finds. What is made of it, and what
callers may call a path, is in ``paths``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bg_atlasapi.late import np
from bg_atlasapi.model.parallel import stream
from bg_atlasapi.model.space import RIGHT
from bg_atlasapi.query.answers import OUTSIDE, Answers
from bg_atlasapi.query.geometry import voxels_of
from bg_atlasapi.query.points import locate
from bg_atlasapi.query.subject import Subject

if TYPE_CHECKING:
    import numpy.typing as npt

_CROSSINGS = 1 << 18  # at a time
# Two crossings nearer to each other than the rounding of a coordinate are one: a corner of voxels.
_ROUNDING = 8 * 2.0**-52


class Way:
    """Paths as one list of corners.

    Parameters
    ----------
    given
        Corners as they were given, shape ``(n, 3)``.
    voxel, um
        The same in voxels and µm.
    counts
        Corners of each path.
    """

    def __init__(
        self,
        given: npt.NDArray[np.float64],
        voxel: npt.NDArray[np.float64],
        um: npt.NDArray[np.float64],
        counts: npt.NDArray[np.int64],
    ) -> None:
        self.given, self.voxel = given, voxel
        ends = np.cumsum(counts)
        self.starts = ends - counts
        last = np.zeros(len(voxel), np.bool_)
        last[ends - 1] = True
        self.first = np.flatnonzero(~last)  # corner at which each segment begins
        self.path = np.repeat(np.arange(len(counts)), counts)[self.first]
        steps = np.zeros(len(voxel))
        with np.errstate(over="ignore", invalid="ignore"):  # is looked at by the caller
            squares = (um[self.first + 1] - um[self.first]) ** 2
            steps[self.first + 1] = np.sqrt(squares.sum(axis=1))
            # Path by path: a sum over all of them would cost the later ones digits.
            spans = zip(self.starts.tolist(), ends.tolist(), strict=True)
            parts = [np.cumsum(steps[start:end]) for start, end in spans]
        self.gone_um = np.concatenate([np.empty(0), *parts])
        self.total_um = self.gone_um[ends - 1]


@dataclass(frozen=True, slots=True)
class Stretches:
    """Parts of paths with one answer each, in order.

    Parameters
    ----------
    path
        Number of the path.
    answer, side
        What it runs through; see ``Answers`` and ``Located``.
    entered, left
        µm from the start of the path.
    entry, exit
        Where that is, as the corners were given.
    """

    path: npt.NDArray[np.int64]
    answer: npt.NDArray[np.int64]
    side: npt.NDArray[np.uint8]
    entered: npt.NDArray[np.float64]
    left: npt.NDArray[np.float64]
    entry: npt.NDArray[np.float64]
    exit: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Ends of consecutive parts of paths, and what they run through."""

    path: npt.NDArray[np.int64]
    answer: npt.NDArray[np.int64]
    side: npt.NDArray[np.uint8]
    left: npt.NDArray[np.float64]
    exit: npt.NDArray[np.float64]

    def take(self, rows: npt.NDArray[np.intp]) -> _Pieces:
        """Return some of them."""
        return _Pieces(
            self.path[rows], self.answer[rows], self.side[rows], self.left[rows], self.exit[rows]
        )

    def joined(self) -> _Pieces:
        """Join what follows each other and is alike; outside has no side."""
        if not len(self.path):
            return self
        side = np.where(self.answer == OUTSIDE, 0, self.side)
        differs = np.diff(self.path) != 0
        differs |= np.diff(side) != 0
        differs |= self.answer[1:] != self.answer[:-1]
        return self.take(np.flatnonzero(np.append(differs, True)))

    @classmethod
    def of(cls, parts: Sequence[_Pieces]) -> _Pieces:
        """Put parts together, path by path."""
        whole = cls(
            np.concatenate([part.path for part in parts]),
            np.concatenate([part.answer for part in parts]),
            np.concatenate([part.side for part in parts]),
            np.concatenate([part.left for part in parts]),
            np.concatenate([part.exit for part in parts]),
        )
        return whole.take(np.argsort(whole.path, kind="stable"))


def stretches(subject: Subject, way: Way, answers: Answers) -> Stretches:
    """Cut paths where the answer or the hemisphere changes.

    Parameters
    ----------
    subject
        What is asked.
    way
        The paths, of finite corners.
    answers
        Of the labels of ``subject``.
    """
    blocks = list(stream(lambda part: _pieces(subject, way, answers, part), _blocks(subject, way)))
    moving = np.zeros(len(way.starts), np.bool_)
    for block in blocks:
        moving[block.path] = True
    blocks.append(_standing(subject, way, answers, np.flatnonzero(~moving)))
    found = _Pieces.of(blocks).joined()
    new = np.diff(found.path, prepend=-1) != 0
    last = np.flatnonzero(np.diff(found.path, append=-1))
    left, exits = found.left.copy(), found.exit.copy()
    corner = np.append(way.starts, len(way.given))[found.path[last] + 1] - 1
    left[last], exits[last] = way.total_um[found.path[last]], way.given[corner]
    entered, entries = np.roll(left, 1), np.roll(exits, 1, axis=0)
    entered[new], entries[new] = 0.0, way.given[way.starts[found.path[new]]]
    return Stretches(found.path, found.answer, found.side, entered, left, entries, exits)


def _blocks(subject: Subject, way: Way) -> Iterator[slice]:
    """Yield segments by so many that their crossings are not too many."""
    a, b = way.voxel[way.first], way.voxel[way.first + 1]
    shape = np.array(subject.labels.shape)
    most = np.minimum(np.abs(b - a), shape).sum(axis=1) + 8
    group = (np.cumsum(most) // _CROSSINGS).astype(np.int64)
    cuts = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), len(group)]
    yield from (slice(one, two) for one, two in itertools.pairwise(cuts) if one < two)


def _standing(
    subject: Subject, way: Way, answers: Answers, paths: npt.NDArray[np.int64]
) -> _Pieces:
    """Return a piece without length for each of some paths: they stay where they start."""
    corner = way.starts[paths]
    answer, side = _answered(subject, answers, way.voxel[corner])
    return _Pieces(paths, answer, side, np.zeros(len(paths)), way.given[corner])


def _answered(
    subject: Subject, answers: Answers, voxel: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    index, inside = voxels_of(voxel, subject.labels.shape)
    middle = np.where(inside[:, None], index + 0.5, -1.0)
    found = locate(subject.labels, subject.space, middle, "voxel", subject.hemispheres)
    sides = found.hemispheres
    return answers.of(found.ids), np.where(sides <= RIGHT, sides, 0)  # 0: neither, whatever it says


def _pieces(subject: Subject, way: Way, answers: Answers, part: slice) -> _Pieces:
    """Cut some segments at the planes between voxels, and join what answers alike."""
    first = way.first[part]
    a = way.voxel[first]
    step = way.voxel[first + 1] - a
    segment, share = _crossings(a, step, subject.labels.shape)
    begin = np.roll(share, 1)
    begin[np.diff(segment, prepend=-1) != 0] = 0.0
    reach = np.maximum(np.abs(a), np.abs(a + step)).max(axis=1) + 1
    real = (share - begin) * np.abs(step).max(axis=1)[segment] > _ROUNDING * reach[segment]
    segment, share, begin = segment[real], share[real], begin[real]
    answer, side = _answered(
        subject, answers, a[segment] + ((begin + share) / 2)[:, None] * step[segment]
    )
    start = first[segment]
    left = _between(way.gone_um, start, share)
    exits = _between(way.given, start, share[:, None])
    return _Pieces(way.path[part][segment], answer, side, left, exits).joined()


def _between(
    values: npt.NDArray[np.float64], start: npt.NDArray[np.int64], share: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return what is between values and the ones that follow."""
    one, two = values[start], values[start + 1]
    return np.where(share == 1, two, one + share * (two - one))


def _crossings(
    a: npt.NDArray[np.float64], step: npt.NDArray[np.float64], shape: Sequence[int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return where segments cross planes between voxels, and their ends.

    Parameters
    ----------
    a, step
        Start and extent of each segment, in voxels.
    shape
        Of the volume; no other planes are crossed.

    Returns
    -------
    segment, share
        Number of the segment, and how far along it, above 0 and at most 1; in order.
    """
    segments, shares = [np.arange(len(a))], [np.ones(len(a))]
    for axis, length in enumerate(shape):
        start, extent = a[:, axis], step[:, axis]
        low, high = np.minimum(start, start + extent), np.maximum(start, start + extent)
        lowest = np.clip(np.ceil(low), 0, length + 1).astype(np.int64)
        highest = np.clip(np.floor(high), -1, length).astype(np.int64)
        counts = np.where(extent != 0, np.maximum(highest - lowest + 1, 0), 0)
        number = np.repeat(np.arange(len(a)), counts)
        place = np.arange(len(number)) - np.repeat(np.cumsum(counts) - counts, counts)
        share = (lowest[number] + place - start[number]) / extent[number]
        kept = (share > 0) & (share < 1)
        segments.append(number[kept])
        shares.append(share[kept])
    segment, share = np.concatenate(segments), np.concatenate(shares)
    order = np.lexsort((share, segment))
    return segment[order], share[order]
