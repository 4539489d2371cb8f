"""Verbs about images: measure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bg_atlasapi.cli.asking import at_option, output_option, parse_at
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
    import pandas as pd

_ROWS_SHOWN = 20
_HELP = """Say what an image holds in each region.

IMAGE is a NIfTI (.nii, .nii.gz), TIFF or npy file, or a folder of OME-Zarr or Zarr, registered to
the atlas. It has the atlas's voxels, or others of the same space; then each takes the label at its
centre. Axes are in the order of the atlas; those of NIfTI are turned as its header says.

STATISTICS are n, sum, mean, std (of the population), min, max, median, percentiles such as p5 or
p99.5, and area_fraction, the part of the voxels over --threshold. Voxels that are NaN do not count.

FILE gets a row a region: id, acronym, name, volume_mm3, and each statistic with descendants (mean),
left and right (mean_left, mean_right), and of the region's own voxels (own_mean; not with --at).

\b
Examples:
  brainglobe measure allen_mouse_25um registered.nii.gz
  brainglobe measure allen_mouse_25um signal.tif --statistics mean,p95 --at 5
  brainglobe measure allen_mouse_25um signal.zarr --resolution 10 -o regions.csv
  brainglobe measure allen_mouse_25um signal.tif --exclude artefacts.tif --json
"""


@click.command(cls=Verb, help=_HELP)
@atlas_argument
@click.argument("image", metavar="IMAGE", type=click.Path(path_type=Path))
@click.option(
    "--statistics",
    default="n,mean,std",
    show_default=True,
    metavar="NAMES",
    help="What to work out, separated by commas.",
)
@at_option("A row for each region at a depth (0 is the root), for these regions, or groups.")
@click.option("--resolution", metavar="UM", help="Voxel size of IMAGE, µm: a number, or A,B,C.")
@click.option(
    "--exclude",
    type=click.Path(path_type=Path),
    metavar="MASK",
    help="An image of the same voxels; those where it is not 0 are left out.",
)
@click.option("--threshold", type=float, help="What area_fraction is over.")
@click.option("--no-hemispheres", is_flag=True, help="Leave out the columns of left and right.")
@click.option(
    "--sketch",
    is_flag=True,
    help="Percentiles of 32-bit images from 4,096 steps, in less memory.",
)
@output_option("Write all rows to a .csv, .tsv, .parquet or .json file.")
@version_option
@json_option
def measure(  # noqa: PLR0913 - one parameter an option
    *,
    atlas_name: str,
    image: Path,
    statistics: str,
    at: str | None,
    resolution: str | None,
    exclude: Path | None,
    threshold: float | None,
    no_hemispheres: bool,
    sketch: bool,
    output: Path | None,
    version: str | None,
    as_json: bool,
) -> None:
    """Measure an image; ``_HELP`` explains it to users."""
    from bg_atlasapi import progress_bar
    from bg_atlasapi.formats import provenance, table_files
    from bg_atlasapi.query import measuring

    if output is not None:
        table_files.check_output(output)
    atlas = open_atlas(atlas_name, version)
    asked_at = parse_at(at, atlas)
    asked, within = atlas._asked_at(asked_at)
    names = [name.strip() for name in statistics.split(",") if name.strip()]
    options: dict[str, Any] = {
        "statistics": names,
        "at": within,
        "resolution": None if resolution is None else _sizes(resolution),
        "exclude": None if exclude is None else str(exclude),
        "threshold": threshold,
        "hemispheres": not no_hemispheres,
        "sketch": sketch,
    }
    with progress_bar.shown() as report:
        answers = measuring.measure(asked, image, report=report, **options)
    stated = {"image": str(image), **options, "at": asked_at}
    record = provenance.provenance_of(atlas, "measure", stated)
    if output is not None:
        table_files.write_table(answers, output, provenance=record)
    if as_json:
        body = {"output": output} if output else {"regions": table_files.json_rows(answers)}
        print_json({provenance.KEY: record.to_dict(), **body, **answers.attrs}, indent=None)
        return
    _show(answers, names, output)


def _sizes(text: str) -> float | list[float]:
    try:
        sizes = [float(one) for one in text.split(",")]
    except ValueError:
        raise InvalidInputError(
            f"--resolution takes µm, a number or three, got {text!r}."
        ) from None
    return sizes[0] if len(sizes) == 1 else sizes


def _show(answers: pd.DataFrame, names: list[str], output: Path | None) -> None:
    """Print for people: where it was written, or the largest regions."""
    from bg_atlasapi.cli import tables

    if output is not None:
        click.echo(f"Wrote {len(answers)} rows to {output}")
        return
    measured = answers[answers["volume_mm3"] > 0]
    if measured.empty:
        note("No voxel of the image counts: each is outside all regions, left out, or NaN.")
        return
    columns = ["volume_mm3", *names]
    largest = measured.sort_values("volume_mm3", ascending=False, kind="stable").head(_ROWS_SHOWN)
    rows = [
        [acronym, *(f"{number:.6g}" for number in numbers)]
        for acronym, numbers in zip(
            largest["acronym"], largest[columns].to_numpy().tolist(), strict=True
        )
    ]
    count = len(measured)
    title = f"Largest {len(rows)} of {count} regions" if count > len(rows) else "Regions"
    tables.show(tables.table(title, ["acronym", *columns], rows, numbers=columns))
    if count > len(rows):
        click.echo(f"{count - len(rows)} more regions; -o FILE writes them all.")
