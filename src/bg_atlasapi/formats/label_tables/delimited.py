"""Label tables with columns: BIDS, Allen and BrainGlobe CSV, and those whose columns are stated."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.label_tables.entries import (
    RGB,
    Entry,
    Notes,
    colour_of,
    id_of,
    is_missing,
    is_no_parent,
    present,
    shades_of,
    whole,
)

# What a column may be called, by what it holds; the first name that there is counts.
NAMES: dict[str, tuple[str, ...]] = {
    "id": (
        *("id", "index", "idx", "labelvalue", "label_value", "label_id", "structure_id"),
        *("annotation_value", "region_id", "roi_id", "value", "intensity", "no", "number"),
    ),
    "name": (
        *("name", "label_name", "labelname", "full_name", "fullname", "structure_name"),
        *("region_name", "roi_name", "label", "region", "structure", "roi", "description"),
    ),
    "acronym": ("acronym", "abbreviation", "abbrev", "abbr", "short_name", "shortname", "symbol"),
    "parent": (
        *("parent_structure_id", "parent_id", "parent", "parent_identifier", "parent_index"),
        *("parent_acronym", "parent_name", "parentid"),
    ),
    "colour": (
        *("color_hex_triplet", "rgb_triplet", "color", "colour", "color_hex", "hex_color"),
        *("hex", "rgb"),
    ),
    "red": ("red", "r", "color_r", "colour_r"),
    "green": ("green", "g", "color_g", "colour_g"),
    "blue": ("blue", "b", "color_b", "colour_b"),
    "path": (
        *("structure_id_path", "root_identifier_path", "structure_path", "name_path"),
        *("path", "hierarchy", "id_path"),
    ),
    "indent": (),
    "depth": (),
}
COLUMNS = tuple(NAMES)
_DELIMITERS = "\t;,|"
_SHADES = ("red", "green", "blue")
_PATH_SIGNS = re.compile(r"[\[\]()'\" ]")
_TAB = 4


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells as they stand in a file.

    Parameters
    ----------
    columns
        The first line.
    rows
        Line number and cells of each other line that is not empty; as many cells as columns.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def grid_of(text: str, notes: Notes) -> Grid:
    """Split a text into cells.

    Raises
    ------
    InvalidInputError
        If quotes do not match.
    """
    lines = text.lstrip("\n").split("\n", 1)
    delimiter = max(_DELIMITERS, key=lines[0].count)
    try:
        try:
            found = list(_lines(text, delimiter, csv.QUOTE_MINIMAL))
        except csv.Error:
            if delimiter != "\t":
                raise
            found = list(_lines(text, delimiter, csv.QUOTE_NONE))  # BIDS: no quotes
    except csv.Error as error:
        message = f"{notes.file} is no table that can be read: {error}."
        raise InvalidInputError(message) from error
    if not found:
        raise InvalidInputError(f"{notes.file} holds no cell with anything in it.")
    columns = tuple(cell.strip() for cell in found[0][1])
    rows = []
    for line, cells in found[1:]:
        surplus = [cell for cell in cells[len(columns) :] if cell.strip()]
        if surplus:
            message = (
                f"it has {len(cells)} cells, the first line has {len(columns)}: "
                f"{surplus[0][:40]!r} belongs to no column. Is there a {delimiter!r} in a name "
                "without quotes?"
            )
            notes.error("extra-cells", message, f"line {line}")
        padded = (*cells, *[""] * len(columns))[: len(columns)]
        rows.append((line, padded))
    return Grid(columns, tuple(rows))


def _lines(text: str, delimiter: str, quoting: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=quoting,  # type: ignore[arg-type]
        strict=True,
    )
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield reader.line_num, tuple(cells)


def normal(column: str) -> str:
    """Return a column's name as it is compared."""
    return re.sub(r"[^\w]+", "_", column.strip().lower()).strip("_")


def columns_of(grid: Grid) -> dict[str, int]:
    """Return which columns hold what, by their names."""
    names: dict[str, int] = {}
    for at, column in reversed(list(enumerate(grid.columns))):
        names[normal(column)] = at
    found = {
        what: names[next(one for one in known if one in names)]
        for what, known in NAMES.items()
        if any(one in names for one in known)
    }
    if "id" not in found and "label" in names and _holds_numbers(grid, names["label"]):
        found["id"] = names["label"]
        if found.get("name") == found["id"]:
            others = [one for one in NAMES["name"] if one in names and one != "label"]
            found.pop("name")
            found |= {"name": names[others[0]]} if others else {}
    return found


