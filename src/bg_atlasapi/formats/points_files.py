"""Read tables of points: csv, tsv, parquet, npy, and cellfinder's XML.

Knows files and columns, not atlases: which structure a point lies in is ``query.points``; writing
is ``table_files``. A file is read whole; everything that is wrong with it is one
``InvalidInputError`` that names the file.
"""

from __future__ import annotations

import csv
import io
import os
import tokenize
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pandas as pd

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats import cellfinder_points
from bg_atlasapi.formats.points_columns import MISSING, coordinates_of, numbers_of
from bg_atlasapi.formats.table_files import extension_of, need_pyarrow
from bg_atlasapi.settings import PathLike

_STREAM_NAMES = {"<stdin>": "standard input"}
# Pandas 3 reads the number that was written; before, the last digit could differ.
_EXACT: dict[str, Any] = {} if int(pd.__version__[0]) >= 3 else {"float_precision": "round_trip"}
# What pandas makes of Ctrl-C while it reads (Python 3.11); of errors it says what they were.
_INTERRUPTED = "Calling read(nbytes) on source failed"
# What files that are missing or damaged make the parsers raise: they have no common error.
_DAMAGED = (
    *(OSError, EOFError, MemoryError, SyntaxError, csv.Error),
    *(ValueError, TypeError, LookupError, NotImplementedError, tokenize.TokenError),
)


@dataclass(frozen=True, slots=True, eq=False)
class PointsTable:
    """Points read from a file.

    Parameters
    ----------
    points
        ``float64``, shape ``(N, 3)``, in the atlas's axis order; NaN where a cell was empty.
    coordinates
        Names of the columns the points came from, in that order.
    table
        All columns of the file, a row a point, in the file's order.
    unit
        The unit if the format implies one, else None.
    """

    points: npt.NDArray[np.float64]
    coordinates: tuple[str, str, str]
    table: pd.DataFrame
    unit: str | None


@dataclass(frozen=True, slots=True)
class Format:
    """How to read one format.

    Parameters
    ----------
    read
        Stream to table.
    coordinates
        Its coordinate columns, if they are always called the same.
    unit
        The unit, if the format implies one.
    """

    read: Callable[[BinaryIO], pd.DataFrame]
    coordinates: tuple[str, str, str] | None = None
    unit: str | None = None


def read_points(
    source: PathLike | BinaryIO,
    columns: Sequence[str | int] | None = None,
    file_format: str | None = None,
) -> PointsTable:
    """Read a table of points.

    Parameters
    ----------
    source
        A file, or a binary stream.
    columns
        Names or 0-based positions of the three coordinate columns, in the atlas's axis order.
        Default: columns called x, y, z, or ap, dv, lr, or ap, dv, ml (case ignored), else the only
        three columns of numbers. Of cellfinder's XML: Z, Y, X, because cellfinder counts the
        first axis of an image as Z and the last as X.
    file_format
        ``"csv"``, ``"tsv"``, ``"parquet"``, ``"npy"`` or ``"xml"``. Default: by the extension;
        csv for a stream.

    Returns
    -------
    PointsTable
        The unit is ``"voxel"`` for XML, whose markers are voxel indices.

    Raises
    ------
    InvalidInputError
        If the file is missing, of another type, damaged, or has no three columns of numbers.
    """
    name, extension = format_of(source, file_format)
    chosen = READERS[extension]
    with explained(name), _opened(source) as stream:
        frame = _checked(chosen.read, stream)
    picked = coordinates_of(frame, columns, chosen.coordinates, name)
    numbers = [numbers_of(frame[column], name) for column in picked]
    return PointsTable(np.column_stack(numbers), picked, frame, chosen.unit)


def format_of(source: PathLike | BinaryIO, file_format: str | None) -> tuple[str, str]:
    """Return what to call a source in messages, and which of ``READERS`` reads it.

    Raises
    ------
    InvalidInputError
        If the format is not known.
    """
    if isinstance(source, str | os.PathLike):
        name, extension = str(source), extension_of(Path(source))
    else:
        name, extension = _STREAM_NAMES.get(str(getattr(source, "name", "")), "the stream"), "csv"
    extension = file_format or extension
    if extension not in READERS:
        kind = f"files of type {extension!r} are" if extension else "a file without extension is"
        known = ", ".join(READERS)
        message = f"{name} cannot be read: {kind} not among those known ({known})."
        raise InvalidInputError(message)
    return name, extension


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what parsers raise at a damaged file into ``InvalidInputError``."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(f"{name} cannot be read: {error}") from error.__cause__
    except _DAMAGED as error:
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if _INTERRUPTED in text:
            raise KeyboardInterrupt from None
        reason = " ".join(text.split()).rstrip(".")
        raise InvalidInputError(f"{name} cannot be read: {reason}.") from error


def _opened(source: PathLike | BinaryIO) -> AbstractContextManager[BinaryIO]:
    if isinstance(source, str | os.PathLike):
        return Path(source).open("rb")
    return nullcontext(source)


def _checked(read: Callable[[BinaryIO], pd.DataFrame], stream: BinaryIO) -> pd.DataFrame:
    if not stream.seekable():
        stream = io.BytesIO(stream.read())
    refuse_empty(stream)
    frame = read(stream)
    refuse_repeated(frame)
    return frame


