"""Pictures of meshes, drawn by numpy alone: no graphics card, no window, the same everywhere.

Surfaces are sampled more densely than pixels and the nearest sample of each pixel is kept. Good for
pictures the size of a stamp; the viewer is for looking closely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bg_atlasapi.late import np
from bg_atlasapi.model.space import CoordinateSpace

if TYPE_CHECKING:
    import numpy.typing as npt

    from bg_atlasapi.model.mesh import TriangleMesh

    Floats = npt.NDArray[np.float64]

_SMOOTH = 2  # pixels are averaged over so many along each side
_LIGHT = np.array([0.35, 0.75, 0.6])
_AMBIENT, _GLASS = 0.35, 0.55
_MARGIN = 0.04
_DENSE = 1.3  # samples a pixel, along a triangle's longest side
_SAMPLES = 1 << 19  # worked through at a time
_DEPTHS, _OWNER_BITS = float(1 << 28), 32
_TURN, _TILT = np.deg2rad(38.0), np.deg2rad(24.0)
# Towards the right, up and the viewer, for bodies whose axes are anterior, superior, right.
_TOWARDS = {"a": (0, 1), "p": (0, -1), "s": (1, 1), "i": (1, -1), "r": (2, 1), "l": (2, -1)}


@dataclass(frozen=True, slots=True)
class Camera:
    """From where all surfaces of an atlas are seen: from the left, the front and above.

    Parameters
    ----------
    turn
        Shape ``(3, 3)``: from the atlas's axes to right, up and towards the viewer.
    centre
        Of what is seen, µm.
    scale
        Pixels a µm.
    size
        Width and height, pixels.
    """

    turn: Floats
    centre: Floats
    scale: float
    size: tuple[int, int]

    @classmethod
    def on(cls, space: CoordinateSpace, points: Floats, width: int) -> Camera:
        """Return a camera that sees points, whichever way the atlas lies."""
        turn = _looking() @ _anatomical(space)
        seen = points @ turn.T
        low, high = seen.min(axis=0), seen.max(axis=0)
        extent = np.maximum(high - low, 1e-9)[:2]
        room = 1 - 2 * _MARGIN
        height = int(np.clip(width * extent[1] / extent[0], width * 0.4, width))
        scale = min(width * room / extent[0], height * room / extent[1])
        centre = np.linalg.solve(turn, (low + high) / 2)
        size = (width, height)
        return cls(turn, centre, float(scale), size)


def _anatomical(space: CoordinateSpace) -> Floats:
    """Return the matrix from the atlas's axes to anterior, superior, right."""
    matrix = np.zeros((3, 3))
    for axis, letter in enumerate(space.orientation):
        row, sign = _TOWARDS[letter]
        matrix[row, axis] = -sign  # the letter is where index 0 lies
    return matrix


