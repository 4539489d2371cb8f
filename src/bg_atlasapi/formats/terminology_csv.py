"""The ``terminology.csv`` of the V3 component store.

Columns ``identifier``, ``parent_identifier``, ``annotation_value``, ``name``, ``abbreviation``,
``color_hex_triplet``, ``root_identifier_path``. An identifier may be a number or a name with a
prefix (``MBA:997``); what voxels hold, and what the API calls a structure's id, is its
``annotation_value``. Parent identifiers are read as text: 12 of the Allen mouse atlas exceed 65535.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bg_atlasapi.errors import Finding, IncompleteAtlasError, InvalidAtlasError
from bg_atlasapi.formats.checks import Check

NAME = "terminology.csv"
_NEEDED = ("identifier", "name", "abbreviation")
_AS_WRITTEN = {"name", "abbreviation"}  # a blank at either end is part of what people look up
_NUMBER = re.compile(r"(\d{1,19})(?:\.0*)?")  # pandas writes whole numbers beside gaps as 997.0
_SUFFIX = re.compile(r"\D(\d{1,19})$")
_COLOUR = re.compile(r"#?([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")


def read_terminology(path: Path, check: Check) -> list[dict[str, Any]]:
    """Read the structures in file order, as entries of the form that ``structures.json`` has.

    Returns
    -------
    list of dict
        ``acronym``, ``id``, ``name``, ``structure_id_path``, ``rgb_triplet``, and what V3 adds:
        ``identifier`` (text), ``parent_structure_id``, ``annotation_value`` (None without voxels).

    Raises
    ------
    IncompleteAtlasError
        If the file cannot be read.
    InvalidAtlasError
        With every row that cannot be used.
    """
    check(path)
    rows = _rows(path)
    findings: list[Finding] = []
    ids = _ids(rows, findings)
    parents = {row["identifier"]: row.get("parent_identifier", "") for row in rows}
    entries = []
    for line, row in enumerate(rows, start=2):
        identifier = row["identifier"]
        if identifier not in ids:
            continue
        colour = row.get("color_hex_triplet", "")
        match = _COLOUR.fullmatch(colour)
        if colour and match is None:
            _wrong(findings, line, f"color_hex_triplet must be like #BFDAE3, got {colour!r}")
        chain = _identifiers(row.get("root_identifier_path", "")) or _climb(identifier, parents)
        unknown = [one for one in chain if one not in ids and not _NUMBER.fullmatch(one)]
        if unknown:
            _wrong(findings, line, f"root_identifier_path names {unknown[0]!r}, which is not there")
            continue
        way = [ids[one] if one in ids else _number(one) for one in chain]
        value, parent = row.get("annotation_value", ""), row.get("parent_identifier", "")
        entries.append(
            {
                "acronym": row["abbreviation"] or identifier,
                "id": ids[identifier],
                "name": row["name"],
                "structure_id_path": way,
                "rgb_triplet": [int(part, 16) for part in match.groups()] if match else None,
                "identifier": identifier,
                "parent_structure_id": ids.get(parent, _number(parent)),
                "annotation_value": _number(value),
            }
        )
    if findings:
        raise InvalidAtlasError(path, findings)
    return entries


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = [name.strip() for name in next(reader, [])]
            twice = sorted({name for name in columns if name and columns.count(name) > 1})
            if twice:
                text = f"{path.name} has the column {', '.join(twice)} more than once."
                raise InvalidAtlasError(path, [Finding("terminology-column", text, "error")])
            missing = [name for name in _NEEDED if name not in columns]
            if missing:
                text = f"{path.name} lacks the column {', '.join(missing)}."
                raise InvalidAtlasError(path, [Finding("terminology-column", text, "error")])
            # A short row lacks its last cells; what stands after the last column means nothing.
            gaps = [""] * len(columns)
            return [
                {
                    name: cell if name in _AS_WRITTEN else cell.strip()
                    for name, cell in zip(columns, [*cells, *gaps], strict=False)
                }
                for cells in reader
                if any(cells)
            ]
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}."
        raise IncompleteAtlasError(message) from error
    except (csv.Error, UnicodeDecodeError) as error:
        text = f"{path.name} is not a table of comma-separated values: {error}."
        raise InvalidAtlasError(path, [Finding("terminology-csv", text, "error")]) from error


def _wrong(findings: list[Finding], line: int, problem: str) -> None:
    findings.append(Finding("structure-entry", f"Row {line} of {NAME}: {problem}.", "error"))


def _number(text: str) -> int | None:
    match = _NUMBER.fullmatch(text)
    return int(match[1]) if match else None


def _ids(rows: Iterable[Mapping[str, str]], findings: list[Finding]) -> dict[str, int]:
    """Return the structure id of each identifier.

    It is the annotation value. A structure without one, which has no voxels of its own, keeps the
    number in its identifier, unless voxels of another structure hold that.
    """
    ids: dict[str, int] = {}
    without = []
    for line, row in enumerate(rows, start=2):
        identifier, value = row["identifier"], row.get("annotation_value", "")
        if not identifier:
            _wrong(findings, line, "identifier is empty")
        elif value and (number := _number(value)) is not None:
            ids.setdefault(identifier, number)
        elif value:
            _wrong(findings, line, f"annotation_value must be a whole number, got {value!r}")
        else:
            without.append((line, identifier))
    taken = set(ids.values())
    for line, identifier in without:
        number = _number(identifier)
        if number is None and (suffix := _SUFFIX.search(identifier)):
            number = int(suffix[1])
        if number is None or number in taken:
            what = "has no annotation_value, and no number of its own in its identifier"
            _wrong(findings, line, f"{identifier!r} {what}")
        else:
            ids.setdefault(identifier, number)
            taken.add(number)
    return ids


def _identifiers(path: str) -> list[str]:
    """Read ``[997, 8]``, ``['MBA:997', 'MBA:8']`` or ``/997/8/``."""
    parts = path.strip("[]() ").replace("/", ",").split(",")
    return [part for part in (part.strip(" '\"") for part in parts) if part]


def _climb(identifier: str, parents: Mapping[str, str]) -> list[str]:
    """Return the path that the parents give, for a file that does not state it."""
    chain = [identifier]
    while (parent := parents.get(chain[-1], "")) and parent not in chain:
        chain.append(parent)
    return chain[::-1]
