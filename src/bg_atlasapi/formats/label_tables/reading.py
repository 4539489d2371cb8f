"""Recognise a label table by what is in it, and read it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from bg_atlasapi import settings
from bg_atlasapi.errors import AtlasError, InvalidAtlasError, InvalidInputError
from bg_atlasapi.formats.checks import no_check
from bg_atlasapi.formats.label_tables import delimited, graphs, label_files
from bg_atlasapi.formats.label_tables.entries import Entry, LabelTable, Notes
from bg_atlasapi.formats.label_tables.text import read_text
from bg_atlasapi.formats.label_tables.trees import tree_of
from bg_atlasapi.formats.terminology_csv import read_terminology

_JSON = ("allen-graph", "brainglobe-json")
_LINES = {
    "itksnap": label_files.itksnap_entries,
    "freesurfer": label_files.freesurfer_entries,
    "slicer": label_files.slicer_entries,
}
_TABLES = ("bids", "allen-csv", "brainglobe-csv", "terminology-csv", "csv")
KINDS = (*_TABLES, *_LINES, *_JSON)


def read_label_table(
    path: str | Path,
    *,
    kind: str | None = None,
    columns: Mapping[str, str] | None = None,
    taken: Collection[int] = (),
) -> LabelTable:
    """Read a table that names the labels of a volume, as one tree of regions.

    Parameters
    ----------
    path
        BIDS ``dseg.tsv``, a label file of ITK-SNAP, a lookup table of FreeSurfer, a colour table of
        Slicer, the Allen Institute's structure graph or ``structure_tree`` CSV, BrainGlobe's
        ``structures.json`` or ``structures.csv``, V3's ``terminology.csv``, or any CSV or TSV.
    kind
        One of ``KINDS``; None looks at what is in the file.
    columns
        Of a CSV or TSV, which column holds what: ``{"id": "Label", "name": "Region"}``. Besides,
        ``acronym``, ``parent`` (id, acronym or name), ``colour``, or ``red``, ``green``, ``blue``;
        ``path`` (with slashes), ``indent`` (blanks before the cell) or ``depth`` (a number).
    taken
        Ids that must not be given to rows that are added: labels of the volume.

    Returns
    -------
    LabelTable
        A table without a hierarchy gets a root. What is wrong is in ``findings``, all of it.

    Raises
    ------
    InvalidInputError
        If it cannot be read, it is of no kind that is known, or ``kind`` and ``columns`` ask for
        what there is not.
    """
    path = settings.expanded(path)
    if kind is not None and kind not in KINDS:
        raise InvalidInputError(
            f"There is no kind of label table {kind!r}; use {', '.join(KINDS)}."
        )
    if columns is not None and kind not in {None, "csv", "bids"}:
        raise InvalidInputError(f"columns= goes with the kind 'csv', not {kind!r}.")
    notes = Notes(path.name)
    text = read_text(path, notes)
    found, entries = _entries(path, text, kind, columns, notes)
    if entries is None:
        return LabelTable((), found, tuple(notes.findings))
    tree = tree_of(entries, taken, notes)
    return LabelTable(tree.rows, found, tuple(notes.findings), tree.made_ids)


def _entries(
    path: Path, text: str, kind: str | None, columns: Mapping[str, str] | None, notes: Notes
) -> tuple[str, list[Entry] | None]:
    """Return the kind and the rows; None for rows that cannot be made sense of at all."""
    if kind in _JSON or (kind is None and columns is None and text.lstrip()[:1] in "{["):
        return _from_json(path, text, kind, notes)
    if kind is None and columns is None:
        if label_files.is_itksnap(text):
            kind = "itksnap"
        elif label_files.is_lut(text):
            kind = "slicer" if label_files.is_slicer(text, path.name) else "freesurfer"
    if kind in _LINES:
        return str(kind), _LINES[str(kind)](text, notes)
    grid = delimited.grid_of(text, notes)
    found = kind or ("csv" if columns is not None else _table_kind(grid))
    if found == "terminology-csv":
        return found, _from_terminology(path, notes)
    if columns is not None:
        held = delimited.stated_columns(grid, columns, notes)
        if set(held) < set(columns):
            return found, None
    else:
        held = delimited.columns_of(grid)
    _require_columns(path, grid, held)
    if found in {"allen-csv", "brainglobe-csv"} and "parent" in held and "path" in held:
        held.pop("parent" if found == "brainglobe-csv" else "path")
    return found, delimited.entries_of(grid, held, notes)


def _require_columns(path: Path, grid: delimited.Grid, held: Mapping[str, int]) -> None:
    if "id" in held and ("name" in held or "acronym" in held):
        return
    what = "ids" if "id" not in held else "names"
    have = ", ".join(column[:40] for column in grid.columns[:20])
    message = (
        f"{path} has no column of {what} that can be told by its name; it has {have}. State them: "
        'columns={"id": …, "name": …}.'
    )
    raise InvalidInputError(message)


def _table_kind(grid: delimited.Grid) -> str:
    names = {delimited.normal(column) for column in grid.columns}
    if {"identifier", "abbreviation", "name"} <= names:
        return "terminology-csv"
    if {"id", "parent_structure_id", "acronym", "graph_order"} <= names:
        return "allen-csv"
    if {"id", "acronym", "name", "structure_id_path"} <= names:
        return "brainglobe-csv"
    return "bids" if "index" in names and names & {"name", "label"} else "csv"


def _from_json(
    path: Path, text: str, kind: str | None, notes: Notes
) -> tuple[str, list[Entry] | None]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} is not JSON: {error}.") from error
    found = kind or graphs.kind_of(data)
    if found is None:
        message = (
            f"{path} is JSON, but neither a structure graph of the Allen Institute nor "
            "BrainGlobe's structures.json."
        )
        raise InvalidInputError(message)
    read = graphs.graph_entries if found == "allen-graph" else graphs.structures_entries
    return found, read(data, notes)


def _from_terminology(path: Path, notes: Notes) -> list[Entry] | None:
    """Read V3's table with its own reader, which knows identifiers that are no numbers."""
    try:
        rows: list[dict[str, Any]] = read_terminology(path, no_check)
    except InvalidAtlasError as error:
        notes.findings += error.findings
        return None
    except AtlasError as error:
        raise InvalidInputError(str(error)) from error
    return [
        Entry(
            f"row {number}",
            row["id"],
            row["name"].strip(),
            row["acronym"].strip(),
            tuple(row["rgb_triplet"]) if row["rgb_triplet"] else None,
            path=tuple(str(part) for part in row["structure_id_path"]),
        )
        for number, row in enumerate(rows, start=2)
    ]
