"""Where the corners of pixels lie in a label picture, exactly or with the stairs taken out.

Corners are numbered in C order on a grid of one row and one column more than the pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Indices = npt.NDArray[np.intp]
    Floats = npt.NDArray[np.float64]

# How often corners move half the way to the middle of their neighbours, and how far in all, pixels.
_ROUNDS, _FURTHEST = 8, 0.5
# Corners of parts of fewer pixels move less, or these would shrink to nothing.
_SMALL, _SHARE_OF_SMALL = 9, 0.2
# A corner this near the way between its neighbours, pixels, is not missed.
_FLAT = 0.1


def places_of(shape: tuple[int, int]) -> Floats:
    """Return row and column of every corner of a picture, shape ``(corners, 2)``."""
    rows, columns = shape
    grid = np.empty((rows + 1, columns + 1, 2))
    grid[..., 0] = np.arange(rows + 1)[:, None]
    grid[..., 1] = np.arange(columns + 1)
    return grid.reshape(-1, 2)


def border_edges(labels: Array) -> tuple[Indices, Indices]:
    """Return the two corners of each pixel edge between different labels."""
    rows, columns = labels.shape
    wide = columns + 1
    framed = np.zeros((rows + 2, columns + 2), labels.dtype)
    framed[1:-1, 1:-1] = labels
    across = np.flatnonzero(framed[1:, 1:-1] != framed[:-1, 1:-1])
    row, column = np.divmod(across, max(columns, 1))
    level = row * wide + column
    down = np.flatnonzero(framed[1:-1, 1:] != framed[1:-1, :-1])  # of rows as wide as corners
    return np.concatenate([level, down]), np.concatenate([level + 1, down + wide])


def smoothed(labels: Array, parts: Indices) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return places of the corners with the stairs taken out of the borders.

    A corner belongs to all borders that meet there, so neighbours keep sharing theirs: no gap and
    no overlap opens. None moves further than half a pixel along either axis.

    Returns
    -------
    places, spare
        Shape ``(corners, 2)``; and which corners can be left out of every line without harm.
    """
    places = places_of((labels.shape[0], labels.shape[1]))
    spare = np.zeros(len(places), np.bool_)
    start, stop = border_edges(labels)
    if not len(start):
        return places, spare
    used, packed = np.unique(np.concatenate([start, stop]), return_inverse=True)
    one, other = packed[: len(start)], packed[len(start) :]
    exact = places[used]
    degree = np.bincount(packed, minlength=len(used))
    small = _round_small_parts(parts)[used]
    weight = np.where(small, 0.5 * _SHARE_OF_SMALL, 0.5)[:, None]
    now, mean = exact.copy(), exact.copy()
    for _ in range(_ROUNDS):
        for axis in (0, 1):
            sums = np.bincount(one, now[other, axis], len(used))
            sums += np.bincount(other, now[one, axis], len(used))
            mean[:, axis] = sums / degree
        now += weight * (mean - now)
        np.clip(now, exact - _FURTHEST, exact + _FURTHEST, out=now)
    places[used] = now
    odd = exact.sum(axis=1) % 2 == 1  # every other one, whichever line is followed
    straight = np.abs(mean - now).max(axis=1) < _FLAT
    spare[used] = odd & straight & (degree == 2) & ~small
    return places, spare


def _round_small_parts(parts: Indices) -> npt.NDArray[np.bool_]:
    """Say which corners lie at parts of few pixels."""
    rows, columns = parts.shape
    small = np.bincount(parts.reshape(-1)) < _SMALL
    small[0] = False
    mine = small[parts]
    corners = np.zeros((rows + 1, columns + 1), np.bool_)
    for down, right in np.ndindex(2, 2):
        corners[down : rows + down, right : columns + right] |= mine
    return corners.reshape(-1)
