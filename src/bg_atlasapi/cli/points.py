"""Verbs about points: lookup."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bg_atlasapi.cli.groupings import grouping_at
from bg_atlasapi.cli.options import (
    atlas_argument,
    json_option,
    note,
    open_atlas,
    print_json,
    version_option,
)
from bg_atlasapi.cli.outcome import Verb
from bg_atlasapi.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Container

    import pandas as pd

    from bg_atlasapi.bg_atlas import BrainGlobeAtlas
    from bg_atlasapi.formats.points_files import PointsTable
    from bg_atlasapi.query.grouping import Grouping

_ROWS_SHOWN = 10
_HELP = """Say which region and hemisphere points lie in.

POINTS is a csv, tsv, parquet, npy or cellfinder xml file, or - for csv on standard input.
Coordinates are in the order of the atlas's axes; for most atlases the first runs from front to
back, the second from top to bottom, the third from right to left. The origin is the corner of
the first voxel.

Coordinates are taken from columns called x, y, z (or ap, dv, lr, or ap, dv, ml), else from the
only three columns of numbers. A csv without a header works too. In cellfinder's XML, MarkerZ is
the first axis and MarkerX the last; its markers are voxels of the image they were found in,
which must be in the atlas's space.

Points outside the brain are answered with id 0, "Outside atlas"; so are empty coordinates.
FILE gets the columns of POINTS and id, acronym, name, hemisphere, inside. Where POINTS has a
column of that name already, ours is called atlas_id and so on.

\b
Examples:
  brainglobe lookup phantom_mouse_100um cells.csv
  brainglobe lookup phantom_mouse_100um cells.csv --unit mm --columns AP,DV,ML
  brainglobe lookup phantom_mouse_100um cells.csv --at 5
  brainglobe lookup phantom_mouse_100um cells.csv --at TH,HY -o cells_in_TH_HY.csv
  brainglobe lookup phantom_mouse_100um cells.csv --at grouping.json
  cat cells.csv | brainglobe lookup phantom_mouse_100um - --json
