"""Verbs that compare atlases: diff."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bg_atlasapi.cli.options import complete_names, json_option, open_atlas, print_json
from bg_atlasapi.cli.outcome import Verb
from bg_atlasapi.settings import expanded

if TYPE_CHECKING:
    from bg_atlasapi.core import Atlas
    from bg_atlasapi.query.diffing import Difference

_VERSIONED = re.compile(r"(?P<name>.+?)(?::|@|_v)(?P<version>\d+\.\d+)")
_TABLES = ("structures", "moved", "migration")
_ROWS_SHOWN = 15
_HELP = """Say what changed between two versions of an atlas, or two atlases in one space.

A and B are atlases: a name, with a version if need be (allen_mouse_25um:1.2), or the folder of
one. They must have the same voxels, or another voxel size of the same space.

\b
There are three tables:
  structures  a row a structure: what was added, removed, or changed, volumes, Dice
  moved       voxels that went from one label to another
  migration   for each structure of A, where its results belong in B

\b
Examples:
  brainglobe diff phantom_mouse_100um phantom_mouse_100um
  brainglobe diff phantom_mouse_100um:1.0 phantom_mouse_100um -o changes.csv
  brainglobe diff phantom_mouse_100um:1.0 phantom_mouse_100um --table migration --json
"""


@click.command(cls=Verb, help=_HELP)
@click.argument("first", metavar="A", shell_complete=complete_names)
@click.argument("second", metavar="B", shell_complete=complete_names)
@click.option(
    "--table",
    "which",
    type=click.Choice(_TABLES),
    default=_TABLES[0],
    help="Which table to write or print; default structures.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the table to a .csv, .tsv, .parquet or .json file.",
)
@json_option
def diff(*, first: str, second: str, which: str, output: Path | None, as_json: bool) -> None:
    """Compare two atlases; ``_HELP`` explains it to users."""
    from bg_atlasapi.formats import table_files
    from bg_atlasapi.formats.provenance import KEY, provenance_of
    from bg_atlasapi.query.diffing import diff as compare

    if output is not None:
        table_files.check_output(output)
    atlases = [_opened(first), _opened(second)]
    found = compare(*atlases)
    table = getattr(found, which)
    other = provenance_of(atlases[1], "diff").to_dict()
    compared = {key: other[key] for key in ("atlas", "version", "resolution_um", "sha256")}
    record = provenance_of(atlases[0], "diff", {"with": compared, "table": which})
    if output is not None:
        table_files.write_table(table, output, provenance=record)
    if as_json:
        rows: dict[str, Any] = {"output": output} if output else {}
        rows = rows or {which: table_files.json_rows(table)}
        print_json({**_facts(found), **rows, KEY: record.to_dict()}, indent=None)
        return
    click.echo(found.summary())
    if output is not None:
        click.echo(f"Wrote {len(table)} rows to {output}")
        return
    _show(found, which)


def _opened(text: str) -> Atlas:
    """Open what an argument names: a folder, or an atlas with or without a version."""
    path = expanded(text)
    if path.is_dir() or path.name != text:
        from bg_atlasapi.bg_atlas import BrainGlobeAtlas

        return BrainGlobeAtlas.from_path(path)
    match = _VERSIONED.fullmatch(text)
    return open_atlas(match["name"], match["version"]) if match else open_atlas(text, None)


def _facts(found: Difference) -> dict[str, Any]:
    return {
        "a": found.a,
        "b": found.b,
        "same_grid": found.same_grid,
        "structures_by_status": found.counts(),
        "voxels": found.voxels,
        "voxels_moved": found.voxels_moved,
    }


def _show(found: Difference, which: str) -> None:
    """Print the rows of a table that say something."""
    from bg_atlasapi.cli import tables

    frame = getattr(found, which)
    if which == "structures":
        frame = frame[frame["status"] != "same"]
        columns = ["acronym", "name", "status", "changed", "volume_change_percent", "dice"]
    elif which == "moved":
        columns = ["acronym_a", "acronym_b", "voxels", "mm3", "fraction"]
    else:
        frame = frame[frame["note"] != "kept"]
        columns = ["id", "acronym", "new_id", "new_acronym", "fraction", "note"]
    if not len(frame):
        return
    numbers = [name for name in columns if frame[name].dtype.kind in "iuf"]
    rows = [[_text(value) for value in row] for row in frame[columns].head(_ROWS_SHOWN).to_numpy()]
    count = len(frame)
    title = f"First {_ROWS_SHOWN} of {count} rows" if count > _ROWS_SHOWN else which.capitalize()
    tables.show(tables.table(title, columns, rows, numbers=numbers))
    if count > _ROWS_SHOWN:
        click.echo(f"{count - _ROWS_SHOWN} more rows; -o FILE writes them all.")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"  # noqa: PLR0124 - not a number
    return str(value)
