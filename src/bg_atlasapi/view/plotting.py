"""``atlas.plot``: slices of an atlas as a figure of matplotlib, one or a grid of them.

What is drawn is decided in ``regions`` and drawn in ``drawing``; how slices stand on a page is
decided in ``layout``.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.space import UM_PER_UNIT
from bg_atlasapi.query.subject import Subject, side_of, subject_of
from bg_atlasapi.store import disk
from bg_atlasapi.view import drawing
from bg_atlasapi.view.cuts import image_in
from bg_atlasapi.view.drawing import POINTS_PER_INCH, Look
from bg_atlasapi.view.layout import Layout
from bg_atlasapi.view.planes import Plane, normal_axis, plane_name, planes_of
from bg_atlasapi.view.regions import (
    SIDES,
    Picture,
    Wanted,
    best_position,
    picture_of,
    value_of,
    wanted_of,
)
from bg_atlasapi.view.style import Style, style_of

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

    from bg_atlasapi.formats.provenance import Provenance
    from bg_atlasapi.view.drawing import Limits

    Array = npt.NDArray[Any]

_MOST_SLICES, _MOST_DPI = 400, 10_000
# Of the room their text takes, what regions that were asked for need to have to be named.
_TOLERANCE = 0.75
_DESCRIBED = {"svg": "Description", "png": "Description", "pdf": "Subject"}
_UNLISTED = (0.5, 0.5, 0.5)
_NO_VALUE = (0.85, 0.85, 0.85, 1.0)


def plot(  # noqa: PLR0913 - the everyday ones have names, all others are options
    atlas: Any,
    plane: Any = "coronal",
    position: Any = None,
    *,
    values: Any = None,
    column: Any = None,
    structures: Any = None,
    hemisphere: str = "both",
    unit: str = "um",
    ax: Any = None,
    figure: Any = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Draw slices; see ``Atlas.plot``, which takes options as keywords.

    Parameters
    ----------
    atlas
        The atlas.
    plane, position, values, column, structures, hemisphere, unit, ax
        As there.
    figure
        A figure of matplotlib to draw into, which has no axes yet; None makes one with pyplot.
    options
        See ``Style``.

    Returns
    -------
    matplotlib.axes.Axes or numpy.ndarray
        One, or an array of as many as there are positions.
    """
    _need_matplotlib()
    style = style_of(options or {})
    subject = subject_of(atlas)
    wanted = wanted_of(subject.terminology, values, column, structures, side_of(hemisphere))
    if position is None:
        best = best_position(subject, plane, wanted)
        planes = planes_of(subject.space, plane, best, "um")
    else:
        places = _place(subject, plane, position, unit)
        planes = planes_of(subject.space, plane, places, unit)
    if len(planes) > _MOST_SLICES:
        raise InvalidInputError(f"{len(planes)} slices are too many for one figure.")
    several = _is_list(plane, position)
    if several and ax is not None:
        raise InvalidInputError("ax= is one axes, for one slice; several positions were given.")
    pictures = [picture_of(subject, one, wanted) for one in planes]
    images = _images(atlas, subject, planes, style)
    scale = _scale_of(pictures, wanted, style)
    look = _look_of(subject, wanted, style, scale, has_image=images[0] is not None)
    layout = Layout.of(pictures, style, has_bar=scale is not None and bool(style.colour_bar))
    if ax is None:
        axes = layout.axes_on(_figure_of(layout, figure))
        per_um = layout.points_per_um
    else:
        axes, per_um = [ax], _points_per_um(ax, layout.limits[0])
    for at, (one, picture, image) in enumerate(zip(axes, pictures, images, strict=True)):
        drawing.draw(one, picture, image, look, style, per_um)
        drawing.finish(
            one,
            picture.plane,
            layout.limits[at],
            style,
            bar=at == len(axes) - 1,
            letters=at == 0 or picture.plane.voxel is None,
            alone=len(axes) == 1,
        )
    if scale is not None and style.colour_bar:
        _add_colour_bar(axes, scale, layout if ax is None else None, wanted, style)
    return np.array(axes, dtype=object) if several else axes[0]


def _need_matplotlib() -> None:
    try:
        import matplotlib.axes  # noqa: F401 - is it there?
    except ImportError as error:
        message = 'Plots need the package matplotlib: pip install "bg-atlasapi[plot]".'
        raise InvalidInputError(message) from error


