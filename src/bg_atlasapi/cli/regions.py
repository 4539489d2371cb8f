"""Verbs about how large regions are, and where they lie: regions."""

from __future__ import annotations

from pathlib import Path
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
from bg_atlasapi.cli.outcome import Verb

if TYPE_CHECKING:
    import pandas as pd

    from bg_atlasapi.bg_atlas import BrainGlobeAtlas

# Columns that are printed, and what stands above them.
_SHOWN = {
    "acronym": "acronym",
    "name": "name",
    "voxels": "voxels",
    "volume_mm3": "mm³",
    "left_mm3": "left mm³",
    "right_mm3": "right mm³",
    "components": "parts",
    "largest_component_voxels": "largest",
}
_NEIGHBOURS = {
    "acronym": "acronym",
    "neighbour_acronym": "neighbour",
    "neighbour_id": "its id",
    "faces": "faces",
    "area_mm2": "mm²",
}


@click.command(cls=Verb)
@atlas_argument
@click.argument("structures", metavar="[STRUCTURE]...", nargs=-1)
@click.option("--components", is_flag=True, help="Also count the connected parts of each region.")
@click.option("--neighbours", is_flag=True, help="List which regions touch, and over what area.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write all rows and columns to a .csv, .tsv, .parquet or .json file.",
)
@version_option
@json_option
def regions(
    *,
    atlas_name: str,
    structures: tuple[str, ...],
    components: bool,
    neighbours: bool,
    output: Path | None,
    version: str | None,
    as_json: bool,
) -> None:
    """Say how large regions are, and where they lie.

    Of all regions, or of those named. Voxels and volumes are with descendants; FILE and JSON also
    hold the voxels that carry a region's own label, bounding boxes, centroids and a point inside
    each region.

    \b
    Examples:
      brainglobe regions phantom_mouse_100um VISp CA1
      brainglobe regions phantom_mouse_100um --components -o regions.csv
      brainglobe regions phantom_mouse_100um TH --neighbours
    """  # noqa: D301 - the backslash is click's: keep the lines
    from bg_atlasapi import progress_bar, query
    from bg_atlasapi.formats import table_files
    from bg_atlasapi.formats.provenance import KEY, provenance_of

    if components and neighbours:
        raise click.UsageError("--components and --neighbours are two different tables.")
    if output is not None:
        table_files.check_output(output)
    atlas = open_atlas(atlas_name, version)
    codes = [atlas.structures.terminology.code(one) for one in structures]
    with progress_bar.shown() as report:
        table = query.region_table(atlas, components=components, report=report)
    if neighbours:
        table = _neighbours(atlas, structures)
    elif codes:
        table = table.iloc[[code - 1 for code in codes]]
    options = {"structures": structures, "components": components, "neighbours": neighbours}
    if output is not None:
        table_files.write_table(table, output, provenance_of(atlas, "regions", options))
    if as_json:
        head: dict[str, Any] = {
            "atlas": atlas.atlas_name,
            "version": str(atlas.metadata.get("version", "")),
        }
        name = "neighbours" if neighbours else "regions"
        body = {"output": output} if output else {name: table_files.json_rows(table)}
        origin = {KEY: provenance_of(atlas, "regions", options).to_dict()}
        print_json({**head, **body, **origin}, indent=None)
    elif output is not None:
        click.echo(f"Wrote {len(table)} rows to {output}")
    else:
        _show(table, everything=bool(structures) or neighbours)


def _neighbours(atlas: BrainGlobeAtlas, structures: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    from bg_atlasapi import query

    if not structures:
        return query.neighbours(atlas)
    return pd.concat([query.neighbours(atlas, one) for one in structures], ignore_index=True)


def _show(table: pd.DataFrame, *, everything: bool) -> None:
    from bg_atlasapi.cli import tables

    filled = table if everything else table[table["voxels"] > 0]
    shown = _SHOWN if "voxels" in table else _NEIGHBOURS
    columns = [name for name in shown if name in table]
    lines = [
        [f"{value:.6g}" if isinstance(value, float) else value for value in row]
        for row in filled[columns].astype(object).to_numpy().tolist()
    ]
    headings = [shown[name] for name in columns]
    numbers = [one for one in headings if one not in {"acronym", "name", "neighbour"}]
    tables.show(tables.table("", headings, lines, numbers=numbers))
    if len(filled) < len(table):
        note(
            f"{len(table) - len(filled)} regions without voxels are left out; -o and --json have "
            "them."
        )
