"""Ask about the points in a file, some at a time: memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from bg_atlasapi.late import np
from bg_atlasapi.query.counting import Tally, tally_of
from bg_atlasapi.query.subject import Subject

if TYPE_CHECKING:
    from os import PathLike

    import numpy.typing as npt
    import pandas as pd

    from bg_atlasapi.formats.points_files import PointsTable

    Source = str | PathLike[str] | BinaryIO
    Columns = Sequence[str | int] | None
    Report = Callable[[int, int], object]


def silent(_done: int, _total: int) -> None:
    """Report to nobody."""


def tally_file(
    subject: Subject,
    source: Source,
    unit: str | None = None,
    *,
    columns: Columns = None,
    file_format: str | None = None,
    report: Report = silent,
) -> tuple[Tally, str]:
    """Count the points in a file.

    Parameters
    ----------
    subject
        What is asked; see ``subject_of``.
    source, columns, file_format
        As in ``formats.points_files.read_points``.
    unit
        ``"um"``, ``"mm"`` or ``"voxel"``; None is what the format implies, else µm.
    report
        Called with the bytes that were read, and those of the whole.

    Returns
    -------
    Tally, str
        The counts, and the unit.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, or the unit is unknown.
    """
    from bg_atlasapi.formats.points_batches import open_points

    total, used = Tally.empty(subject.terminology), unit or "um"
    with open_points(source, columns, file_format, bare=True, report=report) as batches:
        for batch in batches:
            used = unit or batch.unit or "um"
            total += tally_of(subject, batch.points, used)
    return total, used


def points_in(
    source: Source, unit: str | None = None, *, columns: Columns = None, report: Report = silent
) -> tuple[npt.NDArray[np.float64], str]:
    """Read all points of a file, and their unit; parameters and errors as in ``tally_file``."""
    from bg_atlasapi.formats.points_batches import open_points

    with open_points(source, columns, bare=True, report=report) as batches:
        parts = [(batch.points, batch.unit) for batch in batches]
    return np.concatenate([points for points, _ in parts]), unit or parts[0][1] or "um"


@dataclass(frozen=True, slots=True)
class Answered:
    """The points of a file with their answers, some at a time.

    Parameters
    ----------
    unit, coordinates
        What the numbers were taken to be, and from which columns.
    parts
        Batches of points, and what ``atlas.lookup`` says of them; at least one, which may be empty.
    """

    unit: str
    coordinates: tuple[str, str, str]
    parts: Iterator[tuple[PointsTable, pd.DataFrame]]


@contextmanager
def answered(  # noqa: PLR0913 - one question, many ways
    atlas: Any,
    source: Source,
    unit: str | None = None,
    at: Any = None,
    *,
    nearest: bool = False,
    columns: Columns = None,
    file_format: str | None = None,
    report: Report = silent,
) -> Iterator[Answered]:
    """Open a file of points to be looked up in parts; parameters and errors as in ``lookup_to``."""
    from bg_atlasapi.formats.points_batches import open_points

    with open_points(source, columns, file_format, report=report) as batches:
        first = next(batches)
        used = unit or first.unit or "um"
        parts = (
            (batch, atlas.lookup(batch.points, unit=used, at=at, nearest=nearest))
            for batch in chain([first], batches)
        )
        yield Answered(used, first.coordinates, parts)


def lookup_to(  # noqa: PLR0913 - one question, many ways
    atlas: Any,
    source: Source,
    target: str | PathLike[str],
    unit: str | None = None,
    at: Any = None,
    *,
    nearest: bool = False,
    columns: Columns = None,
    report: Report = silent,
) -> int:
    r"""Look up the points in a file, and write each row with its answers to another.

    Parameters
    ----------
    atlas
        What is asked: ``atlas.lookup``.
    source, columns
        As in ``formats.points_files.read_points``.
    target
        A .csv, .tsv, .parquet or .json file; whole, or not there. Its provenance goes with it, see
        ``formats.provenance``.
    unit, at, nearest
        As in ``atlas.lookup``.
    report
        Called with the bytes that were read, and those of the whole.

    Returns
    -------
    int
        Rows that were written: those of the source, its columns first. An answer whose name is
        taken gets the prefix ``atlas_``.

    Raises
    ------
    InvalidInputError
        If a file cannot be read or written, or the unit is unknown.
    UnknownStructureError
        If ``at`` names a structure the atlas lacks.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from bg_atlasapi import BrainGlobeAtlas
    >>> from bg_atlasapi.query import lookup_to
    >>> folder = tempfile.TemporaryDirectory()
    >>> cells = Path(folder.name) / "cells.csv"
    >>> _ = cells.write_text("x,y,z\n7100,3870,4500\n")
    >>> lookup_to(BrainGlobeAtlas("phantom_mouse_100um"), cells, cells.with_name("regions.csv"))
    1
    >>> folder.cleanup()
    """
    from bg_atlasapi.formats import table_files
    from bg_atlasapi.formats.provenance import provenance_of

    table_files.check_output(Path(target))
    rows = 0
    asked = answered(atlas, source, unit, at, nearest=nearest, columns=columns, report=report)
    with asked as found:
        options = {"unit": found.unit, "at": at, "nearest": nearest, "columns": found.coordinates}
        stated = provenance_of(atlas, "lookup", {"points": source, **options})
        with table_files.table_writer(Path(target), stated) as add:
            for batch, answers in found.parts:
                add(table_files.beside(batch.table, answers))
                rows += len(answers)
    return rows
