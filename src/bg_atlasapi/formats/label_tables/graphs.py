"""Label tables as JSON: the Allen Institute's structure graph, BrainGlobe's ``structures.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.label_tables.entries import Entry, Notes, colour_of, id_of

_COLOURS = ("color_hex_triplet", "rgb_triplet", "color", "colour")
_ACRONYMS = ("acronym", "abbreviation")
_NAMES = ("name", "safe_name")


def kind_of(data: Any) -> str | None:
    """Return which kind of label table some JSON is, None if it is none."""
    if isinstance(data, list) and data and all(isinstance(one, dict) for one in data):
        return "allen-graph" if "children" in data[0] else "brainglobe-json"
    if isinstance(data, dict) and ("msg" in data or "children" in data):
        return "allen-graph"
    return None


def graph_entries(data: Any, notes: Notes) -> list[Entry]:
    """Return the nodes of a structure graph, each after its parent, in the graph's order.

    Raises
    ------
    InvalidInputError
        If it is none.
    """
    if isinstance(data, dict):
        data = data.get("msg", [data])
    tops = data if isinstance(data, list) else [data]
    entries: list[Entry] = []
    # Without recursion: any depth can be read.
    stack = [(node, "") for node in reversed(tops)]
    while stack:
        node, parent = stack.pop()
        if not isinstance(node, dict):
            message = f"{notes.file} is no structure graph: a node is {str(node)[:40]!r}."
            raise InvalidInputError(message)
        where = f"node {_text(node, _NAMES)[:60] or len(entries)!r}"
        number = id_of(node.get("id"), where, notes)
        entry = _entry(node, where, number, parent)
        entries.append(replace(entry, rgb=_colour(node, where, notes)))
        children = node.get("children") or []
        if not isinstance(children, list):
            message = f"{notes.file} is no structure graph: {where} has children that are no list."
            raise InvalidInputError(message)
        # Children of a node without an id go to what is above it.
        above = parent if number is None else str(number)
        stack.extend((child, above) for child in reversed(children))
    return [one for one in entries if one.id is not None]


def structures_entries(data: Any, notes: Notes) -> list[Entry]:
    """Return the entries of ``structures.json``.

    Raises
    ------
    InvalidInputError
        If it is none.
    """
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        raise InvalidInputError(
            f"{notes.file} must hold a list of objects, one for each structure."
        )
    entries = []
    for position, node in enumerate(data):
        where = f"entry {position}"
        number = id_of(node.get("id"), where, notes)
        if number is None:
            if node.get("id") is None:
                notes.error("missing-id", "it has no id.", where)
            continue
        path = node.get("structure_id_path") or ()
        if isinstance(path, str):
            path = [part for part in path.split("/") if part]
        if not isinstance(path, list | tuple):
            message = f"structure_id_path must be a list of ids, got {str(path)[:40]!r}."
            notes.error("structure-path", message, where)
            path = ()
        entry = _entry(node, where, number, "")
        ids = tuple(str(part).removesuffix(".0") for part in path)
        if not ids and node.get("parent_structure_id") is not None:
            ids = (str(node["parent_structure_id"]), str(number))
        entries.append(replace(entry, rgb=_colour(node, where, notes), path=ids))
    return entries


def _entry(node: Mapping[str, Any], where: str, number: int | None, parent: str) -> Entry:
    name, acronym = _text(node, _NAMES), _text(node, _ACRONYMS)
    return Entry(where, number, name, acronym, None, parent)


def _text(node: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    found = next((node[key] for key in keys if node.get(key) is not None), "")
    return str(found).strip()


def _colour(node: Mapping[str, Any], where: str, notes: Notes) -> Any:
    stated = next((node[key] for key in _COLOURS if node.get(key) is not None), None)
    return colour_of(stated, where, notes)
