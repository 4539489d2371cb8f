"""What the verbs share that ask about points: their options, and what is wrong with a unit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from bg_atlasapi.cli.groupings import grouping_at
from bg_atlasapi.cli.options import note
from bg_atlasapi.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Container

    from bg_atlasapi.bg_atlas import BrainGlobeAtlas
    from bg_atlasapi.formats.points_batches import Report
    from bg_atlasapi.query.grouping import Grouping

_FORMATS = ("csv", "tsv", "parquet", "npy", "xml")

points_argument = click.argument("points", metavar="POINTS")
unit_option = click.option(
    "--unit",
    type=click.Choice(("um", "mm", "voxel")),
    help="Unit of the coordinates; default um, voxel for cellfinder's XML.",
)
columns_option = click.option(
    "--columns",
    metavar="A,B,C",
    help="Names, or positions from 0, of the coordinate columns, in the atlas's axis order.",
)
format_option = click.option(
    "--format", "file_format", type=click.Choice(_FORMATS), help="Type of POINTS."
)


def at_option(text: str) -> Callable[[Any], Any]:
    """Return the option ``--at``, with its help."""
    return click.option("--at", metavar="DEPTH|ACRONYMS|FILE", help=text)


def output_option(text: str) -> Callable[[Any], Any]:
    """Return the option ``--output``, with its help."""
    kind = click.Path(path_type=Path)
    return click.option("-o", "--output", type=kind, metavar="FILE", help=text)


def points_source(points: str) -> str | BinaryIO:
    """Return the file that was named, or standard input for ``-``."""
    if points != "-":
        return points
    if sys.stdin is None:
        raise InvalidInputError("There is no standard input to read points from.")
    return sys.stdin.buffer


def split_columns(columns: str | None) -> list[str] | None:
    """Return what ``--columns`` names."""
    return None if columns is None else columns.split(",")


@contextmanager
def bar(phase: str) -> Iterator[Report]:
    """Give a report that draws a progress bar in a terminal."""
    from bg_atlasapi import progress_bar

    with progress_bar.shown() as shown:
        yield partial(shown, phase)


def parse_at(text: str | None, atlas: BrainGlobeAtlas) -> int | list[str] | Grouping | None:
    """Return what ``--at`` asks for: a depth, keys of structures, or a grouping.

    Raises
    ------
    InvalidInputError
        If it is deeper than the atlas, empty, or a file that is no grouping.
    """
    if text is None:
        return None
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


def suspect_unit(atlas: BrainGlobeAtlas, beyond: int, count: int, unit: str) -> None:
    """Ask whether the unit is right if most points lie beyond the volume."""
    if beyond > count / 2:
        extent = " × ".join(f"{length:g}" for length in atlas.shape_um)
        note(
            f"{beyond} of {count} points lie beyond the volume of {extent} µm. They were "
            f"read in the unit {unit!r}: is --unit right, and are they in the atlas's space?"
        )
