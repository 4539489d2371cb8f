"""Verbs about the regions of an atlas: find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bg_atlasapi.cli.options import (
    atlas_argument,
    json_option,
    note,
    open_atlas,
    print_json,
    version_option,
)
from bg_atlasapi.cli.outcome import NotFoundError, Verb

if TYPE_CHECKING:
    from bg_atlasapi.structure_class import Structure


@click.command(cls=Verb)
@atlas_argument
@click.argument("text")
@click.option("--regex", is_flag=True, help="Read TEXT as a regular expression.")
@version_option
@json_option
def find(*, atlas_name: str, text: str, regex: bool, version: str | None, as_json: bool) -> None:
    """Search the regions of an atlas.

    TEXT is an id, or part of an acronym or name, case ignored. The best hits come first. If
    nothing holds the text, the closest spellings are listed.
    """
    hits = open_atlas(atlas_name, version).structures.find(text, regex=regex)
    if not hits:
        raise NotFoundError(f"No structure of {atlas_name} holds {text!r}.")
    if not regex and not _holds(hits[0], text):
        note(f"No structure of {atlas_name} holds {text!r}; closest:")
    rows = [_row(structure) for structure in hits]
    if as_json:
        print_json(rows)
        return
    from bg_atlasapi.cli import tables

    lines = [[*row.values()] for row in rows]
    tables.show(tables.table("", [*rows[0]], lines, numbers=("id", "depth")))


def _holds(structure: Structure, text: str) -> bool:
    return text.lower() in f"{structure.id}\n{structure.acronym}\n{structure.name}".lower()


def _row(structure: Structure) -> dict[str, Any]:
    parent = structure.parent
    return {
        "acronym": structure.acronym,
        "id": structure.id,
        "name": structure.name,
        "parent": parent.acronym if parent else None,
        "depth": structure.depth,
    }


@click.command(cls=Verb)
@atlas_argument
@click.argument("structure", required=False)
@click.option("--depth", type=click.IntRange(min=0), help="How many levels below STRUCTURE.")
@version_option
@json_option
def tree(
    *,
    atlas_name: str,
    structure: str | None,
    depth: int | None,
    version: str | None,
    as_json: bool,
) -> None:
    """Print the hierarchy of regions, in their colours.

    STRUCTURE is an id, acronym or name: only what it consists of is printed.
    """
    from bg_atlasapi.view import trees

    terminology = open_atlas(atlas_name, version).structures.terminology
    code = 1 if structure is None else terminology.code(structure)
    if as_json:
        print_json(trees.nested(terminology, code, depth))
        return
    from bg_atlasapi.cli import tables

    tables.show_lines(trees.coloured(terminology, code, depth))
