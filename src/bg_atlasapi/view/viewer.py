"""Open the viewer on an atlas: what ``atlas.view()`` and ``brainglobe view`` call."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.query.subject import Subject, subject_of

if TYPE_CHECKING:
    from bg_atlasapi.settings import PathLike
    from bg_atlasapi.view.overlays import Overlays
    from bg_atlasapi.view.serving import Viewing


@dataclass(frozen=True, slots=True)
class Wish:
    """What to show, and where to begin.

    Parameters
    ----------
    position_um
        Where the slices meet, µm in the atlas's axis order; None is the middle.
    structures
        Selected (the first) and shown in 3-D (all).
    points, values
        Files of points and of values.
    unit, columns
        Of the points.
    column
        Of the values.
    port
        0 for any that is free.
    """

    position_um: Sequence[float] | None = None
    structures: Sequence[object] = ()
    points: PathLike | None = None
    values: PathLike | None = None
    unit: str | None = None
    columns: Sequence[str] = ()
    column: str | None = None
    port: int = 0


def _nobody(_url: str) -> None:
    """Tell nobody."""


def start(atlas: Any, wish: Wish, announce: Callable[[str], object] = _nobody) -> Viewing:
    """Start the viewer; it runs in a thread of its own.

    Parameters
    ----------
    atlas
        An atlas.
    wish
        What to show.
    announce
        Called with the address as soon as connections wait there: a browser takes as long to come
        up as the server does.

    Raises
    ------
    InvalidInputError
        If the position lies outside the volume, a file cannot be read, or the port is in use.
    UnknownStructureError
        If the atlas lacks a structure.
    IncompleteAtlasError, InvalidAtlasError
        If a file of the atlas is missing or damaged.
    """
    from bg_atlasapi.view.serving import Viewing, address_of, listen

    plain = wish == Wish(port=wish.port)
    beginning = None if plain else _beginning(atlas, wish)  # what is wrong is said first
    listening = listen(wish.port)
    fragment = beginning.fragment if beginning else ""
    try:
        announce(address_of(listening, fragment))
        from bg_atlasapi.view.app import ViewerApp

        overlays = beginning.overlays if beginning else None
        app = ViewerApp(atlas, listening.getsockname()[1], overlays)
    except BaseException:
        listening.close()
        raise
    viewing = Viewing(app, listening, fragment)  # the page is answered from here on
    try:
        app.warm(beginning.voxel if beginning else None)
    except BaseException:
        viewing.close()
        raise
    return viewing


@dataclass(frozen=True, slots=True)
class _Beginning:
    """Where a view begins, found valid."""

    voxel: tuple[int, int, int] | None
    fragment: str
    overlays: Overlays


def _beginning(atlas: Any, wish: Wish) -> _Beginning:
    from bg_atlasapi.view.overlays import Overlays, Request

    subject = subject_of(atlas)
    voxel = None if wish.position_um is None else position_voxel(subject, wish.position_um)
    fragment = _fragment(subject, voxel, wish.structures)
    points = wish.points and Request.of_path(wish.points, wish.unit, tuple(wish.columns))
    column = (wish.column,) if wish.column else ()
    values = wish.values and Request.of_path(wish.values, columns=column)
    return _Beginning(voxel, fragment, Overlays(subject, points or None, values or None))


def start_neuroglancer(
    atlas: Any,
    wish: Wish,
    announce: Callable[[str], object] = _nobody,
    *,
    client: str | None = None,
) -> Viewing:
    """Serve an atlas to Neuroglancer; the address of what is returned shows it in a client.

    Parameters
    ----------
    atlas
        An atlas.
    wish
        Position, structures and port.
    announce
        Called with the address once it answers.
    client
        Address of the client; default the public one, which a browser fetches from the network.

    Raises
    ------
    InvalidInputError
        If the position lies outside the volume, the port is in use, or the client is no address.
    UnknownStructureError
        If the atlas lacks a structure.
    """
    from bg_atlasapi.view.neuroglancer import CLIENT, NeuroglancerApp, checked_client
    from bg_atlasapi.view.serving import Viewing, listen

    subject = subject_of(atlas)
    voxel = None if wish.position_um is None else position_voxel(subject, wish.position_um)
    codes = [subject.terminology.code(key) for key in wish.structures]
    client = checked_client(client or CLIENT)
    listening = listen(wish.port)
    app = NeuroglancerApp(atlas, listening.getsockname()[1], client, codes, voxel)
    viewing = Viewing(app, listening, url=app.link)
    try:
        announce(viewing.url)
    except BaseException:
        viewing.close()
        raise
    return viewing


def is_typed() -> bool:
    """Say whether somebody types into this interpreter, which then outlives the call."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive) or "ipykernel" in sys.modules


def _fragment(subject: Subject, voxel: Sequence[int] | None, structures: Sequence[object]) -> str:
    """Return the part of the address that says where the view begins."""
    terms = []
    if voxel is not None:
        terms.append("p=" + ",".join(map(str, voxel)))
    codes = [subject.terminology.code(key) for key in structures]
    ids = [str(int(subject.terminology.ids[code])) for code in codes]
    if ids:
        terms.append(f"s={ids[0]}")
        terms.append("m=" + ",".join(ids))
    return "&".join(terms)


def position_voxel(subject: Subject, position_um: Sequence[float]) -> tuple[int, int, int]:
    """Return the voxel of a position.

    Raises
    ------
    InvalidInputError
        If it is not three numbers, or lies outside the volume.
    """
    space = subject.space
    try:
        place = [float(one) for one in position_um]
    except (TypeError, ValueError):
        place = []
    if len(place) != 3 or not all(map(math.isfinite, place)):
        raise InvalidInputError(f"A position is three numbers of µm, got {position_um!r}.")
    extent = [length * size for length, size in zip(space.shape, space.spacing_um, strict=True)]
    if not all(0 <= one < end for one, end in zip(place, extent, strict=True)):
        asked = ", ".join(f"{one:g}" for one in place)
        ends = " × ".join(f"{one:g}" for one in extent)
        message = f"The position ({asked}) µm lies outside the volume of {ends} µm."
        raise InvalidInputError(message)
    first, second, third = (
        int(one // size) for one, size in zip(place, space.spacing_um, strict=True)
    )
    return first, second, third
