"""Verbs about points: lookup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    from bg_atlasapi.formats.points_files import PointsTable

_ROWS_SHOWN = 10
_SHOWN = ["acronym", "name", "hemisphere", "distance_um", "nearest_acronym"]
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
FILE gets the columns of POINTS and id, acronym, name, hemisphere, inside; with --nearest also
distance_um, nearest_id, nearest_acronym. Where POINTS has a column of that name already, ours is
called atlas_id and so on.

\b
Examples:
  brainglobe lookup phantom_mouse_100um cells.csv
  brainglobe lookup phantom_mouse_100um cells.csv --unit mm --columns AP,DV,ML
  brainglobe lookup phantom_mouse_100um cells.csv --at 5
  brainglobe lookup phantom_mouse_100um cells.csv --at TH,HY -o cells_in_TH_HY.csv
  brainglobe lookup phantom_mouse_100um cells.csv --at grouping.json
  cat cells.csv | brainglobe lookup phantom_mouse_100um - --json
"""


@click.command(cls=Verb, help=_HELP)
@atlas_argument
@points_argument
@unit_option
@columns_option
@at_option(
    "Answer with the ancestor at a depth (0 is the root), among these regions, or with the group "
    "of a grouping (.json)."
)
@click.option(
    "--nearest",
    is_flag=True,
    help="Also say which region is nearest to points outside every region, and how far, in µm.",
)
@format_option
@output_option("Write all rows to a .csv, .tsv, .parquet or .json file.")
@version_option
@json_option
def lookup(  # noqa: PLR0913 - one parameter an option
    *,
    atlas_name: str,
    points: str,
    unit: str | None,
    columns: str | None,
    at: str | None,
    nearest: bool,
    file_format: str | None,
    output: Path | None,
    version: str | None,
    as_json: bool,
) -> None:
    """Answer points; ``_HELP`` explains it to users."""
    from bg_atlasapi.formats import table_files
    from bg_atlasapi.formats.provenance import KEY, provenance_of
    from bg_atlasapi.query import files

    if output is not None:
        table_files.check_output(output)
    atlas = open_atlas(atlas_name, version)
    asked_at, named = parse_at(at, atlas), split_columns(columns)
    seen, rows = _Seen(), []
    with (
        bar("lookup") as report,
        files.answered(
            *(atlas, points_source(points), unit, asked_at),
            nearest=nearest,
            columns=named,
            file_format=file_format,
            report=report,
        ) as found,
    ):
        options = {"unit": found.unit, "at": asked_at, "nearest": nearest}
        asked = {"points": points, **options, "columns": found.coordinates}
        written = output is not None or as_json
        stated = provenance_of(atlas, "lookup", asked) if written else None
        parts = _seen(found.parts, seen)
        if output is not None:
            with table_files.table_writer(output, stated) as add:
                for part in parts:
                    add(part)
        else:  # one part at a time, of which only JSON keeps all rows
            for part in parts:
                rows += table_files.json_rows(part) if as_json else []
    if stated is not None and as_json:
        head = {"atlas": stated.atlas, "version": stated.version, "unit": found.unit}
        body = {"output": output} if output else {"points": rows}
        regions = {"regions": table_files.json_rows(seen.regions)}
        print_json({**head, **body, **regions, KEY: stated.to_dict()}, indent=None)
        return
    _show(seen, output)
    suspect_unit(atlas, seen.beyond, seen.count, found.unit)


@dataclass(slots=True)
class _Seen:
    """What is said of all points, from what was answered so far.

    Parameters
    ----------
    coordinates
        Names of their columns.
    count, beyond
        Points, and those that are not within the volume.
    points, answers
        The first of them, as they are shown.
    columns
        Of the answers that are shown.
    """

    coordinates: tuple[str, ...] = ()
    count: int = 0
    beyond: int = 0
    points: list[list[float]] = field(default_factory=list)
    answers: list[list[Any]] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    _regions: pd.DataFrame | None = None

    def add(self, batch: PointsTable, answers: pd.DataFrame) -> None:
        """Take note of a batch."""
        self.coordinates = batch.coordinates
        self.count += len(answers)
        self.beyond += int((~answers["inside"]).sum())
        missing = _ROWS_SHOWN - len(self.points)
        self.points += batch.points[:missing].tolist()
        shown = answers[answers.columns.intersection(_SHOWN, sort=False)].head(missing)
        self.columns = shown.columns.tolist()
        self.answers += shown.astype(object).fillna("").to_numpy().tolist()
        if self._regions is None or len(answers):
            self._regions = _together(self._regions, regions_hit(answers))

    @property
    def regions(self) -> pd.DataFrame:
        """The regions of all points."""
        assert self._regions is not None
        return self._regions


def _seen(parts: Iterable[tuple[PointsTable, pd.DataFrame]], seen: _Seen) -> Iterator[pd.DataFrame]:
    """Yield the rows of points with their answers, and take note of them."""
    from bg_atlasapi.formats.table_files import beside

    for batch, answers in parts:
        seen.add(batch, answers)
        yield beside(batch.table, answers)


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
    sides = answers.assign(
        count=1, left=answers["hemisphere"] == "left", right=answers["hemisphere"] == "right"
    )
    groups = sides.groupby(["id", "acronym", "name"], observed=True, sort=False)
    return _ranked(groups[["count", "left", "right"]].sum().reset_index())


def _ranked(regions: pd.DataFrame) -> pd.DataFrame:
    """Return regions with most points first, elsewhere and outside last."""
    from bg_atlasapi.model.terminology import OUTSIDE_LABEL

    regions["rank"] = (regions["id"] == 0) * 1 + (regions["acronym"] == OUTSIDE_LABEL)
    order = regions.sort_values(["rank", "count"], ascending=[True, False], kind="stable")
    return order.drop(columns="rank").reset_index(drop=True)


def _together(before: pd.DataFrame | None, regions: pd.DataFrame) -> pd.DataFrame:
    """Add up the regions of two parts."""
    import pandas as pd

    if before is None or not len(before):
        return regions
    both = pd.concat([before.astype(object), regions.astype(object)])
    return _ranked(both.groupby(["id", "acronym", "name"], sort=False).sum().reset_index())


def _show(seen: _Seen, output: Path | None) -> None:
    """Print for people: the first rows or where they were written, then the regions hit."""
    from bg_atlasapi.cli import tables

    count, regions = seen.count, seen.regions
    if output is not None:
        click.echo(f"Wrote {count} rows to {output}")
    else:
        rows = [
            [f"{cell:.6g}" if isinstance(cell, float) else cell for cell in (*point, *answer)]
            for point, answer in zip(seen.points, seen.answers, strict=True)
        ]
        # The end tells long names apart: coordinate_atlas_axis_0, …_1, …_2.
        axes = [name if len(name) <= 9 else f"…{name[-8:]}" for name in seen.coordinates]
        title = f"First {_ROWS_SHOWN} of {count} points" if count > _ROWS_SHOWN else "Points"
        headings = [*axes, *seen.columns]
        tables.show(tables.table(title, headings, rows, numbers=(*axes, "distance_um")))
        if count > _ROWS_SHOWN:
            click.echo(f"{count - _ROWS_SHOWN} more rows; -o FILE writes them all.\n")
    columns = ["acronym", "name", "count", "left", "right"]
    lines = regions[columns].to_numpy().tolist()
    title = f"Regions hit: {int((regions['id'] != 0).sum())}"
    tables.show(tables.table(title, columns, lines, numbers=("count", "left", "right")))
