"""Verbs about the voxels of regions: mask."""

from __future__ import annotations

from pathlib import Path

import click

from bg_atlasapi.cli.options import (
    atlas_argument,
    json_option,
    open_atlas,
    print_json,
    version_option,
)
from bg_atlasapi.cli.outcome import Verb

_HELP = """Write the voxels of regions as an image.

Each STRUCTURE is an id, acronym or exact name; its descendants belong to it. FILE has the shape and
place of the atlas: .nii.gz, .nii, .nrrd, .tif, .npy or .zarr.

\b
Examples:
  brainglobe mask phantom_mouse_100um VISp -o visp.nii.gz
  brainglobe mask phantom_mouse_100um CTX TH --values id -o regions.tif
  brainglobe mask phantom_mouse_100um CA1 --hemisphere left -o ca1_left.zarr
"""


@click.command(cls=Verb, help=_HELP)
@atlas_argument
@click.argument("structures", metavar="STRUCTURE...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="Where to write it.",
)
@click.option(
    "--hemisphere",
    type=click.Choice(("left", "right", "both")),
    default="both",
    show_default=True,
    help="Only the voxels on this side.",
)
@click.option(
    "--values",
    type=click.Choice(("binary", "id")),
    default="binary",
    show_default=True,
    help="1 inside; or the id of the structure that was named, the deepest where they are nested.",
)
@version_option
@json_option
def mask(
    *,
    atlas_name: str,
    structures: tuple[str, ...],
    output: Path,
    hemisphere: str,
    values: str,
    version: str | None,
    as_json: bool,
) -> None:
    """Write a mask; ``_HELP`` explains it to users."""
    import numpy as np

    from bg_atlasapi import progress_bar, query
    from bg_atlasapi.formats.image_writing import check_image_output
    from bg_atlasapi.formats.provenance import KEY, provenance_of
    from bg_atlasapi.query.regions import UM3_PER_MM3

    check_image_output(output)
    atlas = open_atlas(atlas_name, version)
    options = {"structures": structures, "hemisphere": hemisphere, "values": values}
    with progress_bar.shown() as report:
        report("mask", 0, 0)
        voxels = np.asarray(query.mask(atlas, list(structures), hemisphere, values))
        record = provenance_of(atlas, "mask", options)
        report("write", 0, 0)
        query.write_image(atlas, voxels, output, provenance=record)
    count = int(np.count_nonzero(voxels))
    volume_mm3 = count * float(np.prod(atlas.resolution)) / UM3_PER_MM3
    if as_json:
        facts = {"output": output, "shape": voxels.shape, "dtype": str(voxels.dtype)}
        print_json(
            {
                "atlas": atlas.atlas_name,
                **facts,
                "voxels": count,
                "volume_mm3": volume_mm3,
                KEY: record.to_dict(),
            }
        )
        return
    click.echo(f"Wrote {count} voxels, {volume_mm3:.6g} mm³, to {output}")
