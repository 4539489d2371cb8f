"""From rows to one tree: who is whose parent, a root above all, ids and colours for all.

Parents are stated as ids, acronyms or names, in a column of their own, as a path with slashes, or
by how far rows are indented. Whatever cannot be resolved hangs on the root and is a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.label_tables.entries import Entry, Notes, is_no_parent, whole
from bg_atlasapi.formats.label_tables.making import (
    free_ids,
    made_acronyms,
    made_colour,
    root_id,
)

_WHITE = (255, 255, 255)
_DEEPEST = 200
_SHOWN = 5
_ROOT = "root"
_LOST = -1  # in place of a parent that is not listed: hangs on the root, and is none itself


@dataclass(frozen=True, slots=True)
class Tree:
    """Rows in the form of ``structures.json``, and the ids of those that were made."""

    rows: tuple[dict[str, Any], ...]
    made_ids: tuple[int, ...]


def tree_of(entries: Sequence[Entry], taken: Collection[int], notes: Notes) -> Tree:
    """Arrange the rows of a table.

    Parameters
    ----------
    entries
        In the order of the file.
    taken
        Further ids that must not be made up, such as labels without a row.
    notes
        Gets what is wrong, was forgiven, or was made.

    Raises
    ------
    InvalidInputError
        If the tree is deeper than any brain's.
    """
    listed = _unique(entries, notes)
    if not listed:
        notes.error("empty", "it lists no region.")
        return Tree((), ())
    listed, parents = _parents(listed, notes)
    listed, parents = _without_leaves_that_lack_ids(listed, parents, notes)
    _cut_cycles(listed, parents, notes)
    made = [at for at, one in enumerate(listed) if one.id is None]
    known = {one.id for one in listed if one.id is not None} | set(taken)
    for at, number in zip(made, free_ids(known, len(made)), strict=True):
        listed[at] = replace(listed[at], id=number)
        known.add(number)
    if made:
        names = _some([listed[at].name for at in made])
        notes.note("ids-made", f"headings without an id got one that is free: {names}.")
    made_ids = [_number(listed[at]) for at in made]
    if (root := _root(listed, parents, notes)) is None:
        number = root_id(known)
        listed.append(Entry("", number, _ROOT, _ROOT, _WHITE))
        parents.append(None)
        root = len(listed) - 1
        made_ids.insert(0, number)
        notes.note("root-added", f"it has no root; one was added above all, with id {number}.")
    parents = [root if p in {None, _LOST} else p for p in parents]
    parents[root] = None
    listed[root] = _called_root(listed, root, notes)
    listed = _filled(listed, notes)
    rows = _rows(listed, parents, root, notes)
    _tell_crooked(listed, rows, notes)
    return Tree(rows, tuple(made_ids))


def _number(entry: Entry) -> int:
    assert entry.id is not None
    return entry.id


def _unique(entries: Sequence[Entry], notes: Notes) -> list[Entry]:
    """Return the rows without those of outside, and without ids that come again."""
    seen: dict[int, Entry] = {}
    kept = []
    for entry in entries:
        if entry.id == 0:
            continue
        first = None if entry.id is None else seen.setdefault(entry.id, entry)
        if first is None or first is entry:
            kept.append(entry)
            continue
        message = (
            f"the id {entry.id} is that of {first.where} ({first.name}) too; the first counts."
        )
        if replace(first, where="") == replace(entry, where=""):
            notes.warning("repeated-row", message, entry.where)
        else:
            notes.error("duplicate-id", message, entry.where, "Give each an id of its own.")
    return kept


def _parents(listed: Sequence[Entry], notes: Notes) -> tuple[list[Entry], list[int | None]]:
    """Return the rows, with headings that only paths name, and the row of each one's parent."""
    if not all(is_no_parent(one.parent) for one in listed):
        return list(listed), _by_reference(listed, notes)
    if any(one.path for one in listed):
        return _by_path(listed, notes)
    if any(one.depth is not None for one in listed):
        return list(listed), _by_depth(listed)
    return list(listed), [None] * len(listed)


class _Index:
    """Finds rows by id, by acronym, by name, in this order."""

    def __init__(self, listed: Sequence[Entry]) -> None:
        self._ids = {one.id: at for at, one in enumerate(listed) if one.id is not None}
        self._words: dict[str, int] = {}
        for at, one in reversed(list(enumerate(listed))):
            self._words[one.name] = at
        for at, one in reversed(list(enumerate(listed))):
            if one.acronym:
                self._words[one.acronym] = at
        self._words.pop("", None)

    def __call__(self, reference: str) -> int | None:
        number = whole(reference)
        found = None if number is None else self._ids.get(number)
        return self._words.get(reference) if found is None else found


