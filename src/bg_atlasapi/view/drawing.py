"""Draw a slice with matplotlib: image, regions, outlines, acronyms, scale bar, letters.

What is drawn where is decided in ``regions``; which slices, and how they stand beside each other,
in ``plotting``. Regions are one path each, named after their acronym, so that they can be picked in
an SVG or PDF; every outline is drawn once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.view import tracing
from bg_atlasapi.view.outlines import in_plane, polygons_of
from bg_atlasapi.view.planes import Plane
from bg_atlasapi.view.regions import SIDES, Picture
from bg_atlasapi.view.style import Style

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.path import Path

    Array = npt.NDArray[Any]
    Limits = tuple[tuple[float, float], tuple[float, float]]

POINTS_PER_INCH = 72.0
# Width of a letter of the usual fonts in points at size 1; where it is wrong, it is too wide.
_LETTER = 0.6
_LEAST_SIZE = 4.0
# How dark a colour is to the eye, red, green and blue (ITU-R BT.709).
_LUMINANCE = (0.2126, 0.7152, 0.0722)
# What an image may hold where there is nothing, of its brightest.
_NOISE = 0.1
_BRAIN, _OTHERS = "0.35", "0.6"
_ABOVE_IMAGE, _ABOVE_REGIONS, _ABOVE_LINES = 1.5, 2.0, 3.0


@dataclass(frozen=True, slots=True)
class Look:
    """What regions look like.

    Parameters
    ----------
    colour
        Of a key: red, green, blue, opacity, 0 to 1; None leaves the region empty.
    name
        Of a code: its acronym.
    acronyms
        Whether acronyms are written.
    tolerance
        How much of the room a text takes its region must have.
    """

    colour: Callable[[int], tuple[float, ...] | None]
    name: Callable[[int], str]
    acronyms: bool
    tolerance: float


def draw(
    ax: Axes, picture: Picture, image: Array | None, look: Look, style: Style, per_um: float
) -> None:
    """Draw a slice.

    Parameters
    ----------
    ax
        Where to.
    picture
        The slice.
    image
        What lies below, values from 0 to 1 with NaN outside; None for nothing.
    look, style
        What it looks like.
    per_um
        Points of the page for a µm, to know where texts have room.
    """
    if image is not None:
        _draw_image(ax, image, picture, style)
    trace = tracing.traced(picture.keys, smooth=style.smooth)
    _draw_regions(ax, trace, picture.plane, look, style)
    _draw_lines(ax, trace, picture, style)
    if look.acronyms:
        _write_acronyms(ax, trace, picture.plane, look, style, per_um)


def _draw_image(ax: Axes, image: Array, picture: Picture, style: Style) -> None:
    """Draw an image: all of it within the brain's outline, and beyond that what is tissue.

    Where there is neither it stays transparent, for pages are white.
    """
    level = np.nan_to_num(image, nan=0.0)
    shades = np.repeat((level * 255).astype(np.uint8)[..., None], 4, axis=2)
    beyond = np.clip((level - _NOISE) * 10, 0, 1) * 255
    beyond *= _broad((picture.codes == 0) & (beyond > 0))
    for alpha in (beyond.astype(np.uint8), np.uint8(255)):
        if not np.any(alpha):
            continue
        shades[..., 3] = alpha
        (left, right), (top, bottom) = picture.plane.limits_um
        drawn = ax.imshow(
            shades.copy(),
            extent=(left, right, bottom, top),
            interpolation="none",  # the others draw it coarsely into an SVG or PDF
            aspect="auto",
            zorder=1,
        )
    brain = tracing.traced((picture.codes > 0).astype(np.intp), smooth=style.smooth)
    polygons = polygons_of(brain, picture.plane).get(1, [])
    drawn.set_clip_path(_path(polygons), ax.transData)


def _broad(mask: Array) -> Array:
    """Return the parts of a mask that are three pixels wide: no rim of what the edge blurs."""
    inner = _grown(~mask)
    return mask & _grown(~inner)


def _grown(mask: Array) -> Array:
    """Return a mask with all neighbours of its pixels."""
    for axis in (0, 1):
        framed = np.pad(mask, [(1, 1) if one == axis else (0, 0) for one in (0, 1)])
        first, second, third = (
            framed.take(range(start, start + mask.shape[axis]), axis) for start in (0, 1, 2)
        )
        mask = first | second | third
    return mask


def _draw_regions(ax: Axes, trace: tracing.Trace, plane: Plane, look: Look, style: Style) -> None:
    from matplotlib.patches import PathPatch

    transform = ax.transData
    for key, polygons in polygons_of(trace, plane).items():
        colour = look.colour(key)
        if colour is None:
            continue
        patch = PathPatch(
            _path(polygons),
            facecolor=colour,
            edgecolor="none",
            # Unless a line lies over it, a smooth edge would let the ground through at the seam.
            antialiased=bool(style.outlines),
            zorder=_ABOVE_IMAGE,
            gid=look.name(key // SIDES),
        )
        patch.set_transform(transform)
        ax.add_artist(patch)  # add_patch would look at every point for the limits


def _path(polygons: Sequence[Sequence[Array]]) -> Path:
    """Return matplotlib's path through the rings of polygons."""
    from matplotlib.path import Path

    rings = [ring for polygon in polygons for ring in polygon]
    if not rings:
        return Path(np.empty((0, 2)))
    ends = np.cumsum([len(ring) + 1 for ring in rings])
    starts = ends - [len(ring) + 1 for ring in rings]
    points = np.empty((int(ends[-1]), 2))
    codes = np.full(len(points), Path.LINETO, Path.code_type)
    for ring, start, end in zip(rings, starts.tolist(), ends.tolist(), strict=True):
        points[start : end - 1] = ring
        points[end - 1] = ring[0]
    codes[starts] = Path.MOVETO
    codes[ends - 1] = Path.CLOSEPOLY
    return Path(points, codes)


