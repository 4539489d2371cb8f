"""Tables of decimal numbers in text, parsed for a whole block at a time.

numpy's own text parser takes 0.3 µs a number; meshes hold millions. Numbers of up to 15 digits
without exponent, which is what mesh files hold, are whole numbers divided by a power of ten: both
are exact in a double, so one division gives the nearest double, as the C library would. Whatever
is longer or has an exponent is not this module's: it answers None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bg_atlasapi.late import np
from bg_atlasapi.model.parallel import over_blocks

if TYPE_CHECKING:
    import numpy.typing as npt

_MOST_DIGITS = 15
_BLOCK = 1 << 17
_SPACE, _MINUS, _POINT, _ZERO = b" -.0"


def rows_of(
    block: bytes, letter: bytes, columns: int, every: int = 1
) -> npt.NDArray[np.float64] | None:
    """Parse lines of a letter and so many numbers.

    Parameters
    ----------
    block
        Lines such as ``v 1.5 -2 3``.
    letter
        What each line begins with.
    columns
        How many numbers follow.
    every
        Parse one in so many of them, beginning with the first.

    Returns
    -------
    numpy.ndarray or None
        Shape ``(lines, columns / every)``; None if a line is anything else.
    """
    chars = np.frombuffer(block, np.uint8)
    solid = np.concatenate([[False], chars > _SPACE, [False]])
    edges = np.flatnonzero(solid[1:] != solid[:-1]).reshape(-1, 2)
    if not len(edges) or len(edges) % (columns + 1):
        return None
    words = edges.reshape(-1, columns + 1, 2)
    marks = words[:, 0]
    if (chars[marks[:, 0]] != letter[0]).any() or (marks[:, 1] - marks[:, 0] != 1).any():
        return None
    wanted = words[:, 1::every]
    starts, ends = wanted[..., 0].ravel(), wanted[..., 1].ravel()
    values = np.empty(len(starts))

    def parse(part: slice) -> bool:
        return _parse(chars, starts[part], ends[part], values[part])

    parsed = all(over_blocks(parse, len(starts), _BLOCK))
    return values.reshape(len(words), -1) if parsed else None


def _parse(
    chars: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.intp],
    ends: npt.NDArray[np.intp],
    out: npt.NDArray[np.float64],
) -> bool:
    """Parse words from their last character to their first, all at once; say whether they were."""
    lengths = ends - starts
    longest = int(lengths.max())
    if longest > _MOST_DIGITS + 2:
        return False
    negative = chars[starts] == _MINUS
    lengths -= negative
    whole, power = np.zeros(len(starts)), np.ones(len(starts))
    scale = np.ones(len(starts))
    points: npt.NDArray[np.int8] | int = 0
    for back in range(longest):
        inside = lengths > back
        char = chars.take(ends - (1 + back), mode="clip")
        is_point = inside & (char == _POINT)
        is_digit = inside & (char - np.uint8(_ZERO) < 10)  # unsigned: what is below wraps
        if not (is_digit | is_point | ~inside).all():
            return False
        if is_point.any():
            points += is_point
            scale[is_point] = power[is_point]
        whole += np.where(is_digit, char - np.uint8(_ZERO), 0) * power
        power[is_digit] *= 10
    if np.any(points > 1) or (power > 10.0**_MOST_DIGITS).any() or (power == 1).any():
        return False
    np.divide(np.where(negative, -whole, whole), scale, out=out)
    return True