def _is_list(plane: Any, position: Any) -> bool:
    """Say whether several positions were given, be it a list of one."""
    single = isinstance(position, str) or hasattr(position, "acronym")
    if single or not hasattr(position, "__len__"):
        return False
    point = plane_name(plane) == "oblique" and len(position) == 3 and np.ndim(position[0]) == 0
    return not point


def _place(subject: Subject, plane: Any, position: Any, unit: str) -> Any:
    """Return a position; a structure stands for the plane that meets most of it."""
    oblique = plane_name(plane) == "oblique"
    if isinstance(position, list | tuple) and not oblique:
        return [_place(subject, plane, one, unit) for one in position]
    if not isinstance(position, str) and not hasattr(position, "acronym"):
        return position
    wanted = wanted_of(subject.terminology, None, None, position, None)
    found = best_position(subject, plane, wanted)
    if found is None:
        why = "an oblique plane is put through a point" if oblique else "it has no voxels"
        message = f"The position {position!r} is a structure that no plane is put through: {why}."
        raise InvalidInputError(message)
    axis = normal_axis(subject.space, plane_name(plane))
    return found / (UM_PER_UNIT.get(unit) or subject.space.spacing_um[axis])


def _images(
    atlas: Any, subject: Subject, planes: Sequence[Plane], style: Style
) -> list[Array | None]:
    """Return what lies below, from 0 to 1 in all slices alike."""
    if style.image is None:
        return [None] * len(planes)
    image = _named(atlas, style.image)
    slices = [np.asarray(image_in(image, subject, plane), np.float32) for plane in planes]
    if not any(np.any(one > 0) for one in slices):  # atlases without a template hold zeros there
        return [None] * len(planes)
    low, high = _contrast(slices)
    return [np.clip((one - low) / (high - low), 0, 1) for one in slices]


def _named(atlas: Any, image: Any) -> Any:
    if not isinstance(image, str):
        return image if hasattr(image, "shape") else np.asarray(image)
    if not hasattr(atlas, "volumes"):
        message = f"image={image!r} names an image of an atlas; {type(atlas).__name__} has none."
        raise InvalidInputError(message)
    held = getattr(atlas, "_held_image", None)
    found = held(image) if held is not None else None
    return atlas.volumes[image] if found is None else found


def _contrast(slices: Sequence[Array]) -> tuple[float, float]:
    """Return the values to show as black and white: single bright pixels do not count."""
    values = np.concatenate([one.reshape(-1) for one in slices])
    values = values[np.isfinite(values)]
    positive = values[values > 0]
    if not len(positive):
        return (0.0, 1.0)
    low = min(float(values.min()), 0.0)
    high = float(np.percentile(positive, 99.7))
    return (low, high) if high > low else (low, low + 1.0)


@dataclass(frozen=True, slots=True)
class _Scale:
    """How values become colours."""

    cmap: Colormap
    norm: Normalize


def _scale_of(pictures: Sequence[Picture], wanted: Wanted, style: Style) -> _Scale | None:
    if wanted.values is None:
        return None
    import matplotlib as mpl
    from matplotlib.colors import Colormap, Normalize

    if isinstance(style.cmap, Colormap):
        cmap = style.cmap
    elif style.cmap in mpl.colormaps:
        cmap = mpl.colormaps[style.cmap]
    else:
        message = (
            f"{style.cmap!r} is no colour map of matplotlib; try 'viridis', 'Reds', 'coolwarm'."
        )
        raise InvalidInputError(message)
    shown = [
        value_of(wanted, key) for one in pictures for key in np.unique(one.keys).tolist() if key
    ]
    known = [value for value in shown if math.isfinite(value)] or [
        value for value in np.unique(wanted.values).tolist() if math.isfinite(value)
    ]
    low = style.vmin if style.vmin is not None else min(known, default=0.0)
    high = style.vmax if style.vmax is not None else max(known, default=1.0)
    if not math.isfinite(high - low):
        message = f"Values from {low:g} to {high:g} span more than one scale of colours can show."
        raise InvalidInputError(message)
    if high <= low:  # as the colour bar does: a single value is in its middle
        room = abs(low) / 10 or 0.1
        low, high = low - room, low + room
    return _Scale(cmap, Normalize(low, high))