def _by_reference(listed: Sequence[Entry], notes: Notes) -> list[int | None]:
    index = _Index(listed)
    parents: list[int | None] = []
    for at, one in enumerate(listed):
        found = index(one.parent) if one.parent else None
        if found is None and not is_no_parent(one.parent):
            _missing(one, one.parent, notes)
            found = _LOST
        parents.append(None if found == at else found)
    return parents


def _missing(entry: Entry, parent: str, notes: Notes) -> None:
    message = f"the parent {parent[:60]!r} of {entry.name!r} is not listed; it hangs on the root."
    notes.error("missing-parent", message, entry.where, "Add the parent, or correct its name.")


def _by_path(listed: Sequence[Entry], notes: Notes) -> tuple[list[Entry], list[int | None]]:
    """Follow paths; what only they name becomes a row, unless it is a number."""
    rows, index = list(listed), _Index(listed)
    full = [_full(one) for one in listed]
    places = {path: at for at, path in reversed(list(enumerate(full)))}
    parents: list[int | None] = [None] * len(rows)
    at = -1
    while (at := at + 1) < len(rows):  # headings are added at the end
        path = full[at][:-1]
        if not path:
            continue
        if len(path) > _DEEPEST:
            raise _too_deep(notes)
        found = places.get(path)
        if found is None:
            found = index(path[-1])
        if found is None and whole(path[-1]) is not None:
            _missing(rows[at], path[-1], notes)
            parents[at] = _LOST
            continue
        if found is None:
            found = len(rows)
            rows.append(Entry(rows[at].where, None, path[-1]))
            full.append(path)
            parents.append(None)
            places[path] = found
        parents[at] = None if found == at else found
    return rows, parents


def _full(entry: Entry) -> tuple[str, ...]:
    """Return the path to a row, the row included."""
    own = {str(entry.id), entry.acronym, entry.name}
    return entry.path if entry.path and entry.path[-1] in own else (*entry.path, entry.name)


def _by_depth(listed: Sequence[Entry]) -> list[int | None]:
    """Take for a parent the last row before that is indented less."""
    parents: list[int | None] = []
    above: list[tuple[int, int]] = []
    for at, one in enumerate(listed):
        depth = one.depth or 0
        while above and above[-1][0] >= depth:
            above.pop()
        parents.append(above[-1][1] if above else None)
        above.append((depth, at))
    return parents


def _without_leaves_that_lack_ids(
    listed: list[Entry], parents: list[int | None], notes: Notes
) -> tuple[list[Entry], list[int | None]]:
    """Leave out rows that have neither an id nor anything below them: no voxel can be theirs."""
    needed = {parent for parent in parents if parent not in {None, _LOST}}
    dropped = {at for at, one in enumerate(listed) if one.id is None and at not in needed}
    for at in sorted(dropped):
        one = listed[at]
        message = f"{one.name or 'a row'!r} has no id, and nothing below it; it was left out."
        notes.error("missing-id", message, one.where)
    if not dropped:
        return listed, parents
    kept = [at for at in range(len(listed)) if at not in dropped]
    moved: dict[int | None, int | None] = {at: new for new, at in enumerate(kept)}
    moved |= {None: None, _LOST: _LOST}
    return [listed[at] for at in kept], [moved[parents[at]] for at in kept]


def _cut_cycles(listed: Sequence[Entry], parents: list[int | None], notes: Notes) -> None:
    """Hang the first row of each ring on the root."""
    state = [0] * len(parents)  # 1: on the way that is being climbed, 2: reaches the top
    for start in range(len(parents)):
        way: list[int] = []
        at: int | None = start
        while at not in {None, _LOST} and state[at] == 0:
            state[at] = 1
            way.append(at)
            at = parents[at]
        if at not in {None, _LOST} and state[at] == 1:
            ring = way[way.index(at) :]
            first = min(ring)
            parents[first] = _LOST
            names = _some([listed[one].name for one in sorted(ring)])
            message = f"these regions are each other's parents, a cycle: {names}."
            notes.error("cycle", message, listed[first].where)
        for one in way:
            state[one] = 2


def _root(listed: Sequence[Entry], parents: Sequence[int | None], notes: Notes) -> int | None:
    """Return the row of the root; None if one must be added."""
    tops = [at for at, parent in enumerate(parents) if parent is None]
    called = [at for at in tops if _ROOT in {listed[at].acronym.lower(), listed[at].name.lower()}]
    has_tree = any(parent not in {None, _LOST} for parent in parents)
    if len(tops) == 1 and (has_tree or called):
        return tops[0]
    if called:
        others = [listed[at].name for at in tops if at != called[0]]
        if has_tree:
            message = f"several regions are at the top; those beside the root: {_some(others)}."
            notes.warning("tops-joined", message)
        return called[0]
    return None