def refuse_empty(stream: BinaryIO) -> None:
    """Raise ``ValueError`` if there is nothing in a stream."""
    if not stream.read(1):
        raise ValueError("it is empty")
    stream.seek(0)


def refuse_repeated(frame: pd.DataFrame) -> None:
    """Raise ``ValueError`` if two columns of a table have the same name."""
    if not frame.columns.is_unique:
        raise ValueError("two of its columns have the same name")


def _read_separated(stream: BinaryIO, separator: str) -> pd.DataFrame:
    with read_separated(stream, separator) as parts:
        return next(parts)


@contextmanager
def read_separated(
    stream: BinaryIO, separator: str, rows: int | None = None, **options: Any
) -> Iterator[Iterator[pd.DataFrame]]:
    """Read csv or tsv in parts.

    Parameters
    ----------
    stream
        Can be sought.
    separator
        Between fields.
    rows
        Of a part; None reads all as one.
    options
        More for ``pandas.read_csv``.
    """
    fields = _first_row(stream, separator)
    has_header = not _is_data(fields)
    others = [one for one in ",;\t|" if one != separator and one in fields[0]]
    if len(fields) == 1 and others:
        advice = " (--format tsv)" if others[0] == "\t" else ""
        raise ValueError(f"{others[0]!r} is between its fields, not {separator!r}{advice}")
    twice = [name for name in fields if fields.count(name) > 1]
    if has_header and twice:
        raise ValueError(f"two of its columns are called {twice[0]!r}")
    with warnings.catch_warnings():
        # Rows longer than the header would be cut, or shifted into an index.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            frames = pd.read_csv(
                stream,
                sep=separator,
                header=0 if has_header else None,
                index_col=False,
                encoding="utf-8-sig",
                skipinitialspace=True,
                low_memory=False,
                iterator=True,
                chunksize=rows,
                # Only these are no value: a region may well be called "NA".
                keep_default_na=False,
                na_values=["", "nan", "NaN"],
                **_EXACT,
                **options,
            )
            unnamed = has_header and not fields[0].strip()
            with frames:
                yield (_with_names(one, has_header, unnamed) for one in frames)
        except pd.errors.ParserWarning:
            raise ValueError("its rows have more fields than its header") from None


def _with_names(frame: pd.DataFrame, has_header: bool, unnamed: bool) -> pd.DataFrame:  # noqa: FBT001
    frame.columns = pd.Index([str(column) for column in frame.columns])
    if unnamed:
        return frame.rename(columns={frame.columns[0]: ""})
    return frame if has_header else _named(frame)


def _first_row(stream: BinaryIO, separator: str) -> list[str]:
    for line in stream:
        text = line.decode("utf-8-sig").strip("\r\n")
        if text.strip():
            stream.seek(0)
            return next(csv.reader(text.splitlines()[:1], delimiter=separator))
    raise ValueError("it is empty")


def _is_data(fields: Sequence[str]) -> bool:
    """Say whether the first row holds numbers; an unnamed index before 0, 1, 2 is a header."""
    values = [field.strip().lower() for field in fields]
    if not values[0] and values[1:] == [str(place) for place in range(len(values) - 1)]:
        return False
    return all(value in MISSING or _is_number(value) for value in values) and any(values)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """Give columns without names their position, or x, y, z if there are three."""
    count = frame.shape[1]
    names = ["x", "y", "z"] if count == 3 else [str(place) for place in range(count)]
    return frame.set_axis(names, axis=1)


def _read_npy(stream: BinaryIO) -> pd.DataFrame:
    # np.load would also open archives, and advise to unpickle what is neither.
    return npy_frame(np.lib.format.read_array(stream, allow_pickle=False))


def npy_frame(array: npt.NDArray[Any]) -> pd.DataFrame:
    """Return an array as a table; raises ``ValueError`` if it is none of points."""
    if array.dtype.kind not in "iuf":
        raise ValueError(f"its values are {array.dtype}, not real numbers")
    if array.ndim != 2 or array.shape[1] < 3:
        raise ValueError(f"its shape is {array.shape}, not (N, 3)")
    # Pandas takes only the machine's own byte order.
    return _named(pd.DataFrame(array.astype(array.dtype.newbyteorder("="), copy=False)))


def _read_parquet(stream: BinaryIO) -> pd.DataFrame:
    need_pyarrow()
    frame = pd.read_parquet(stream, engine="pyarrow")
    frame = frame.reset_index(drop=all(name is None for name in frame.index.names))
    return frame.set_axis([str(column) for column in frame.columns], axis=1)


def _read_cellfinder(stream: BinaryIO) -> pd.DataFrame:
    return next(cellfinder_points.cells(stream))


READERS = {
    "csv": Format(partial(_read_separated, separator=",")),
    "tsv": Format(partial(_read_separated, separator="\t")),
    "parquet": Format(_read_parquet),
    "npy": Format(_read_npy),
    "xml": Format(_read_cellfinder, cellfinder_points.COORDINATES, unit="voxel"),
}
FORMATS = tuple(READERS)
