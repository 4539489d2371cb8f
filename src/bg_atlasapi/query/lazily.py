"""Ask about points that Dask holds: lazily, in parts, on any cluster. Dask is imported only here.

A task takes one part of the points and a reference to the atlas (see ``sharing``), which a worker
opens once; nothing else travels. Tasks are pure, so that one whose worker died is simply done again
elsewhere, and each keeps to one core, because Dask has work for the others. Counts of parts combine
in a tree. Answers are what ``query.points`` and ``query.counting`` give for arrays in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from importlib import import_module
from operator import iadd
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.parallel import alone
from bg_atlasapi.query import counting, sources
from bg_atlasapi.query import nearest as nearest_query
from bg_atlasapi.query import points as point_query
from bg_atlasapi.query.counting import At, Rows, Tally
from bg_atlasapi.query.sharing import SharedAtlas
from bg_atlasapi.query.subject import Subject, subject_of
from bg_atlasapi.query.voxel_counts import voxels_by_code

if TYPE_CHECKING:
    import pandas as pd

_COMBINED = 16  # tallies that one task adds up


def lookup(
    atlas: Any,
    points: Any,
    unit: str = "um",
    at: At = None,
    *,
    nearest: bool = False,
    columns: sources.Columns = None,
) -> Any:
    """Say where points lie; parameters as in ``atlas.lookup``.

    Returns
    -------
    dask.dataframe.DataFrame
        A partition for each of the points'. The categories of ``acronym``, ``name`` and
        ``nearest_acronym`` are those of the whole atlas, so that all partitions have the same. Rows
        of an array are numbered; within each chunk where the lengths of chunks are not known.

    Raises
    ------
    InvalidInputError
        If points are not real numbers of shape ``(N, 3)``, or the unit is unknown.
    UnknownStructureError
        If ``at`` names a structure the atlas lacks.
    """
    dataframe = _dask_dataframe()
    subject = subject_of(atlas)
    subject.space.voxel_scale(unit)
    known = (_unlisted(atlas), _id_type(subject, at))
    ask = _Lookup(SharedAtlas.of(atlas), unit, at, nearest, *known)
    empty = ask(np.empty((0, 3)))
    if sources.is_table(points):
        picked = points[sources.coordinates(points._meta, columns)]
        return picked.map_partitions(ask, meta=empty)
    array = _checked_array(points, columns)
    sizes = array.chunks[0]
    if any(size != size for size in sizes):  # noqa: PLR0124 - not known before it is computed
        starts, divisions = [0] * len(sizes), None
    else:
        ends = np.cumsum(sizes).tolist()
        starts = [0, *ends[:-1]]
        divisions = (*starts, ends[-1] - 1) if 0 not in sizes else None
    parts = array.to_delayed().ravel().tolist()
    tasks = [_delayed(ask)(part, start) for part, start in zip(parts, starts, strict=True)]
    return dataframe.from_delayed(tasks, meta=empty, divisions=divisions, verify_meta=False)


def count(
    atlas: Any,
    points: Any,
    unit: str = "um",
    at: At = None,
    *,
    zeros: bool = False,
    columns: sources.Columns = None,
) -> Any:
    """Count points by structure; parameters and errors as in ``atlas.count``.

    Returns
    -------
    dask.dataframe.DataFrame
        Of one partition: ``.compute()`` gives what ``atlas.count`` gives for points in memory.
    """
    dataframe = _dask_dataframe()
    subject = subject_of(atlas)
    subject.space.voxel_scale(unit)
    Rows.of(subject.terminology, at)
    shared = SharedAtlas.of(atlas)
    if sources.is_table(points):
        parts = points[sources.coordinates(points._meta, columns)].to_delayed()
    else:
        parts = _checked_array(points, columns).to_delayed().ravel().tolist()
    tally = _tree([_delayed(_Count(shared, unit))(part) for part in parts])
    made = _delayed(_Table(shared, at, zeros))(tally)
    return dataframe.from_delayed([made], meta=counting.empty_table(), verify_meta=False)


def _tree(tallies: Sequence[Any]) -> Any:
    """Return the sum of tallies that are yet to be made."""
    while len(tallies) > 1:
        starts = range(0, len(tallies), _COMBINED)
        tallies = [_delayed(_added)(list(tallies[at : at + _COMBINED])) for at in starts]
    return tallies[0]


def _added(tallies: Sequence[Tally]) -> Tally:
    first, *others = tallies
    return reduce(
        iadd, others, replace(first, counts=first.counts.copy(), unlisted={**first.unlisted})
    )


@dataclass(frozen=True, slots=True, repr=False)
class _Count:
    """Counts the points of one part."""

    __name__ = "count"  # what Dask shows of a task
    shared: SharedAtlas
    unit: str

    def __call__(self, points: Any) -> Tally:
        with alone():
            return counting.tally_of(subject_of(self.shared.open()), points, self.unit)


@dataclass(frozen=True, slots=True, repr=False)
class _Table:
    """Makes the table of what was counted."""

    __name__ = "table"  # what Dask shows of a task
    shared: SharedAtlas
    at: At
    zeros: bool

    def __call__(self, tally: Tally) -> pd.DataFrame:
        subject = subject_of(self.shared.open(), every_voxel=True)
        rows = Rows.of(subject.terminology, self.at)
        return counting.table(tally, subject, rows, zeros=self.zeros)


@dataclass(frozen=True, slots=True, repr=False)
class _Lookup:
    """Looks up the points of one part."""

    __name__ = "lookup"  # what Dask shows of a task
    shared: SharedAtlas
    unit: str
    at: At
    nearest: bool
    unlisted: tuple[int, ...]
    id_type: Any

    def __call__(self, points: Any, start: int = 0) -> pd.DataFrame:
        import pandas as pd

        atlas = self.shared.open()
        subject = subject_of(atlas)
        with alone():
            found = point_query.lookup(
                subject.labels, subject.space, points, self.unit, self.at, subject.hemispheres
            )
            if self.nearest:
                found = found.assign(**nearest_query.columns(atlas, points, self.unit, self.at))
        extra = [point_query.unlisted_label(label) for label in self.unlisted]
        for name in found.columns.intersection(["acronym", "name", "nearest_acronym"]):
            terminology = subject.terminology
            texts = terminology.names if name == "name" else terminology.acronyms
            every = dict.fromkeys([*texts, *extra, point_query.ELSEWHERE_LABEL])
            found[name] = found[name].cat.set_categories(list(every))
        for name in found.columns.intersection(["id", "nearest_id"]):
            found[name] = found[name].astype(self.id_type)
        index = getattr(points, "index", None)
        return found.set_axis(pd.RangeIndex(start, start + len(found)) if index is None else index)


def _unlisted(atlas: Any) -> tuple[int, ...]:
    """Return the labels that the terminology lacks: they are categories too."""
    subject = subject_of(atlas, every_voxel=True)
    ids, _ = voxels_by_code(subject.labels)
    return tuple(ids[len(subject.terminology) + 1 :].tolist())


def _id_type(subject: Subject, at: At) -> Any:
    """Return the type that holds every id an answer may have."""
    own = subject.labels.dtype
    if at is None:
        return own
    goes_to, _ = point_query.ancestors_at(subject.terminology, at)
    largest = int(subject.terminology.ids[goes_to].max())
    return own if largest <= np.iinfo(own).max else np.dtype(np.int64)  # type: ignore[type-var]


def _checked_array(points: Any, columns: sources.Columns) -> Any:
    """Return a Dask array of points, each of them whole in one chunk."""
    if columns is not None:
        raise InvalidInputError("columns= names columns of a table or file, not of a Dask array.")
    if not hasattr(type(points), "rechunk"):
        kind = type(points).__name__
        message = f"Points must be a Dask array of shape (N, 3) or a Dask DataFrame, got {kind}."
        raise InvalidInputError(message)
    if points.dtype.kind not in "iuf":
        message = f"Points must be real numbers in an (N, 3) array, got an array of {points.dtype}."
        raise InvalidInputError(message)
    if points.shape == (3,):
        points = points.reshape(1, 3)
    if points.ndim != 2 or points.shape[1] != 3:
        message = f"Points must have the shape (N, 3) or (3,), got {points.shape}."
        raise InvalidInputError(message)
    return points.rechunk({1: 3})


def _dask_dataframe() -> Any:
    try:
        return import_module("dask.dataframe")
    except ImportError as error:
        message = f'Points of Dask need more of it, pip install "bg-atlasapi[dask]" ({error}).'
        raise InvalidInputError(message) from error


def _delayed(function: Callable[..., Any]) -> Any:
    from dask import delayed

    return delayed(function, pure=True)