def _look_of(
    subject: Subject, wanted: Wanted, style: Style, scale: _Scale | None, *, has_image: bool
) -> Look:
    tree = subject.terminology
    usual = 1.0 if scale is not None else (0.55 if has_image else 1.0)
    alpha = usual if style.alpha is None else style.alpha

    def own_colour(key: int) -> tuple[float, ...]:
        code = key // SIDES
        rgb = _UNLISTED if code > len(tree) else (tree.colours[code] / 255.0).tolist()
        return (*rgb, alpha)

    def value_colour(key: int) -> tuple[float, ...] | None:
        assert scale is not None
        value = value_of(wanted, key)
        if not math.isfinite(value):
            return (*_NO_VALUE[:3], alpha)
        red, green, blue, opacity = scale.cmap(scale.norm(value))
        return (red, green, blue, opacity * alpha)

    def name(code: int) -> str:
        return tree.acronyms[code] if code <= len(tree) else "unlisted"

    acronyms = bool(wanted.chosen) if style.labels is None else style.labels
    tolerance = _TOLERANCE if wanted.chosen else 1.0
    return Look(own_colour if scale is None else value_colour, name, acronyms, tolerance)


def _figure_of(layout: Layout, figure: Figure | None) -> Figure:
    if figure is not None:
        figure.set_size_inches(layout.size)
        return figure
    from matplotlib import pyplot as plt

    made: Figure = plt.figure(figsize=layout.size)
    return made


def _points_per_um(ax: Axes, limits: Limits) -> float:
    """Return how many points a µm takes on an axes that somebody else made."""
    box = ax.get_window_extent()
    dots = min(
        size / (end - start)
        for size, (start, end) in zip((box.width, box.height), limits, strict=True)
    )
    return float(dots) * POINTS_PER_INCH / float(ax.figure.get_dpi())


def _add_colour_bar(
    axes: Sequence[Axes], scale: _Scale, layout: Layout | None, wanted: Wanted, style: Style
) -> None:
    from matplotlib.cm import ScalarMappable

    figure: Any = axes[0].figure
    shades = ScalarMappable(scale.norm, scale.cmap)
    if layout is None:
        bar = figure.colorbar(shades, ax=axes[0], shrink=0.6)
    else:
        bar = figure.colorbar(shades, cax=layout.bar_on(figure))
    text = wanted.quantity if style.colour_bar is True else str(style.colour_bar)
    bar.set_label(text, fontsize=style.font_size + 1)
    bar.ax.tick_params(labelsize=style.font_size, width=0.5, length=2)
    bar.outline.set_linewidth(0.5)
    bar.ax.xaxis.set_visible(False)  # shows nothing, but costs a third of the drawing


def save(
    path: Path,
    dpi: float,
    atlas: Any,
    plane: Any,
    position: Any,
    *,
    provenance: Provenance | None = None,
    **arguments: Any,
) -> list[str]:
    """Draw into a file, whole or not at all, and return what stands above the slices.

    No window and no pyplot: it works where there is no display. Texts stay texts in an SVG and a
    PDF, and the same call makes the same file.

    Parameters
    ----------
    path
        Its extension says which kind.
    dpi
        Dots per inch of images.
    atlas, plane, position
        As in ``plot``.
    provenance
        Kept in the file, undated, as JSON: the description of an SVG or PNG, the subject of a PDF.
    **arguments
        The others of ``plot``.

    Raises
    ------
    InvalidInputError
        If the kind of file is unknown, or it cannot be written; and as in ``plot``.
    """
    _need_matplotlib()
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kind = path.suffix.lower().removeprefix(".")
    canvas = FigureCanvasAgg(Figure())
    known = canvas.get_supported_filetypes()
    if kind not in known:
        raise InvalidInputError(f"{path} has none of the extensions {', '.join(sorted(known))}.")
    if not 1 <= dpi <= _MOST_DPI:
        raise InvalidInputError(f"A picture has 1 to {_MOST_DPI} dots per inch, not {dpi:g}.")
    found = plot(atlas, plane, position, figure=canvas.figure, **arguments)
    axes = list(found) if isinstance(found, np.ndarray) else [found]
    texts: Any = {"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "bg_atlasapi"}
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    described = {}
    if provenance is not None and kind in _DESCRIBED:
        described = {_DESCRIBED[kind]: replace(provenance, created="").to_json()}
    drawn = io.BytesIO()
    with mpl.rc_context(texts):
        canvas.figure.savefig(drawn, format=kind, dpi=dpi, metadata=undated | described or None)
    if not path.absolute().parent.is_dir():
        raise InvalidInputError(f"{path} cannot be written: there is no folder {path.parent}.")
    try:
        disk.write_bytes(path, drawn.getvalue())
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}."
        raise InvalidInputError(message) from error
    return [one.get_title() for one in axes]
