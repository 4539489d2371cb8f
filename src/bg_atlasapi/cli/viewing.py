"""Verbs to look at an atlas: view."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bg_atlasapi.cli.asking import split_columns
from bg_atlasapi.cli.options import atlas_argument, note, open_atlas, version_option
from bg_atlasapi.cli.outcome import Verb
from bg_atlasapi.errors import InvalidInputError

if TYPE_CHECKING:
    from bg_atlasapi.view.serving import Viewing

_HELP = """Look at an atlas in the browser: slices, surfaces, regions.

Opens a page that this machine serves to itself; nothing is fetched from elsewhere, and no other
machine can reach it. Ctrl-C stops it. The page takes files of points and of values too: drop them
on it.

\b
Examples:
  brainglobe view phantom_mouse_100um
  brainglobe view phantom_mouse_100um --structure VISp --position 7100,3870,4500
  brainglobe view phantom_mouse_100um --points cells.csv
  brainglobe view phantom_mouse_100um --values counts.csv --column total
  brainglobe view phantom_mouse_100um --neuroglancer
"""
_FILE = click.Path(path_type=Path)


@click.command(cls=Verb, help=_HELP)
@atlas_argument
@click.option("--structure", "structures", multiple=True, metavar="ACRONYM", help="Show a region.")
@click.option("--position", metavar="A,B,C", help="Where the slices meet, µm.")
@click.option("--points", type=_FILE, metavar="FILE", help="Show points, and count them by region.")
@click.option(
    "--unit", type=click.Choice(("um", "mm", "voxel")), help="Unit of the points; default um."
)
@click.option("--columns", metavar="A,B,C", help="Coordinate columns of the points.")
@click.option("--values", type=_FILE, metavar="FILE", help="Colour regions by a column of numbers.")
@click.option("--column", metavar="NAME", help="Which column of the values.")
@click.option("--neuroglancer", is_flag=True, help="Serve it to Neuroglancer, and print the link.")
@click.option("--client", metavar="URL", help="Of Neuroglancer; default the public one.")
@click.option("--port", type=int, default=0, metavar="N", help="Default: any that is free.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@version_option
def view(  # noqa: PLR0913 - one parameter an option
    *,
    atlas_name: str,
    structures: tuple[str, ...],
    position: str | None,
    points: Path | None,
    unit: str | None,
    columns: str | None,
    values: Path | None,
    column: str | None,
    neuroglancer: bool,
    client: str | None,
    port: int,
    no_browser: bool,
    version: str | None,
) -> None:
    """Show an atlas; ``_HELP`` explains it to users."""
    from bg_atlasapi.view.viewer import Wish, start, start_neuroglancer

    for needed, given, what in (
        (neuroglancer, client, "--client goes with --neuroglancer."),
        (values, column, "--column goes with --values."),
        (points, unit or columns, "--unit and --columns go with --points."),
    ):
        if given and not needed:
            raise InvalidInputError(what)
    wish = Wish(
        _triplet(position),
        structures,
        points,
        values,
        unit,
        split_columns(columns) or (),
        column,
        port,
    )
    if neuroglancer and (points or values):
        raise InvalidInputError("--points and --values are shown by the viewer of this package.")
    atlas = open_atlas(atlas_name, version)
    if neuroglancer:
        what = f"Serving {atlas_name} to Neuroglancer:"
        begin = partial(start_neuroglancer, atlas, wish, client=client)
    else:
        what, begin = f"Showing {atlas_name} at", partial(start, atlas, wish)
    _until_stopped(begin, what, browser=not no_browser)


def _until_stopped(
    begin: Callable[[Callable[[str], object]], Viewing], what: str, *, browser: bool
) -> None:
    """Show until Ctrl-C, which is how it ends from the moment that the address is there."""
    from bg_atlasapi.view.serving import Opening

    opening, shown = Opening(), False

    def announce(url: str) -> None:
        nonlocal shown
        shown = True
        click.echo(f"{what} {url}")
        click.echo("Ctrl-C stops.")
        if browser:
            opening(url)

    try:
        with begin(announce) as viewing:
            if browser and not opening.done():
                note("No browser could be opened here: open the address above in one.")
            viewing.wait()
    except KeyboardInterrupt:
        if not shown:
            raise
    click.echo("Stopped.")


def _triplet(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(one) for one in text.split(",")]
    except ValueError:
        message = f"--position takes three numbers of µm, as in 7100,3870,4500; got {text!r}."
        raise InvalidInputError(message) from None