def _draw_lines(ax: Axes, trace: tracing.Trace, picture: Picture, style: Style) -> None:
    if not style.outlines or not style.line_width:
        return
    plane = picture.plane
    if not np.array_equal(picture.keys > 0, picture.codes > 0):
        everyone = style.outlines == "all"
        around = picture.codes if everyone else (picture.codes > 0).astype(np.intp)
        colour, width = (_OTHERS, 0.5) if everyone else (_BRAIN, 1.0)
        others = tracing.traced(around, smooth=style.smooth)
        _line(ax, others, plane, colour, style.line_width * width)
    _line(ax, trace, plane, style.line_colour, style.line_width)


def _line(ax: Axes, trace: tracing.Trace, plane: Plane, colour: Any, width: float) -> None:
    from matplotlib.collections import LineCollection

    lines = tracing.borders_of(trace.labels)
    places = in_plane(trace.places, plane)
    points, starts = tracing.points_of(lines, places, trace.spare, closed=False)
    if not len(points):
        return
    collection = LineCollection(
        np.split(points, starts[1:-1]),
        colors=[colour],
        linewidths=width,
        capstyle="round",
        joinstyle="round",
        zorder=_ABOVE_REGIONS,
        gid="outlines",
    )
    ax.add_collection(collection, autolim=False)


