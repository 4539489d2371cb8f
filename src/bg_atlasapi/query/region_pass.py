"""One pass over an annotation: what region tables, neighbours and masks are made from.

Every sum is a whole number, by code, of the label itself and by side; descendants are added later,
by prefix sums. The work is done on runs of equal labels within a row, block of planes by block of
planes, so that nothing grows with the volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.scan import Planes, Scan
from bg_atlasapi.query.contacts import Contacts, contacts_of
from bg_atlasapi.query.subject import Subject
from bg_atlasapi.store.transfer.progress import Report, silent

if TYPE_CHECKING:
    import numpy.typing as npt

    Whole = npt.NDArray[np.int64]

SIDES = 3  # neither, left, right
# Areas by plane and code that are held at a time, in one thread.
_AREAS = 1 << 21
REGIONS = "regions"


@dataclass(frozen=True, slots=True)
class RegionSums:
    """Whole-number sums by code; the last axis of every array is the code.

    Parameters
    ----------
    ids
        Id of every code; codes past the terminology are labels it lacks.
    voxels
        Shape ``(3, codes)``: by side, neither, left and right.
    doubled
        Shape ``(3, codes)``: twice the sum of voxel indices along each axis.
    first, last
        Shape ``(3, codes)``: lowest and highest index along each axis; ``first > last`` where there
        is no voxel.
    own_plane, total_plane
        Shape ``(codes,)``: the plane across the first axis where the label, and the structure with
        its descendants, has the largest area; the first of several.
    contacts
        Faces that labels share.
    """

    ids: npt.NDArray[np.integer]
    voxels: Whole
    doubled: Whole
    first: Whole
    last: Whole
    own_plane: Whole
    total_plane: Whole
    contacts: Contacts


def region_sums(subject: Subject, report: Report = silent) -> RegionSums:
    """Return the sums of an atlas, worked out at the first call and kept with its labels."""
    kept: _Kept | None = subject.labels.remembered.get(_Kept)
    if kept is None or not kept.of(subject):
        sums = subject.labels.scan(lambda scan: _Pass(subject, scan).run(report))
        subject.labels.remembered[_Kept] = kept = _Kept(subject, sums)
    return kept.sums


@dataclass(frozen=True, slots=True)
class _Kept:
    subject: Subject
    sums: RegionSums

    def of(self, subject: Subject) -> bool:
        """Say whether sums of these labels are also those of a subject: its sides may differ."""
        mine = self.subject
        return mine.space == subject.space and mine.hemispheres is subject.hemispheres


@dataclass(frozen=True, slots=True)
class _Part:
    """What some planes give; only the codes that occur in them."""

    codes: npt.NDArray[np.intp]
    sides: npt.NDArray[np.intp]
    voxels: Whole
    doubled: Whole
    first: Whole
    last: Whole
    areas: tuple[Whole, Whole]
    planes: tuple[Whole, Whole]
    contacts: Contacts


class _Pass:
    def __init__(self, subject: Subject, scan: Scan) -> None:
        self._subject = subject
        self._scan = scan
        self._count = len(scan.ids)
        last = subject.terminology.last
        extra = np.arange(len(last), self._count)
        self._last = np.concatenate([last, extra])

    def run(self, report: Report) -> RegionSums:
        count = self._count
        voxels = np.zeros((SIDES, count), np.int64)
        doubled = np.zeros((3, count), np.int64)
        first = np.full((3, count), np.iinfo(np.int64).max)
        last = np.full((3, count), -1)
        areas, planes = np.zeros((2, count), np.int64), np.zeros((2, count), np.int64)
        contacts = Contacts.none()
        for part in self._scan.over(self._part, before=True, report=partial(report, REGIONS)):
            np.add.at(voxels, (part.sides, part.codes), part.voxels)
            for axis in range(3):
                np.add.at(doubled[axis], part.codes, part.doubled[axis])
                np.minimum.at(first[axis], part.codes, part.first[axis])
                np.maximum.at(last[axis], part.codes, part.last[axis])
            for kind in range(2):
                better = part.areas[kind] > areas[kind]
                areas[kind][better] = part.areas[kind][better]
                planes[kind][better] = part.planes[kind][better]
            contacts = contacts.joined(part.contacts)
        contacts = contacts.settled()
        return RegionSums(
            self._scan.ids, voxels, doubled, first, last, planes[0], planes[1], contacts
        )

    def _part(self, planes: Planes) -> _Part:
        codes = planes.codes
        flat = codes.reshape(-1)
        sides = self._subject.sides(planes.first, planes.stop)
        change = self._changes(codes, sides)
        starts = np.flatnonzero(change)
        run_codes = flat[starts]
        lengths = np.diff(starts, append=flat.size)
        contacts = contacts_of(planes, starts, self._scan.shape, self._count)
        inside = np.flatnonzero(run_codes)
        starts, run_codes, lengths = starts[inside], run_codes[inside], lengths[inside]
        rows, columns = codes.shape[1:]
        row, third = np.divmod(starts, columns)
        plane, second = np.divmod(row, rows)
        places = zip(sides.shape, (plane, second, third), strict=True)
        side = sides[tuple(place if length > 1 else 0 for length, place in places)]
        side = np.where(side < SIDES, side, 0)
        areas, best = self._areas(plane, run_codes, lengths, len(codes))
        # Of 16 bits, keys are sorted by counting, ten times as fast.
        small = self._count * SIDES <= np.iinfo(np.uint16).max
        key = (run_codes.astype(np.int64) * SIDES + side).astype(np.uint16 if small else np.int64)
        order = np.argsort(key, kind="stable")
        keys: Whole = key[order].astype(np.int64)
        lengths = lengths[order]
        groups = np.flatnonzero(np.diff(keys, prepend=-1))
        low = np.stack([plane + planes.first, second, third])[:, order]
        return _Part(
            keys[groups] // SIDES,
            keys[groups] % SIDES,
            *sums_of_runs(low, lengths, groups),
            areas,
            (best[0] + planes.first, best[1] + planes.first),
            contacts,
        )

    @staticmethod
    def _changes(codes: npt.NDArray[Any], sides: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Say which voxels, flat, begin a run: rows end runs, and so do sides."""
        change = np.ones(codes.shape, np.bool_)
        np.not_equal(codes[..., 1:], codes[..., :-1], out=change[..., 1:])
        if sides.shape[2] > 1:
            change[..., 1:] |= sides[..., 1:] != sides[..., :-1]
        return change.reshape(-1)

    def _areas(
        self,
        plane: npt.NDArray[np.intp],
        codes: npt.NDArray[Any],
        lengths: npt.NDArray[np.intp],
        depth: int,
    ) -> tuple[tuple[Whole, Whole], tuple[Whole, Whole]]:
        """Return the largest area in one plane, and that plane: of labels, and of subtrees."""
        step = max(1, _AREAS // self._count)
        most = np.zeros((2, self._count), np.int64)
        where = np.zeros((2, self._count), np.int64)
        for start in range(0, depth, step):
            stop = min(start + step, depth)
            begin, end = np.searchsorted(plane, (start, stop))
            keys = (plane[begin:end] - start) * self._count + codes[begin:end]
            size = (stop - start) * self._count
            own = np.bincount(keys, lengths[begin:end], size).astype(np.int64)
            own = own.reshape(stop - start, self._count)
            sums = np.cumsum(own, axis=1)
            below = np.concatenate([np.zeros((len(own), 1), np.int64), sums[:, :-1]], axis=1)
            for kind, area in enumerate((own, sums[:, self._last] - below)):
                found = area.argmax(axis=0)
                largest = area.max(axis=0)
                better = largest > most[kind]
                most[kind][better] = largest[better]
                where[kind][better] = found[better] + start
        return (most[0], most[1]), (where[0], where[1])


def sums_of_runs(
    low: Whole, lengths: Whole, groups: npt.NDArray[np.intp]
) -> tuple[Whole, Whole, Whole, Whole]:
    """Return voxels, doubled sums of indices, lowest and highest index of groups of runs.

    Parameters
    ----------
    low
        Index of the first voxel of each run, shape ``(3, runs)``.
    lengths
        Voxels of each run, along the last axis.
    groups
        Where each group begins.
    """
    high = low.copy()
    high[2] += lengths - 1

    def reduced(how: np.ufunc, values: Whole) -> Whole:
        return how.reduceat(values, groups, axis=-1) if len(groups) else values[..., :0]

    return (
        reduced(np.add, lengths),
        reduced(np.add, (low + high) * lengths),
        reduced(np.minimum, low),
        reduced(np.maximum, high),
    )


def with_descendants(own: npt.NDArray[Any], last: npt.NDArray[np.integer]) -> npt.NDArray[Any]:
    """Return sums over subtrees of sums by code, along the last axis.

    Parameters
    ----------
    own
        Whole numbers, shape ``(…, codes)``; code 0 stays itself.
    last
        Last code of the subtree of each code of the terminology; further codes stand alone.
    """
    sums = np.cumsum(own, axis=-1)
    count = own.shape[-1]
    ends = np.concatenate([last, np.arange(len(last), count)])
    total = sums[..., ends]
    total[..., 1:] -= sums[..., :-1]
    return total


def extremes(first: Whole, last: Whole, ends: npt.NDArray[np.integer]) -> tuple[Whole, Whole]:
    """Return the lowest and highest index of subtrees, from those of labels; shape ``(3, codes)``.

    Parameters
    ----------
    first, last
        Of the labels.
    ends
        Last code of the subtree of each code.
    """
    low, high = first.copy(), last.copy()
    for code in range(1, len(ends)):
        if ends[code] > code:
            span = slice(code, int(ends[code]) + 1)
            low[:, code] = first[:, span].min(axis=1)
            high[:, code] = last[:, span].max(axis=1)
    return low, high
