"""How slices stand on a page: all to the same scale, beside and below each other.

Decides sizes and places; what is drawn there is the business of ``drawing``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bg_atlasapi.late import np
from bg_atlasapi.view.drawing import POINTS_PER_INCH
from bg_atlasapi.view.planes import Plane
from bg_atlasapi.view.regions import Picture
from bg_atlasapi.view.style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bg_atlasapi.view.drawing import Limits

# Widths of a column and of a page of most journals, inches (89 and 183 mm).
_COLUMN, _PAGE = 3.5, 7.2
_TEXT_LINES = 1.4  # of a line of text, in its size


@dataclass(frozen=True, slots=True)
class Layout:
    """Slices on a page, all to the same scale.

    Parameters
    ----------
    limits
        Of each slice, what is shown of it, µm across and down.
    columns
        How many stand beside each other.
    cell
        Width and height of the largest, inches.
    margins
        Of each: left, right, above and below, inches.
    bar
        Room for a colour bar, inches.
    """

    limits: tuple[Limits, ...]
    columns: int
    cell: tuple[float, float]
    margins: tuple[float, float, float, float]
    bar: float

    @classmethod
    def of(cls, pictures: Sequence[Picture], style: Style, *, has_bar: bool) -> Layout:
        """Lay slices out."""
        limits = _limits_of(pictures)
        count = len(pictures)
        wide, high = (max(one[at][1] - one[at][0] for one in limits) for at in (0, 1))
        columns = int(style.columns or _columns(count, high / wide))
        columns = min(columns, count)
        line = style.font_size * _TEXT_LINES / POINTS_PER_INCH
        left = right = line if style.letters else line * 0.3
        above = (1.7 * line if style.title else 0.3 * line) + (1.1 * line if style.letters else 0)
        below = 1.7 * line if style.letters or style.scale_bar else 0.3 * line
        if style.axes:
            left, below = 5 * line, 3.5 * line
        bar = 6 * line if has_bar else 0.0
        width = style.width or (_COLUMN if columns == 1 else _PAGE)
        cell = max((width - bar) / columns - left - right, 0.2)
        margins = (left, right, above, below)
        return cls(limits, columns, (cell, cell * high / wide), margins, bar)

    @property
    def _pitch(self) -> tuple[float, float]:
        left, right, above, below = self.margins
        return self.cell[0] + left + right, self.cell[1] + above + below

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the figure, inches."""
        rows = math.ceil(len(self.limits) / self.columns)
        wide, high = self._pitch
        return (self.columns * wide + self.bar, rows * high)

    @property
    def points_per_um(self) -> float:
        """Points of the page for a µm of the atlas."""
        widest = max(one[0][1] - one[0][0] for one in self.limits)
        return self.cell[0] * POINTS_PER_INCH / widest

    def axes_on(self, figure: Figure) -> list[Axes]:
        """Add the axes to a figure of any size."""
        width, height = self.size
        margin, _, above, _ = self.margins
        inch = self.points_per_um / POINTS_PER_INCH
        axes = []
        for at, limits in enumerate(self.limits):
            row, column = divmod(at, self.columns)
            wide, high = ((end - start) * inch for start, end in limits)
            left = column * self._pitch[0] + margin + (self.cell[0] - wide) / 2
            top = row * self._pitch[1] + above + (self.cell[1] - high) / 2
            box = (left / width, 1 - (top + high) / height, wide / width, high / height)
            axes.append(figure.add_axes(box))
        return axes

    def bar_on(self, figure: Figure) -> Axes:
        """Add the axes of the colour bar."""
        width, height = self.size
        _, _, above, below = self.margins
        high = min(height - above - below, 1.5)
        left = (width - self.bar * 0.85) / width
        return figure.add_axes(
            (left, (height - high + below - above) / 2 / height, 0.09 / width, high / height)
        )


def _columns(count: int, tall: float) -> int:
    """Return into how many columns slices go: on a page wider than high, the last row full."""
    usual = max(1, round(math.sqrt(count * 1.6 * tall)))
    return min((usual, usual + 1), key=lambda columns: -count % columns)


def _limits_of(pictures: Sequence[Picture]) -> tuple[Limits, ...]:
    """Return what is shown of each slice: the brain; of slices of one direction, all alike."""
    own = [_brain(one) for one in pictures]
    if pictures[0].plane.voxel is None:
        return tuple(
            _with_margin(one, picture.plane) for one, picture in zip(own, pictures, strict=True)
        )
    plane = pictures[0].plane
    known = [one for one in own if one is not None]
    whole = (
        None
        if not known
        else tuple(
            (min(one[at][0] for one in known), max(one[at][1] for one in known)) for at in (0, 1)
        )
    )
    return (_with_margin(whole, plane),) * len(pictures)  # type: ignore[arg-type]


def _brain(picture: Picture) -> Limits | None:
    """Return between which coordinates a slice has labels."""
    plane, inside = picture.plane, picture.codes > 0
    if not inside.any():
        return None
    spans = []
    for axis, (start, size) in enumerate(zip(plane.start_um, plane.pixel_um, strict=True)):
        at = np.flatnonzero(inside.any(axis=axis))
        spans.append((start + int(at[0]) * size, start + (int(at[-1]) + 1) * size))
    return spans[0], spans[1]


def _with_margin(limits: Limits | None, plane: Plane) -> Limits:
    if limits is None:
        return plane.limits_um
    margin = 0.02 * max(end - start for start, end in limits)
    first, second = ((start - margin, end + margin) for start, end in limits)
    return first, second
