"""Verbs about how many points lie where: count."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bg_atlasapi.cli.asking import (
    at_option,
    bar,
    columns_option,
    format_option,
    output_option,
    parse_at,
    points_argument,
    points_source,
    split_columns,
    suspect_unit,
    unit_option,
)
from bg_atlasapi.cli.options import (
    atlas_argument,
    json_option,
    open_atlas,
    print_json,
    version_option,
)
from bg_atlasapi.cli.outcome import Verb

if TYPE_CHECKING:
    import pandas as pd

_HELP = """Count points by region: its own, with all that it consists of, left and right, per mm³.

POINTS is a csv, tsv, parquet, npy or cellfinder xml file, or - for csv on standard input; see
'brainglobe lookup --help' for columns and coordinates. A file of any length is read some rows at
a time.

OWN are the points of a region itself; TOTAL, LEFT and RIGHT count all regions within it too, and
so does the volume that PER MM3 divides by. Points in no region are the last row, "Outside atlas":
OWN adds up to the number of points.

\b
Examples:
  brainglobe count phantom_mouse_100um cells.csv --at TH,HY
  brainglobe count phantom_mouse_100um cells.csv --at 3
  brainglobe count phantom_mouse_100um cells.parquet --zeros -o counts.csv
"""


@click.command(cls=Verb, help=_HELP)
@atlas_argument
@points_argument
@unit_option
@columns_option
@at_option(
    "Count by the regions at a depth (0 is the root), by these regions, or by the groups of a "
    "grouping (.json)."
)
@click.option("--zeros", is_flag=True, help="Also list regions without a point.")
@format_option
@output_option("Write the table to a .csv, .tsv, .parquet or .json file.")
@version_option
@json_option
def count(  # noqa: PLR0913 - one parameter an option
    *,
    atlas_name: str,
    points: str,
    unit: str | None,
    columns: str | None,
    at: str | None,
    zeros: bool,
    file_format: str | None,
    output: Path | None,
    version: str | None,
    as_json: bool,
) -> None:
    """Count points; ``_HELP`` explains it to users."""
    from bg_atlasapi.formats import table_files
    from bg_atlasapi.formats.provenance import KEY, provenance_of
    from bg_atlasapi.query import counting, files
    from bg_atlasapi.query.subject import subject_of

    if output is not None:
        table_files.check_output(output)
    atlas = open_atlas(atlas_name, version)
    asked_at, named = parse_at(at, atlas), split_columns(columns)
    asked, within = atlas._asked_at(asked_at)
    subject = subject_of(asked, every_voxel=True)
    rows = counting.Rows.of(subject.terminology, within)
    source = points_source(points)
    with bar("count") as report:
        tally, unit = files.tally_file(
            subject, source, unit, columns=named, file_format=file_format, report=report
        )
    regions = counting.table(tally, subject, rows, zeros=zeros)
    options = {"points": points, "unit": unit, "at": asked_at, "columns": named, "zeros": zeros}
    stated = provenance_of(atlas, "count", options) if output is not None or as_json else None
    if output is not None:
        table_files.write_table(regions, output, stated)
    if as_json:
        assert stated is not None
        head = {"atlas": stated.atlas, "version": stated.version, "unit": unit, "count": len(tally)}
        body = {"output": output} if output else {"regions": table_files.json_rows(regions)}
        print_json({**head, **body, KEY: stated.to_dict()}, indent=None)
        return
    _show(regions, len(tally), output)
    suspect_unit(atlas, tally.beyond, len(tally), unit)


def _show(regions: pd.DataFrame, count: int, output: Path | None) -> None:
    """Print for people: the table, or where it was written."""
    if output is not None:
        click.echo(f"Wrote {len(regions)} regions of {count} points to {output}")
        return
    from bg_atlasapi.cli import tables

    columns = ["acronym", "name", "own", "total", "left", "right"]
    density = regions["density_per_mm3"].map("{:.4g}".format).replace("nan", "")
    lines = regions[columns].assign(density=density).to_numpy().tolist()
    title = f"{count} points by region"
    tables.show(
        tables.table(title, [*columns, "per mm³"], lines, numbers=(*columns[2:], "per mm³"))
    )
