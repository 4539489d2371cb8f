"""Tables of regions and numbers: one value a region, named by id, acronym or name."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError, UnknownStructureError
from bg_atlasapi.model.terminology import Terminology

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

# Column names that say which region a row is about, the surest first; case is ignored.
REGION_COLUMNS = ("id", "acronym", "region", "structure", "name", "region_id", "structure_id")
_COORDINATES = (("x", "y", "z"), ("ap", "dv", "lr"), ("ap", "dv", "ml"))
_SEPARATORS = {"csv": ",", "tsv": "\t"}
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Values:
    """A value for each of some structures.

    Parameters
    ----------
    name, column
        The file, and its column of numbers.
    by_code
        Values by code.
    unknown
        What names no structure of the atlas.
    """

    name: str
    column: str
    by_code: dict[int, float]
    unknown: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "kind": "values",
            "name": self.name,
            "column": self.column,
            "rows": [[code, value] for code, value in sorted(self.by_code.items())],
            "unknown": list(self.unknown[:_NAMED]),
            "unknown_count": len(self.unknown),
        }


def holds_values(body: bytes, kind: str) -> bool:
    """Say whether a table is one of regions and numbers rather than of points, by its header."""
    first = body.partition(b"\n")[0].decode("utf-8-sig", "replace")
    names = {one.strip().strip('"').lower() for one in first.split(_SEPARATORS[kind])}
    if any(set(axes) <= names for axes in _COORDINATES):
        return False
    return bool(names & set(REGION_COLUMNS))


def values_in(
    source: str | Path | BinaryIO,
    terminology: Terminology,
    name: str,
    kind: str = "csv",
    columns: Sequence[str] = (),
) -> Values:
    """Read a table of regions and numbers.

    Parameters
    ----------
    source
        A csv or tsv file, or a binary stream of one.
    terminology
        The regions there are.
    name
        What to call the table.
    kind
        ``"csv"`` or ``"tsv"``.
    columns
        The column of numbers, if it was named.

    Raises
    ------
    InvalidInputError
        If there is no column that names regions, or none of numbers, or no row names a region.
    """
    header, rows = _rows(source, name, kind)
    lowered = [one.lower() for one in header]
    region = next((lowered.index(one) for one in REGION_COLUMNS if one in lowered), None)
    if region is None:
        known = ", ".join(REGION_COLUMNS[:5])
        message = (
            f"{name} has no column that names regions: one of {known} is needed, "
            f"it has {', '.join(header)}."
        )
        raise InvalidInputError(message)
    place = _value_column(header, rows, name, columns)
    by_code: dict[int, float] = {}
    unknown: list[str] = []
    for row in rows:
        key, value = row[region].strip(), _number(row[place])
        if value is None:
            continue
        try:
            by_code[terminology.code(key)] = value
        except UnknownStructureError:
            unknown.append(key)
    if not by_code:
        some = ", ".join(unknown[:_NAMED])
        message = f"No row of {name} names a region of this atlas with a number; it names {some}."
        raise InvalidInputError(message if some else f"{name} holds no numbers.")
    return Values(name, header[place], by_code, tuple(unknown))


def _rows(source: str | Path | BinaryIO, name: str, kind: str) -> tuple[list[str], list[list[str]]]:
    if kind not in _SEPARATORS:
        message = f"Values come in a .csv or .tsv file, {name} is of type {kind!r}."
        raise InvalidInputError(message)
    try:
        data = Path(source).read_bytes() if isinstance(source, str | Path) else source.read()
        text = io.StringIO(data.decode("utf-8-sig"), newline="")
        rows = [row for row in csv.reader(text, delimiter=_SEPARATORS[kind], strict=True) if row]
    except OSError as error:
        reason = error.strerror or error
        raise InvalidInputError(f"{name} cannot be read: {reason}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(f"{name} cannot be read: it is no table of text.") from error
    if len(rows) < 2:
        raise InvalidInputError(f"{name} holds no rows below a header.")
    header = [one.strip() for one in rows[0]]
    return header, [row + [""] * (len(header) - len(row)) for row in rows[1:]]


def _value_column(
    header: Sequence[str], rows: Sequence[Sequence[str]], name: str, columns: Sequence[str]
) -> int:
    if columns:
        if len(columns) != 1 or columns[0] not in header:
            asked, found = ",".join(columns), ", ".join(header)
            raise InvalidInputError(f"{name} has no column {asked!r}; it has {found}.")
        return list(header).index(columns[0])
    others = [at for at, one in enumerate(header) if one.lower() not in REGION_COLUMNS]
    numeric = [at for at in others if _is_numeric([row[at] for row in rows])]
    named = [at for at in numeric if header[at].lower() == "value"]
    if not numeric:
        found = ", ".join(header)
        raise InvalidInputError(
            f"{name} has no column of numbers beside the region; it has {found}."
        )
    return (named or numeric)[0]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _is_numeric(texts: Sequence[str]) -> bool:
    filled = [one for one in texts if one.strip()]
    return bool(filled) and all(_number(one) is not None or _is_nan(one) for one in filled)


def _is_nan(text: str) -> bool:
    return text.strip().lower() in ("nan", "na", "n/a", "inf", "-inf", "none", "null")
