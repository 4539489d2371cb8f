"""Read points from a file some at a time, so that a billion of them need not fit in memory.

Formats, columns and complaints are those of ``points_files``. Parquet is read by batches of rows,
of the coordinates only where that is all that is wanted; csv and tsv by chunks of lines; npy by
blocks of bytes; cellfinder's XML by blocks of text.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from bg_atlasapi.formats import cellfinder_points
from bg_atlasapi.formats.points_columns import coordinates_of, numbers_of
from bg_atlasapi.formats.points_files import (
    READERS,
    Format,
    PointsTable,
    explained,
    format_of,
    npy_frame,
    read_separated,
    refuse_empty,
    refuse_repeated,
)
from bg_atlasapi.formats.table_files import need_pyarrow
from bg_atlasapi.model.parallel import spans
from bg_atlasapi.settings import PathLike

ROWS = 1 << 18
_KEPT_BYTES = 64 << 20  # of a stream that cannot be sought; what is longer goes to a file

_ROWS_IN_ALL = "rows"  # noted with batches of formats that know it

Frames = Generator[pd.DataFrame, None, None]
Tables = Generator[PointsTable, None, None]
Report = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class _Job:
    """What is wanted of a stream.

    Parameters
    ----------
    stream
        Can be sought.
    rows
        Of a batch.
    columns
        Coordinates that were asked for.
    chosen, name
        Its format, and what it is called in messages.
    bare
        Whether only the coordinates are wanted.
    """

    stream: BinaryIO
    rows: int
    columns: Sequence[str | int] | None
    chosen: Format
    name: str
    bare: bool

    def coordinates(self, frame: pd.DataFrame) -> tuple[str, str, str]:
        """Return the coordinate columns of a table."""
        return coordinates_of(frame, self.columns, self.chosen.coordinates, self.name)


def _silent(_done: int, _total: int) -> None:
    pass


@contextmanager
def open_points(
    source: PathLike | BinaryIO,
    columns: Sequence[str | int] | None = None,
    file_format: str | None = None,
    *,
    bare: bool = False,
    rows: int | None = None,
    report: Report = _silent,
) -> Iterator[Iterator[PointsTable]]:
    """Open a table of points, to be read in batches.

    Parameters
    ----------
    source, columns, file_format
        As in ``points_files.read_points``.
    bare
        Only the points are wanted: the tables need not have the other columns.
    rows
        Most rows of a batch; default ``ROWS``.
    report
        Called with the bytes that were read, and those of the whole.

    Yields
    ------
    iterator of PointsTable
        At least one, which may be empty. All have the same columns, of the same types.

    Raises
    ------
    InvalidInputError
        As ``read_points``; also while batches are read.
    """
    name, extension = format_of(source, file_format)
    with _seekable(source, name) as stream:
        job = _Job(stream, rows or ROWS, columns, READERS[extension], name, bare)
        # Closed before the stream is: a generator that was left midway would flush it later.
        with (
            closing(_BATCHES[extension](job)) as frames,
            closing(_tables(job, frames, report)) as tables,
        ):
            yield tables


@contextmanager
def _seekable(source: PathLike | BinaryIO, name: str) -> Iterator[BinaryIO]:
    if isinstance(source, str | os.PathLike):
        with explained(name):
            opened = Path(source).open("rb")  # noqa: SIM115 - closed below; only opening is explained
        with opened as stream:
            yield stream
    elif source.seekable():
        yield source
    else:
        with tempfile.SpooledTemporaryFile(max_size=_KEPT_BYTES) as copy:
            with explained(name):
                shutil.copyfileobj(source, copy)
            copy.seek(0)
            yield copy  # type: ignore[misc]


def _tables(job: _Job, frames: Iterator[pd.DataFrame], report: Report) -> Tables:
    with explained(job.name):
        refuse_empty(job.stream)
        size = job.stream.seek(0, os.SEEK_END)
        job.stream.seek(0)
    picked, first = None, 0
    while (frame := _next(frames, job.name)) is not None:
        picked = picked or job.coordinates(frame)
        numbers = [numbers_of(frame[column], job.name, first) for column in picked]
        first += len(frame)
        rows = frame.attrs.pop(_ROWS_IN_ALL, None)
        done = min(job.stream.tell(), size) if rows is None else size * first // max(rows, 1)
        report(done, size)
        yield PointsTable(np.column_stack(numbers), picked, frame, job.chosen.unit)


def _next(frames: Iterator[pd.DataFrame], name: str) -> pd.DataFrame | None:
    with explained(name):
        frame = next(frames, None)
        if frame is not None:
            refuse_repeated(frame)
        return frame


def _whole(job: _Job) -> Frames:
    yield job.chosen.read(job.stream)


def _cellfinder(job: _Job) -> Frames:
    yield from cellfinder_points.cells(job.stream, job.rows)


def _separated(job: _Job, separator: str) -> Frames:
    types = {} if job.bare else _types_of_all_rows(job, separator)
    with read_separated(job.stream, separator, job.rows, **types) as frames:
        yield from frames


def _types_of_all_rows(job: _Job, separator: str) -> dict[str, Any]:
    """Return the types that columns have over all rows, which one batch does not tell.

    Else whole numbers would be written with a point in the batches in which one is missing.
    """
    found: list[pd.Series[Any]] = []
    with read_separated(job.stream, separator, job.rows) as frames:
        found = [frame.dtypes for frame in frames]
    job.stream.seek(0)
    if len(found) < 2:
        return {}
    columns = zip(*(types.tolist() for types in found), strict=True)
    return {"dtype": dict(enumerate(map(_common_type, columns)))}


def _common_type(types: Sequence[Any]) -> Any:
    if len(set(types)) == 1 and types[0].kind in "iufb":
        return types[0]
    if not all(one.kind in "iuf" for one in types):
        return str
    common = np.result_type(*types)
    # Numbers of 64 bits with and without a sign meet in a float, which would round them.
    return common if common.kind != "f" or any(one.kind == "f" for one in types) else str


def _npy(job: _Job) -> Frames:
    path = getattr(job.stream, "name", None)
    if not isinstance(path, str) or not Path(path).is_file():
        yield from _whole(job)
        return
    mapped = np.lib.format.open_memmap(path, mode="r")
    yield npy_frame(mapped[:0])
    # Read rather than mapped: of what is mapped, all that was touched counts as memory.
    job.stream.seek(mapped.offset)
    for part in spans(len(mapped), job.rows):
        if mapped.flags.c_contiguous:
            block = np.fromfile(
                job.stream, mapped.dtype, (part.stop - part.start) * mapped.shape[1]
            )
            frame = npy_frame(block.reshape(-1, mapped.shape[1]))
        else:
            frame = npy_frame(np.array(mapped[part]))
        frame.attrs[_ROWS_IN_ALL] = len(mapped)
        yield frame


def _parquet(job: _Job) -> Frames:
    need_pyarrow()
    from bg_atlasapi.formats.parquet_batches import ParquetTable

    file = ParquetTable(job.stream)
    head = file.head()
    refuse_repeated(head)
    names = [*job.coordinates(head)] if job.bare else file.names
    yield head[names]
    for frame in file.batches(job.rows, names):
        frame.attrs[_ROWS_IN_ALL] = file.rows
        yield frame


_BATCHES: dict[str, Callable[[_Job], Frames]] = {
    "csv": partial(_separated, separator=","),
    "tsv": partial(_separated, separator="\t"),
    "parquet": _parquet,
    "npy": _npy,
    "xml": _cellfinder,
}
