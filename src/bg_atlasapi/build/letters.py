"""A few letters and digits as pixels, for pictures made without a drawing library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

# Rows of five pixels, top to bottom, as numbers of five bits.
_FONT = {
    "A": (14, 17, 17, 31, 17, 17, 17),
    "P": (30, 17, 17, 30, 16, 16, 16),
    "S": (15, 16, 16, 14, 1, 1, 30),
    "I": (14, 4, 4, 4, 4, 4, 14),
    "L": (16, 16, 16, 16, 16, 16, 31),
    "R": (30, 17, 17, 30, 20, 18, 17),
    "m": (0, 0, 26, 21, 21, 21, 21),
    "µ": (0, 17, 17, 17, 27, 21, 16),
    ".": (0, 0, 0, 0, 0, 12, 12),
    "0": (14, 17, 19, 21, 25, 17, 14),
    "1": (4, 12, 4, 4, 4, 4, 14),
    "2": (14, 17, 1, 2, 4, 8, 31),
    "5": (31, 16, 30, 1, 1, 17, 14),
    " ": (0, 0, 0, 0, 0, 0, 0),
}
_WIDTH, _HEIGHT = 5, 7


def written(text: str, scale: int) -> npt.NDArray[np.bool_]:
    """Return a text as pixels, True where it is inked; shape ``(7 scale, 6 scale len(text))``.

    Parameters
    ----------
    text
        Of A, P, S, I, L, R, m, µ, the digits 0, 1, 2, 5, point and blank.
    scale
        Size of a dot.
    """
    out = np.zeros((_HEIGHT, (_WIDTH + 1) * len(text)), bool)
    for place, letter in enumerate(text):
        left = place * (_WIDTH + 1)
        for row, bits in enumerate(_FONT[letter]):
            for column in range(_WIDTH):
                out[row, left + column] = bits >> (_WIDTH - 1 - column) & 1
    return out.repeat(scale, axis=0).repeat(scale, axis=1)


def ink(picture: npt.NDArray[np.uint8], text: str, centre: tuple[int, int], scale: int) -> None:
    """Write white letters with a dark rim around a place; what reaches beyond the edge is cut.

    Parameters
    ----------
    picture
        ``uint8``, shape ``(height, width, 3)``.
    text, scale
        As of ``written``.
    centre
        Row and column.
    """
    letters = np.pad(written(text, scale)[:, : -scale or None], scale)
    rim = np.zeros_like(letters)
    for down in range(-scale, scale + 1):
        for right in range(-scale, scale + 1):
            rim |= np.roll(letters, (down, right), axis=(0, 1))
    top, left = (c - size // 2 for c, size in zip(centre, letters.shape, strict=True))
    rows = slice(max(top, 0), max(top + letters.shape[0], 0))
    columns = slice(max(left, 0), max(left + letters.shape[1], 0))
    place = picture[rows, columns]
    cut = (
        slice(rows.start - top, rows.start - top + place.shape[0]),
        slice(columns.start - left, columns.start - left + place.shape[1]),
    )
    place[rim[cut]] = 0
    place[letters[cut]] = 255
