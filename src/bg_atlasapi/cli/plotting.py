"""Verbs that draw: plot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bg_atlasapi.cli.asking import output_option
from bg_atlasapi.cli.options import (
    atlas_argument,
    json_option,
    open_atlas,
    print_json,
    version_option,
)
from bg_atlasapi.cli.outcome import Verb
from bg_atlasapi.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

_HELP = """Draw slices of an atlas into FILE, an SVG, PDF or PNG.

STRUCTURES (ids, acronyms or names) are what is drawn, each with all it consists of. Without them it
is what has a value, else every region.

A --position is µm from the corner of voxel 0 along the axis across the plane, or a region: where
most of it is. Several make a grid of slices. Without one it is where most of what is drawn is.

A table of --values is a csv, tsv or parquet file with a column "id" or "acronym" (or, as first
column, any name of regions) and one of numbers; such as brainglobe count writes.

\b
Examples:
  brainglobe plot allen_mouse_25um --position 7000 -o slice.svg
  brainglobe plot allen_mouse_25um --plane sagittal TH HY CTX -o regions.pdf
  brainglobe plot allen_mouse_25um --values counts.csv --column total \\
      --position 5000 --position 7000 --position 9000 -o counts.png
"""
_READERS = {".csv": ",", ".tsv": "\t"}


@click.command(cls=Verb, help=_HELP)
@atlas_argument
@click.argument("structures", metavar="[STRUCTURES]...", nargs=-1)
@click.option("--plane", default="coronal", show_default=True, help="Or sagittal, horizontal.")
@click.option("--position", "positions", multiple=True, metavar="UM", help="May be repeated.")
@click.option("--values", type=click.Path(path_type=Path), metavar="TABLE", help="Colours.")
@click.option("--column", multiple=True, help="Of TABLE; twice: of left and right.")
@click.option("--hemisphere", default="both", show_default=True, help="Or left, right.")
@click.option("--cmap", default="viridis", show_default=True, help="A colour map of matplotlib.")
@click.option("--vmin", type=float, help="Value at the low end of the colours.")
@click.option("--vmax", type=float, help="Value at the high end of the colours.")
@click.option("--labels/--no-labels", default=None, help="Write acronyms where there is room.")
@click.option("--no-image", is_flag=True, help="Leave the template out.")
@click.option("--axes", is_flag=True, help="Coordinates in mm along the sides.")
@click.option("--width", type=float, metavar="INCHES", help="Of the figure.")
@click.option("--dpi", type=float, default=300.0, show_default=True, help="Dots per inch.")
@output_option("Where to: a .svg, .pdf, .png or .jpg file.")
@version_option
@json_option
def plot(  # noqa: PLR0913 - all but what is passed on, cmap to width
    *,
    atlas_name: str,
    structures: tuple[str, ...],
    plane: str,
    positions: tuple[str, ...],
    values: Path | None,
    column: tuple[str, ...],
    hemisphere: str,
    no_image: bool,
    dpi: float,
    output: Path | None,
    version: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Draw slices; ``_HELP`` explains it to users."""
    from bg_atlasapi.formats.provenance import KEY, provenance_of
    from bg_atlasapi.view import plotting

    if output is None:
        raise InvalidInputError("Say where to draw: -o figure.svg (or .pdf, .png).")
    table = None if values is None else _table(values)
    atlas = open_atlas(atlas_name, version)
    given: Any = [_position(one) for one in positions] or None
    if no_image:
        options["image"] = None
    asked: dict[str, Any] = {
        "values": table,
        "column": column[0] if len(column) == 1 else column or None,
        "structures": list(structures) or None,
        "hemisphere": hemisphere,
    }
    stated = {"plane": plane, "position": given, **asked, "values": values, **options}
    record = provenance_of(atlas, "plot", stated)
    titles = plotting.save(
        output,
        dpi,
        atlas,
        plane,
        given[0] if len(positions) == 1 else given,
        provenance=record,
        options=options,
        **asked,
    )
    if as_json:
        print_json({KEY: record.to_dict(), "output": output, "slices": titles})
    else:
        what = "1 slice" if len(titles) == 1 else f"{len(titles)} slices"
        click.echo(f"Drew {what} to {output}: {'; '.join(titles)}")


def _position(text: str) -> float | str:
    """Return a number, or a region."""
    try:
        return float(text)
    except ValueError:
        return text


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    kind = path.suffix.lower()
    if kind not in (*_READERS, ".parquet"):
        message = f"{path} is no table of values: its name must end in .csv, .tsv or .parquet."
        raise InvalidInputError(message)
    try:
        if kind == ".parquet":
            from bg_atlasapi.formats.table_files import need_pyarrow

            need_pyarrow()
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, sep=_READERS[kind])
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        first = str(error).strip().partition("\n")[0]
        raise InvalidInputError(f"{path} is no table of values: {first}.") from error
    if "id" in frame.columns:
        return frame
    names = [name for name in ("acronym", "name", *frame.columns[:1]) if name in frame.columns]
    if not names or len(frame.columns) < 2:
        raise InvalidInputError(f"{path} needs a column of regions and one of numbers.")
    return frame.set_index(names[0])
