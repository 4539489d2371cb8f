"""Ranges of codes: a structure with its descendants is one, several structures are few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.parallel import spans

if TYPE_CHECKING:
    import numpy.typing as npt

# Codes compared at a time: they and the answer stay in a core's cache.
_BLOCK = 1 << 18


def ranges_of(codes: npt.NDArray[np.intp]) -> list[tuple[int, int]]:
    """Return sorted codes as inclusive ranges."""
    if not len(codes):
        return []
    breaks = np.flatnonzero(np.diff(codes) != 1)
    firsts = codes[np.r_[0, breaks + 1]].tolist()
    lasts = codes[np.r_[breaks, len(codes) - 1]].tolist()
    return list(zip(firsts, lasts, strict=True))


def within(
    codes: npt.NDArray[np.unsignedinteger], ranges: Sequence[tuple[int, int]]
) -> npt.NDArray[np.bool_]:
    """Say which codes lie in one of the ranges."""
    inside = None
    for first, last in ranges:
        # Unsigned subtraction wraps what lies below `first` to large values: one compare does both.
        one = (codes - codes.dtype.type(first)) <= last - first
        inside = one if inside is None else inside | one
    return np.zeros(codes.shape, np.bool_) if inside is None else inside


def fill_ranges(
    codes: npt.NDArray[Any],
    ranges: Sequence[tuple[int, int]],
    value: int,
    out: npt.NDArray[Any],
) -> None:
    """Write a value where codes lie in ranges; elsewhere ``out`` stays what it is.

    Parameters
    ----------
    codes
        Any shape.
    ranges
        Inclusive.
    value
        Must fit the type of ``out``.
    out
        Of the same shape, zeros: blocks without a hit are not touched, so their pages stay
        unallocated.
    """
    if codes.flags.c_contiguous and out.flags.c_contiguous:
        codes, out = codes.reshape(-1), out.reshape(-1)
        parts = list(spans(codes.size, _BLOCK))
    else:
        parts = list(spans(len(codes), max(1, _BLOCK * len(codes) // max(codes.size, 1))))
    for part in parts:
        inside = within(codes[part], ranges)
        if inside.any():
            np.copyto(out[part], value, where=inside, casting="unsafe")
