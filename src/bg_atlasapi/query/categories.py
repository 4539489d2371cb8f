"""Texts of millions of rows as categories: made in blocks, never with a temporary over all rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.parallel import over_blocks
from bg_atlasapi.model.space import LEFT, RIGHT

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

_BLOCK = 1 << 16
_HEMISPHERES = ("left", "right")


def used_rows(rows: npt.NDArray[np.int32], count: int) -> npt.NDArray[np.intp]:
    """Return which of the numbers below ``count`` are among some, sorted."""
    seen = np.zeros(count, np.bool_)

    def see(part: slice) -> None:
        seen[rows[part]] = True

    over_blocks(see, len(rows), _BLOCK)
    return np.flatnonzero(seen)


def by_row(
    rows: npt.NDArray[np.int32], used: npt.NDArray[np.intp], texts: Sequence[str]
) -> pd.Categorical:
    """Return texts by row as a categorical that holds just the texts in use, in their order."""
    ranks: dict[str, int] = {}
    table = np.zeros(len(texts), np.int16 if len(used) < np.iinfo(np.int16).max else np.int32)
    for row in used.tolist():  # several structures may share a name
        table[row] = ranks.setdefault(texts[row], len(ranks))
    return _categorical(table, rows, list(ranks))


def sides(hemispheres: npt.NDArray[np.uint8]) -> pd.Categorical:
    """Return "left", "right", and missing for whatever else was stored."""
    table = np.full(256, -1, np.int8)
    table[LEFT], table[RIGHT] = 0, 1
    return _categorical(table, hemispheres, list(_HEMISPHERES))


def _categorical(
    table: npt.NDArray[Any], rows: npt.NDArray[Any], categories: list[str]
) -> pd.Categorical:
    import pandas as pd

    codes = np.empty(len(rows), table.dtype)

    def take(part: slice) -> None:
        table.take(rows[part], mode="clip", out=codes[part])

    over_blocks(take, len(rows), _BLOCK)
    return pd.Categorical.from_codes(codes, categories=categories, validate=False)
