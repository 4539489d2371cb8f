"""The verb that writes an atlas in another layout, or for other tools: export."""

from __future__ import annotations

import click

from bg_atlasapi.cli.options import (
    atlas_argument,
    json_option,
    open_atlas,
    print_json,
    version_option,
)
from bg_atlasapi.cli.outcome import Verb
from bg_atlasapi.formats.exporting import FORMATS


@click.command(cls=Verb)
@atlas_argument
@click.argument("path", metavar="FOLDER")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="components",
    show_default=True,
    help="What to write.",
)
@version_option
@click.option("-f", "--overwrite", is_flag=True, help="Replace an earlier export of the atlas.")
@json_option
def export(
    *, atlas_name: str, path: str, form: str, version: str | None, overwrite: bool, as_json: bool
) -> None:
    """Write an atlas into FOLDER in another layout, whole or not at all.

    \b
    components  store that brainglobe-atlasapi 3 and Neuroglancer open
    packaged    folder that bg-atlasapi 1.x opens
    nifti       volumes and tables, as BIDS names them
    nrrd        volumes for 3D Slicer, ITK, ANTs
    tiff        stacks for Fiji, with compact labels
    itksnap     compact labels (NIfTI) and label file
    slicer      compact labels (NRRD) and colour table
    allen-json  structures as the Allen structure graph
    csv         structures as a table
    obj ply stl a mesh a structure, micrometres
    glb         all meshes in one scene
    """  # noqa: D301 - the backslash is click's: keep the lines
    atlas = open_atlas(atlas_name, version)
    written = atlas.export(path, format=form, overwrite=overwrite)
    facts = {
        "name": atlas.atlas_name,
        "version": atlas.metadata["version"],
        "format": form,
        "path": str(written),
    }
    if as_json:
        print_json(facts)
        return
    click.echo(f"{atlas.atlas_name} exported as {form}: {written}")
