"""Checks of a table of structures, before there is an atlas: ids, acronyms, colours, the tree.

Rows are those of ``structures.json``, as a file holds them: nothing is assumed of their values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bg_atlasapi.build.validation.catalogue import found
from bg_atlasapi.errors import Finding
from bg_atlasapi.model.preorder import MAX_ID

_COLOURS = 3
_ROOT = "root"  # what 1.x and brainglobe-atlasapi 3 look the root up by


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    called: str
    acronym: str
    path: tuple[int, ...]


def check_structures(rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Return what is wrong with a table of structures.

    Parameters
    ----------
    rows
        With ``id``, ``acronym``, ``name``, ``structure_id_path`` (ids from the root to the
        structure) and ``rgb_triplet``.
    """
    if not rows:
        return [found("empty", "The table lists no structure.")]
    findings: list[Finding] = []
    known: list[_Row] = []
    for position, row in enumerate(rows):
        identifier = whole(row.get("id"))
        if identifier is None:
            text = f"Entry {position} has no whole number as id, but {row.get('id')!r}."
            findings.append(found("structure-entry", text, f"entry {position}"))
            continue
        acronym = _text(row.get("acronym"))
        called = f"{acronym} ({identifier})" if acronym.strip() else str(identifier)
        findings += _words(row, called)
        findings += _colour(row.get("rgb_triplet"), called)
        path = _path(row.get("structure_id_path"))
        if path is None:
            text = f"The structure_id_path of {called} is no list of ids."
            findings.append(found("structure-entry", text, called))
            path = (identifier,)
        known.append(_Row(identifier, called, acronym, path))
    findings += _ids(known)
    findings += _acronyms(known)
    findings += _tree(known)
    findings += _colours(rows)
    return findings


def whole(value: Any) -> int | None:
    """Return a whole number, None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()
        return int(text) if text.lstrip("-").isdecimal() and len(text) < 20 else None
    try:
        return int(value) if int(value) == value else None
    except (TypeError, ValueError, OverflowError):
        return None


def _text(value: Any) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value)


def _path(stated: Any) -> tuple[int, ...] | None:
    if isinstance(stated, str):
        stated = [part for part in stated.split("/") if part]
    if not isinstance(stated, Sequence):
        return None
    parts = [whole(part) for part in stated]
    numbers = [part for part in parts if part is not None]
    return tuple(numbers) if len(numbers) == len(parts) and parts else None


def _words(row: Mapping[str, Any], called: str) -> Iterator[Finding]:
    for key, code in (("acronym", "acronym-missing"), ("name", "name-missing")):
        text = _text(row.get(key))
        if not text.strip():
            yield found(code, f"{called} has no {key}.", called)
        elif text != text.strip():
            message = f"The {key} {text!r} of {called} begins or ends with a blank."
            yield found("blank-at-end", message, called)


def _colour(colour: Any, called: str) -> Iterator[Finding]:
    if colour is None or (isinstance(colour, Sequence) and not len(colour)):
        yield found("colour-missing", f"{called} has no colour.", called)
        return
    parts = list(colour) if isinstance(colour, Sequence) and not isinstance(colour, str) else []
    numbers = [whole(part) for part in parts]
    if len(numbers) != _COLOURS or not all(one is not None and 0 <= one <= 255 for one in numbers):
        message = f"The colour of {called} must be three whole numbers 0…255, it is {colour!r}."
        yield found("colour-out-of-range", message[:300], called)


def _colours(rows: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    stated = [repr(row.get("rgb_triplet")) for row in rows if row.get("rgb_triplet")]
    if len(stated) > 2 and len(set(stated)) == 1:  # a root and one region have nothing to confuse
        yield found("colours-identical", f"All {len(stated)} colours are {stated[0]}.")


def _ids(rows: Sequence[_Row]) -> Iterator[Finding]:
    by_id: dict[int, list[str]] = {}
    for row in rows:
        by_id.setdefault(row.id, []).append(row.called)
        if not 0 < row.id <= MAX_ID:
            text = f"The id of {row.called} is not in 1…{MAX_ID}."
            yield found("id-out-of-range", text, row.called)
    for identifier, names in by_id.items():
        if len(names) > 1:
            text = f"The id {identifier} is that of {len(names)} structures: {some(names)}."
            yield found("duplicate-id", text, str(identifier))


def _acronyms(rows: Sequence[_Row]) -> Iterator[Finding]:
    by_acronym: dict[str, list[int]] = {}
    ids = {row.id for row in rows}
    for row in rows:
        if row.acronym.strip():
            by_acronym.setdefault(row.acronym, []).append(row.id)
        number = whole(row.acronym)
        if number is not None and number != row.id and number in ids:
            text = f"The acronym of {row.called} is the id of another structure."
            yield found("acronym-is-id", text, row.called)
    for acronym, owners in by_acronym.items():
        if len(owners) > 1:
            text = f"The acronym {acronym!r} is that of {len(owners)} structures: {some(owners)}."
            yield found("duplicate-acronym", text, acronym)


def _tree(rows: Sequence[_Row]) -> Iterator[Finding]:
    first: dict[int, _Row] = {}
    for row in rows:
        first.setdefault(row.id, row)
    parents = {row.id: _parent(row) for row in first.values()}
    tops = [row for row in first.values() if parents[row.id] is None]
    if not tops and rows:
        yield found("no-root", "Every structure has a parent: none is at the top.")
    if len(tops) > 1:
        names = some([row.called for row in tops])
        text = f"{len(tops)} structures are at the top: {names}."
        yield found("several-roots", text, tops[1].called)
    if tops and not any(row.acronym == _ROOT for row in rows):
        text = f"The structure at the top is called {tops[0].called}, none has the acronym root."
        yield found("root-acronym", text, tops[0].called)
    for row in first.values():
        parent = parents[row.id]
        if parent is not None and parent not in first:
            text = f"The parent {parent} of {row.called} is not listed."
            yield found("missing-parent", text, row.called)
            continue
        expected = (*(first[parent].path if parent is not None else ()), row.id)
        if row.path != expected:
            text = f"The path of {row.called} is {_spelt(row.path)}, its parent's and its own id "
            yield found("path-mismatch", f"{text}are {_spelt(expected)}.", row.called)
    yield from _circles(first, parents)


def _parent(row: _Row) -> int | None:
    above = row.path[:-1] if row.path[-1] == row.id else row.path
    return above[-1] if above else None


def _circles(first: Mapping[int, _Row], parents: Mapping[int, int | None]) -> Iterator[Finding]:
    """Yield a finding for each circle of parents, every structure being walked over once."""
    settled: set[int] = set()
    for start in first:
        way: dict[int, None] = {}
        here: int | None = start
        while here is not None and here in first and here not in settled and here not in way:
            way[here] = None
            here = parents[here]
        if here in way:
            names = list(way)
            circle = [first[one].called for one in names[names.index(here) :]]
            text = f"These are each other's parents: {some(circle)}."
            yield found("cycle", text, circle[0])
        settled.update(way)


def some(items: Sequence[object], shown: int = 5) -> str:
    """Return the first few of things, and how many more there are."""
    more = f" and {len(items) - shown:,} more" if len(items) > shown else ""
    return ", ".join(str(one) for one in items[:shown]) + more


def _spelt(path: Sequence[int]) -> str:
    shown = "/".join(str(one) for one in path[-4:])
    return f"…/{shown}" if len(path) > 4 else f"/{shown}"
