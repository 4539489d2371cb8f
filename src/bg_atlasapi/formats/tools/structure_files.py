"""Write the structures of an atlas alone: as CSV, and as the Allen Institute's structure graph."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from bg_atlasapi.formats.tools.base import Region, ToolWriter, regions_of, table

_COLUMNS = ("id", "parent_structure_id", "acronym", "name", "structure_id_path", "color")
_BOTH_HEMISPHERES = 3


class Table(ToolWriter):
    """The writer of the ``"csv"`` format."""

    ending = "_structures.csv"

    def write(self) -> None:
        """Write the one file."""
        self.target.write_bytes(structure_table(regions_of(self.atlas)))
        self.done(1)


class AllenGraph(ToolWriter):
    """The writer of the ``"allen-json"`` format."""

    ending = "_structure_graph.json"

    def write(self) -> None:
        """Write the one file."""
        self.target.write_bytes(structure_graph(regions_of(self.atlas)))
        self.done(1)


def structure_table(regions: Iterable[Region]) -> bytes:
    """Return structures as CSV, in the given order."""
    rows = [
        {
            "id": one.id,
            "parent_structure_id": one.parent,
            "acronym": one.acronym,
            "name": one.name,
            "structure_id_path": "".join(f"/{part}" for part in one.path) + "/",
            "color": one.colour,
        }
        for one in regions
    ]
    return table(rows, columns=_COLUMNS)


def structure_graph(regions: Iterable[Region]) -> bytes:
    """Return structures as nested JSON, as http://api.brain-map.org answers a structure graph.

    Each root is an entry of ``msg``. What only the Allen Institute numbers, ``atlas_id``, is null;
    ``ontology_id`` is 1, ``hemisphere_id`` 3, both. ``st_level``, a rank that skips levels there,
    is the depth. Written without recursion, so that any depth is.
    """
    trees: dict[int, list[Region]] = {}
    for one in regions:
        trees.setdefault(one.path[0], []).append(one)
    count, ordered = len(trees), [one for tree in trees.values() for one in tree]
    stated = {"success": True, "id": 0, "start_row": 0, "num_rows": count, "total_rows": count}
    opening = json.dumps(stated)[:-1] + ', "msg": ['
    return "".join([opening, *_nested(ordered), "]}\n"]).encode()


def _nested(regions: list[Region]) -> Iterator[str]:
    """Yield the text of a depth-first list of structures, each within its parent's."""
    depth = 0  # objects that are open
    for order, one in enumerate(regions):
        level = len(one.path) - 1
        if order:
            yield "]}" * (depth - level) + ("," if depth > level else "")
        yield json.dumps(_entry(one, order, level))[:-1] + ', "children": ['
        depth = level + 1
    yield "]}" * depth


def _entry(one: Region, order: int, level: int) -> dict[str, object]:
    return {
        "id": one.id,
        "atlas_id": None,
        "ontology_id": 1,
        "acronym": one.acronym,
        "name": one.name,
        "color_hex_triplet": one.colour[1:].upper(),
        "graph_order": order,
        "st_level": level,
        "hemisphere_id": _BOTH_HEMISPHERES,
        "parent_structure_id": one.parent,
    }
