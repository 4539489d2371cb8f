"""A picture that shows whether a volume lies as it is said to: three planes with letters.

A header may be wrong in ways that no program can see: left for right, nose for tail. People see it
at once, if the picture says which side should be which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.build.letters import ink
from bg_atlasapi.build.png import png_bytes
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.label_tables.making import made_colour
from bg_atlasapi.late import np
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.query.pictures import Turn, turn_between

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    RGB = tuple[int, int, int]

# Planes: across which axis of "asl", and the letters at top, left, bottom, right.
_PLANES = ((0, "SLIR"), (2, "SAIP"), (1, "ALPR"))
_SHOWN_AS = "asl"
_WIDTH = 1200
_MARGIN, _LETTER, _TALLEST = 34, 3, 700
_GROUND = 24
_TINT = 0.35
_LINE = 255
_BARS_MM = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
_SAMPLED = 64
_DARK, _BRIGHT = 1.0, 99.8


@dataclass(frozen=True, slots=True)
class _Plane:
    """A plane in the order it is drawn: rows down, columns to the right."""

    grey: Array | None
    labels: Array | None
    letters: str
    size_um: tuple[float, float]


def orientation_picture(
    template: Any,
    labels: Any,
    space: CoordinateSpace,
    colours: Mapping[int, Sequence[int]] | None = None,
) -> bytes:
    """Draw the three planes through the middle of what is labelled, side by side, to scale.

    From behind, from the left with the nose on the left, and from above with the nose at the top:
    left is left, as in plots and in the viewer. A letter at each edge says which side of the body
    it should be.

    Parameters
    ----------
    template
        Grey values: an array, or anything that can be sliced; None draws labels alone.
    labels
        Labels of the same shape; None draws the template alone.
    space
        What both are said to lie in.
    colours
        Red, green, blue of labels; others get one of their own.

    Returns
    -------
    bytes
        A PNG, about 1200 pixels wide; the same for the same volumes.

    Raises
    ------
    InvalidInputError
        If there is nothing to draw, or it has another shape than the space.
    """
    shown = [volume for volume in (template, labels) if volume is not None]
    if not shown:
        raise InvalidInputError("An orientation picture needs a template or labels, or both.")
    for volume in shown:
        if tuple(volume.shape) != tuple(space.shape):
            message = f"The volume has the shape {tuple(volume.shape)}, its space {space.shape}."
            raise InvalidInputError(message)
    turn = turn_between(space.orientation, _SHOWN_AS)
    turn = turn or Turn((0, 1, 2), (False, False, False))
    middle = _middle(labels if labels is not None else template)
    planes = [
        _plane(template, labels, space, turn, middle, across, letters)
        for across, letters in _PLANES
    ]
    um_per_pixel = _um_per_pixel(planes)
    limits = _limits([plane.grey for plane in planes if plane.grey is not None])
    drawn = [_drawn(plane, um_per_pixel, limits, colours or {}) for plane in planes]
    return png_bytes(_beside(drawn, um_per_pixel))


def _middle(volume: Any) -> tuple[int, ...]:
    """Return the middle of what is not 0, of the volume if all is; from a coarse sample."""
    steps = [max(1, length // _SAMPLED) for length in volume.shape]
    sample = np.asarray(volume[tuple(slice(step // 2, None, step) for step in steps)])
    found = np.nonzero(sample)
    if not len(found[0]):
        return tuple(length // 2 for length in volume.shape)
    middles = [(int(one.min()) + int(one.max())) / 2 for one in found]
    return tuple(
        min(int(middle * step) + step // 2, length - 1)
        for middle, step, length in zip(middles, steps, volume.shape, strict=True)
    )


def _plane(
    template: Any,
    labels: Any,
    space: CoordinateSpace,
    turn: Turn,
    middle: Sequence[int],
    across: int,
    letters: str,
) -> _Plane:
    axis = turn.axes[across]
    key = tuple(
        slice(middle[axis], middle[axis] + 1) if one == axis else slice(None) for one in range(3)
    )
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in turn.flipped)

    def cut(volume: Any) -> Array | None:
        if volume is None:
            return None
        turned = np.asarray(volume[key]).transpose(turn.axes)[steps]
        plane = turned.reshape([length for one, length in enumerate(turned.shape) if one != across])
        return plane.T if across == 2 else plane

    first, second = (size for one, size in enumerate(turn.apply(space.spacing_um)) if one != across)
    size = (second, first) if across == 2 else (first, second)
    return _Plane(cut(template), cut(labels), letters, size)


def _um_per_pixel(planes: Sequence[_Plane]) -> float:
    """Return a scale at which all planes fit side by side."""
    extents = [
        tuple(n * s for n, s in zip(_shape(plane), plane.size_um, strict=True)) for plane in planes
    ]
    free = _WIDTH - 2 * _MARGIN * len(planes)
    return max(sum(wide for _, wide in extents) / free, max(tall for tall, _ in extents) / _TALLEST)


def _shape(plane: _Plane) -> tuple[int, ...]:
    volume = plane.grey if plane.grey is not None else plane.labels
    assert volume is not None
    return volume.shape


def _limits(greys: Sequence[Array]) -> tuple[float, float]:
    """Return what is black and what is white, so that a few bright voxels do not hide the rest."""
    values = [grey[np.isfinite(grey) & (grey != 0)].reshape(-1) for grey in greys]
    joined = np.concatenate(values) if values else np.empty(0)
    if not joined.size:
        return 0.0, 1.0
    low, high = np.percentile(joined.astype(np.float64), [_DARK, _BRIGHT])
    low = min(low, float(high) * 0.5) if high > 0 else low
    return float(low), float(high) if high > low else float(low) + 1


def _drawn(
    plane: _Plane,
    um_per_pixel: float,
    limits: tuple[float, float],
    colours: Mapping[int, Sequence[int]],
) -> Array:
    """Return a plane as a picture with a margin and letters, ``uint8``, ``(height, width, 3)``."""
    rows, columns = (
        np.minimum(
            (np.arange(max(1, round(n * size / um_per_pixel))) * um_per_pixel / size).astype(int),
            n - 1,
        )
        for n, size in zip(_shape(plane), plane.size_um, strict=True)
    )
    place = np.ix_(rows, columns)
    picture = np.zeros((len(rows), len(columns), 3), np.float64)
    if plane.grey is not None:
        low, high = limits
        grey = np.nan_to_num(plane.grey[place].astype(np.float64), posinf=high, neginf=low)
        picture[...] = np.clip((grey - low) / (high - low), 0, 1)[..., np.newaxis] * 255
    if plane.labels is not None:
        _tint(picture, plane.labels[place], colours, alone=plane.grey is None)
    framed = np.full((len(rows) + 2 * _MARGIN, len(columns) + 2 * _MARGIN, 3), _GROUND, np.uint8)
    framed[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] = picture
    height, width, _ = framed.shape
    half = _MARGIN // 2
    top, left, bottom, right = tuple(plane.letters)
    for letter, centre in (
        (top, (half, width // 2)),
        (left, (height // 2, half)),
        (bottom, (height - half, width // 2)),
        (right, (height // 2, width - half)),
    ):
        ink(framed, letter, centre, _LETTER)
    return framed


def _tint(
    picture: Array, labels: Array, colours: Mapping[int, Sequence[int]], *, alone: bool
) -> None:
    """Lay the colours of labels over a picture, and lines where labels meet."""
    ids, places = np.unique(labels, return_inverse=True)
    stated = [colours.get(int(one)) or made_colour(int(one)) for one in ids]
    tint = np.array(stated, np.float64).reshape(-1, 3)[places.reshape(labels.shape)]
    inside = labels != 0
    part = 1.0 if alone else _TINT
    picture[inside] = picture[inside] * (1 - part) + tint[inside] * part
    edge = np.zeros(labels.shape, bool)
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    line = tint * 0.5 + 0.5 * _LINE
    line[~inside] = _LINE
    picture[edge] = line[edge]


def _beside(drawn: Sequence[Array], um_per_pixel: float) -> Array:
    """Put pictures side by side, and a bar below that says how long something is."""
    height = max(picture.shape[0] for picture in drawn) + _MARGIN
    out = np.full((height, sum(picture.shape[1] for picture in drawn), 3), _GROUND, np.uint8)
    left = 0
    for picture in drawn:
        top = (height - _MARGIN - picture.shape[0]) // 2
        out[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1]
    most = out.shape[1] / 6 * um_per_pixel / 1000
    bar_mm = max((bar for bar in _BARS_MM if bar <= most), default=_BARS_MM[0])
    pixels = max(1, round(bar_mm * 1000 / um_per_pixel))
    if pixels < out.shape[1] - 2 * _MARGIN:
        row = height - _MARGIN // 2
        out[row - 2 : row + 2, _MARGIN : _MARGIN + pixels] = 255
        text = f"{bar_mm:g} mm" if bar_mm >= 1 else f"{bar_mm * 1000:g} µm"
        ink(out, text, (row, _MARGIN + pixels + 18 * (len(text) // 2 + 1)), 2)
    return out
