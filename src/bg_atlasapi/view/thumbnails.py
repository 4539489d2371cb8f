"""Small pictures of an atlas, for notebooks and terminals, that cost next to nothing to read.

Only every n-th voxel of a plane is read, from the coarsest level that shows enough; a plane that
would cost more than a moment is left out. What has to be downloaded first is not looked at. The
pictures show what is stored: edits of arrays that were handed out do not show.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import AtlasError
from bg_atlasapi.late import np
from bg_atlasapi.model.lazy_volume import Volume
from bg_atlasapi.store import awaited, cache
from bg_atlasapi.view.planes import Plane, anatomical, normal_axis

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

_SIDE = 160
# Bytes of a volume that reading one plane may touch, mapped from a disk or decoded from chunks.
_MOST_BYTES = 48 << 20
_PAGE_BYTES = 4096
_TINT = 0.55
_NOISE = 0.1
# Where the planes lie along their axes: beside the midline there is more to see.
_SHARES = {"coronal": 0.5, "horizontal": 0.5, "sagittal": 0.42}


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture of a plane.

    Parameters
    ----------
    title
        Which plane, and where.
    pixels
        Red, green, blue and opacity, ``uint8``, shape ``(rows, columns, 4)``, square on the body.
    """

    title: str
    pixels: Pixels


def thumbnails_of(atlas: Any, side: int = _SIDE, planes: int = 3) -> list[Thumbnail]:
    """Return pictures of an atlas, none if it cannot be looked at cheaply.

    Parameters
    ----------
    atlas
        The atlas.
    side
        Longest side, pixels.
    planes
        How many at most: the first of coronal, horizontal, sagittal.
    """
    found: list[Thumbnail] = []
    try:
        if _is_awaited(atlas):
            return found
        labels = _coarse(atlas.volumes["annotation"], side)
        image = _coarse(atlas.volumes["template"], side)
        for name in list(_SHARES)[:planes]:
            thumbnail = _thumbnail(atlas, name, labels, image, side)
            if thumbnail is not None:
                found.append(thumbnail)
    except (AtlasError, OSError):  # a picture is no reason to fail: the atlas says it when asked
        return found
    return found


def _is_awaited(atlas: Any) -> bool:
    """Say whether parts of an atlas would be downloaded when they are read."""
    named = cache.identify(atlas.root_dir)
    return named is not None and awaited.missing(named) > 0


def _coarse(volume: Volume, side: int) -> Volume:
    """Return the coarsest stored level with enough voxels."""
    for spacing in reversed(volume.levels):
        level = volume.level(spacing)
        if max(level.shape) >= side:
            return level
    return volume


def _thumbnail(atlas: Any, name: str, labels: Volume, image: Volume, side: int) -> Thumbnail | None:
    place = _SHARES[name]
    axis = normal_axis(labels.space, name)
    extent = labels.shape[axis] * labels.spacing_um[axis]
    plane = anatomical(labels.space, name, extent * place)
    rows = _index(labels, plane, side)
    if rows is None:
        return None
    tree = atlas.structures.terminology
    codes = tree.codes(_upright(labels[rows], plane))
    codes = np.where(codes < 0, 0, codes)
    shade = None
    other = anatomical(image.space, name, extent * place)
    rows = _index(image, other, side)
    if rows is not None:
        shade = _upright(image[rows], other)
    pixels = _painted(tree.colours[codes], codes > 0, shade)
    square = _squared(pixels, plane)
    return Thumbnail(plane.title, square)