def _looking() -> Floats:
    """Return the matrix from anterior, superior, right to right, up, towards the viewer."""
    # Nose to the left, seen from the left side: right is posterior, the viewer stands left.
    side = np.array([[-1.0, 0, 0], [0, 1.0, 0], [0, 0, -1.0]])
    cos, sin = np.cos(_TURN), np.sin(_TURN)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    cos, sin = np.cos(_TILT), np.sin(_TILT)
    tilt = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    return np.asarray(tilt @ turn @ side)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a camera sees of a surface.

    Parameters
    ----------
    there
        Which pixels it covers, ``bool``, shape ``(height, width)``, of the finer picture.
    facing
        How much it faces the viewer there, 0…1.
    light
        How brightly it is lit, 0…1.
    """

    there: npt.NDArray[np.bool_]
    facing: npt.NDArray[np.float32]
    light: npt.NDArray[np.float32]


def look(mesh: TriangleMesh, camera: Camera) -> Seen:
    """Return what a camera sees of a mesh."""
    width, height = (side * _SMOOTH for side in camera.size)
    points = (mesh.points - camera.centre) @ camera.turn.T * camera.scale * _SMOOTH
    points[:, 0] += width / 2
    points[:, 1] = height / 2 - points[:, 1]
    corners = points[mesh.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.sqrt(np.einsum("ij,ij->i", normals, normals))
    normals /= np.maximum(lengths, 1e-12)[:, np.newaxis]
    normals[:, 1] *= -1  # rows run down
    normals *= np.where(normals[:, 2] < 0, -1.0, 1.0)[:, np.newaxis]  # either side is lit
    nearest = _nearest(corners.astype(np.float32), width, height).astype(np.intp)
    there = nearest >= 0
    light = _LIGHT / np.linalg.norm(_LIGHT)
    lit = _AMBIENT + (1 - _AMBIENT) * np.clip(normals @ light, 0, 1)
    shape = (height, width)
    return Seen(
        there.reshape(shape),
        np.where(there, normals[nearest, 2], 0).astype(np.float32).reshape(shape),
        np.where(there, lit[nearest], 0).astype(np.float32).reshape(shape),
    )


def _nearest(corners: npt.NDArray[np.float32], width: int, height: int) -> npt.NDArray[np.int64]:
    """Return which triangle is nearest in each pixel, flat; -1 for none.

    Depth, as a whole number, and triangle are one number, so that a maximum finds both.
    """
    best = np.full(width * height, -1, np.int64)
    deep = corners[..., 2]
    low, high = float(deep.min()), float(deep.max())
    to_whole = _DEPTHS / max(high - low, 1e-9)
    sides = np.abs(corners - np.roll(corners, 1, axis=1))[..., :2].max(axis=(1, 2))
    steps = np.minimum(_rounded(np.ceil(sides * _DENSE)), width * 2)
    for step in np.unique(steps).tolist():
        some = np.flatnonzero(steps == step)
        first, second = np.meshgrid(np.arange(step), np.arange(step), indexing="ij")
        inside = first + second < step
        u, v = (((one[inside] + 1 / 3) / step).astype(np.float32) for one in (first, second))
        block = max(1, _SAMPLES // len(u))
        for start in range(0, len(some), block):
            part = some[start : start + block]
            column, row, depth = (
                one[:, :1] + (one[:, 1:2] - one[:, :1]) * u + (one[:, 2:] - one[:, :1]) * v
                for one in corners[part].transpose(2, 0, 1)
            )
            inner = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            places = (row.astype(np.int64) * width + column.astype(np.int64))[inner]
            whole = ((depth - low) * to_whole).astype(np.int64)
            keys = (whole << _OWNER_BITS) | part[:, np.newaxis]
            np.maximum.at(best, places, keys[inner])
    return np.where(best < 0, -1, best & ((1 << _OWNER_BITS) - 1))


def _rounded(steps: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return numbers of steps, large ones rounded up, so that few different ones are left."""
    steps = np.maximum(steps, 1)
    wide = 2 ** np.ceil(np.log2(steps))
    return np.where(steps <= 4, steps, wide).astype(np.int64)


def painted(
    seen: Seen | None, colour: tuple[int, int, int], glass: Seen | None
) -> npt.NDArray[np.uint8]:
    """Return a picture: a lit surface in its colour, within one of glass.

    Parameters
    ----------
    seen
        The surface; None leaves it out.
    colour
        Red, green, blue.
    glass
        What surrounds it, grey and clear; None leaves it out.

    Returns
    -------
    numpy.ndarray
        ``uint8``, shape ``(height, width, 4)``, clear where nothing is.
    """
    one = seen or glass
    assert one is not None
    shape = (*one.there.shape, 3)
    shade, cover = np.zeros(shape, np.float32), np.zeros(shape[:2], np.float32)
    if glass is not None:
        cover = np.where(glass.there, 0.07 + _GLASS * (1 - glass.facing) ** 2.2, 0)
        shade[:] = 128
    if seen is not None:
        inner = seen.light[..., np.newaxis] * np.array(colour, np.float32)
        shade = np.where(seen.there[..., np.newaxis], inner, shade)
        cover = np.where(seen.there, 1, cover)
    heavy = shade * cover[..., np.newaxis]
    small, clear = _averaged(heavy), _averaged(cover[..., np.newaxis])
    colours = small / np.maximum(clear, 1e-6)
    # Few shades compress well, and nobody sees it at this size.
    alpha = np.round(clear * 255 / 5) * 5
    return np.concatenate([np.clip(colours, 0, 255), np.clip(alpha, 0, 255)], axis=2).astype(
        np.uint8
    )


def _averaged(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    height, width, channels = picture.shape
    parts = picture.reshape(height // _SMOOTH, _SMOOTH, width // _SMOOTH, _SMOOTH, channels)
    return np.asarray(parts.mean(axis=(1, 3)))