def _write_acronyms(
    ax: Axes, trace: tracing.Trace, plane: Plane, look: Look, style: Style, per_um: float
) -> None:
    """Write each acronym once, into the roomiest part of its region, the left side before."""
    pixels, rooms = tracing.rooms_of(trace.labels, trace.parts, plane.pixel_um[::-1])
    keys = trace.labels.reshape(-1)[trace.first]
    sizes = np.bincount(trace.parts.reshape(-1), minlength=len(keys) + 1)[1:]
    places = _centres(pixels, plane)
    left = places[:, 0] * (-1 if plane.turned[0] else 1)
    taken: list[tuple[float, float, float, float]] = []
    for key in np.unique(keys).tolist():
        mine = np.flatnonzero(keys == key)
        mine = mine[sizes[mine] >= 0.6 * sizes[mine].max()]
        at = int(mine[np.argmin(left[mine])])
        name = look.name(key // SIDES)
        size = _fitting(name, rooms[at] * per_um, style.font_size, look.tolerance)
        if size is None:
            continue
        half = len(name) * size * _LETTER / 2 / per_um, size * 0.6 / per_um
        across, down = places[at].tolist()
        box = (across - half[0], across + half[0], down - half[1], down + half[1])
        if any(_overlap(box, other) for other in taken):
            continue
        taken.append(box)
        ax.text(
            across,
            down,
            name,
            fontsize=size,
            color=_ink(look.colour(key)),
            ha="center",
            va="center_baseline",
            clip_on=True,
            zorder=_ABOVE_LINES,
        )


def _centres(pixels: Array, plane: Plane) -> Array:
    row, column = np.divmod(pixels, plane.shape[1])
    return np.stack(
        [
            plane.start_um[0] + (column + 0.5) * plane.pixel_um[0],
            plane.start_um[1] + (row + 0.5) * plane.pixel_um[1],
        ],
        axis=1,
    )


def _fitting(text: str, room: Array, size: float, tolerance: float) -> float | None:
    """Return the size at which a text fits into a room, at most the one wished for."""
    if not text:
        return None
    fits = min(float(room[0]) / (len(text) * _LETTER / 2), float(room[1]) / 0.5)
    least = max(_LEAST_SIZE, 0.65 * size)
    if fits < least * tolerance:
        return None
    return min(max(fits, least), size)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def _ink(colour: tuple[float, ...] | None) -> str:
    """Return black or white, whichever can be read on a colour."""
    if colour is None or len(colour) < 4 or colour[3] < 0.5:
        return "black"
    light = sum(share * part for share, part in zip(_LUMINANCE, colour[:3], strict=True))
    return "black" if light > 0.45 else "white"


def finish(
    ax: Axes, plane: Plane, limits: Limits, style: Style, *, bar: bool, letters: bool, alone: bool
) -> None:
    """Set the limits of an axes the right way up, and add what stands around a slice.

    Parameters
    ----------
    ax
        Where it was drawn.
    plane
        The plane.
    limits
        What to show of it, µm across and down.
    style
        What it looks like.
    bar, letters
        Whether this slice gets the scale bar, and the sides of the body.
    alone
        Whether it is the only one.
    """
    (left, right), (top, bottom) = limits
    ax.set_xlim((right, left) if plane.turned[0] else (left, right))
    ax.set_ylim((top, bottom) if plane.turned[1] else (bottom, top))
    ax.set_aspect("equal")
    if style.title:
        own = plane.title if alone else plane.place
        ax.set_title(
            own if style.title is True else str(style.title),
            fontsize=style.font_size + 2,
            pad=style.font_size * (2.0 if style.letters else 0.5),
            y=1.0,  # else matplotlib lays out every tick to find what the title must clear
        )
    if style.axes:
        _mark_axes(ax, plane, style)
    else:
        ax.set_axis_off()
    if style.letters and letters and not style.axes:
        _write_letters(ax, plane, style)
    if bar and style.scale_bar and not style.axes:
        _draw_bar(ax, style)


def _mark_axes(ax: Axes, plane: Plane, style: Style) -> None:
    for axis, (one, other) in ((ax.xaxis, plane.letters[:2]), (ax.yaxis, plane.letters[2:])):
        axis.set_major_formatter(lambda um, _: f"{um / 1000:g}")
        axis.set_label_text(f"{_WORDS[one]} – {_WORDS[other]} (mm)", fontsize=style.font_size + 1)
        axis.set_tick_params(labelsize=style.font_size)
    ax.spines[["top", "right"]].set_visible(False)


_WORDS = {
    "a": "anterior",
    "p": "posterior",
    "s": "superior",
    "i": "inferior",
    "l": "left",
    "r": "right",
}
_AROUND = ((0, 0.5, -1, 0), (1, 0.5, 1, 0), (0.5, 1, 0, 1), (0.5, 0, 0, -1))
_ALIGNED = {-1: ("right", "top"), 0: ("center", "center"), 1: ("left", "bottom")}


def _write_letters(ax: Axes, plane: Plane, style: Style) -> None:
    for letter, (across, up, right, above) in zip(plane.letters, _AROUND, strict=True):
        ax.annotate(
            letter.upper(),
            (across, up),
            xycoords="axes fraction",
            xytext=(right * 2, above * 2),
            textcoords="offset points",
            ha=_ALIGNED[right][0],
            va=_ALIGNED[above][1],
            fontsize=style.font_size + 1,
            color="0.3",
        )


def round_length(length: float) -> float:
    """Return the longest of 1, 2 or 5 times a power of ten that is no longer than a length."""
    power = 10.0 ** math.floor(math.log10(length))
    return max(times * power for times in (1, 2, 5) if times * power <= length * (1 + 1e-9))


def _draw_bar(ax: Axes, style: Style) -> None:
    """Draw a bar of a round length below the lower right corner."""
    from matplotlib.transforms import ScaledTranslation

    left, right = ax.get_xlim()
    length = round_length(abs(right - left) / 5)
    start = right - length if right > left else right + length
    gap = 0.4 * style.font_size
    move = ScaledTranslation(0, -gap / POINTS_PER_INCH, ax.figure.dpi_scale_trans)
    place = ax.get_xaxis_transform() + move  # µm across, and a part of the height
    ax.plot(
        [start, right],
        [0, 0],
        color="black",
        linewidth=1.5,
        solid_capstyle="butt",
        transform=place,
        clip_on=False,
        scalex=False,
        scaley=False,
        zorder=_ABOVE_LINES,
        gid="scale bar",
    )
    ax.annotate(
        f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm",
        ((start + right) / 2, 0),
        xycoords=place,
        xytext=(0, -gap),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=style.font_size,
        annotation_clip=False,
    )