"""
_FORMATS = ("csv", "tsv", "parquet", "npy", "xml")


@click.command(cls=Verb, help=_HELP)
@atlas_argument
@click.argument("points", metavar="POINTS")
@click.option(
    "--unit",
    type=click.Choice(("um", "mm", "voxel")),
    help="Unit of the coordinates; default um, voxel for cellfinder's XML.",
)
@click.option(
    "--columns",
    metavar="A,B,C",
    help="Names, or positions from 0, of the coordinate columns, in the atlas's axis order.",
)
@click.option(
    "--at",
    metavar="DEPTH|ACRONYMS|FILE",
    help="Answer with the ancestor at a depth (0 is the root), among these regions, or with the "
    "group of a grouping (.json).",
)
@click.option("--format", "file_format", type=click.Choice(_FORMATS), help="Type of POINTS.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write all rows to a .csv, .tsv, .parquet or .json file.",
)
@version_option
@json_option
def lookup(  # noqa: PLR0913 - one parameter an option
    *,
    atlas_name: str,
    points: str,
    unit: str | None,
    columns: str | None,
    at: str | None,
    file_format: str | None,
    output: Path | None,
    version: str | None,
    as_json: bool,
) -> None:
    """Answer points; ``_HELP`` explains it to users."""
    from bg_atlasapi.formats import points_files, table_files

    if output is not None:
        table_files.check_output(output)
    atlas = open_atlas(atlas_name, version)
    depth_or_structures = None if at is None else _parse_at(at, atlas)
    if points == "-" and sys.stdin is None:
        raise InvalidInputError("There is no standard input to read points from.")
    source = sys.stdin.buffer if points == "-" else points
    asked = None if columns is None else columns.split(",")
    table = points_files.read_points(source, asked, file_format)
    unit = unit or table.unit or "um"
    answers = atlas.lookup(table.points, unit=unit, at=depth_or_structures)
    regions = regions_hit(answers)
    joined = table_files.beside(table.table, answers)
    if output is not None:
        table_files.write_table(joined, output)
    if as_json:
        head: dict[str, Any] = {
            "atlas": atlas.atlas_name,
            "version": str(atlas.metadata.get("version", "")),
            "unit": unit,
        }
        body = {"output": output} if output else {"points": table_files.json_rows(joined)}
        print_json({**head, **body, "regions": table_files.json_rows(regions)}, indent=None)
        return
    _show(table, answers, regions, output)
    beyond = int((~answers["inside"]).sum())
    if beyond > len(answers) / 2:
        extent = " × ".join(f"{length:g}" for length in atlas.shape_um)
        note(
            f"{beyond} of {len(answers)} points lie beyond the volume of {extent} µm. They were "
            f"read in the unit {unit!r}: is --unit right, and are they in the atlas's space?"
        )


def _parse_at(text: str, atlas: BrainGlobeAtlas) -> int | list[str] | Grouping:
    grouping = grouping_at(text, atlas)
    if grouping is not None:
        return grouping
    try:
        depth = int(text)
    except ValueError:
        return _split(text, atlas.structures)
    deepest = int(atlas.structures.terminology.depths.max())
    if depth > deepest:
        message = f"--at {depth} is not a depth of {atlas.atlas_name}; the deepest is {deepest}."
        raise InvalidInputError(message)
    return depth


def _split(text: str, known: Container[object]) -> list[str]:
    """Split at commas, but not inside a name: the Allen mouse atlas has an acronym "CUL4, 5"."""
    pieces, keys = text.split(","), []
    while pieces:
        ends = range(len(pieces), 0, -1)
        end = next((e for e in ends if ",".join(pieces[:e]).strip() in known), 1)
        keys.append(",".join(pieces[:end]).strip())
        del pieces[:end]
    if not all(keys):
        raise InvalidInputError(f"--at takes a depth or acronyms, got {text!r}.")
    return keys


def regions_hit(answers: pd.DataFrame) -> pd.DataFrame:
    """Count points by region.

    Parameters
    ----------
    answers
        What ``atlas.lookup`` returned.

    Returns
    -------
    pandas.DataFrame
        ``id``, ``acronym``, ``name``, ``count``, ``left``, ``right``; most points first; then
        points elsewhere (see ``at``), and points outside every region last.
    """
    from bg_atlasapi.model.terminology import OUTSIDE_LABEL

    sides = answers.assign(
        count=1, left=answers["hemisphere"] == "left", right=answers["hemisphere"] == "right"
    )
    groups = sides.groupby(["id", "acronym", "name"], observed=True, sort=False)
    regions = groups[["count", "left", "right"]].sum().reset_index()
    regions["rank"] = (regions["id"] == 0) * 1 + (regions["acronym"] == OUTSIDE_LABEL)
    order = regions.sort_values(["rank", "count"], ascending=[True, False], kind="stable")
    return order.drop(columns="rank").reset_index(drop=True)


def _show(
    table: PointsTable, answers: pd.DataFrame, regions: pd.DataFrame, output: Path | None
) -> None:
    """Print for people: the first rows or where they were written, then the regions hit."""
    from bg_atlasapi.cli import tables

    count = len(answers)
    if output is not None:
        click.echo(f"Wrote {count} rows to {output}")
    else:
        shown = answers[["acronym", "name", "hemisphere"]].head(_ROWS_SHOWN)
        answered = shown.astype(object).fillna("").to_numpy().tolist()
        rows = [
            [*(f"{number:.6g}" for number in point), *answer]
            for point, answer in zip(table.points[:_ROWS_SHOWN].tolist(), answered, strict=True)
        ]
        # The end tells long names apart: coordinate_atlas_axis_0, …_1, …_2.
        axes = [name if len(name) <= 9 else f"…{name[-8:]}" for name in table.coordinates]
        title = f"First {_ROWS_SHOWN} of {count} points" if count > _ROWS_SHOWN else "Points"
        tables.show(tables.table(title, [*axes, *shown.columns], rows, numbers=axes))
        if count > _ROWS_SHOWN:
            click.echo(f"{count - _ROWS_SHOWN} more rows; -o FILE writes them all.\n")
    columns = ["acronym", "name", "count", "left", "right"]
    lines = regions[columns].to_numpy().tolist()
    title = f"Regions hit: {int((regions['id'] != 0).sum())}"
    tables.show(tables.table(title, columns, lines, numbers=("count", "left", "right")))
