"""The hierarchy as a ``treelib.Tree``, as 1.x offered it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.formats.packaged import records_of, terminology_of

if TYPE_CHECKING:
    from treelib import Tree

    from bg_atlasapi.model.terminology import Terminology


def child_ids(structure: int, structure_list: Iterable[Mapping[str, Any]]) -> list[int]:
    """Return the ids of the direct children of a structure, in list order.

    Parameters
    ----------
    structure
        Id of the parent.
    structure_list
        Objects with ``id`` and ``structure_id_path``.
    """
    return [
        entry["id"]
        for entry in structure_list
        if len(entry["structure_id_path"]) > 1 and entry["structure_id_path"][-2] == structure
    ]


def get_structures_tree(structures_list: Sequence[Mapping[str, Any]]) -> Tree:
    """Return the hierarchy; nodes are ids, tags are ``"acronym (id)"``.

    Parameters
    ----------
    structures_list
        Objects as in ``structures.json``.

    Raises
    ------
    InvalidAtlasError
        If there is no root or a cycle.
    """
    where = "The list of structures"
    return tree_of(terminology_of(records_of(structures_list, where), where))


def tree_of(terminology: Terminology) -> Tree:
    """Return the hierarchy of a terminology as a tree."""
    from treelib import Tree

    tree = Tree()
    ids = terminology.ids.tolist()
    for code in range(1, len(terminology) + 1):
        parent = int(terminology.parents[code])
        tree.create_node(
            tag=f"{terminology.acronyms[code]} ({ids[code]})",
            identifier=ids[code],
            parent=ids[parent] if parent else None,
        )
    return tree