def _called_root(listed: Sequence[Entry], root: int, notes: Notes) -> Entry:
    """Return the row of the root under the acronym that other libraries look it up by."""
    entry = listed[root]
    if any(one.acronym == _ROOT for one in listed):
        return entry
    if entry.acronym:
        message = f"the acronym of the root became {_ROOT!r}, which 1.x needs; it was "
        notes.note("root-renamed", f"{message}{entry.acronym[:60]!r}.", entry.where)
    return replace(entry, acronym=_ROOT)


def _filled(listed: Sequence[Entry], notes: Notes) -> list[Entry]:
    """Return the rows with names, acronyms and colours for all."""
    named = []
    for one in listed:
        if not one.name:
            made = one.acronym or f"Region {one.id}"
            notes.warning("name-missing", f"it has no name; it is called {made!r}.", one.where)
            one = replace(one, name=made)  # noqa: PLW2901 - the row that goes on
        named.append(one)
    bare = [at for at, one in enumerate(named) if not one.acronym]
    stated = {one.acronym for one in named if one.acronym}
    made_up = made_acronyms(
        [named[at].name for at in bare], [_number(named[at]) for at in bare], stated
    )
    for at, acronym in zip(bare, made_up, strict=True):
        named[at] = replace(named[at], acronym=acronym)
    if bare:
        message = f"{len(bare):,} of {len(named):,} regions state no acronym; made of their names: "
        notes.note("acronyms-made", f"{message}{_some(made_up)}.")
    pale = [at for at, one in enumerate(named) if one.rgb is None]
    for at in pale:
        named[at] = replace(named[at], rgb=made_colour(_number(named[at])))
    if pale:
        message = f"{len(pale):,} of {len(named):,} regions state no colour; made of their ids."
        notes.note("colours-made", message)
    _tell_repeated(named, notes)
    return named


def _tell_repeated(named: Sequence[Entry], notes: Notes) -> None:
    if again := _repeated([one.acronym for one in named]):
        message = f"several regions share an acronym; the first answers to it: {_some(again)}."
        notes.error("duplicate-acronym", message, "", "Give each an acronym of its own.")
    if again := _repeated([one.name for one in named]):
        message = f"several regions share a name; the first answers to it: {_some(again)}."
        notes.warning("duplicate-name", message)


def _repeated(words: Sequence[str]) -> list[str]:
    """Return the words that come more than once, each once."""
    return [word for word, times in Counter(words).items() if times > 1]


def _rows(
    listed: Sequence[Entry], parents: Sequence[int | None], root: int, notes: Notes
) -> tuple[dict[str, Any], ...]:
    """Return rows with paths: the root first, others in the order of the file."""
    paths: dict[int, list[int]] = {root: [_number(listed[root])]}
    for start in range(len(listed)):
        way = []
        at: int | None = start
        while at is not None and at not in paths:
            way.append(at)
            at = parents[at]
        for one in reversed(way):
            above = parents[one]
            assert above is not None
            paths[one] = [*paths[above], _number(listed[one])]
            if len(paths[one]) > _DEEPEST:
                raise _too_deep(notes)
    order = [root, *(at for at in range(len(listed)) if at != root)]
    return tuple(
        {
            "id": _number(listed[at]),
            "acronym": listed[at].acronym,
            "name": listed[at].name,
            "structure_id_path": paths[at],
            "rgb_triplet": list(listed[at].rgb or _WHITE),
        }
        for at in order
    )


def _tell_crooked(listed: Sequence[Entry], rows: Sequence[dict[str, Any]], notes: Notes) -> None:
    """Say which stated paths of ids are not the way up that the parents give."""
    ways = {row["id"]: row["structure_id_path"] for row in rows}
    crooked = []
    for one in listed:
        stated = [whole(part) for part in one.path]
        if not stated or None in stated:
            continue
        way = ways[one.id]
        way = way if stated[-1] == one.id else way[:-1]
        if stated != way and stated != way[1:]:  # without the root, where it was added
            crooked.append(one.name)
    if crooked:
        message = f"paths that disagree with the parents; the parents count: {_some(crooked)}."
        notes.warning("path-mismatch", message)


def _too_deep(notes: Notes) -> InvalidInputError:
    message = f"{notes.file}: regions lie more than {_DEEPEST} levels deep; no brain has so many."
    return InvalidInputError(message)


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(item[:60] for item in items[:_SHOWN]) + more
