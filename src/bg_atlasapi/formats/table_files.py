"""Write tables: csv, tsv, parquet, json, by the extension of the file. Reading is elsewhere."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from itertools import chain, repeat
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.provenance import (
    Provenance,
    parquet_metadata,
    sidecar_of,
    sidecar_text,
)


def extension_of(path: Path) -> str:
    """Return the extension in lower case, without the dot."""
    return path.suffix.lower().removeprefix(".")


def need_pyarrow() -> None:
    """Raise ``InvalidInputError`` if parquet files cannot be read or written here."""
    try:
        import_module("pyarrow.parquet")
    except ImportError as error:
        message = f'parquet needs pyarrow, pip install "bg-atlasapi[parquet]" ({error}).'
        raise InvalidInputError(message) from error


def beside(table: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Put answers to the right of a table of points.

    Parameters
    ----------
    table
        The input; its columns keep their names.
    answers
        A row a point. A column whose name is taken gets the prefix ``atlas_``.
    """
    joined = table.copy(deep=False)
    for name, column in answers.items():
        free = str(name)
        while free in joined.columns:
            free = f"atlas_{free}"
        joined[free] = column.to_numpy() if column.dtype.kind in "biuf" else column.array
    return joined


def json_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table as objects for JSON, which has no NaN and no infinity: both become None."""
    names = frame.columns.tolist()
    columns = [_json_values(frame[name]) for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _json_values(column: pd.Series[Any]) -> Iterable[Any]:
    values = column.astype(object).tolist()
    missing = column.isna().tolist()
    return [
        None if absent else _json_value(value)
        for value, absent in zip(values, missing, strict=True)
    ]


def _json_value(value: Any) -> Any:
    if hasattr(value, "tolist"):  # a cell may hold an array
        return [_json_value(one) for one in value.tolist()]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_output(path: Path) -> None:
    """Make sure a table can be written to a file of this name, before work is done for it.

    Raises
    ------
    InvalidInputError
        If the extension is unknown, a library is missing, or the folder is not there.
    """
    if extension_of(path) not in _WRITERS:
        kinds = ", ".join(f".{kind}" for kind in _WRITERS)
        raise InvalidInputError(f"{path} cannot be written: its name must end in one of {kinds}.")
    if extension_of(path) == "parquet":
        need_pyarrow()
    if path.is_dir() or not path.parent.is_dir():
        problem = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise InvalidInputError(f"{path} cannot be written: {problem}.")


def write_table(frame: pd.DataFrame, path: Path, provenance: Provenance | None = None) -> None:
    """Write a table; the extension says how.

    Written beside the target and renamed: the file holds all rows or is not there.

    Parameters
    ----------
    frame
        The table; its index is not written.
    path
        Where to.
    provenance
        Where the table comes from: into the metadata of a parquet file, beside any other.

    Raises
    ------
    InvalidInputError
        If it cannot be written.
    """
    check_output(path)
    with whole_or_absent(path, provenance) as beside_it:
        if extension_of(path) == "parquet":
            _write_parquet(frame, beside_it, provenance)
        else:
            _WRITERS[extension_of(path)](frame, beside_it)


@contextmanager
def table_writer(
    path: Path, provenance: Provenance | None = None
) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Give a function that adds rows to a table; at the end of the block it is there, whole.

    Parameters
    ----------
    path, provenance
        As in ``write_table``.

    Yields
    ------
    callable
        Takes a part of the table; each has the columns of the first. No part, no columns.

    Raises
    ------
    InvalidInputError
        If it cannot be written.
    """
    check_output(path)
    with whole_or_absent(path, provenance) as beside_it, ExitStack() as opened:
        add: Callable[[pd.DataFrame], None]
        extension = extension_of(path)
        if extension == "parquet":
            from bg_atlasapi.formats.parquet_batches import ParquetRows

            stated = {} if provenance is None else parquet_metadata(None, provenance)
            add = opened.enter_context(ParquetRows(beside_it, stated)).add
        elif extension == "json":
            file = opened.enter_context(beside_it.open("w", encoding="utf-8"))
            add = opened.enter_context(_json_parts(file))
        else:
            file = opened.enter_context(beside_it.open("w", encoding="utf-8", newline=""))
            add = _separated_parts(file, "\t" if extension == "tsv" else ",")
        yield add


def _separated_parts(file: TextIO, separator: str) -> Callable[[pd.DataFrame], None]:
    headings = iter([True])

    def add(frame: pd.DataFrame) -> None:
        frame.to_csv(file, sep=separator, index=False, header=next(headings, False))

    return add


@contextmanager
def _json_parts(file: TextIO) -> Iterator[Callable[[pd.DataFrame], None]]:
    separators = chain([""], repeat(", "))

    def add(frame: pd.DataFrame) -> None:
        text = json.dumps(json_rows(frame), allow_nan=False, default=str)
        if len(frame):
            file.write(next(separators) + text[1:-1])

    file.write("[")
    yield add
    file.write("]")


@contextmanager
def whole_or_absent(path: Path, provenance: Provenance | None = None) -> Iterator[Path]:
    """Give a file to write beside a target; at the end it is renamed, after an error removed.

    Parameters
    ----------
    path
        The target.
    provenance
        Of the table: lies beside it, except for parquet, before the table is there.

    Raises
    ------
    InvalidInputError
        If it cannot be written.
    """
    beside_it = path.with_name(f".{path.name}.{os.getpid()}.part")
    note = path.with_name(f".{path.name}.{os.getpid()}.note")
    try:
        try:
            yield beside_it
            if provenance is not None and extension_of(path) != "parquet":
                note.write_text(sidecar_text(path, provenance), encoding="utf-8")
                note.replace(sidecar_of(path))
            beside_it.replace(path)
        finally:
            beside_it.unlink(missing_ok=True)
            note.unlink(missing_ok=True)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}."
        raise InvalidInputError(message) from error


def _write_separated(frame: pd.DataFrame, path: Path, separator: str) -> None:
    frame.to_csv(path, sep=separator, index=False)


def _write_parquet(frame: pd.DataFrame, path: Path, provenance: Provenance | None = None) -> None:
    if provenance is None:
        frame.to_parquet(path, engine="pyarrow", index=False)
        return
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_pandas(frame, preserve_index=False)
    stated = parquet_metadata(table.schema.metadata, provenance)
    parquet.write_table(table.replace_schema_metadata(stated), path)


def _write_json(frame: pd.DataFrame, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(json_rows(frame), file, allow_nan=False, default=str)


_WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    "csv": partial(_write_separated, separator=","),
    "tsv": partial(_write_separated, separator="\t"),
    "parquet": _write_parquet,
    "json": _write_json,
}
