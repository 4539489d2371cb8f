"""How many points lie in every structure: on its own, with all below it, left and right.

Points are counted in blocks, on all cores, and nothing is kept of a point. A ``Tally`` holds what
was counted so far, by preorder code; tallies add up, so points may come in any parts, from files or
from other processes, and give the same table. Rolling up over the hierarchy is a difference of
prefix sums, in whole numbers.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from bg_atlasapi.late import np
from bg_atlasapi.model.id_index import UNLISTED
from bg_atlasapi.model.parallel import over_blocks
from bg_atlasapi.model.space import LEFT, RIGHT, as_points
from bg_atlasapi.model.terminology import OUTSIDE_LABEL, Terminology
from bg_atlasapi.query import points as point_query
from bg_atlasapi.query.points import BLOCK, ELSEWHERE_LABEL, Located, unlisted_label
from bg_atlasapi.query.subject import Subject
from bg_atlasapi.query.voxel_counts import voxels_by_code

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    _Voxels = tuple[npt.NDArray[np.integer], npt.NDArray[np.int64]]  # id and voxels of every code

At = int | Sequence[object] | None
COLUMNS = ("id", "acronym", "name", "own", "total", "left", "right", "density_per_mm3")
# id, acronym, name, own, total, left, right, voxels
_Line = tuple[int, str, str, int, int, int, int, int]
_SIDES = 3  # neither, left, right
_UM3_PER_MM3 = 1e9


@dataclass(slots=True)
class Tally:
    """What was counted so far.

    Parameters
    ----------
    counts
        ``int64``, shape ``(3, N + 1)``: by side (0 neither, 1 left, 2 right) and by code; code 0 is
        outside every structure.
    unlisted
        By label that the terminology lacks: ``int64``, shape ``(3,)``, by side.
    beyond
        Points that are not within the volume; they are counted under code 0 too.
    """

    counts: npt.NDArray[np.int64]
    unlisted: dict[int, npt.NDArray[np.int64]]
    beyond: int = 0

    @classmethod
    def empty(cls, terminology: Terminology) -> Tally:
        """Return a tally of no points."""
        return cls(np.zeros((_SIDES, len(terminology) + 1), np.int64), {})

    def __len__(self) -> int:
        return int(self.counts.sum()) + sum(int(one.sum()) for one in self.unlisted.values())

    def __iadd__(self, other: Tally) -> Self:
        self.counts += other.counts
        for label, counts in other.unlisted.items():
            self.unlisted[label] = self.unlisted.get(label, 0) + counts
        self.beyond += other.beyond
        return self

    def __add__(self, other: Tally) -> Tally:
        answer = Tally(self.counts.copy(), dict(self.unlisted), self.beyond)
        answer += other
        return answer

    def add(self, located: Located) -> None:
        """Count points that were found."""
        sides = np.where(located.hemispheres <= RIGHT, located.hemispheres, 0)
        width = self.counts.shape[1] + 1  # one more: labels that the terminology lacks are -1
        places = sides * np.int64(width) + (located.codes + 1)
        found = np.bincount(places, minlength=_SIDES * width).reshape(_SIDES, width)
        self.counts += found[:, 1:]
        self.beyond += len(places) - int(np.count_nonzero(located.inside))
        if found[:, 0].any():
            strange = located.codes == UNLISTED
            self._add_unlisted(located.ids[strange], sides[strange])

    def _add_unlisted(self, ids: npt.NDArray[np.integer], sides: npt.NDArray[Any]) -> None:
        labels, place = np.unique(ids, return_inverse=True)
        found = np.bincount(place * _SIDES + sides, minlength=_SIDES * len(labels))
        for label, counts in zip(labels.tolist(), found.reshape(-1, _SIDES), strict=True):
            self.unlisted[label] = self.unlisted.get(label, 0) + counts


def tally_of(subject: Subject, points: npt.ArrayLike, unit: str = "um") -> Tally:
    """Count points.

    Parameters
    ----------
    subject
        What is asked; see ``subject_of``.
    points
        ``(N, 3)`` numbers or one triplet, as in ``points.locate``.
    unit
        ``"um"``, ``"mm"`` or ``"voxel"``.

    Raises
    ------
    InvalidInputError
        If points are not numbers of shape ``(N, 3)`` or the unit is unknown.
    """
    array, _ = as_points(points)
    subject.space.voxel_scale(unit)
    total, lock = Tally.empty(subject.terminology), threading.Lock()

    def block(part: slice) -> None:
        found = point_query.locate(
            subject.labels, subject.space, array[part], unit, subject.hemispheres
        )
        one = Tally.empty(subject.terminology)
        one.add(found)
        with lock:
            total.__iadd__(one)

    over_blocks(block, len(array), BLOCK)
    return total


def count(
    subject: Subject,
    points: npt.ArrayLike,
    unit: str = "um",
    at: At = None,
    *,
    zeros: bool = False,
) -> pd.DataFrame:
    """Count points by structure; see ``table`` for the answer.

    Parameters
    ----------
    subject, points, unit
        As in ``tally_of``.
    at, zeros
        As in ``table``.
    """
    rows = Rows.of(subject.terminology, at)
    return table(tally_of(subject, points, unit), subject, rows, zeros=zeros)


@dataclass(frozen=True, slots=True)
class Rows:
    """The structures that points are counted for.

    Parameters
    ----------
    goes_to
        Code that the points of each code are counted for, 0 for none; shape ``(N + 1,)``.
    codes
        The rows, in the order of the hierarchy.
    only_own
        Rows that are left out unless points were counted for them themselves; same shape.
    gaps
        Whether some points in structures may be counted for no row.
    """

    goes_to: npt.NDArray[np.integer]
    codes: npt.NDArray[np.integer]
    only_own: npt.NDArray[np.bool_]
    gaps: bool

    @classmethod
    def of(cls, terminology: Terminology, at: At = None) -> Rows:
        """Return the rows that ``at=`` asks for.

        Raises
        ------
        InvalidInputError, UnknownStructureError
            If it is neither a depth nor known structures.
        """
        if at is None:
            codes = np.arange(len(terminology) + 1)
            return cls(codes, codes[1:], np.zeros(len(terminology), np.bool_), gaps=False)
        goes_to, gaps = point_query.ancestors_at(terminology, at)
        codes = np.unique(goes_to[1:])
        codes = codes[codes > 0]
        above = terminology.last[codes] > codes
        if gaps or not isinstance(at, int | np.integer) or at < 0:
            above[:] = False
        else:  # what lies higher than the depth is there for points of its own only
            above &= terminology.depths[codes] < at
        return cls(goes_to, codes, above, gaps)


def table(tally: Tally, subject: Subject, rows: Rows, *, zeros: bool = False) -> pd.DataFrame:
    """Return what was counted as a table, a row a structure, in the order of the hierarchy.

    Parameters
    ----------
    tally
        The counts.
    subject
        What was asked: gives names, hierarchy and volumes.
    rows
        For which structures.
    zeros
        Also give structures in which, descendants included, there is no point.

    Returns
    -------
    pandas.DataFrame
        ``id``, ``acronym``, ``name``; ``own``: points counted for the row itself; ``total``,
        ``left``, ``right``: with its descendants; ``density_per_mm3``: total over the volume with
        descendants, NaN where there is none. After the structures come labels that the terminology
        lacks ("unlisted 77"), points in none of the asked structures ("Elsewhere"), and, always,
        points outside every structure ("Outside atlas", id 0). The ``own`` of all rows add up to
        the number of points.
    """
    import pandas as pd

    voxels = voxels_by_code(subject.labels)
    lines = [*_lines(tally, subject.terminology, rows, voxels, zeros=zeros)]
    lines += _rest(tally, subject.terminology, rows, voxels, zeros=zeros)
    ids, acronyms, names, *numbers = zip(*lines, strict=True)
    own, total, left, right, sizes = (np.array(column, np.int64) for column in numbers)
    volumes_mm3 = sizes * (math.prod(subject.space.spacing_um) / _UM3_PER_MM3)
    density = np.full(len(lines), np.nan)
    np.divide(total, volumes_mm3, out=density, where=sizes > 0)
    wide = np.uint64 if max(ids) > np.iinfo(np.int64).max else np.int64
    columns = (np.array(ids, wide), list(acronyms), list(names), own, total, left, right, density)
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def empty_table() -> pd.DataFrame:
    """Return the table without rows: its columns and their types."""
    import pandas as pd

    line = (0, OUTSIDE_LABEL, OUTSIDE_LABEL, 0, 0, 0, 0, 0.0)
    return pd.DataFrame([line], columns=list(COLUMNS)).iloc[:0]


def _lines(
    tally: Tally, terminology: Terminology, rows: Rows, voxels: _Voxels, *, zeros: bool
) -> Iterator[_Line]:
    """Yield the lines of structures."""
    width = len(terminology) + 1
    everybody = tally.counts.sum(axis=0)
    own = np.zeros(width, np.int64)
    np.add.at(own, rows.goes_to, everybody)
    parts = np.stack([everybody, tally.counts[LEFT], tally.counts[RIGHT], voxels[1][:width]])
    parts[:, 0] = 0
    upto = np.cumsum(parts, axis=1)
    rolled = upto[:, terminology.last[rows.codes]] - upto[:, rows.codes - 1]
    wanted = np.ones(len(rows.codes), np.bool_) if zeros else rolled[0] > 0
    wanted &= ~rows.only_own | (own[rows.codes] > 0)
    for code, numbers in zip(rows.codes[wanted].tolist(), rolled.T[wanted].tolist(), strict=True):
        names = (terminology.acronyms[code], terminology.names[code])
        yield (int(terminology.ids[code]), *names, int(own[code]), *numbers)


def _rest(
    tally: Tally, terminology: Terminology, rows: Rows, voxels: _Voxels, *, zeros: bool
) -> Iterator[_Line]:
    """Yield the lines of what is in no structure, or in none that was asked for."""
    width = len(terminology) + 1
    ids, numbers = voxels
    sizes = dict(zip(ids[width:].tolist(), numbers[width:].tolist(), strict=True))
    if rows.gaps:
        missed = np.flatnonzero(rows.goes_to == 0)[1:]  # all but what is outside
        counts = tally.counts[:, missed].sum(axis=1) + sum(tally.unlisted.values())
        size = int(numbers[missed].sum()) + sum(sizes.values())
        yield _line(0, ELSEWHERE_LABEL, counts, size)
    else:
        for label in sorted({*tally.unlisted, *(sizes if zeros else ())}):
            counts = tally.unlisted.get(label, np.zeros(_SIDES, np.int64))
            yield _line(label, unlisted_label(label), counts, sizes.get(label, 0))
    yield _line(0, OUTSIDE_LABEL, tally.counts[:, 0], 0)


def _line(label: int, name: str, counts: npt.NDArray[np.int64], size: int) -> _Line:
    total = int(counts.sum())
    return (label, name, name, total, total, int(counts[LEFT]), int(counts[RIGHT]), size)
