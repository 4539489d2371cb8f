"""How a plot looks: every option, its default, and what is wrong with one that cannot be."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from bg_atlasapi.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Style:
    """How a plot looks.

    Parameters
    ----------
    image
        What lies below: ``"template"``, the name of an additional reference, an array of the
        atlas's shape, or None.
    alpha
        How opaque regions are, 0 to 1; None chooses.
    cmap, vmin, vmax
        Colours of values: a colour map of matplotlib, and the values at its ends.
    outlines
        Outlines of what is drawn, and of the brain; ``"all"`` draws those of all labels.
    line_width, line_colour
        Of outlines; width in points, colour as matplotlib takes it.
    smooth
        Take the stairs of voxels out of regions and outlines, by half a voxel at most.
    labels
        Write acronyms where there is room. None: where structures or values were given.
    font_size
        Of acronyms, points; other texts follow it.
    scale_bar, letters, title
        A bar of a round length and the sides of the body (neither with ``axes``); a title, True for
        the plane and position.
    colour_bar
        A colour bar, of values; a text is written beside it.
    axes
        Coordinates in mm along the sides.
    columns
        Of a grid of slices; None chooses.
    width
        Of a new figure, inches; None chooses.
    """

    image: Any = "template"
    alpha: float | None = None
    cmap: Any = "viridis"
    vmin: float | None = None
    vmax: float | None = None
    outlines: bool | str = True
    line_width: float = 0.5
    line_colour: Any = "0.15"
    smooth: bool = True
    labels: bool | None = None
    font_size: float = 6.0
    scale_bar: bool = True
    letters: bool = True
    title: bool | str = True
    colour_bar: bool | str = True
    axes: bool = False
    columns: int | None = None
    width: float | None = None


class StyleOptions(TypedDict, total=False):
    """The same as keywords; see ``Style``."""

    image: Any
    alpha: float | None
    cmap: Any
    vmin: float | None
    vmax: float | None
    outlines: bool | str
    line_width: float
    line_colour: Any
    smooth: bool
    labels: bool | None
    font_size: float
    scale_bar: bool
    letters: bool
    title: bool | str
    colour_bar: bool | str
    axes: bool
    columns: int | None
    width: float | None


_NUMBERS = {  # what they are, and between what
    "alpha": (0.0, 1.0),
    "vmin": (-math.inf, math.inf),
    "vmax": (-math.inf, math.inf),
    "line_width": (0.0, 100.0),
    "font_size": (0.1, 1000.0),
    "width": (0.1, 1000.0),
    "columns": (1, 10_000),
}


def style_of(options: Mapping[str, Any]) -> Style:
    """Return the style that options describe.

    Raises
    ------
    InvalidInputError
        If an option is unknown or its value cannot be.
    """
    known = [field.name for field in dataclasses.fields(Style)]
    for name in options:
        if name not in known:
            from difflib import get_close_matches

            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}=?" if close else f"there are {', '.join(known)}."
            raise InvalidInputError(f"{name}= is no option of a plot; {hint}")
    style = Style(**options)
    for name, (low, high) in _NUMBERS.items():
        _check_number(name, getattr(style, name), low, high)
    if style.vmin is not None and style.vmax is not None and style.vmin > style.vmax:
        raise InvalidInputError(f"vmin= {style.vmin:g} is more than vmax= {style.vmax:g}.")
    if style.outlines not in (True, False, "all"):
        raise InvalidInputError(f"outlines= is True, False or 'all', not {style.outlines!r}.")
    return style


def _check_number(name: str, value: Any, low: float, high: float) -> None:
    if value is None:
        return
    try:
        number = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    whole = name != "columns" or number == int(number if math.isfinite(number) else 0)
    if not math.isfinite(number) or not low <= number <= high or not whole:
        kind = "a whole number" if name == "columns" else "a finite number"
        span = "" if math.isinf(low) else f" from {low:g} to {high:g}"
        raise InvalidInputError(f"{name}= is {kind}{span}, not {value!r}.")