def _index(volume: Volume, plane: Plane, side: int) -> tuple[Any, ...] | None:
    """Return what to read of a plane, None if that would cost too much."""
    assert plane.voxel is not None
    axis, at = plane.voxel
    others = [one for one in range(3) if one != axis]
    longest = max(volume.shape[one] * volume.spacing_um[one] for one in others)
    index: list[Any] = [at] * 3
    counts = {}
    for one in others:
        step = max(1, math.ceil(longest / volume.spacing_um[one] / side))
        index[one] = slice(step // 2 if volume.shape[one] > step // 2 else 0, None, step)
        counts[one] = len(range(volume.shape[one])[index[one]])
    return tuple(index) if _cost(volume, axis, counts) <= _MOST_BYTES else None


def _cost(volume: Volume, axis: int, counts: dict[int, int]) -> int:
    """Return about how many bytes reading a plane touches."""
    item = volume.dtype.itemsize
    if volume.chunks:
        layers = list(volume.chunks)
        wide = [volume.shape[one] for one in range(3)]
        wide[axis] = min(layers[axis], volume.shape[axis])
        return math.prod(wide) * item
    row = volume.shape[2] * item
    if axis == 2:
        return math.prod(counts.values()) * _PAGE_BYTES
    return counts[1 - axis] * max(row, _PAGE_BYTES)


def _upright(picture: npt.NDArray[Any], plane: Plane) -> npt.NDArray[Any]:
    """Return a plane with its rows down and its columns across, as it is seen."""
    across, down = plane.axes
    turned = picture if down < across else picture.T
    steps = (
        slice(None, None, -1 if plane.turned[1] else 1),
        slice(None, None, -1 if plane.turned[0] else 1),
    )
    return turned[steps]


def _painted(
    colours: Pixels, inside: npt.NDArray[np.bool_], shade: npt.NDArray[Any] | None
) -> Pixels:
    """Return colours over shades of grey; nothing where there is neither."""
    pixels = np.zeros((*inside.shape, 4), np.uint8)
    pixels[..., :3] = colours
    pixels[..., 3] = inside * np.uint8(255)
    if shade is None or not np.any(shade > 0):
        return pixels
    level = _resampled(np.nan_to_num(shade.astype(np.float32)), inside.shape)
    level = np.clip(level / max(float(np.percentile(level[level > 0], 99)), 1e-6), 0, 1)
    grey = (level * 255)[..., None]
    tinted = colours * _TINT + grey * (1 - _TINT)
    pixels[..., :3] = np.where(inside[..., None], tinted, grey)
    pixels[..., 3] = np.where(inside, 255, np.clip((level - _NOISE) * 5, 0, 1) * 255)
    return pixels


def _resampled(picture: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return the nearest pixels for another shape."""
    index = [
        np.minimum((np.arange(to) + 0.5) * have / to, have - 1).astype(np.intp)
        for to, have in zip(shape, picture.shape[:2], strict=True)
    ]
    return picture[np.ix_(*index)]


def _squared(pixels: Pixels, plane: Plane) -> Pixels:
    """Return a picture with square pixels, and no empty border."""
    (left, right), (top, bottom) = plane.limits_um
    least = min((right - left) / pixels.shape[1], (bottom - top) / pixels.shape[0])
    shape = max(1, round((bottom - top) / least)), max(1, round((right - left) / least))
    square = pixels if shape == pixels.shape[:2] else _resampled(pixels, shape)
    seen = square[..., 3] > 0
    if not seen.any():
        return square
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return square[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def png_of(pixels: Pixels) -> bytes:
    """Return a picture as a PNG file (ISO/IEC 15948), 8 bits, with opacity."""
    rows, columns = pixels.shape[:2]
    raw = np.zeros((rows, columns * 4 + 1), np.uint8)  # each row begins with its filter, none
    raw[:, 1:] = pixels.reshape(rows, columns * 4)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", columns, rows, 8, 6, 0, 0, 0)
    body = zlib.compress(raw.tobytes(), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def half_blocks(pixels: Pixels) -> Iterator[list[tuple[str, str]]]:
    """Yield a picture as lines of text for a terminal: characters, each with a style of rich.

    A character is two pixels, one above the other; what is transparent stays the terminal's own.
    """
    rows, columns = pixels.shape[:2]
    if rows % 2:
        pixels = np.concatenate([pixels, np.zeros((1, columns, 4), np.uint8)])
    pairs = pixels.reshape(-1, 2, columns, 4).tolist()
    for upper, lower in pairs:
        yield [_half_block(above, below) for above, below in zip(upper, lower, strict=True)]


def _half_block(above: list[int], below: list[int]) -> tuple[str, str]:
    first, second = ("rgb({},{},{})".format(*one[:3]) for one in (above, below))
    if above[3] < 128 and below[3] < 128:
        return " ", ""
    if below[3] < 128:
        return "▀", first
    if above[3] < 128:
        return "▄", second
    return "▀", f"{first} on {second}"