def _holds_numbers(grid: Grid, at: int) -> bool:
    cells = [cells[at] for _, cells in grid.rows]
    return bool(cells) and all(whole(cell) is not None for cell in cells)


def stated_columns(grid: Grid, columns: Mapping[str, str], notes: Notes) -> dict[str, int]:
    """Return which columns hold what, as people state it; others are not looked at.

    Raises
    ------
    InvalidInputError
        If something is stated that no column can hold.
    """
    unknown = [what for what in columns if what not in NAMES]
    if unknown:
        message = f"A column cannot hold {unknown[0]!r}; it can hold {', '.join(COLUMNS)}."
        raise InvalidInputError(message)
    found = {}
    for what, name in columns.items():
        if name in grid.columns:
            found[what] = grid.columns.index(name)
            continue
        close = get_close_matches(name, grid.columns, 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        have = ", ".join(grid.columns)
        notes.error("missing-column", f"it has no column {name!r}; it has {have}.{hint}")
    if "indent" in found:  # blanks that stand before names
        found.setdefault("name", found["indent"])
    return found


def entries_of(grid: Grid, held: Mapping[str, int], notes: Notes) -> list[Entry]:
    """Return the rows of a table.

    Parameters
    ----------
    grid
        Its cells.
    held
        Which columns hold what.
    notes
        Gets what cannot be understood.
    """
    entries = []
    for line, cells in grid.rows:
        where = f"line {line}"
        raw = {what: cells[at] for what, at in held.items()}
        number = id_of(raw.get("id", ""), where, notes)
        if number is None and not is_missing(raw.get("id", "")):
            continue  # a finding tells it
        entry = Entry(
            where,
            number,
            present(raw.get("name", "")),
            present(raw.get("acronym", "")),
            _colour(raw, where, notes),
            raw.get("parent", "").strip(),
            _path(raw.get("path", "")),
            _depth(raw, where, notes),
        )
        if number is not None or entry.name or entry.acronym:
            entries.append(entry)
    return entries if "indent" in held or "depth" in held else _indented(grid, held, entries)


def _colour(raw: Mapping[str, str], where: str, notes: Notes) -> RGB | None:
    if not is_missing(raw.get("colour", "")):
        return colour_of(raw["colour"], where, notes)
    if all(shade in raw for shade in _SHADES):
        return shades_of([raw[shade] for shade in _SHADES], where, notes)
    return None


def _path(cell: str) -> tuple[str, ...]:
    """Return the parts of ``/997/8/``, ``[997, 8]``, ``Brain/Cortex`` or ``Brain > Cortex``."""
    text = present(cell)
    if text.startswith(("[", "(")):
        return tuple(part for part in _PATH_SIGNS.sub("", text).split(",") if part)
    sign = next((sign for sign in ("/", ">", "|", ";") if sign in text), "/")
    return tuple(part.strip() for part in text.split(sign) if part.strip())


def _depth(raw: Mapping[str, str], where: str, notes: Notes) -> int | None:
    if "indent" in raw:
        return _indent(raw["indent"])
    if "depth" not in raw:
        return None
    depth = whole(raw["depth"])
    if depth is None:
        message = f"the depth must be a whole number, got {raw['depth'][:40]!r}."
        notes.error("label-depth", message, where)
    return depth


def _indent(cell: str) -> int:
    lead = cell[: len(cell) - len(cell.lstrip())]
    return len(lead.expandtabs(_TAB))


def _indented(grid: Grid, held: Mapping[str, int], entries: list[Entry]) -> list[Entry]:
    """Take blanks before names for levels, where nothing else gives a tree and they make sense."""
    if "name" not in held or any(one.path or not is_no_parent(one.parent) for one in entries):
        return entries
    at = held["name"]
    depths = {f"line {line}": _indent(cells[at]) for line, cells in grid.rows}
    used = [depths[one.where] for one in entries if one.id != 0]
    if len(set(used)) < 2 or used[0] != min(used):
        return entries
    return [replace(one, depth=depths[one.where]) for one in entries]
