"""Arrange structures depth-first, and say what had to be forgiven on the way.

Real files hold structures in any order, parents that are not there, ids twice, roots with other
names. What can be mended without guessing is mended and reported; a terminology without a root or
with a cycle is refused, because any order given to it would be made up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bg_atlasapi.errors import Finding, InvalidAtlasError

MAX_ID = 2**32 - 1
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Row:
    """What arranging needs to know of a structure."""

    id: int
    acronym: str
    path: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """The depth-first arrangement; all sequences run over codes 1…N.

    Parameters
    ----------
    positions
        Row of each structure in the input.
    parents, last, depths
        Code of the parent (0: none), last code of the subtree, distance from the root.
    findings
        What was forgiven.
    """

    positions: tuple[int, ...]
    parents: tuple[int, ...]
    last: tuple[int, ...]
    depths: tuple[int, ...]
    findings: tuple[Finding, ...]


def arrange(rows: Sequence[Row]) -> Order:
    """Order structures depth-first, siblings in input order.

    Raises
    ------
    InvalidAtlasError
        If there is no structure, no root, or a cycle.
    """
    findings = _duplicates(rows)
    huge = [row.acronym for row in rows if not -(2**63) <= row.id < 2**63]
    if huge:
        text = f"Ids that no 64 bits hold: {_some(huge)}."
        raise InvalidAtlasError("The terminology", [Finding("id-too-large", text, "error")])
    first_row: dict[int, int] = {}
    for position, row in enumerate(rows):
        first_row.setdefault(row.id, position)
    root = _root(rows, first_row)
    parent_row, mended = _parents(rows, first_row, root)
    children: dict[int, list[int]] = {}
    for position, parent in parent_row.items():
        children.setdefault(parent, []).append(position)
    order = _walk(root, children)
    if len(order.positions) < len(first_row):
        raise _cycle(rows, set(first_row.values()) - set(order.positions))
    return Order(order.positions, order.parents, order.last, order.depths, (*findings, *mended))


def _walk(root: int, children: dict[int, list[int]]) -> Order:
    """Walk depth-first from the root, without recursion: hostile trees are deep."""
    positions: list[int] = []
    parents: list[int] = []
    last: list[int] = []
    depths: list[int] = []
    stack: list[tuple[int, int, int]] = [(root, 0, 0)]
    while stack:
        position, parent, depth = stack.pop()
        positions.append(position)
        parents.append(parent)
        depths.append(depth)
        code = len(positions)
        last.append(code)
        stack.extend((child, code, depth + 1) for child in reversed(children.get(position, ())))
    for code in range(len(positions), 1, -1):
        parent = parents[code - 1]
        last[parent - 1] = max(last[parent - 1], last[code - 1])
    return Order(tuple(positions), tuple(parents), tuple(last), tuple(depths), ())


def _root(rows: Sequence[Row], first_row: dict[int, int]) -> int:
    """Return the row of the root: the top structure called "root", else the first top one."""
    tops = [position for position in first_row.values() if len(rows[position].path) <= 1]
    if not rows:
        raise InvalidAtlasError(
            "The terminology", [Finding("empty", "It lists no structure.", "error")]
        )
    if not tops:
        known = set(first_row)
        orphans = [p for p in first_row.values() if not known & set(rows[p].path[:-1])]
        text = (
            "No structure is at the top of the hierarchy: every structure_id_path names a parent."
        )
        if not orphans:
            text += " The parents form a cycle."
        raise InvalidAtlasError("The terminology", [Finding("no-root", text, "error")])
    return next((p for p in tops if rows[p].acronym == "root"), tops[0])


def _parents(
    rows: Sequence[Row], first_row: dict[int, int], root: int
) -> tuple[dict[int, int], list[Finding]]:
    """Return the row of each structure's parent; strays hang on the root and are reported."""
    parents: dict[int, int] = {}
    missing: list[str] = []
    tops: list[str] = []
    crooked: list[str] = []
    for position in first_row.values():
        if position == root:
            continue
        row = rows[position]
        stated = row.path[-2] if len(row.path) > 1 else None
        if stated is None:
            tops.append(row.acronym)
        elif stated not in first_row:
            missing.append(f"{row.acronym} (parent {stated})")
        parents[position] = root if stated is None else first_row.get(stated, root)
        if stated in first_row and rows[first_row[stated]].path != row.path[:-1]:
            crooked.append(row.acronym)
    findings = []
    if missing:
        text = f"Parents that are not listed; attached to the root: {_some(missing)}."
        findings.append(Finding("missing-parent", text, "error"))
    if tops:
        text = f"More than one structure at the top; attached to the first root: {_some(tops)}."
        findings.append(Finding("several-roots", text, "error"))
    if crooked:
        text = f"Paths that disagree with the parent's own; the parent counts: {_some(crooked)}."
        findings.append(Finding("path-mismatch", text))
    return parents, findings


def _duplicates(rows: Sequence[Row]) -> list[Finding]:
    findings = []
    ids = _repeated([row.id for row in rows])
    if ids:
        text = f"Ids listed twice; the first is kept: {_some(ids)}."
        findings.append(Finding("duplicate-id", text, "error"))
    acronyms = _repeated([row.acronym for row in rows])
    if acronyms:
        text = f"Acronyms of several structures; the first answers to it: {_some(acronyms)}."
        findings.append(Finding("duplicate-acronym", text, "error"))
    outside = [str(row.id) for row in rows if not 0 < row.id <= MAX_ID]
    if outside:
        text = f"Ids outside 1…2**32-1 cannot label a voxel: {_some(outside)}."
        findings.append(Finding("id-out-of-range", text, "error"))
    return findings


def _repeated(values: Sequence[int] | Sequence[str]) -> list[str]:
    seen: set[int | str] = set()
    again: dict[str, None] = {}
    for value in values:
        if value in seen:
            again[str(value)] = None
        seen.add(value)
    return list(again)


def _cycle(rows: Sequence[Row], unreached: set[int]) -> InvalidAtlasError:
    names = [rows[position].acronym for position in sorted(unreached)]
    text = f"Structures whose parents never reach the root, a cycle: {_some(names)}."
    return InvalidAtlasError("The terminology", [Finding("cycle", text, "error")])


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
